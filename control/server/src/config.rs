//! What the server is told, with every limit of the network side.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Everything about the server; its limits have defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// The control port; none = no TLS port.
    pub listen: Option<SocketAddr>,
    /// The Unix socket; none = no socket.
    pub socket: Option<PathBuf>,
    /// The optional second port, which hands out settings; none = off.
    pub ipc_listen: Option<SocketAddr>,
    /// Plain HTTP for probes; none = off.
    pub health_listen: Option<SocketAddr>,
    /// Plain HTTP with counters, without a token; none = off.
    pub expvar_listen: Option<SocketAddr>,
    /// Where token and certificate are.
    pub files: Files,
    /// What is asked of clients beside the token.
    pub mutual_tls: MutualTls,
    /// Bound of making token and certificate.
    pub init_timeout: Duration,
    /// Bound of one REST request, head to answer.
    pub request_timeout: Duration,
    /// Serves `/debug`.
    pub debug: bool,
    /// Bounds of the network side.
    pub limits: Limits,
}

/// Where token and certificate are.
#[derive(Clone, Debug)]
pub struct Files {
    /// 64 lower-case hexadecimal digits.
    pub token: PathBuf,
    /// PEM: certificate, then key.
    pub certificate: PathBuf,
    /// Our user id: files of others are refused.
    pub own_uid: u32,
}

/// What clients have to show beside the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MutualTls {
    /// The certificate of the file, or the handshake fails.
    Require,
    /// The certificate of the file, or none.
    #[default]
    Request,
    /// Not asked for.
    Off,
}

/// Bounds of the network side. Those that are constants stand in `listen`.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections in all.
    pub connections_max: usize,
    /// Connections of one address that is not loopback.
    pub connections_per_peer_max: usize,
    /// Wrong tokens of one peer answered without delay.
    pub failures_burst: u32,
    /// Wrong tokens of one peer answered per second after that.
    pub failures_per_second: u32,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 512,
            connections_per_peer_max: 32,
            failures_burst: 10,
            failures_per_second: 1,
        }
    }
}
