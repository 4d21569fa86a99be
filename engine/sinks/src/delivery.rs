//! Payloads to one destination, at least once, however it behaves.
//!
//! ```text
//!  sink thread: push ──▶ disk queue ──▶ memory queue, one per class of payload
//!                        (write first)        │ fresh before old, oldest first among each
//!                                             ▼
//!  egress thread:         dispatch ── breaker, concurrency ──▶ send ──▶ answer ──▶ settled, or again
//! ```
//!
//! * Pushing never waits for the destination, only for the disk.
//! * A payload leaves the queue after a final answer and not before. When the outcome is unknown it is
//!   sent again and counted as a possible duplicate.
//! * Memory is bounded in bytes: bodies that lie on disk are read back when their turn comes; without
//!   a disk the oldest payload goes, counted as `memory_full`.
//!
//! Lost here, each counted in points by [`Reason`]: what the destination refuses for good, what does
//! not fit memory or disk, what is too old, what the disk damaged, and at stop what lies in memory only.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Uri;
use hyper::header::HeaderMap;
use tokio::sync::Notify;

use crate::client::{Client, Whole};
use crate::egress::Egress;
use crate::sink::{Reason, Receipt, SinkLedger};
use crate::spool::SpoolConfig;

mod answer;
mod breaker;
mod disk;
mod dispatch;
mod queue;
pub mod status;
pub(crate) mod telemetry;

pub use breaker::BackoffConfig;
use disk::Disk;
use queue::{Entry, Queue};

/// Share of the time to stop, and no more than the next, kept for closing the disk queue and for the last lines.
const CLOSE_SHARE: u32 = 8;
const CLOSE_TIME_MAX: Duration = Duration::from_millis(500);

/// How one destination is served.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryConfig {
    /// Bytes of payloads held in memory.
    pub memory_bytes_max: u64,
    /// Requests in flight at most; how many are tried adapts below it.
    pub concurrency_max: u32,
    /// Waits after errors.
    pub backoff: BackoffConfig,
    /// Drop what is answered 401 or 403, as the Agent does, instead of asking again every minute.
    pub drop_on_auth_error: bool,
    /// Payloads older than this are dropped unsent.
    pub age_max: Duration,
    /// The disk queue; `None` = memory only.
    pub spool: Option<SpoolConfig>,
}

/// What a payload is and how many points are in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Index into [`Target::classes`]; the same number for ever, for it is written to disk.
    pub class: u8,
    /// How the body is compressed; the target's own number, written to disk too.
    pub encoding: u8,
    /// Points in it.
    pub points: u32,
    /// The body as it is sent.
    pub body: Bytes,
}

/// What a target makes of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Accepted, but for some points, or with a remark.
    Partly {
        /// Points that were not taken.
        rejected: u64,
        /// Why.
        words: String,
    },
    /// Kept and tried again, after this long when the other side named it; in words, unless the status says it all.
    Later(Option<Duration>, String),
    /// Kept until credentials are mended; in words.
    Unauthorized(String),
    /// Refused for good; in words, unless the status says it all.
    Refused(String),
    /// Not understood, though the status says otherwise: written anew by [`Target::rewrite`].
    Rewrite,
}

/// A destination: where payloads go and what stands above them.
pub trait Target: Send + Sync {
    /// Names of the classes of payloads.
    fn classes(&self) -> &'static [&'static str];

    /// Address for people, without secrets.
    fn address(&self) -> String;

    /// Address and headers of a request. Keys are attached here, at the last moment.
    fn request(&self, class: u8, encoding: u8) -> (Uri, HeaderMap);

    /// Two halves of a payload that was too large, or `None` when it cannot be halved.
    fn split(&self, payload: &Payload) -> Option<[Payload; 2]>;

    /// Whether payloads of one class have to arrive in the order they were made: then one at a time, the
    /// oldest first.
    fn is_ordered(&self) -> bool {
        false
    }

    /// What an answer to a payload of this encoding means, where it means more than its status says.
    fn judge(&self, encoding: u8, answer: &Whole) -> Option<Judgement> {
        let _ = (encoding, answer);
        None
    }

    /// The payload in the encoding to fall back to, asked for after [`Judgement::Rewrite`].
    fn rewrite(&self, payload: &Payload) -> Option<Payload> {
        let _ = payload;
        None
    }

    /// What else there is to say, a key that is not accepted for one.
    fn remark(&self) -> Option<String> {
        None
    }
}

/// The sink's end. Dropped without [`stop`](Self::stop) it leaves what lies on disk to the next
/// start.
#[derive(Debug)]
pub struct Delivery {
    shared: Arc<Shared>,
    egress: Egress,
}

/// What both threads see.
pub(crate) struct Shared {
    config: DeliveryConfig,
    target: Arc<dyn Target>,
    client: Client,
    ledger: OnceLock<Arc<SinkLedger>>,
    queue: Mutex<Queue>,
    disk: Disk,
    /// Something to do for the dispatcher.
    work: Notify,
    /// The dispatcher has ended.
    ended: (Mutex<bool>, std::sync::Condvar),
    counts: Counts,
}

