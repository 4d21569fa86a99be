//! Starts the doors and stops them. What cannot be had safely stays shut; everything else opens.

mod doors;

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use greyhound_config::live::Live;
use greyhound_telemetry::{Registry, Source};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::service::Routes;
use tracing::error;

use crate::auth::Authority;
use crate::config::Config;
use crate::credentials::Credentials;
use crate::mux::Service;
use crate::register::{Commands, Contexts, DogstatsdStats, Problem, RouteGroup, Severity};
use crate::registry::AgentRegistry;
use crate::rest::probes::{self, Ready};
use crate::rest::table::Table;
use crate::rest::{Route, absent, debug, dogstatsd, ipc, openapi, process};
use crate::telemetry::ApiTelemetry;
use doors::Doors;

/// Threads of the control port: one to answer, one so that a slow one does not hold up the rest.
const THREADS: usize = 2;
const BLOCKING_THREADS_MAX: usize = 16;
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
    /// Their counters stand on `/telemetry` too; None = there are none.
    pub agents: Option<Arc<AgentRegistry>>,
    /// None = REST only.
    pub grpc: Option<GrpcMaker>,
    /// The running settings, for the port that hands some out.
    pub live: Live,
    /// For `/ready` of the health port.
    pub ready: Ready,
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
        let handle = server.runtime.handle().clone();
        let _entered = handle.enter();
        let (bound, at) = watch::channel(None);
        let inside = Inside {
            handle: handle.clone(),
            stopping: stopping.clone(),
            bound: at,
        };
        let credentials = server.credentials.clone();
        let blocking = Service::blocking();
        let serving = |name, routes, is_open| -> Result<Service, StartError> {
            Ok(Service {
                name,
                table: Table::new(routes).map_err(StartError::Routes)?,
                grpc: None,
                authority: Authority::new(&config.limits),
                credentials: credentials.clone(),
                is_open,
                trusted: [0, config.files.own_uid].into(),
                telemetry: Arc::clone(&telemetry),
                request_timeout: config.request_timeout,
                blocking: Arc::clone(&blocking),
            })
        };
        let mut command = serving("CMD", all_routes(config, &parts), false)?;
        let ipc = serving("IPC", ipc::routes(&parts.live), false)?;
        let expvar = serving("expvar", expvar_routes(&parts), true)?;
        let mut health = serving("health", probes::routes(&parts.ready), true)?;
        health.table = health.table.with_fallback(probes::live());
        command.grpc = parts.grpc.map(|make| make(inside).prepare());

        let command = Arc::new(command);
        let doors = Doors { config, stopping };
        server.local_addr = server.open_tls(&doors, config.listen, &command, "cmd_port");
        bound.send_replace(server.local_addr);
        server.open_socket(&doors, &command);
        server.open_tls(&doors, config.ipc_listen, &Arc::new(ipc), "agent_ipc.port");
        server.open_plain(
            &doors,
            config.health_listen,
            &Arc::new(health),
            "health_port",
        );
        server.open_plain(
            &doors,
            config.expvar_listen,
            &Arc::new(expvar),
            "expvar_port",
        );
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
        config.listen.or(config.ipc_listen)?;
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

    fn problem(&self, what: String, cure: &str) {
        lock(&self.problems).push(Problem {
            severity: Severity::Critical,
            what,
            cure: cure.to_owned(),
        });
    }
}

/// Counters without a token: those of the Agent's expvars, and our own page. Remote agents are not asked for whoever
/// comes by.
fn expvar_routes(parts: &Parts) -> Vec<Route> {
    vec![
        debug::vars_route(&parts.registry, &parts.commands),
        process::telemetry(&parts.registry, None),
    ]
}

fn lock(problems: &Mutex<Vec<Problem>>) -> std::sync::MutexGuard<'_, Vec<Problem>> {
    problems.lock().unwrap_or_else(PoisonError::into_inner)
}

fn all_routes(config: &Config, parts: &Parts) -> Vec<Route> {
    let mut routes = process::routes(&parts.commands);
    routes.push(process::telemetry(&parts.registry, parts.agents.as_ref()));
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

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Server")
            .field("local_addr", &self.local_addr)
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}
