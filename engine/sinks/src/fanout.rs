//! One flush to every sink, without ever waiting for one.
//!
//! ```text
//!  deliver ──┬──▶ queue ──▶ thread "gh-prometheus"
//!            ├──▶ queue ──▶ thread "gh-print"         one flush, shared, never copied
//!            └──▶ queue ──▶ thread "gh-…"
//! ```
//!
//! With [rules](crate::route) each item's is found here, once for all sinks; what a sink sees of the flush is
//! made on its own thread.
//!
//! Queue: `queue_flushes` flushes and `queue_points_max` points and members of sets, pushed by the
//! flusher, popped by the sink's thread. Full: the **newest** flush is refused for this sink alone, and its points are
//! counted as `queue_full`. The newest, because refusing it is one failed push: dropping the oldest
//! would race with the sink taking it and then lose one without need.
//!
//! At stop every sink takes what is queued until the deadline; the rest is counted as `deadline`.
//! A sink that hangs is left behind, its points shown as waiting.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded, select};
use greyhound_model::flush::FlushBatch;
use greyhound_telemetry::Source;
use tracing::{debug, error, warn};

use crate::config::FanoutConfig;
use crate::delivery::status::{DeliveryStatus, View};
use crate::delivery::telemetry::DeliveryTelemetry;
use crate::route::select::{Router, Selection};
use crate::route::telemetry::RoutingTelemetry;
use crate::route::view::View as SinkView;
use crate::route::{Routing, RoutingConfig, RoutingError};
use crate::sink::{Reason, Receipt, Sink, SinkLedger, SinkTotals};

pub(crate) mod telemetry;

/// How long sinks may still work when the fan-out is dropped without a stop.
const DROPPED_GRACE: Duration = Duration::from_secs(5);

/// How often a sink's refused flushes are logged at most.
const REFUSAL_LOG_INTERVAL_SECONDS: i64 = 60;

/// Every sink with its queue and thread.
#[derive(Debug)]
pub struct Fanout {
    outlets: Vec<Outlet>,
    router: Arc<Mutex<Router>>,
    stopped: AtomicBool,
}

/// Why the sinks could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Two sinks would share one line of telemetry.
    #[error("two sinks are called `{name}`")]
    DuplicateName {
        /// The name in question.
        name: String,
    },
    /// No thread.
    #[error("cannot start the thread of sink `{name}`")]
    Thread {
        /// Whose.
        name: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// How one sink ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SinkReport {
    /// Name of the sink.
    pub name: String,
    /// Whether it was done before the deadline. If not, it may still be writing.
    pub finished: bool,
    /// Its points.
    pub totals: SinkTotals,
}

/// One sink as status shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct SinkStatus {
    /// Name of the sink.
    pub name: String,
    /// Its points.
    pub totals: SinkTotals,
    /// Flushes in its queue.
    pub queued_flushes: u64,
    /// Its destination, when it has one over a network.
    pub delivery: Option<DeliveryStatus>,
}

/// What the flusher sees of one sink.
#[derive(Debug)]
struct Outlet {
    account: Arc<Account>,
    delivery: Option<View>,
    queue: Sender<Parcel>,
    stop: Sender<Instant>,
    /// Disconnects when the thread has ended.
    done: Receiver<()>,
    queue_points_max: u64,
    refusal_logged_at: AtomicU64,
}

/// Counters of one sink, shared with its thread and with telemetry.
#[derive(Debug)]
struct Account {
    name: String,
    ledger: Arc<SinkLedger>,
    /// Points and members of sets.
    queued_load: AtomicU64,
    queued_flushes: AtomicU64,
    refused_flushes: AtomicU64,
    panics: AtomicU64,
}

/// One flush on its way to one sink.
#[derive(Debug)]
struct Parcel {
    batch: Arc<FlushBatch>,
    /// `None` = the sink gets the flush as it is.
    selection: Option<Arc<Selection>>,
    /// Points in it that are for this sink.
    points: u64,
    /// What it counts in the queue.
    load: u64,
}

/// One sink's thread.
struct Runner {
    sink: Box<dyn Sink>,
    view: SinkView,
    account: Arc<Account>,
    queue: Receiver<Parcel>,
    stop: Receiver<Instant>,
}

// === impl Fanout ===

impl Fanout {
    /// Starts one thread per sink.
    ///
    /// # Errors
    /// When two sinks share a name, or the system has no thread left.
    pub fn start(sinks: Vec<Box<dyn Sink>>, config: &FanoutConfig) -> Result<Self, StartError> {
        let mut outlets: Vec<Outlet> = Vec::with_capacity(sinks.len());
        for sink in sinks {
            if outlets
                .iter()
                .any(|outlet| outlet.account.name == sink.name())
            {
                return Err(StartError::DuplicateName {
                    name: sink.name().to_owned(),
                });
            }
            outlets.push(Outlet::start(sink, outlets.len(), config)?);
        }
        let names: Vec<&str> = outlets.iter().map(Outlet::name).collect();
        let routing = Routing::compile(&RoutingConfig::default(), &names, |_| true)
            .expect("the default names no output that could be missing");
        Ok(Self {
            router: Arc::new(Mutex::new(Router::new(routing))),
            outlets,
            stopped: AtomicBool::new(false),
        })
    }

