//! Why the engine could not start. Each message names the setting to change.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use greyhound_sys::socket::holder::Holder;
use greyhound_sys::socket::unix::BindError;

/// Why the engine could not start; the process prints it with its sources and ends. Nothing stays
/// bound, no thread runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The UDP port is taken or not ours to take.
    #[error("cannot bind UDP {address}, set by `dogstatsd_port` and `bind_host`{}", held_by(.holder))]
    BindUdp {
        /// What was asked for.
        address: SocketAddr,
        /// Who has it, when the kernel lets us see.
        holder: Option<Holder>,
        /// What the kernel said.
        source: io::Error,
    },
    /// The socket file could not be made.
    #[error("cannot bind Unix socket {path:?}, set by `{setting}`")]
    BindUnix {
        /// Name of the setting.
        setting: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// What is in the way.
        source: BindError,
    },
    /// No such user or group.
    #[error("cannot give Unix socket {path:?} to {name:?}")]
    Owner {
        /// Where the socket should be.
        path: PathBuf,
        /// Name of the user or group.
        name: String,
        /// What the lookup said.
        source: io::Error,
    },
    /// Nothing to listen on, and the settings ask for something.
    #[error("no listener is configured, and `dogstatsd_require_listener` is set")]
    NoListener,
    /// Threads or descriptors ran out.
    #[error("cannot start the {what}")]
    Resources {
        /// What needed them.
        what: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
}

fn held_by(holder: &Option<Holder>) -> String {
    holder
        .as_ref()
        .map(|holder| format!(": {holder}"))
        .unwrap_or_default()
}
