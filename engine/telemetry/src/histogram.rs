//! Latencies: recorded by each thread into memory of its own, merged when somebody reads.
//!
//! ```text
//!  LatencyRecorder (thread-local) ──publish──▶ slot ─┐
//!  LatencyRecorder                ──publish──▶ slot ─┴──read──▶ Latency: quantiles, buckets
//! ```
//!
//! Publishing never waits: if a reader holds the slot just then, the recorder keeps its values and
//! hands them over the next time. Values are kept to two significant digits (1 %), in nanoseconds
//! up to a minute; anything longer counts as a minute. Each recorder takes about 60 KB of address
//! space, of which only the pages touched by real latencies become memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hdrhistogram::Histogram;

use crate::snapshot::HistogramValue;

const LONGEST_NS: u64 = 60_000_000_000;
const SIGNIFICANT_DIGITS: u8 = 2;

/// Latencies of several threads under one name. Clones share the slots.
#[derive(Clone, Debug)]
pub struct LatencyHistogram {
    bounds_ns: &'static [u64],
    slots: Arc<Mutex<Vec<Arc<Mutex<Readings>>>>>,
}

/// One thread's end: plain memory until [`publish`](Self::publish).
#[derive(Debug)]
pub struct LatencyRecorder {
    pending: Readings,
    slot: Arc<Mutex<Readings>>,
}

/// All latencies published so far, of all threads.
#[derive(Clone, Debug)]
pub struct Latency {
    bounds_ns: &'static [u64],
    readings: Readings,
}

#[derive(Clone, Debug)]
struct Readings {
    histogram: Histogram<u64>,
    /// hdrhistogram has no sum; this one is exact.
    sum_ns: u64,
}

// === impl LatencyHistogram ===

impl LatencyHistogram {
    /// `bounds_ns`: ascending upper bounds of the buckets shown to Prometheus, in nanoseconds.
    pub fn new(bounds_ns: &'static [u64]) -> Self {
        debug_assert!(bounds_ns.is_sorted(), "bounds ascend");
        Self {
            bounds_ns,
            slots: Arc::default(),
        }
    }

    /// A recorder for the calling thread. When it is dropped, its values stay.
    pub fn recorder(&self) -> LatencyRecorder {
        let mut slots = lock(&self.slots);
        // A slot nobody else holds belonged to a thread that is gone: go on counting there, so that
        // restarts do not grow the list.
        let orphan = slots.iter().find(|slot| Arc::strong_count(slot) == 1);
        let slot = orphan.cloned().unwrap_or_else(|| {
            let slot = Arc::new(Mutex::new(Readings::new()));
            slots.push(Arc::clone(&slot));
            slot
        });
        LatencyRecorder {
            pending: Readings::new(),
            slot,
        }
    }

    /// Merges what all recorders have published.
    pub fn read(&self) -> Latency {
        let mut readings = Readings::new();
        for slot in lock(&self.slots).iter() {
            readings.add(&lock(slot));
        }
        Latency {
            bounds_ns: self.bounds_ns,
            readings,
        }
    }
}

// === impl LatencyRecorder ===

impl LatencyRecorder {
    /// Notes one latency. Cost: a few nanoseconds, no atomics.
    pub fn record(&mut self, nanoseconds: u64) {
        self.pending.histogram.saturating_record(nanoseconds);
        self.pending.sum_ns = self.pending.sum_ns.saturating_add(nanoseconds);
    }

    /// Hands over what was noted since the last time, unless a reader is looking just now. Cost:
    /// one pass over some thousand counts, so once a second or per flush, not per packet.
    pub fn publish(&mut self) {
        if let Ok(mut slot) = self.slot.try_lock() {
            slot.add(&self.pending);
            self.pending.clear();
        }
    }
}

impl Drop for LatencyRecorder {
    fn drop(&mut self) {
        lock(&self.slot).add(&self.pending);
    }
}

// === impl Latency ===

