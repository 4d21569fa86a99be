//! The running engine from outside: what it counts, whether it is well, what it can be told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded};
use greyhound_model::origin_table::OriginTable;
use greyhound_model::time::BucketWidth;
use greyhound_sys::socket::ReceiveBuffer;

use super::schedule::Control;
use crate::client::Clients;
use crate::context::limiter::SharedUsage;
use crate::flush::FlushCells;
use crate::forward::ForwardCounts;
use crate::lane::command::Command;
use crate::lane::shared::Shared;
use crate::lane::supervise::Restarts;
use crate::ledger::{Ledger, ListenerInfo};
use crate::process::Timestamped;
use crate::receive::Sockets;
use crate::receive::drops::KernelDrops;
use crate::receive::telemetry::{ReceiveCells, ReceiveTally};
use crate::rules::Rules;

/// How often a caller looks whether lanes have followed.
const FOLLOW_POLL: Duration = Duration::from_micros(200);

/// Commands and views of a running engine. Cheap to clone; outlives the engine, then shows its last
/// state.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) shown: Arc<Shown>,
    pub(super) shared: Arc<Shared>,
    pub(super) control: Sender<Control>,
}

/// One listener, as it was bound.
#[derive(Clone, Debug)]
pub struct ListenerState {
    /// Who it is; the address is the real one when port 0 was asked for.
    pub info: ListenerInfo,
    /// What the kernel granted; `None` for streams.
    pub receive_buffer: Option<ReceiveBuffer>,
    /// Whether it still listens; one that was removed keeps its counts.
    pub open: bool,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) ledger: Arc<Ledger>,
    pub(super) listeners: ArcSwap<Vec<ListenerState>>,
    /// Lanes with sockets.
    pub(super) readers: usize,
    pub(super) origin_detection: bool,
    /// Gone when the engine is.
    pub(super) sockets: Weak<Mutex<Sockets>>,
    pub(super) warnings: Vec<String>,
    pub(super) receive: Vec<Arc<ReceiveCells>>,
    pub(super) drops: Arc<KernelDrops>,
    pub(super) flush: Arc<FlushCells>,
    pub(super) forward: Option<Arc<ForwardCounts>>,
    pub(super) restarts: Arc<Restarts>,
    pub(super) usage: Arc<SharedUsage>,
    pub(super) stopping: AtomicBool,
    /// A lane has not answered for too long.
    pub(super) stuck: AtomicBool,
    pub(super) origins: ArcSwap<OriginTable>,
    /// Rules handed out since the start.
    pub(super) generation: AtomicU64,
}

// === impl ListenerState ===

impl ListenerState {
    /// One for each socket.
    pub(super) fn all(sockets: &Sockets) -> Vec<Self> {
        let mut states: Vec<Self> = sockets
            .infos
            .iter()
            .map(|info| Self {
                info: info.clone(),
                receive_buffer: None,
                open: true,
            })
            .collect();
        let udp = sockets
            .udp
            .iter()
            .map(|group| (group.id, group.receive_buffer));
        let unix = sockets
            .unixgram
            .iter()
            .map(|listener| (listener.id, listener.receive_buffer));
        for (id, receive_buffer) in udp.chain(unix) {
            if let Some(state) = states.get_mut(usize::from(id.0)) {
                state.receive_buffer = Some(receive_buffer);
            }
        }
        states
    }
}

// === impl Handle ===

