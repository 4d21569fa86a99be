//! The thread that asks and listens: starts, is looked at, and stops. Nothing it meets is fatal.
//!
//! ```text
//!  Config ─▶ Reader::start ─▶ thread `conntrack`: questions ▸ events ▸ timers ▸ sleep
//!                 │                    │
//!                 └─ View ◀────────────┘ once a second        queries open their own sockets
//! ```
//!
//! | mode | sockets | cost to the packet path |
//! |---|---|---|
//! | `pull` | one for requests per namespace | none: nobody listens |
//! | `events` | and one that listens | 3 µs per new flow (docs/conntrack.md) |

mod run;

pub mod counts;
pub mod query;
pub mod view;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use mio::{Poll, Token, Waker};

use crate::attribution::{self, Asking, Rules};
use crate::mirror::{Keep, Mirror};
use crate::namespace::Namespace;

use counts::Counts;
use run::Run;
use view::View;

/// What the reader does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Asks for single flows and for statistics.
    Pull,
    /// Also listens and keeps a table.
    Events,
}

/// How to read.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to do.
    pub mode: Mode,
    /// Where to look, in this order.
    pub namespaces: Vec<Namespace>,
    /// Name the clients behind UDP datagrams.
    pub attribution: bool,
    /// Single flows asked for in a second.
    pub questions_per_second: u32,
    /// Flows in the table of each namespace, at most.
    pub flows: usize,
    /// Which of them.
    pub keep: Keep,
    /// Receive buffer asked for, in bytes.
    pub receive_buffer_bytes: usize,
    /// To which it may grow after losses.
    pub receive_buffer_bytes_max: usize,
    /// Events a second; beyond them entries are sampled. `None` = any number.
    pub events_per_second: Option<u32>,
    /// Share of one core; beyond it entries are sampled.
    pub cpu_share_max: f64,
    /// Listen for changes of TCP states too.
    pub tcp_states: bool,
    /// Listen for UDP flows to this port only; 0 = for all.
    pub only_port: u16,
    /// After how long a row that may end unseen is looked at.
    pub orphan: Duration,
    /// Ports we listen on, for stale flows.
    pub ports: Vec<u16>,
    /// Time between two loads of the table after losses, at least.
    pub load_pause: Duration,
    /// After how long without a single entry a namespace is said to track nothing.
    pub quiet: Duration,
}

/// A running reader. Dropping it stops the thread.
#[derive(Debug)]
pub struct Reader {
    handle: Handle,
    asking: Option<Asking>,
    thread: Option<JoinHandle<()>>,
}

/// A look at a running reader, and queries. Cheap to clone; outlives the reader.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What the thread and its onlookers share.
#[derive(Debug)]
struct Shared {
    config: Config,
    view: ArcSwap<View>,
    counts: Counts,
    /// By namespace. The thread holds a lock for a thousand events at most.
    mirrors: Vec<Mutex<Mirror>>,
    waker: Waker,
    stop: AtomicBool,
    resync: AtomicBool,
    /// When somebody last asked for it.
    resync_asked: Mutex<Option<Instant>>,
}

const WAKER: Token = Token(0);

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Pull,
            namespaces: vec![Namespace::own()],
            attribution: false,
            questions_per_second: 2000,
            flows: 131_072,
            keep: Keep::Nat,
            receive_buffer_bytes: 8 << 20,
            receive_buffer_bytes_max: 64 << 20,
            events_per_second: Some(100_000),
            cpu_share_max: 0.2,
            tcp_states: false,
            only_port: 0,
            orphan: Duration::from_secs(120),
            ports: Vec::new(),
            load_pause: Duration::from_secs(30),
            quiet: Duration::from_secs(60),
        }
    }
}

// === impl Reader ===

impl Reader {
    /// Starts the thread. What it cannot do there it says in its [`View`].
    ///
    /// # Errors
    /// When there is no thread or no descriptor to be had.
    pub fn start(mut config: Config) -> std::io::Result<Self> {
        config.namespaces = distinct(config.namespaces);
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mirrors = match config.mode {
            Mode::Pull => Vec::new(),
            Mode::Events => run::mirrors(&config),
        };
        let udp_timeout = config
            .namespaces
            .iter()
            .filter_map(|namespace| namespace.sysctls().ok())
            .map(|sysctls| sysctls.udp_timeout())
            .min();
        let shared = Arc::new(Shared {
            view: ArcSwap::from_pointee(View::starting(&config)),
            counts: Counts::default(),
            mirrors,
            waker,
            stop: AtomicBool::new(false),
            resync: AtomicBool::new(false),
            resync_asked: Mutex::new(None),
            config,
        });
        let waking = Arc::clone(&shared);
        let (asking, answering) = match shared.config.attribution {
            true => {
                const DEFAULT: Duration = Duration::from_secs(30);
                let rules = Rules::for_timeout(udp_timeout.unwrap_or(DEFAULT));
                let (asking, answering) = attribution::pair(rules, Arc::new(move || waking.wake()));
                (Some(asking), Some(answering))
            }
            false => (None, None),
        };
        let run = Run::new(Arc::clone(&shared), poll, answering);
        let thread = std::thread::Builder::new()
            .name("conntrack".into())
            .spawn(move || run.run())?;
        Ok(Self {
            handle: Handle { shared },
            asking,
            thread: Some(thread),
        })
    }

    /// Queries and views.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The lanes' end of attribution, if that is on.
    pub fn asking(&self) -> Option<&Asking> {
        self.asking.as_ref()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.handle.shared.stop.store(true, Ordering::Release);
        self.handle.shared.wake();
        if let Some(thread) = self.thread.take() {
            // It ends within a request, at most a dump; a panic in it was printed already.
            thread.join().ok();
        }
    }
}

/// Each namespace once, under its first name: on a host without containers `self` and `host` are one.
fn distinct(namespaces: Vec<Namespace>) -> Vec<Namespace> {
    let mut seen = HashSet::new();
    // What cannot be looked at now may be there later.
    let is_new = |namespace: &Namespace| namespace.inode().map_or(true, |inode| seen.insert(inode));
    namespaces.into_iter().filter(is_new).collect()
}

// === impl Shared ===

impl Shared {
    fn wake(&self) {
        // An eventfd that is full wakes as well.
        self.waker.wake().ok();
    }
}