    /// Gives one flush to every sink. Never blocks: a full queue refuses, and counts.
    ///
    /// Called by one thread, and not after [`stop`](Self::stop): points that come later are
    /// counted as `stopped`.
    pub fn deliver(&self, batch: &Arc<FlushBatch>) {
        let all = batch.point_count();
        let members = batch.member_count();
        let selection = self.router().select(batch).map(Arc::new);
        let stopped = self.stopped.load(Ordering::Acquire);
        for (at, outlet) in self.outlets.iter().enumerate() {
            let points = selection.as_ref().map_or(all, |of| of.points(at));
            let account = &outlet.account;
            account.ledger.pass_by(all - points);
            account.ledger.flush(points);
            if stopped {
                account.drop_all(Reason::Stopped, points);
                continue;
            }
            outlet.push(Parcel {
                batch: Arc::clone(batch),
                selection: selection.clone(),
                points,
                load: points.saturating_add(members),
            });
        }
    }

    /// Compiles rules and policies for the sinks there are. Nothing changes yet.
    ///
    /// # Errors
    /// As [`Routing::compile`].
    pub fn compile_routing(
        &self,
        config: &RoutingConfig,
        may_be_absent: impl Fn(&str) -> bool,
    ) -> Result<Routing, RoutingError> {
        let names: Vec<&str> = self.outlets.iter().map(Outlet::name).collect();
        Routing::compile(config, &names, may_be_absent)
    }

    /// Puts rules and policies in force, from the next flush on.
    pub fn set_routing(&self, routing: Routing) {
        self.router().set(routing);
    }

    /// `greyhound.routing.*` for the registry.
    pub fn routing_telemetry(&self) -> Arc<dyn Source> {
        Arc::new(RoutingTelemetry(Arc::clone(&self.router)))
    }

    /// Lets every sink take what is queued and finish, all at the same time. Blocks until the last
    /// one is done, at most until `deadline`.
    pub fn stop(&self, deadline: Instant) -> Vec<SinkReport> {
        self.stopped.store(true, Ordering::Release);
        for outlet in &self.outlets {
            if outlet.stop.try_send(deadline).is_err() {
                debug!(sink = %outlet.account.name, "sink was told to stop before");
            }
        }
        self.outlets
            .iter()
            .map(|outlet| {
                let end = outlet.done.recv_deadline(deadline);
                let finished = end.is_err_and(|error| error.is_disconnected());
                if !finished {
                    warn!(sink = %outlet.account.name, "sink did not finish before the deadline");
                }
                SinkReport {
                    name: outlet.account.name.clone(),
                    finished,
                    totals: outlet.account.ledger.totals(),
                }
            })
            .collect()
    }

    /// The points of every sink, by name.
    pub fn totals(&self) -> Vec<(String, SinkTotals)> {
        self.outlets
            .iter()
            .map(|outlet| (outlet.account.name.clone(), outlet.account.ledger.totals()))
            .collect()
    }

    /// What status shows of every sink.
    pub fn status(&self) -> Vec<SinkStatus> {
        self.outlets
            .iter()
            .map(|outlet| SinkStatus {
                name: outlet.account.name.clone(),
                totals: outlet.account.ledger.totals(),
                queued_flushes: outlet.account.queued_flushes.load(Ordering::Relaxed),
                delivery: outlet.delivery.as_ref().map(View::status),
            })
            .collect()
    }

    /// `greyhound.delivery.*` for the registry; `None` when no sink delivers over a network.
    pub fn delivery_telemetry(&self) -> Option<Arc<dyn Source>> {
        let views: Vec<(String, View)> = self
            .outlets
            .iter()
            .filter_map(|outlet| Some((outlet.account.name.clone(), outlet.delivery.clone()?)))
            .collect();
        (!views.is_empty()).then(|| DeliveryTelemetry::source(views))
    }

    /// `greyhound.sink.*` for the registry.
    pub fn telemetry(&self) -> Arc<dyn Source> {
        let accounts = self
            .outlets
            .iter()
            .map(|outlet| Arc::clone(&outlet.account));
        Arc::new(telemetry::SinkTelemetry::new(accounts.collect()))
    }

    /// Held by the flusher while it finds rules, by others for a moment.
    fn router(&self) -> MutexGuard<'_, Router> {
        self.router.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Outlet ===

impl Outlet {
    fn start(
        mut sink: Box<dyn Sink>,
        at: usize,
        config: &FanoutConfig,
    ) -> Result<Self, StartError> {
        let account = Arc::new(Account::new(sink.name()));
        let delivery = sink.delivery();
        sink.attach(Arc::clone(&account.ledger));
        let (queue, queue_end) = bounded(config.queue_flushes.max(1));
        let (stop, stop_end) = bounded(1);
        let (done_end, done) = bounded(0);
        let runner = Runner {
            sink,
            view: SinkView::new(at),
            account: Arc::clone(&account),
            queue: queue_end,
            stop: stop_end,
        };
        thread::Builder::new()
            .name(format!("gh-{}", account.name))
            .spawn(move || {
                runner.run();
                drop(done_end);
            })
            .map_err(|source| StartError::Thread {
                name: account.name.clone(),
                source,
            })?;
        Ok(Self {
            account,
            delivery,
            queue,
            stop,
            done,
            queue_points_max: config.queue_points_max,
            refusal_logged_at: AtomicU64::new(0),
        })
    }

