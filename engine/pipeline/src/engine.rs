//! Starts and stops the data plane: sockets first, then threads; the other way round at the end.
//!
//! ```text
//!  start:  rules ▸ bind everything ▸ lanes ▸ flush thread            nothing runs before all is bound
//!  run:    lane 0 … n ──Report──▶ flush thread ──FlushBatch──▶ Output
//!             ▲────── Command ───────┘  on the bucket grid
//!  stop:   lanes drain sockets, queue, buckets ▸ last flush ▸ forward thread ▸ ledger
//!          the sockets close when the caller drops [`Stopped`]
//! ```
//!
//! | queue | size | pushes | pops | when full |
//! |---|---|---|---|---|
//! | commands, per lane | [`INBOX`] | flush thread, handles, lane 0 | the lane | the caller keeps it |
//! | reports | [`REPORTS_PER_LANE`] a lane | lanes | the flush thread | cannot be: one answer per command |

pub mod handle;

mod following;
pub mod listeners;
mod schedule;
mod survey;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use crossbeam_channel::{Sender, bounded};
use greyhound_model::flush::FlushBatch;
use greyhound_model::origin_table::OriginTable;
use greyhound_model::time::Clock;
use greyhound_sys::affinity;
use greyhound_sys::priority;
use greyhound_sys::slots::Senders;
use mio::{Poll, Waker};

use crate::config::Config;
use crate::context::hash::Seed;
use crate::context::limiter::SharedUsage;
use crate::error::StartError;
use crate::flush::Flusher;
use crate::forward::Forwarder;
use crate::lane::desk::Desk;
use crate::lane::shared::Shared;
use crate::lane::streams;
use crate::lane::supervise::{self, Restarts};
use crate::lane::{Lane, LaneParts, WAKER};
use crate::ledger::{Ledger, LedgerReading};
use crate::packet::pool::Shape;
use crate::plan::Plan;
use crate::process::ProcessorParts;
use crate::receive::Sockets;
use crate::receive::drops::DropWatch;
use crate::receive::telemetry::ReceiveCells;
use crate::rules::Rules;

use following::Following;
use handle::{Handle, ListenerState, Shown};
use schedule::{Control, FlushThread};

/// Commands that may wait for a lane.
const INBOX: usize = 512;
/// Reports that may wait for the flush thread, for each lane.
const REPORTS_PER_LANE: usize = 16;
/// Steps the flush thread stands behind the lanes (`nice`).
const FLUSH_NICE: i32 = 5;
/// Share of the time to stop in which sockets are read; the rest is for the last flush.
const DRAIN_SHARE: u32 = 2;
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Takes what a flush made. Called on the flush thread only.
pub trait Output: Send {
    /// Takes a batch over. Must not block: a sink that is slow has its own queue.
    fn deliver(&mut self, batch: Arc<FlushBatch>);
}

/// The running data plane.
pub struct Engine {
    handle: Handle,
    shared: Arc<Shared>,
    sockets: Arc<Mutex<Sockets>>,
    lanes: Vec<JoinHandle<()>>,
    flush: JoinHandle<()>,
    control: Sender<Control>,
    forwarder: Option<Forwarder>,
    keep_open_buckets: bool,
}

/// What is left after the end. Dropping it closes the sockets and removes their files: keep it until
/// the sinks are done, so that clients meet no closed door before there is a successor.
#[derive(Debug)]
pub struct Stopped {
    /// Where everything went.
    pub ledger: LedgerReading,
    /// Datagrams the kernel dropped before us.
    pub kernel_drops: u64,
    /// Whether every thread ended before the deadline. If not, the ledger may still move.
    pub clean: bool,
    /// Held open, not read.
    _sockets: Arc<Mutex<Sockets>>,
}

// === impl Engine ===

impl Engine {
    /// Binds every socket, then starts the threads. Blocks on the file system for a moment.
    ///
    /// # Errors
    ///
    /// What could not be bound, and who holds it. Nothing runs and nothing stays bound then.
    pub fn start(
        config: Config,
        clock: Arc<dyn Clock>,
        output: Box<dyn Output>,
    ) -> Result<Self, StartError> {
        let plan = Plan::new(&config.lanes, &affinity::allowed_cpus().unwrap_or_default());
        let (rules, mut warnings) = Rules::compile(&config.rules);
        let sockets = Sockets::bind(&config.listen, plan.readers)?;
        warnings.extend_from_slice(&sockets.warnings);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        let builder = Builder {
            rules: Arc::new(rules),
            origins: Arc::new(OriginTable::default()),
            ledger: Arc::new(Ledger::new(sockets.infos.clone(), plan.lanes())),
            seed: Seed::random(),
            usage: Arc::new(SharedUsage::default()),
            restarts: Arc::new(Restarts::default()),
            config,
            clock,
            plan,
        };
        builder.start(sockets, warnings, output)
    }

