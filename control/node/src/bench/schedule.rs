//! When packets are due: so many a second, those of one tick together.

use std::thread;
use std::time::{Duration, Instant};

/// An even rate cut into ticks. Asks no clock, but for the sleep.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    per_tick: f64,
    tick: Duration,
}

// === impl Schedule ===

impl Schedule {
    /// `packets_per_second` above 0, a tick of at least a microsecond.
    pub fn new(packets_per_second: f64, tick: Duration) -> Self {
        let tick = tick.max(Duration::from_micros(1));
        Self {
            per_tick: packets_per_second * tick.as_secs_f64(),
            tick,
        }
    }

    /// How many packets are due when so much time has passed; those of the first tick at once.
    pub fn due(&self, elapsed: Duration) -> u64 {
        ((self.ticks(elapsed) + 1) as f64 * self.per_tick) as u64
    }

    /// When the packet after the first `packets` is due.
    pub fn due_at(&self, packets: u64) -> Duration {
        let ticks = (packets + 1) as f64 / self.per_tick;
        let ticks = (ticks.ceil() - 1.0).max(0.0);
        Duration::try_from_secs_f64(ticks * self.tick.as_secs_f64()).unwrap_or(Duration::MAX)
    }

    /// Sleeps until the next tick.
    pub(crate) fn sleep(&self, start: Instant) {
        self.sleep_at_most(start, None);
    }

    /// Sleeps until the next tick or the end, whichever is first.
    pub(crate) fn sleep_at_most(&self, start: Instant, end: Option<Duration>) {
        let elapsed = start.elapsed();
        let next = self.next(elapsed);
        let until = end.map_or(next, |end| next.min(end));
        thread::sleep(until.saturating_sub(elapsed));
    }

    fn next(&self, elapsed: Duration) -> Duration {
        let nanos = (self.ticks(elapsed) + 1).saturating_mul(self.tick.as_nanos());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn ticks(&self, elapsed: Duration) -> u128 {
        elapsed.as_nanos() / self.tick.as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: Duration = Duration::from_millis(5);

    #[test]
    fn a_second_holds_the_rate() {
        for rate in [1.0, 199.0, 1000.0, 123_456.7] {
            let schedule = Schedule::new(rate, TICK);
            let last = Duration::from_secs(1) - Duration::from_nanos(1);
            assert!((rate - schedule.due(last) as f64).abs() <= 1.0, "{rate}");
        }
    }

    #[test]
    fn the_packets_of_a_tick_are_due_together() {
        let schedule = Schedule::new(2000.0, TICK);
        let micros = Duration::from_micros;
        assert_eq!(schedule.due(Duration::ZERO), 10);
        assert_eq!(schedule.due(micros(4999)), 10);
        assert_eq!(schedule.due(micros(5000)), 20);
        assert_eq!(schedule.next(micros(5001)), micros(10_000));
        assert_eq!(schedule.due_at(9), Duration::ZERO);
        assert_eq!(schedule.due_at(10), TICK);
        assert_eq!(schedule.due_at(29), 2 * TICK);
    }

    #[test]
    fn a_rate_below_a_packet_a_tick_comes_late_not_early() {
        let schedule = Schedule::new(20.0, TICK);
        assert_eq!(schedule.due(Duration::ZERO), 0);
        assert_eq!(schedule.due(9 * TICK), 1);
        assert_eq!(schedule.due_at(0), 9 * TICK);
    }
}
