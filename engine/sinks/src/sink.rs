//! What a sink is, what it may block on, and how it answers for every point it was given.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use greyhound_model::flush::FlushBatch;

use crate::delivery::status::View;

/// One place aggregates go to. Lives on a thread of its own behind
/// [`Fanout`](crate::fanout::Fanout), which calls, in this order: `attach` once, `accept` for every
/// flush, `finish` once.
///
/// A panic is caught at the edge: the points of that batch are counted as dropped, and the sink
/// goes on with the next one.
pub trait Sink: Send {
    /// What telemetry and status call it; unlike any other sink's, and the same for ever.
    fn name(&self) -> &str;

    /// Hands over the ledger, for sinks that settle points after `accept` has returned (retries,
    /// a disk queue). The others need nothing. Must not block.
    fn attach(&mut self, ledger: Arc<SinkLedger>) {
        drop(ledger);
    }

    /// What its delivery over a network looks like, for sinks that have one. Asked before the start.
    fn delivery(&self) -> Option<View> {
        None
    }

    /// Whether batches should carry histograms as sketches
    /// ([`FlushBatch::histograms`]). Asked before the engine starts. Must not block.
    fn wants_histograms(&self) -> bool {
        false
    }

    /// Takes one flush, and says what became of its points so far. Points that the receipt does
    /// not name are waiting, and the sink settles them later through its ledger.
    ///
    /// May block on the sink's own writes, and on nothing else: not on another sink, not on the
    /// pipeline, not on a client. While it blocks, its queue fills and then refuses flushes. A
    /// sink that sends over a network hands payloads to its own sender here and returns.
    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt;

    /// Brings out what is still held, and gives up at `deadline`. What can be neither delivered
    /// nor kept is settled as dropped. May block until `deadline`, on the sink's own writes.
    fn finish(&mut self, deadline: Instant) {
        let _ = deadline;
    }
}

/// Why a point did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Reason {
    /// The queue of the sink was full; the newest flush was refused.
    QueueFull,
    /// It came after the stop.
    Stopped,
    /// The stop had a deadline, and it passed.
    Deadline,
    /// The sink broke on it.
    Panic,
    /// This sink has no place for it: events and service checks in Prometheus.
    Unsupported,
    /// The limit of series was reached; the newest was refused.
    SeriesLimit,
    /// Its exposed name was already taken by another metric.
    Collision,
    /// Writing failed.
    Write,
    /// The other side's rules refuse its name, value or time.
    Invalid,
    /// It alone is larger than a payload may be.
    TooLarge,
    /// Payloads in memory reached their bound; the oldest went.
    MemoryFull,
    /// Payloads on disk reached their bound; the oldest went.
    DiskFull,
    /// Its checksum on disk failed, or it could not be read back.
    DiskCorrupt,
    /// It waited longer than wanted.
    TooOld,
    /// The other side answered 400.
    Http400,
    /// The other side answered 401 or 403, and the settings say to drop then.
    HttpAuth,
    /// The other side answered 413, and the payload cannot be halved again.
    Http413,
    /// The other side refused it for good with another status.
    HttpOther,
}

/// What became of points: some delivered, some dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[must_use = "points that are in no receipt wait for ever"]
pub struct Receipt {
    delivered: u64,
    dropped: [u64; Reason::ALL.len()],
}

/// The points of one sink. Written by the flusher and the sink, read by telemetry.
#[derive(Debug, Default)]
pub struct SinkLedger {
    flushed: AtomicU64,
    delivered: AtomicU64,
    kept: AtomicU64,
    merged: AtomicU64,
    passed_by: AtomicU64,
    dropped: [AtomicU64; Reason::ALL.len()],
}

/// One reading of a [`SinkLedger`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkTotals {
    /// Points the pipeline made for this sink, and those it made or found itself.
    pub flushed: u64,
    /// Points left on disk by the stop, for the next start.
    pub kept: u64,
    /// Points that became part of another one, because a tag policy took what told them apart.
    pub merged: u64,
    /// Points that rules send elsewhere; not among those flushed.
    pub passed_by: u64,
    /// What the sink said about them.
    pub settled: Receipt,
}

// === impl Reason ===

impl Reason {
    /// Every reason, in the order of their numbers.
    pub const ALL: [Self; 18] = [
        Self::QueueFull,
        Self::Stopped,
        Self::Deadline,
        Self::Panic,
        Self::Unsupported,
        Self::SeriesLimit,
        Self::Collision,
        Self::Write,
        Self::Invalid,
        Self::TooLarge,
        Self::MemoryFull,
        Self::DiskFull,
        Self::DiskCorrupt,
        Self::TooOld,
        Self::Http400,
        Self::HttpAuth,
        Self::Http413,
        Self::HttpOther,
    ];