    /// Commands and views, for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Whether the stop hands over the buckets that are open then, or drops and counts them.
    pub fn keep_open_buckets(&mut self, keep: bool) {
        self.keep_open_buckets = keep;
    }

    /// Drains and ends everything: sockets are read until they are empty (for at most half of
    /// `deadline`), buckets are closed and delivered, threads joined. Blocks, but not beyond
    /// `deadline`.
    pub fn stop(self, deadline: Duration) -> Stopped {
        let end = Instant::now() + deadline;
        let drain_until = Instant::now() + (deadline / DRAIN_SHARE).min(DRAIN_MAX);
        self.handle.shown.stopping.store(true, Ordering::Release);
        let stop = Control::Stop {
            drain_until,
            end,
            keep_open_buckets: self.keep_open_buckets,
        };
        let mut clean = self.control.send_deadline(stop, end).is_ok();
        for thread in self.lanes {
            clean &= join_until(thread, end);
        }
        clean &= join_until(self.flush, end);
        if let Some(forwarder) = self.forwarder {
            forwarder.stop(end);
        }
        if clean {
            while let Some(batch) = self.shared.pop() {
                let (datagrams, bytes) = (batch.slots.len(), batch.slots.bytes());
                let ledger = &self.handle.shown.ledger;
                supervise::count_left_behind(
                    ledger,
                    batch.listener,
                    datagrams as u64,
                    bytes as u64,
                );
            }
        }
        Stopped {
            ledger: self.handle.ledger().read(),
            kernel_drops: self.handle.kernel_drops().total(),
            clean,
            _sockets: self.sockets,
        }
    }
}

/// Everything threads are made of.
struct Builder {
    config: Config,
    clock: Arc<dyn Clock>,
    plan: Plan,
    rules: Arc<Rules>,
    origins: Arc<OriginTable>,
    ledger: Arc<Ledger>,
    seed: Seed,
    usage: Arc<SharedUsage>,
    restarts: Arc<Restarts>,
}

// === impl Builder ===

impl Builder {
    fn start(
        self,
        sockets: Sockets,
        warnings: Vec<String>,
        output: Box<dyn Output>,
    ) -> Result<Engine, StartError> {
        let lanes = self.plan.lanes();
        let shape = self.shape();
        let mut polls = Vec::new();
        let mut beds = Vec::new();
        for _ in 0..lanes {
            let poll = Poll::new().map_err(|source| resources("poll of a lane", source))?;
            let waker = Waker::new(poll.registry(), WAKER)
                .map_err(|source| resources("waker of a lane", source))?;
            let (sender, inbox) = bounded(INBOX);
            beds.push((waker, sender));
            polls.push((poll, inbox));
        }
        let depth = self.config.lanes.queue_depth_batches;
        let shared = Arc::new(Shared::new(depth, shape, beds));
        let forwarder = match &self.config.listen.forward {
            Some((host, port)) => Some(Forwarder::start(host, *port, shape)?),
            None => None,
        };
        let (reports, reports_in) = bounded(REPORTS_PER_LANE * lanes);
        let receive: Vec<Arc<ReceiveCells>> = (0..lanes).map(|_| Arc::default()).collect();
        let mut built = Vec::new();
        for (index, (poll, inbox)) in polls.into_iter().enumerate() {
            let port = forwarder.as_ref().map(Forwarder::port);
            let desk = Desk::new(Arc::clone(&receive[index]), port, self.expects_senders());
            let lane = Lane::try_new(LaneParts {
                index,
                clock: Arc::clone(&self.clock),
                shared: Arc::clone(&shared),
                inbox,
                reports: reports.clone(),
                poll,
                sources: listeners::sources_of(&sockets, index),
                streams: self.streams(),
                desk,
                coalesce: self.config.listen.coalesce,
                origins: Arc::clone(&self.origins),
            });
            built.push(lane.map_err(|source| resources("poll of a lane", source))?);
        }
        drop(reports);
        let drops = DropWatch::new(&sockets);
        let shown_listeners = ListenerState::all(&sockets);
        let owned = Arc::new(Mutex::new(sockets));
        let flusher = self.flusher(lanes);
        let (control, control_in) = bounded(16);
        let shown = Arc::new(Shown {
            ledger: Arc::clone(&self.ledger),
            listeners: ArcSwap::from_pointee(shown_listeners),
            readers: self.plan.readers,
            origin_detection: self.config.listen.origin_detection,
            sockets: Arc::downgrade(&owned),
            warnings,
            receive,
            drops: drops.totals(),
            flush: flusher.cells(),
            forward: forwarder.as_ref().map(Forwarder::counts),
            restarts: Arc::clone(&self.restarts),
            usage: Arc::clone(&self.usage),
            stopping: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            origins: ArcSwap::from(Arc::clone(&self.origins)),
            generation: AtomicU64::new(0),
        });
        let keep_open_buckets = self.config.flush.open_buckets_on_stop;
        let flush = FlushThread {
            flusher,
            output,
            drops,
            clock: Arc::clone(&self.clock),
            width: self.config.flush.bucket_width,
            shared: Arc::clone(&shared),
            shown: Arc::clone(&shown),
            control: control_in,
            reports: reports_in,
            owed: vec![false; lanes],
            following: Following::new(lanes),
            received: Vec::new(),
            timestamped: Vec::new(),
            timestamped_due: None,
        };
        let handle = Handle {
            shown,
            shared: Arc::clone(&shared),
            control: control.clone(),
        };
        let mut engine = Engine {
            handle,
            shared,
            sockets: owned,
            lanes: Vec::new(),
            flush: spawn("flush".into(), move || {
                // Merging a million contexts takes a second; on the core of a lane it must not be that
                // lane's second.
                if let Err(error) = priority::step_back(FLUSH_NICE) {
                    tracing::debug!(%error, "the flush thread stays at the lanes' priority");
                }
                flush.run();
            })?,
            control,
            forwarder,
            keep_open_buckets,
        };
        for (index, lane) in built.into_iter().enumerate() {
            match self.spawn_lane(index, lane) {
                Ok(thread) => engine.lanes.push(thread),
                Err(error) => {
                    // The lanes that run already are told to end.
                    drop(engine.stop(Duration::from_secs(1)));
                    return Err(error);
                }
            }
        }
        Ok(engine)
    }

