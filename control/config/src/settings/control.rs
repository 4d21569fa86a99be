//! The control port, typed.

use std::path::PathBuf;
use std::time::Duration;

use crate::value::Port;

/// The control port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// `greyhound.control.enabled`.
    pub enabled: bool,
    /// `cmd_host`.
    pub host: String,
    /// `cmd_port`; 0 and random = any free port.
    pub port: Port,
    /// `auth_token_file_path`.
    pub token: Option<PathBuf>,
    /// `ipc_cert_file_path`.
    pub certificate: Option<PathBuf>,
    /// `run_path`.
    pub run_path: Option<PathBuf>,
    /// `flare_stripped_keys`: more names whose values a flare leaves out.
    pub flare_stripped_keys: Vec<String>,
    /// `auth_init_timeout`.
    pub init_timeout: Duration,
    /// `server_timeout`.
    pub request_timeout: Duration,
    /// `agent_ipc.host` and `agent_ipc.port`; `None` = off.
    pub ipc: Option<(String, Port)>,
    /// `health_port`; `None` = off.
    pub health: Option<Port>,
    /// `expvar_port`; `None` = off.
    pub expvar: Option<Port>,
    /// `greyhound.control.socket`.
    pub socket: ControlSocket,
    /// `greyhound.control.mutual_tls`.
    pub mutual_tls: MutualTls,
    /// `greyhound.control.allow_remote`.
    pub allow_remote: bool,
    /// `greyhound.control.debug`.
    pub debug: bool,
    /// `greyhound.control.connections`.
    pub connections_max: usize,
    /// `greyhound.control.failures_per_second`.
    pub failures_per_second: u32,
}

/// The Unix socket of the control port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlSocket {
    /// None.
    Off,
    /// In the first folder for running processes that can be written.
    Auto,
    /// There.
    At(PathBuf),
}

/// Whether callers show the certificate too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MutualTls {
    /// They must.
    Require,
    /// They may.
    Request,
    /// They are not asked.
    Off,
}
