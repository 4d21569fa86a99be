//! Seconds, buckets, and where "now" comes from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// One reading of both clocks. A batch of packets gets one; so does a flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Nanoseconds since the Unix epoch. May jump.
    pub wall_nanos: u64,
    /// Nanoseconds since some start. Never goes back; orders gauges between lanes.
    pub monotonic_nanos: u64,
}

// === impl Stamp ===

impl Stamp {
    /// Whole Unix seconds.
    pub const fn unix_seconds(self) -> i64 {
        // u64::MAX / 1e9 is far below i64::MAX.
        (self.wall_nanos / NANOS_PER_SECOND) as i64
    }

    /// A stamp at a fractional Unix second, for simulated time.
    pub fn at_unix_seconds(seconds: f64) -> Self {
        let nanos = (seconds.max(0.0) * NANOS_PER_SECOND as f64).round() as u64;
        Self {
            wall_nanos: nanos,
            monotonic_nanos: nanos,
        }
    }
}

/// Where time comes from. Production asks the kernel, tests say what time it is.
pub trait Clock: Send + Sync {
    /// Reads both clocks.
    fn now(&self) -> Stamp;
}

/// The kernel's clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

/// A clock that stands still until it is told the time.
#[derive(Debug, Default)]
pub struct SimulatedClock {
    wall_nanos: AtomicU64,
    monotonic_nanos: AtomicU64,
}

/// How long a bucket is. Whole seconds, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BucketWidth(u32);

/// First second of a bucket, since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketStart(pub i64);

// === impl SystemClock ===

impl Default for SystemClock {
    fn default() -> Self {
        Self {
            started: Instant::now(),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Stamp {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Stamp {
            wall_nanos: nanos(wall),
            monotonic_nanos: nanos(self.started.elapsed()),
        }
    }
}

/// Nanoseconds of a duration, capped at 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

// === impl SimulatedClock ===

impl SimulatedClock {
    /// A clock that shows `stamp`.
    pub fn new(stamp: Stamp) -> Self {
        let clock = Self::default();
        clock.set(stamp);
        clock
    }

    /// Sets both clocks.
    pub fn set(&self, stamp: Stamp) {
        self.wall_nanos.store(stamp.wall_nanos, Ordering::SeqCst);
        self.monotonic_nanos
            .store(stamp.monotonic_nanos, Ordering::SeqCst);
    }
}

impl Clock for SimulatedClock {
    fn now(&self) -> Stamp {
        Stamp {
            wall_nanos: self.wall_nanos.load(Ordering::SeqCst),
            monotonic_nanos: self.monotonic_nanos.load(Ordering::SeqCst),
        }
    }
}

// === impl BucketWidth ===

impl BucketWidth {
    /// The Agent's ten seconds.
    pub const AGENT: Self = Self(10);

    /// `None` when `seconds` is zero.
    pub const fn try_new(seconds: u32) -> Option<Self> {
        if seconds == 0 {
            None
        } else {
            Some(Self(seconds))
        }
    }

    /// Whole seconds.
    pub const fn seconds(self) -> i64 {
        self.0 as i64
    }

    /// The bucket that holds this second. Buckets are aligned to the epoch.
    pub const fn containing(self, unix_seconds: i64) -> BucketStart {
        BucketStart(unix_seconds - unix_seconds.rem_euclid(self.seconds()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_aligned_to_the_epoch_on_both_sides_of_it() {
        let width = BucketWidth::AGENT;
        for (second, start) in [
            (0, 0),
            (9, 0),
            (10, 10),
            (1_700_000_019, 1_700_000_010),
            (-1, -10),
        ] {
            assert_eq!(
                width.containing(second),
                BucketStart(start),
                "second {second}"
            );
        }
    }

    #[test]
    fn fractions_of_a_second_stay_in_their_second() {
        assert_eq!(
            Stamp::at_unix_seconds(1_700_000_009.999).unix_seconds(),
            1_700_000_009
        );
        assert_eq!(
            Stamp::at_unix_seconds(1_700_000_010.0).unix_seconds(),
            1_700_000_010
        );
    }

    #[test]
    fn the_system_clock_moves_forward() {
        let clock = SystemClock::default();
        let first = clock.now();
        let second = clock.now();
        assert!(second.monotonic_nanos >= first.monotonic_nanos);
        assert!(second.unix_seconds() > 1_600_000_000);
    }
}
