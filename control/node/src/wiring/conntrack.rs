//! Settings to the connection table's reader, and the reader to everything that asks for it: the engine's lanes
//! for clients, the outputs for metrics, the control port for queries.

mod json;
mod metrics;
mod routes;
mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use greyhound_config::settings::Settings;
use greyhound_config::settings::conntrack::{self as setting, ConntrackMode};
use greyhound_conntrack::attribution::Asking;
use greyhound_conntrack::attribution::cache::LaneCache;
use greyhound_conntrack::mirror::Keep;
use greyhound_conntrack::namespace::Namespace;
use greyhound_conntrack::reader::{self, Config, Mode, Reader};
use greyhound_conntrack::telemetry;
use greyhound_model::time::Stamp;
use greyhound_pipeline::client::{Clients, LaneClients};
use greyhound_pipeline::engine::handle::Handle;
use greyhound_pipeline::ledger::Transport;
use greyhound_sys::peers::Peer;
use greyhound_telemetry::Registry;
use tracing::{info, warn};

pub use routes::ConntrackRoutes;
pub use status::ConntrackStatus;

/// What runs while the mode is not `off`. Dropping it stops both threads.
pub struct Conntrack {
    shown: Shown,
    // In this order: metrics end before what they are made of.
    _metrics: Option<Metrics>,
    _reader: Reader,
}

/// What others may look at.
#[derive(Clone)]
pub struct Shown {
    /// The reader.
    pub reader: reader::Handle,
    /// The lanes' end, when clients are named.
    pub asking: Option<Asking>,
    /// `greyhound.conntrack.allow_delete`.
    pub allow_delete: bool,
}

/// The thread that publishes metrics.
struct Metrics {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The reader's attribution, as the pipeline wants it.
#[derive(Debug)]
struct Named(Asking);

struct NamedLane(LaneCache);

/// Starts the reader, if the settings want it, and makes the engine's lanes ask it. Nothing of it can stop the
/// start.
pub fn start(settings: &Settings, engine: &Handle, registry: &Registry) -> Option<Conntrack> {
    let wanted = &settings.conntrack;
    let ports = ports(engine);
    let config = config(wanted, ports)?;
    let reader = Reader::start(config)
        .inspect_err(|error| warn!(%error, "connection tracking is not read"))
        .ok()?;
    let asking = reader.asking().cloned();
    if let Some(asking) = &asking {
        let clients: Arc<dyn Clients> = Arc::new(Named(asking.clone()));
        if !engine.set_clients(&clients) {
            warn!("a lane is too busy to be told who knows the clients behind UDP");
        }
    }
    if let Err(error) = telemetry::register(registry, reader.handle(), asking.clone()) {
        warn!(%error, "what the reader of connection tracking counts is not shown");
    }
    info!(mode = ?wanted.mode, namespaces = ?wanted.namespaces, "reading connection tracking");
    let metrics = wanted
        .stats_interval
        .and_then(|interval| Metrics::start(interval, reader.handle(), engine.clone()));
    Some(Conntrack {
        shown: Shown {
            reader: reader.handle(),
            asking,
            allow_delete: wanted.allow_delete,
        },
        _metrics: metrics,
        _reader: reader,
    })
}

/// The reader's configuration; `None` when it is off.
pub fn config(wanted: &setting::Conntrack, ports: Vec<u16>) -> Option<Config> {
    let mode = match wanted.mode {
        ConntrackMode::Off => return None,
        ConntrackMode::Pull => Mode::Pull,
        ConntrackMode::Events => Mode::Events,
    };
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    Some(Config {
        mode,
        namespaces: namespaces(&wanted.namespaces),
        attribution: wanted.attribution,
        questions_per_second: wanted.attribution_rate,
        flows: wanted.flows,
        keep: match wanted.keep_all {
            true => Keep::All,
            false => Keep::Nat,
        },
        receive_buffer_bytes: bytes(wanted.receive_buffer_bytes),
        receive_buffer_bytes_max: bytes(wanted.receive_buffer_bytes_max),
        events_per_second: wanted.events_per_second,
        cpu_share_max: wanted.cpu_share_max,
        tcp_states: wanted.tcp_states,
        only_port: wanted.only_port,
        orphan: wanted.orphan,
        ports,
        ..Config::default()
    })
}

/// Each once, at most 64; none at all means our own.
fn namespaces(texts: &[String]) -> Vec<Namespace> {
    const NAMESPACES_MAX: usize = 64;
    let mut all: Vec<Namespace> = Vec::new();
    for text in texts {
        let namespace = Namespace::from_text(text);
        if all.len() < NAMESPACES_MAX && !all.contains(&namespace) {
            all.push(namespace);
        }
    }
    if all.is_empty() {
        all.push(Namespace::own());
    }
    all
}

/// The ports UDP is received on.
fn ports(engine: &Handle) -> Vec<u16> {
    let listeners = engine.listeners();
    let udp = listeners
        .iter()
        .filter(|listener| listener.info.transport == Transport::Udp);
    let mut ports: Vec<u16> = udp
        .filter_map(|listener| listener.info.address.parse::<SocketAddr>().ok())
        .map(|address| address.port())
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

// === impl Conntrack ===

impl Conntrack {
    /// What others may look at.
    pub fn shown(&self) -> Shown {
        self.shown.clone()
    }
}

// === impl Metrics ===

impl Metrics {
    fn start(interval: Duration, reader: reader::Handle, engine: Handle) -> Option<Self> {
        let (stop, stopped) = channel();
        let thread = thread::Builder::new()
            .name("conntrack-stats".into())
            .spawn(move || {
                let mut points = metrics::Points::default();
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    let now = std::time::SystemTime::now();
                    let points = points.of(&reader, now);
                    if !points.is_empty() && !engine.publish(points) {
                        warn!(
                            "metrics about connection tracking were dropped: the flush is too busy"
                        );
                    }
                }
            });
        let thread = thread
            .inspect_err(|error| warn!(%error, "no metrics about connection tracking"))
            .ok()?;
        Some(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic in it was printed already.
            thread.join().ok();
        }
    }
}

// === impl Named ===

impl Clients for Named {
    fn lane(&self) -> Box<dyn LaneClients> {
        Box::new(NamedLane(self.0.lane()))
    }

    fn address(&self, client: u32) -> Option<IpAddr> {
        self.0.book().address(client)
    }
}

impl LaneClients for NamedLane {
    fn name(&mut self, now: Stamp, peers: &[Peer], clients: &mut Vec<u32>) {
        self.0.name(now.monotonic_nanos, peers, clients);
    }
}
