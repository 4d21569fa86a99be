//! What people and telemetry see of one destination.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::Shared;
use super::breaker::State;
pub use super::disk::DiskStatus;
use crate::client::FailureKind;

/// Looks at a destination while it works. Never waits for it.
#[derive(Clone, Debug)]
pub struct View(Arc<Shared>);

/// One look.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveryStatus {
    /// Where it sends to; holds no secret.
    pub address: String,
    /// One per class of payload.
    pub classes: Vec<ClassStatus>,
    /// Requests on their way.
    pub in_flight: u64,
    /// Requests at once, as things stand.
    pub concurrency: u64,
    /// Payloads that wait or are on their way.
    pub queued_payloads: u64,
    /// Points in them.
    pub queued_points: u64,
    /// Bytes of them, in memory or on disk.
    pub queued_bytes: u64,
    /// Bytes in memory.
    pub memory_bytes: u64,
    /// Bound of those.
    pub memory_bytes_max: u64,
    /// The disk queue.
    pub disk: DiskStatus,
    /// Bytes per second pushed, running.
    pub bytes_per_second: f64,
    /// Seconds until the buffer is full if nothing is delivered; `None` when nothing comes in.
    pub buffer_seconds_left: Option<f64>,
    /// Payloads accepted since the start.
    pub delivered_payloads: u64,
    /// Bytes of them.
    pub delivered_bytes: u64,
    /// Tries that failed and were or will be repeated.
    pub retries: u64,
    /// Payloads sent again although they may have arrived: the bound of duplicates.
    pub resent_payloads: u64,
    /// Points in them.
    pub resent_points: u64,
    /// Payloads refused for good.
    pub refused_payloads: u64,
    /// Errors of the disk queue.
    pub disk_errors: u64,
    /// Records of the disk queue that were damaged.
    pub corrupt_records: u64,
    /// Files in the disk queue's folder that were left alone.
    pub quarantined_files: u64,
    /// Payloads an earlier run left.
    pub recovered_payloads: u64,
    /// Texts that were not UTF-8 and were repaired.
    pub texts_repaired: u64,
    /// Tags beyond what the destination takes, cut off.
    pub tags_cut: u64,
    /// Unix seconds and words of the last error.
    pub last_error: Option<(i64, String)>,
    /// Unix seconds of the last accepted payload.
    pub last_success: Option<i64>,
    /// What else there is to say: a key that is not accepted.
    pub remark: Option<String>,
    /// Failures by kind, in the order of [`FailureKind::ALL`].
    pub failures: [u64; FailureKind::ALL.len()],
    /// Answers by the first digit of their status; 0 is anything above 5.
    pub answers: [u64; 6],
}

/// One class of payloads.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassStatus {
    /// `series` and so on.
    pub name: &'static str,
    /// Payloads that wait or are on their way.
    pub queued_payloads: u64,
    /// The breaker.
    pub breaker: BreakerStatus,
    /// Errors on the breaker's account.
    pub errors: u32,
}

/// Whether payloads go out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BreakerStatus {
    /// They do.
    Closed,
    /// Not before so many seconds.
    Open {
        /// Seconds left.
        seconds: f64,
    },
    /// One is on its way to find out.
    HalfOpen,
}

// === impl View ===

impl View {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Tries everything that waits now, whatever happened before.
    pub fn try_now(&self) {
        for class in &mut self.0.lock().classes {
            class.breaker.reset();
        }
        self.0.work.notify_one();
    }

    /// Looks. Holds the queue's lock for a moment.
    pub fn status(&self) -> DeliveryStatus {
        let Self(shared) = self;
        let spool = shared.config.spool.as_ref();
        let disk = shared.disk.status(spool.map_or(0, |spool| spool.bytes_max));
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        let counts = &shared.counts;
        let now = Instant::now();
        let names = shared.target.classes();
        let queue = shared.lock();
        let room = match &disk {
            DiskStatus::Good { bytes, bytes_max } => bytes_max.saturating_sub(*bytes),
            _ => shared
                .config
                .memory_bytes_max
                .saturating_sub(queue.memory_bytes),
        };
        DeliveryStatus {
            address: shared.target.address(),
            classes: names
                .iter()
                .zip(&queue.classes)
                .map(|(name, class)| ClassStatus {
                    name,
                    queued_payloads: class.len() as u64,
                    breaker: BreakerStatus::at(class.breaker.state(), now),
                    errors: class.breaker.errors(),
                })
                .collect(),
            in_flight: queue.in_flight as u64,
            concurrency: queue.concurrency() as u64,
            queued_payloads: queue.entries as u64,
            queued_points: queue.queued_points,
            queued_bytes: queue.queued_bytes,
            memory_bytes: queue.memory_bytes,
            memory_bytes_max: shared.config.memory_bytes_max,
            disk,
            bytes_per_second: queue.rate,
            buffer_seconds_left: (queue.rate > 0.0).then(|| room as f64 / queue.rate),
            last_error: queue.last_error.clone(),
            last_success: queue.last_success,
            delivered_payloads: read(&counts.delivered_payloads),
            delivered_bytes: read(&counts.delivered_bytes),
            retries: read(&counts.retries),
            resent_payloads: read(&counts.resent_payloads),
            resent_points: read(&counts.resent_points),
            refused_payloads: read(&counts.refused_payloads),
            disk_errors: read(&counts.disk_errors),
            corrupt_records: read(&counts.corrupt_records),
            quarantined_files: read(&counts.quarantined_files),
            recovered_payloads: read(&counts.recovered_payloads),
            texts_repaired: read(&counts.texts_repaired),
            tags_cut: read(&counts.tags_cut),
            remark: shared.target.remark(),
            failures: std::array::from_fn(|kind| read(&counts.failures[kind])),
            answers: std::array::from_fn(|class| read(&counts.answers[class])),
        }
    }
}

// === impl BreakerStatus ===

impl BreakerStatus {
    fn at(state: State, now: Instant) -> Self {
        match state {
            State::Closed => Self::Closed,
            State::HalfOpen => Self::HalfOpen,
            State::Open(until) => Self::Open {
                seconds: until.saturating_duration_since(now).as_secs_f64(),
            },
        }
    }
}

impl fmt::Display for BreakerStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("closed"),
            Self::HalfOpen => f.write_str("half open"),
            Self::Open { seconds } => write!(f, "open for {seconds:.0} s"),
        }
    }
}
