//! Starts the doors and stops them. What cannot be had safely stays shut; everything else opens.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greyhound_telemetry::{Registry, Source};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tonic::service::Routes;
use tracing::{error, info, warn};

use crate::auth::Authority;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::listen::{Door, Listener};
use crate::mux::Service;
use crate::register::{Commands, Contexts, DogstatsdStats, Problem, RouteGroup, Severity};
use crate::rest::table::Table;
use crate::rest::{Route, absent, debug, dogstatsd, openapi, process};
use crate::telemetry::ApiTelemetry;
use crate::tls;

/// Threads of the control port: one to answer, one so that a slow one does not hold up the rest.
const THREADS: usize = 2;
const BLOCKING_THREADS_MAX: usize = 16;
/// Mode of the Unix socket: the kernel's peer credentials do the rest.
const SOCKET_MODE: u32 = 0o660;
/// What cutting connections may take.
const CUT_GRACE: Duration = Duration::from_millis(500);

/// Makes the gRPC services inside the server's runtime.
pub type GrpcMaker = Box<dyn FnOnce(Inside) -> Routes + Send>;

/// What the services have of the server they are served by.
#[derive(Debug)]
pub struct Inside {
    /// Its runtime.
    pub handle: Handle,
    /// Holds the deadline once the doors close.
    pub stopping: watch::Receiver<Option<Instant>>,
    /// Where the control port listens, once it does; without a sender it never will.
    pub bound: watch::Receiver<Option<SocketAddr>>,
}

/// Everything the server serves.
pub struct Parts {
    /// What the process can be asked and told.
    pub commands: Arc<dyn Commands>,
    /// Routes of the other subsystems.
    pub routes: Vec<Arc<dyn RouteGroup>>,
    /// For `/telemetry`; the server adds its own counters.
    pub registry: Arc<Registry>,
    /// None = statistics are off.
    pub stats: Option<Arc<dyn DogstatsdStats>>,
    /// None = contexts cannot be asked for.
    pub contexts: Option<Arc<dyn Contexts>>,
    /// None = REST only.
    pub grpc: Option<GrpcMaker>,
}