    fn spawn_lane(&self, index: usize, lane: Lane) -> Result<JoinHandle<()>, StartError> {
        let parts = ProcessorParts {
            lane: index,
            ledger: Arc::clone(&self.ledger),
            rules: Arc::clone(&self.rules),
            origins: Arc::clone(&self.origins),
            width: self.config.flush.bucket_width,
            usage: Arc::clone(&self.usage),
            seed: self.seed,
            hostname: Arc::clone(&self.config.hostname),
        };
        let restarts = Arc::clone(&self.restarts);
        let cpu = self.plan.cpus[index];
        spawn(format!("lane-{index}"), move || {
            if let Some(cpu) = cpu
                && let Err(error) = affinity::pin_current_thread(cpu)
            {
                tracing::warn!(%error, cpu, lane = index, "cannot pin a lane");
            }
            supervise::supervise(lane, parts, &restarts);
        })
    }

    fn shape(&self) -> Shape {
        Shape {
            packets: self.config.lanes.batch_packets.max(1),
            packet_len_bytes_max: self.config.listen.packet_len_bytes_max.max(1),
            senders: match self.config.listen.origin_detection {
                true => Senders::Read,
                false => Senders::Ignored,
            },
            peers: self.config.listen.udp_peers,
        }
    }

    fn streams(&self) -> streams::Settings {
        let listen = &self.config.listen;
        streams::Settings {
            connections_max: listen.stream_connections_max,
            idle: listen.stream_idle,
            frame_len_bytes_max: listen.packet_len_bytes_max.max(1),
            credentials: listen.origin_detection,
            log_too_big: listen.stream_log_too_big,
            readers: self.plan.readers,
        }
    }

    fn expects_senders(&self) -> Vec<bool> {
        listeners::expects_senders(&self.ledger, self.config.listen.origin_detection)
    }

    fn flusher(&self, lanes: usize) -> Flusher {
        Flusher::new(
            Arc::clone(&self.rules),
            self.config.flush.bucket_width,
            Arc::clone(&self.config.hostname),
            self.config.flush.histogram_summaries,
            lanes,
        )
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    thread::Builder::new()
        .name(name)
        .spawn(work)
        .map_err(|source| resources("threads", source))
}

/// Whether the thread ended, well, before `end`.
fn join_until(thread: JoinHandle<()>, end: Instant) -> bool {
    while !thread.is_finished() {
        if Instant::now() >= end {
            return false;
        }
        thread::sleep(Duration::from_micros(200));
    }
    thread.join().is_ok()
}

fn resources(what: &'static str, source: std::io::Error) -> StartError {
    StartError::Resources { what, source }
}

#[cfg(test)]
mod tests;