    fn name(&self) -> &str {
        &self.account.name
    }

    fn push(&self, parcel: Parcel) {
        let account = &self.account;
        let (points, load) = (parcel.points, parcel.load);
        let unix_seconds = parcel.batch.unix_seconds;
        let ahead = account.enqueue(load);
        let fits = ahead == 0 || ahead.saturating_add(load) <= self.queue_points_max;
        let refused = if fits {
            match self.queue.try_send(parcel) {
                Ok(()) => return,
                Err(TrySendError::Full(_)) => Reason::QueueFull,
                Err(TrySendError::Disconnected(_)) => Reason::Stopped,
            }
        } else {
            Reason::QueueFull
        };
        account.dequeue(load);
        account.refused_flushes.fetch_add(1, Ordering::Relaxed);
        account.drop_all(refused, points);
        self.log_refusal(unix_seconds, points);
    }

    /// Logs at most once a minute of flush time.
    fn log_refusal(&self, unix_seconds: i64, points: u64) {
        let now = unix_seconds.max(1) as u64;
        let last = self.refusal_logged_at.load(Ordering::Relaxed);
        if last == 0 || now.abs_diff(last) >= REFUSAL_LOG_INTERVAL_SECONDS as u64 {
            self.refusal_logged_at.store(now, Ordering::Relaxed);
            error!(
                sink = %self.account.name,
                dropped_points = points,
                refused_flushes = self.account.refused_flushes.load(Ordering::Relaxed),
                "sink is too slow, its queue is full, the newest flush is dropped for it"
            );
        }
    }
}

// === impl Account ===

impl Account {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ledger: Arc::new(SinkLedger::default()),
            queued_load: AtomicU64::new(0),
            queued_flushes: AtomicU64::new(0),
            refused_flushes: AtomicU64::new(0),
            panics: AtomicU64::new(0),
        }
    }

    fn drop_all(&self, reason: Reason, points: u64) {
        self.ledger.settle(&Receipt::dropped_all(reason, points));
    }

    /// What was ahead in the queue.
    fn enqueue(&self, load: u64) -> u64 {
        self.queued_flushes.fetch_add(1, Ordering::Relaxed);
        self.queued_load.fetch_add(load, Ordering::Relaxed)
    }

    fn dequeue(&self, load: u64) {
        self.queued_flushes.fetch_sub(1, Ordering::Relaxed);
        self.queued_load.fetch_sub(load, Ordering::Relaxed);
    }
}

// === impl Runner ===

impl Runner {
    fn run(mut self) {
        let deadline = loop {
            select! {
                recv(self.queue) -> parcel => match parcel {
                    Ok(parcel) => self.accept(&parcel),
                    Err(_) => break Instant::now() + DROPPED_GRACE,
                },
                recv(self.stop) -> deadline => {
                    break deadline.unwrap_or_else(|_| Instant::now() + DROPPED_GRACE);
                }
            }
        };
        while let Ok(parcel) = self.queue.try_recv() {
            if Instant::now() < deadline {
                self.accept(&parcel);
            } else {
                self.account.dequeue(parcel.load);
                self.account.drop_all(Reason::Deadline, parcel.points);
            }
        }
        let sink = &mut self.sink;
        if catch_unwind(AssertUnwindSafe(|| sink.finish(deadline))).is_err() {
            self.broke(0);
        }
    }

    fn accept(&mut self, parcel: &Parcel) {
        self.account.dequeue(parcel.load);
        let (sink, view, ledger) = (&mut self.sink, &mut self.view, &self.account.ledger);
        // Neither the sink nor the view promises anything about its state after a panic but that it can
        // be called again. Points count as merged only once the sink has the others.
        let done = catch_unwind(AssertUnwindSafe(|| match &parcel.selection {
            None => (sink.accept(&parcel.batch), 0),
            Some(selection) => {
                let seen = view.of(&parcel.batch, selection);
                let merged = parcel.points.saturating_sub(seen.point_count());
                (sink.accept(&seen), merged)
            }
        }));
        match done {
            Ok((receipt, merged)) => {
                ledger.merge(merged);
                ledger.settle(&receipt);
            }
            Err(_) => self.broke(parcel.points),
        }
    }

    fn broke(&self, points: u64) {
        self.account.panics.fetch_add(1, Ordering::Relaxed);
        self.account.drop_all(Reason::Panic, points);
        error!(sink = %self.account.name, dropped_points = points, "sink panicked");
    }
}

#[cfg(test)]
mod tests;
