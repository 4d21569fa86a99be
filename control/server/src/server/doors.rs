//! Opens the doors of a server, each by itself: one that cannot be opened is a problem to show, and the others
//! open all the same.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info, warn};

use super::Server;
use crate::config::Config;
use crate::listen::{Door, Listener};
use crate::mux::Service;
use crate::tls;

/// Mode of the Unix socket: the kernel's peer credentials do the rest.
const SOCKET_MODE: u32 = 0o660;

/// What every door needs.
pub(super) struct Doors<'c> {
    pub(super) config: &'c Config,
    pub(super) stopping: watch::Receiver<Option<Instant>>,
}

// === impl Server ===

impl Server {
    /// A door with TLS; it stays shut without a token and a certificate.
    pub(super) fn open_tls(
        &mut self,
        doors: &Doors<'_>,
        address: Option<SocketAddr>,
        service: &Arc<Service>,
        key: &str,
    ) -> Option<SocketAddr> {
        let (address, credentials) = (address?, service.credentials.clone()?);
        let mutual = doors.config.mutual_tls;
        let current = Arc::new(move || credentials.current().identity);
        let tls = match tls::server(current, mutual) {
            Ok(tls) => TlsAcceptor::from(Arc::new(tls)),
            Err(error) => {
                error!(%error, "TLS cannot be set up");
                self.problem(format!("TLS cannot be set up: {error}"), "report this");
                return None;
            }
        };
        self.open_tcp(doors, address, Some(tls), service, key)
    }

    /// A door without TLS, for what needs no token.
    pub(super) fn open_plain(
        &mut self,
        doors: &Doors<'_>,
        address: Option<SocketAddr>,
        service: &Arc<Service>,
        key: &str,
    ) {
        if let Some(address) = address {
            self.open_tcp(doors, address, None, service, key);
        }
    }

    /// The Unix socket.
    pub(super) fn open_socket(&mut self, doors: &Doors<'_>, service: &Arc<Service>) {
        let Some(path) = &doors.config.socket else {
            return;
        };
        match bind_socket(path) {
            Ok(listener) => {
                info!(path = %path.display(), "control socket");
                self.socket = Some(path.clone());
                self.open(doors, Listener::Unix(listener), None, service);
            }
            Err(error) => {
                warn!(%error, path = %path.display(), "no control socket");
                self.problem(
                    format!("no control socket: {}: {error}", path.display()),
                    "set `greyhound.control.socket`",
                );
            }
        }
    }

    fn open_tcp(
        &mut self,
        doors: &Doors<'_>,
        address: SocketAddr,
        tls: Option<TlsAcceptor>,
        service: &Arc<Service>,
        key: &str,
    ) -> Option<SocketAddr> {
        let bound = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(TcpListener::from_std)
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        match bound {
            Ok((local_addr, listener)) => {
                info!(server = service.name, address = %local_addr, "serving");
                self.open(doors, Listener::Tcp(listener), tls, service);
                Some(local_addr)
            }
            Err(error) => {
                warn!(%error, %address, setting = key, "a port stays shut");
                self.problem(
                    format!("cannot listen on {address}: {error}"),
                    &format!("set `{key}`"),
                );
                None
            }
        }
    }

    fn open(
        &mut self,
        doors: &Doors<'_>,
        listener: Listener,
        tls: Option<TlsAcceptor>,
        service: &Arc<Service>,
    ) {
        let limits = &doors.config.limits;
        let (max, per_peer) = (limits.connections_max, limits.connections_per_peer_max);
        let door = Door::new(listener, tls, Arc::clone(service), max, per_peer);
        let handle = self.runtime.handle();
        self.doors
            .spawn_on(door.run(doors.stopping.clone()), handle);
    }
}

/// Binds a Unix stream socket. One that a dead process left behind is replaced; a live one is not.
fn bind_socket(path: &Path) -> io::Result<UnixListener> {
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            let text = "something that is not a socket is there";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let text = "another server answers there";
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        fs::remove_file(path)?;
    }
    // The umask of the process keeps others out until the mode is set.
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    Ok(listener)
}