impl Handle {
    /// Where everything went, per listener and lane.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.shown.ledger
    }

    /// Listeners as they were bound, by [`ListenerId`](crate::ledger::ListenerId).
    pub fn listeners(&self) -> Arc<Vec<ListenerState>> {
        self.shown.listeners.load_full()
    }

    /// What start had to do without.
    pub fn warnings(&self) -> &[String] {
        &self.shown.warnings
    }

    /// What the kernel dropped before us; at most a second old.
    pub fn kernel_drops(&self) -> &KernelDrops {
        &self.shown.drops
    }

    /// How the lanes received, over all of them.
    pub fn receive(&self) -> ReceiveTally {
        let mut sum = ReceiveTally::default();
        for cells in &self.shown.receive {
            sum.add(&cells.load());
        }
        sum
    }

    /// What flushes came to.
    pub fn flush_cells(&self) -> &Arc<FlushCells> {
        &self.shown.flush
    }

    /// What was copied to another host; `None` when that is off.
    pub fn forwarded(&self) -> Option<&ForwardCounts> {
        self.shown.forward.as_deref()
    }

    /// Batches waiting in the shared queue.
    pub fn queue_len(&self) -> usize {
        self.shared.queue_len()
    }

    /// Stream connections open.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Whether the engine can be relied on: not stopping, every lane answers, and none broke more than
    /// five times in the last minute.
    pub fn is_ready(&self) -> bool {
        let shown = &self.shown;
        !shown.stopping.load(Ordering::Acquire)
            && !shown.stuck.load(Ordering::Relaxed)
            && !shown.restarts.are_too_many(Instant::now())
    }

    /// Gives all lanes a new table of origins. A lane whose inbox is full keeps the old one; returns
    /// whether all took it.
    pub fn set_origins(&self, table: Arc<OriginTable>) -> bool {
        self.shown.origins.store(Arc::clone(&table));
        (0..self.shared.lanes())
            .map(|lane| self.shared.tell(lane, Command::Origins(Arc::clone(&table))))
            .fold(true, |all, told| all & told.is_ok())
    }

    /// Gives all lanes somebody to ask for the clients behind UDP peers; takes
    /// [`udp_peers`](crate::config::ListenConfig::udp_peers). A lane whose inbox is full stays without;
    /// returns whether all took it.
    pub fn set_clients(&self, clients: &Arc<dyn Clients>) -> bool {
        (0..self.shared.lanes())
            .map(|lane| {
                self.shared
                    .tell(lane, Command::Clients(Arc::clone(clients)))
            })
            .fold(true, |all, told| all & told.is_ok())
    }

    /// Hands points about ourselves to the outputs, beside what clients sent: they count as no samples.
    /// Never waits; `false` when the flush thread has too much to do, and the points are gone.
    pub fn publish(&self, points: Vec<Timestamped>) -> bool {
        self.control.try_send(Control::Own(points)).is_ok()
    }

    /// The table of origins in use.
    pub fn origins(&self) -> Arc<OriginTable> {
        self.shown.origins.load_full()
    }

    /// Gives all lanes and the flush other rules, and waits until every lane works by them or
    /// `timeout` is over; says which. A packet meets the rules before or these, never a mix. A lane
    /// that could not be reached in time takes them as soon as it answers again.
    pub fn set_rules(&self, rules: Rules, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let generation = self.shown.generation.fetch_add(1, Ordering::AcqRel) + 1;
        let control = Control::Rules(generation, Arc::new(rules));
        if self.control.send_deadline(control, end).is_err() {
            return false;
        }
        while self.shared.generation() < generation {
            if Instant::now() >= end {
                return false;
            }
            std::thread::sleep(FOLLOW_POLL);
        }
        true
    }

    /// Generation of the rules all lanes work by; 0 until they are changed.
    pub fn rules_generation(&self) -> u64 {
        self.shared.generation()
    }

    /// Gives buckets another length, from the first bucket on that begins where none of the old length
    /// did: at once, or after a few. Waits for `timeout` at most to hand it over.
    pub fn set_bucket_width(&self, width: BucketWidth, timeout: Duration) -> bool {
        self.control
            .send_timeout(Control::Width(width), timeout)
            .is_ok()
    }

    /// Flushes what is over now, as the bucket grid would, and waits until it was delivered or
    /// `timeout` is over; says which. For tests and simulated clocks.
    pub fn flush(&self, timeout: Duration) -> bool {
        let (done, delivered) = bounded(1);
        let end = Instant::now() + timeout;
        self.control
            .send_deadline(Control::Flush { done }, end)
            .is_ok()
            && delivered.recv_deadline(end).is_ok()
    }
}