impl Latency {
    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.readings.histogram.len()
    }

    /// Their exact sum in nanoseconds.
    pub fn sum_ns(&self) -> u64 {
        self.readings.sum_ns
    }

    /// The latency that `q` (0 to 1) of all stay at or below, in nanoseconds, to 1 %; 0 when none
    /// was noted.
    pub fn quantile_ns(&self, q: f64) -> u64 {
        self.readings.histogram.value_at_quantile(q)
    }

    /// The longest in nanoseconds, to 1 %; 0 when none was noted.
    pub fn max_ns(&self) -> u64 {
        self.readings.histogram.max()
    }

    pub(crate) fn to_value(&self) -> HistogramValue {
        let histogram = &self.readings.histogram;
        let bucket = |&bound_ns: &u64| (bound_ns as f64, histogram.count_between(0, bound_ns));
        HistogramValue {
            buckets: self.bounds_ns.iter().map(bucket).collect(),
            count: self.count(),
            sum: self.readings.sum_ns as f64,
        }
    }
}

// === impl Readings ===

impl Readings {
    fn new() -> Self {
        Self {
            histogram: Histogram::new_with_max(LONGEST_NS, SIGNIFICANT_DIGITS)
                .expect("one to a minute in nanoseconds to two digits is a valid range"),
            sum_ns: 0,
        }
    }

    fn add(&mut self, other: &Self) {
        if other.histogram.is_empty() {
            return;
        }
        self.histogram
            .add(&other.histogram)
            .expect("all histograms here have one range");
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    fn clear(&mut self) {
        if !self.histogram.is_empty() {
            self.histogram.reset();
            self.sum_ns = 0;
        }
    }
}

/// A poisoned slot holds counts that are valid one by one; a reader prefers them to nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_merge_on_read() {
        let histogram = LatencyHistogram::new(&[300, 1000]);
        std::thread::scope(|scope| {
            for thread in 1..=4u64 {
                let mut recorder = histogram.recorder();
                scope.spawn(move || {
                    (0..100).for_each(|_| recorder.record(thread * 100));
                    recorder.publish();
                });
            }
        });
        let latency = histogram.read();
        assert_eq!(latency.count(), 400);
        assert_eq!(latency.sum_ns(), 100_000);
        let value = latency.to_value();
        assert_eq!(value.buckets, [(300.0, 300), (1000.0, 400)]);
        let median = latency.quantile_ns(0.5);
        assert!((198..=202).contains(&median), "{median}");
    }

    #[test]
    fn what_is_not_published_comes_with_the_drop() {
        let histogram = LatencyHistogram::new(&[]);
        let mut recorder = histogram.recorder();
        recorder.record(10);
        assert_eq!(histogram.read().count(), 0);
        drop(recorder);
        assert_eq!(histogram.read().count(), 1);
    }

    #[test]
    fn publishing_never_waits_and_loses_nothing() {
        let histogram = LatencyHistogram::new(&[]);
        let mut recorder = histogram.recorder();
        let slot = Arc::clone(&recorder.slot);
        let reader = lock(&slot);
        recorder.record(10);
        recorder.publish();
        drop(reader);
        assert_eq!(histogram.read().count(), 0);
        recorder.record(20);
        recorder.publish();
        recorder.publish();
        assert_eq!(histogram.read().count(), 2);
        assert_eq!(histogram.read().sum_ns(), 30);
    }

    #[test]
    fn a_restarted_thread_takes_the_slot_of_the_old_one() {
        let histogram = LatencyHistogram::new(&[]);
        for _ in 0..10 {
            histogram.recorder().record(1);
        }
        assert_eq!(lock(&histogram.slots).len(), 1);
        assert_eq!(histogram.read().count(), 10);
    }

    #[test]
    fn very_long_latencies_count_as_the_longest() {
        let histogram = LatencyHistogram::new(&[1000]);
        let mut recorder = histogram.recorder();
        recorder.record(u64::MAX);
        recorder.record(u64::MAX);
        recorder.publish();
        let latency = histogram.read();
        assert_eq!(latency.count(), 2);
        assert!(latency.max_ns() >= LONGEST_NS);
        assert_eq!(latency.to_value().buckets, [(1000.0, 0)]);
    }
}