/// Counters of one destination.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    delivered_payloads: AtomicU64,
    delivered_bytes: AtomicU64,
    retries: AtomicU64,
    resent_payloads: AtomicU64,
    resent_points: AtomicU64,
    refused_payloads: AtomicU64,
    disk_errors: AtomicU64,
    corrupt_records: AtomicU64,
    quarantined_files: AtomicU64,
    recovered_payloads: AtomicU64,
    texts_repaired: AtomicU64,
    tags_cut: AtomicU64,
    failures: [AtomicU64; crate::client::FailureKind::ALL.len()],
    answers: [AtomicU64; 6],
}

// === impl Delivery ===

impl Delivery {
    /// A destination nothing is sent to yet.
    pub fn new(
        config: DeliveryConfig,
        target: Arc<dyn Target>,
        client: Client,
        egress: Egress,
    ) -> Self {
        let classes = target.classes().len();
        let shared = Shared {
            queue: Mutex::new(Queue::new(classes, target.is_ordered(), &config)),
            disk: Disk::new(config.spool.clone()),
            config,
            target,
            client,
            ledger: OnceLock::new(),
            work: Notify::new(),
            ended: (Mutex::new(false), std::sync::Condvar::new()),
            counts: Counts::default(),
        };
        Self {
            shared: Arc::new(shared),
            egress,
        }
    }

    /// Starts to send, first of all what an earlier run left on disk. The disk is read in the
    /// background.
    pub fn start(&self, ledger: Arc<SinkLedger>) {
        if self.shared.ledger.set(ledger).is_err() {
            return;
        }
        let opening = Arc::clone(&self.shared);
        self.egress
            .handle()
            .spawn_blocking(move || opening.open_disk());
        self.egress
            .handle()
            .spawn(dispatch::run(Arc::clone(&self.shared)));
    }

    /// Takes payloads of one flush. Blocks on the disk alone.
    pub fn push(&self, payloads: impl IntoIterator<Item = Payload>, now: i64) {
        for payload in payloads {
            self.shared.push(payload, now, false);
        }
        self.shared.sync_disk();
        self.shared.lock().end_flush();
        self.shared.work.notify_one();
    }

    /// Sends until shortly before `deadline`, or until nothing is left that could be sent or lost. What
    /// is on disk then stays there; the rest is dropped and counted. Blocks until `deadline` at most.
    pub fn stop(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        let deadline = deadline - (left / CLOSE_SHARE).min(CLOSE_TIME_MAX);
        self.shared.lock().stop_at = Some(deadline);
        self.shared.work.notify_one();
        if self.shared.ledger.get().is_some() {
            let (ended, changed) = &self.shared.ended;
            let mut ended = ended.lock().unwrap_or_else(PoisonError::into_inner);
            while !*ended {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break;
                }
                (ended, _) = changed
                    .wait_timeout(ended, left)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
        self.shared.give_up();
    }

    /// What status and telemetry see.
    pub fn view(&self) -> status::View {
        status::View::new(Arc::clone(&self.shared))
    }

    /// Counts texts that had to be repaired, and tags that were cut off.
    pub(crate) fn count_texts(&self, repaired: u64, tags_cut: u64) {
        count(&self.shared.counts.texts_repaired, repaired);
        count(&self.shared.counts.tags_cut, tags_cut);
    }

    /// Runs something beside, on the egress threads.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.egress.handle().spawn(task);
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a payload to disk and queues it. A half of a split payload goes in front.
    fn push(&self, payload: Payload, made_at: i64, is_retry: bool) {
        let place = self.write(&payload, made_at);
        let bytes = payload.body.len() as u64;
        let mut queue = self.lock();
        let body = queue.admit(bytes, place.is_some()).then_some(payload.body);
        if body.is_none() && place.is_none() {
            queue
                .dropped
                .drop_points(Reason::MemoryFull, u64::from(payload.points));
        } else {
            queue.push(
                Entry {
                    seq: 0,
                    class: payload.class,
                    encoding: payload.encoding,
                    points: payload.points,
                    made_at,
                    len_bytes: bytes as u32,
                    body,
                    place,
                    is_half: is_retry,
                },
                is_retry,
            );
        }
        let dropped = queue.take_dropped();
        drop(queue);
        self.settle(&dropped);
    }

    fn settle(&self, receipt: &Receipt) {
        if let Some(ledger) = self.ledger.get()
            && receipt.total() > 0
        {
            ledger.settle(receipt);
        }
    }

    /// What the stop leaves: kept where it lies on disk, dropped where it does not.
    fn give_up(&self) {
        let mut queue = self.lock();
        let mut kept = 0;
        let mut receipt = queue.take_dropped();
        for entry in queue.drain() {
            if entry.place.is_some() {
                kept += u64::from(entry.points);
            } else {
                receipt.drop_points(Reason::Deadline, u64::from(entry.points));
            }
        }
        drop(queue);
        self.settle(&receipt);
        if let Some(ledger) = self.ledger.get() {
            ledger.keep(kept);
        }
        self.close_disk();
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("address", &self.target.address())
            .finish_non_exhaustive()
    }
}

fn count(cell: &AtomicU64, more: u64) {
    cell.fetch_add(more, Ordering::Relaxed);
}

#[cfg(test)]
mod tests;