/// Why there is no server at all. Doors that stay shut are [`Server::problems`].
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No threads.
    #[error("cannot start the control server")]
    Runtime(#[source] io::Error),
    /// A mistake in the tables.
    #[error("the control server has {0}")]
    Routes(String),
    /// A counter of the same name is there already.
    #[error(transparent)]
    Telemetry(#[from] greyhound_telemetry::DuplicateName),
}

/// A running server.
pub struct Server {
    runtime: Runtime,
    doors: JoinSet<()>,
    stop: watch::Sender<Option<Instant>>,
    local_addr: Option<SocketAddr>,
    socket: Option<PathBuf>,
    problems: Arc<Mutex<Vec<Problem>>>,
    credentials: Option<Arc<Credentials>>,
}

// === impl Server ===

impl Server {
    /// Makes or reads token and certificate, opens the doors and serves on threads of its own. Blocks while
    /// another process makes the files.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(config: &Config, parts: Parts) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .max_blocking_threads(BLOCKING_THREADS_MAX)
            .thread_name("control")
            .enable_all()
            .build()
            .map_err(StartError::Runtime)?;
        let telemetry = Arc::new(ApiTelemetry::default());
        parts
            .registry
            .register(Arc::clone(&telemetry) as Arc<dyn Source>)?;
        let (stop, stopping) = watch::channel(None);
        let mut server = Self {
            runtime,
            doors: JoinSet::new(),
            stop,
            local_addr: None,
            socket: None,
            problems: Arc::default(),
            credentials: None,
        };
        server.credentials = server.credentials(config);
        let table = Table::new(all_routes(config, &parts)).map_err(StartError::Routes)?;
        let handle = server.runtime.handle().clone();
        let _entered = handle.enter();
        let (bound, at) = watch::channel(None);
        let inside = Inside {
            handle: handle.clone(),
            stopping: stopping.clone(),
            bound: at,
        };
        let service = Arc::new(Service {
            name: "CMD",
            table,
            grpc: parts.grpc.map(|make| make(inside).prepare()),
            authority: Authority::new(&config.limits),
            credentials: server.credentials.clone(),
            trusted: [0, config.files.own_uid].into(),
            telemetry,
            request_timeout: config.request_timeout,
            blocking: Service::blocking(),
        });
        server.open_tcp(config, &service, &stopping);
        bound.send_replace(server.local_addr);
        server.open_socket(config, &service, &stopping);
        Ok(server)
    }

    /// Where the control port listens; none when it does not.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.local_addr
    }

    /// Where the Unix socket is; none when there is none.
    pub fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// What stays shut, and what opens it.
    pub fn problems(&self) -> Vec<Problem> {
        (self.reporter())()
    }

    /// Gives the same answer for as long as somebody asks: for the status page.
    pub fn reporter(&self) -> Box<dyn Fn() -> Vec<Problem> + Send + Sync> {
        let (known, credentials) = (Arc::clone(&self.problems), self.credentials.clone());
        Box::new(move || {
            let mut problems = lock(&known).clone();
            let fault = credentials.as_ref().and_then(|held| held.fault());
            problems.extend(fault.map(|what| Problem {
                severity: Severity::Critical,
                what: format!("the control port lets nobody in: {what}"),
                cure: "chmod 600".to_owned(),
            }));
            problems
        })
    }

    /// Stops accepting, lets answers under way finish, cuts the rest at `deadline`. Blocks until then, and a
    /// moment for the cutting.
    pub fn stop(mut self, deadline: Instant) {
        self.stop.send_replace(Some(deadline));
        let latest = deadline + CUT_GRACE;
        self.runtime.block_on(async {
            let closed = async { while self.doors.join_next().await.is_some() {} };
            tokio::time::timeout_at(latest.into(), closed).await.ok();
        });
        if let Some(socket) = &self.socket {
            fs::remove_file(socket).ok();
        }
        self.runtime.shutdown_timeout(CUT_GRACE);
    }

    fn credentials(&mut self, config: &Config) -> Option<Arc<Credentials>> {
        config.listen?;
        let deadline = Instant::now() + config.init_timeout;
        match Credentials::load_or_create(config.files.clone(), deadline) {
            Ok(credentials) => {
                let credentials = Arc::new(credentials);
                let looking = Arc::clone(&credentials);
                self.runtime
                    .spawn(async move { looking.keep_looking().await });
                Some(credentials)
            }
            Err(error) => {
                error!(%error, "no control port: no safe token or certificate");
                self.problem(
                    format!("no control port: {error}"),
                    "repair the file, or set `auth_token_file_path`",
                );
                None
            }
        }
    }

    fn open_tcp(
        &mut self,
        config: &Config,
        service: &Arc<Service>,
        stopping: &watch::Receiver<Option<Instant>>,
    ) {
        let (Some(address), Some(credentials)) = (config.listen, &service.credentials) else {
            return;
        };
        let current = Arc::clone(credentials);
        let tls = tls::server(
            Arc::new(move || current.current().identity),
            config.mutual_tls,
        );
        let listener = std::net::TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .and_then(tokio::net::TcpListener::from_std)
            .and_then(|listener| Ok((listener.local_addr()?, listener)));
        let ((local_addr, listener), tls) = match (listener, tls) {
            (Ok(listener), Ok(tls)) => (listener, tls),
            (Err(error), _) => {
                warn!(%error, %address, "no control port");
                self.problem(
                    format!("no control port: cannot listen on {address}: {error}"),
                    "set `cmd_port`",
                );
                return;
            }
            (_, Err(error)) => {
                error!(%error, "no control port: TLS cannot be set up");
                self.problem(format!("no control port: {error}"), "report this");
                return;
            }
        };
        self.local_addr = Some(local_addr);
        let listener = Listener::Tcp(listener);
        let tls = Some(TlsAcceptor::from(Arc::new(tls)));
        self.open(config, listener, tls, service, stopping);
    }

    fn open_socket(
        &mut self,
        config: &Config,
        service: &Arc<Service>,
        stopping: &watch::Receiver<Option<Instant>>,
    ) {
        let Some(path) = &config.socket else {
            return;
        };
        match bind_socket(path) {
            Ok(listener) => {
                self.socket = Some(path.clone());
                let listener = Listener::Unix(listener);
                self.open(config, listener, None, service, stopping);
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

    fn open(
        &mut self,
        config: &Config,
        listener: Listener,
        tls: Option<TlsAcceptor>,
        service: &Arc<Service>,
        stopping: &watch::Receiver<Option<Instant>>,
    ) {
        let (max, per_peer) = (
            config.limits.connections_max,
            config.limits.connections_per_peer_max,
        );
        let door = Door::new(listener, tls, Arc::clone(service), max, per_peer);
        let handle = self.runtime.handle();
        self.doors.spawn_on(door.run(stopping.clone()), handle);
    }

    fn problem(&self, what: String, cure: &str) {
        lock(&self.problems).push(Problem {
            severity: Severity::Critical,
            what,
            cure: cure.to_owned(),
        });
    }
}

fn lock(problems: &Mutex<Vec<Problem>>) -> std::sync::MutexGuard<'_, Vec<Problem>> {
    problems.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all_routes(config: &Config, parts: &Parts) -> Vec<Route> {
    let mut routes = process::routes(&parts.commands);
    routes.push(process::telemetry(&parts.registry));
    routes.extend(dogstatsd::routes(
        parts.stats.clone(),
        parts.contexts.clone(),
    ));
    routes.extend(absent::routes());
    if config.debug {
        routes.extend(debug::routes(&parts.registry, &parts.commands));
    }
    routes.extend(parts.routes.iter().flat_map(|group| group.routes()));
    let version = parts.commands.version();
    let version = format!("{}.{}.{}", version.major, version.minor, version.patch);
    routes.push(openapi::route(&routes, &version));
    routes
}

/// Binds a Unix stream socket. One that a dead process left behind is replaced; a live one is not.
fn bind_socket(path: &Path) -> io::Result<tokio::net::UnixListener> {
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
    // The process's umask keeps others out until the mode is set.
    let listener = tokio::net::UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
    info!(path = %path.display(), "control socket");
    Ok(listener)
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