    /// The word in telemetry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Stopped => "stopped",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
            Self::Unsupported => "unsupported",
            Self::SeriesLimit => "series_limit",
            Self::Collision => "collision",
            Self::Write => "write",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::MemoryFull => "memory_full",
            Self::DiskFull => "disk_full",
            Self::DiskCorrupt => "disk_corrupt",
            Self::TooOld => "too_old",
            Self::Http400 => "http_400",
            Self::HttpAuth => "http_auth",
            Self::Http413 => "http_413",
            Self::HttpOther => "http_other",
        }
    }
}

// === impl Receipt ===

impl Receipt {
    /// All delivered.
    pub fn delivered_all(points: u64) -> Self {
        let mut receipt = Self::default();
        receipt.deliver(points);
        receipt
    }

    /// All dropped for one reason.
    pub fn dropped_all(reason: Reason, points: u64) -> Self {
        let mut receipt = Self::default();
        receipt.drop_points(reason, points);
        receipt
    }

    /// Adds delivered points.
    pub fn deliver(&mut self, points: u64) {
        self.delivered = self.delivered.saturating_add(points);
    }

    /// Adds dropped points.
    pub fn drop_points(&mut self, reason: Reason, points: u64) {
        let cell = &mut self.dropped[reason as usize];
        *cell = cell.saturating_add(points);
    }

    /// Points delivered.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Points dropped for this reason.
    pub const fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize]
    }

    /// Points dropped for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// Points this receipt speaks of.
    pub fn total(&self) -> u64 {
        self.delivered.saturating_add(self.dropped_total())
    }
}

// === impl SinkLedger ===

impl SinkLedger {
    /// Counts points on their way in. Only the fan-out does this.
    pub(crate) fn flush(&self, points: u64) {
        self.flushed.fetch_add(points, Ordering::Relaxed);
    }

    /// Counts points that became part of others on their way in. Only the fan-out does this.
    pub(crate) fn merge(&self, points: u64) {
        self.merged.fetch_add(points, Ordering::Release);
    }

    /// Counts points that rules send elsewhere. Only the fan-out does this.
    pub(crate) fn pass_by(&self, points: u64) {
        self.passed_by.fetch_add(points, Ordering::Relaxed);
    }

    /// Counts points that did not come from the pipeline: the sink made them itself, or found them
    /// on disk.
    pub fn add(&self, points: u64) {
        self.flush(points);
    }

    /// Counts points the stop leaves on disk.
    pub fn keep(&self, points: u64) {
        self.kept.fetch_add(points, Ordering::Release);
    }

    /// Counts what became of points. Any thread.
    pub fn settle(&self, receipt: &Receipt) {
        // Release, so that a reader who sees points settled also sees them flushed.
        self.delivered
            .fetch_add(receipt.delivered, Ordering::Release);
        for (cell, points) in self.dropped.iter().zip(receipt.dropped) {
            if points > 0 {
                cell.fetch_add(points, Ordering::Release);
            }
        }
    }

    /// Reads everything. What is settled never exceeds what was flushed.
    pub fn totals(&self) -> SinkTotals {
        let mut settled = Receipt::delivered_all(self.delivered.load(Ordering::Acquire));
        for reason in Reason::ALL {
            settled.drop_points(
                reason,
                self.dropped[reason as usize].load(Ordering::Acquire),
            );
        }
        let kept = self.kept.load(Ordering::Acquire);
        let merged = self.merged.load(Ordering::Acquire);
        SinkTotals {
            kept,
            merged,
            passed_by: self.passed_by.load(Ordering::Relaxed),
            flushed: self.flushed.load(Ordering::Acquire),
            settled,
        }
    }
}

// === impl SinkTotals ===

impl SinkTotals {
    /// Points that are neither delivered nor dropped yet, nor left on disk.
    pub fn waiting(&self) -> u64 {
        self.flushed
            .saturating_sub(self.settled.total())
            .saturating_sub(self.kept)
            .saturating_sub(self.merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_stands_at_its_number_and_has_its_own_word() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            let twins = Reason::ALL
                .iter()
                .filter(|other| other.as_str() == reason.as_str());
            assert_eq!(twins.count(), 1);
        }
    }

    #[test]
    fn what_is_not_settled_is_waiting() {
        let ledger = SinkLedger::default();
        ledger.flush(10);
        let mut receipt = Receipt::delivered_all(4);
        receipt.drop_points(Reason::Write, 1);
        ledger.settle(&receipt);
        let totals = ledger.totals();
        assert_eq!(totals.waiting(), 5);
        assert_eq!(totals.settled.dropped(Reason::Write), 1);
        ledger.settle(&Receipt::dropped_all(Reason::Deadline, 5));
        assert_eq!(ledger.totals().waiting(), 0);
    }
}
