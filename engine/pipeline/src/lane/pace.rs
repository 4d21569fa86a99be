//! How fast UDP packets come, and so how long to wait for more before reading.
//!
//! Woken for every packet, a lane reads batches of three to five; a wait after a short batch makes them
//! fifty and costs a tenth to a half less. The wait is as long as a good batch takes to arrive, within
//! bounds: at 100,000 packets a second half a millisecond, at a million the least. Below the threshold
//! it would gain nothing and the lane sleeps as usual.

use std::time::Duration;

/// Packets a second from which on waiting pays.
const THRESHOLD_PER_SECOND: u64 = 20_000;
/// A good batch: three quarters of a slab.
const PACKETS_WANTED: u64 = 48;
/// The longest wait, in least ones. The kernel's buffer holds such a rate for a hundred times as long.
const LONGEST: u32 = 5;
/// The rate is that of the last whole window.
const WINDOW_NANOS: u64 = 20_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The recent rate of one lane. Asks no clock: time comes with each batch.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window_start_nanos: u64,
    packets: u64,
    per_second: u64,
}

// === impl Pace ===

impl Pace {
    /// A batch of `packets` came at this time.
    pub(super) fn note(&mut self, packets: usize, now_nanos: u64) {
        self.packets = self.packets.saturating_add(packets as u64);
        let elapsed = now_nanos.saturating_sub(self.window_start_nanos);
        if elapsed >= WINDOW_NANOS {
            let rate =
                u128::from(self.packets) * u128::from(NANOS_PER_SECOND) / u128::from(elapsed);
            self.per_second = u64::try_from(rate).unwrap_or(u64::MAX);
            self.window_start_nanos = now_nanos;
            self.packets = 0;
        }
    }

    /// How long to wait before the next read, `least` or more; `None` = sleep until something comes.
    pub(super) fn wait(&self, least: Duration) -> Option<Duration> {
        if self.per_second < THRESHOLD_PER_SECOND || least.is_zero() {
            return None;
        }
        let wanted = Duration::from_nanos(PACKETS_WANTED * NANOS_PER_SECOND / self.per_second);
        Some(wanted.clamp(least, least.saturating_mul(LONGEST)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_micros(200);

    /// What the pace says after a tenth of a second at a rate.
    fn at(pace: &mut Pace, now: &mut u64, per_second: u64) -> Option<Duration> {
        for _ in 0..100 {
            *now += 1_000_000;
            pace.note((per_second / 1000) as usize, *now);
        }
        pace.wait(LEAST)
    }

    #[test]
    fn waiting_starts_above_the_threshold_and_stops_below_it() {
        let (mut pace, mut now) = (Pace::default(), NANOS_PER_SECOND);
        assert_eq!(at(&mut pace, &mut now, 19_000), None);
        assert!(at(&mut pace, &mut now, 21_000).is_some());
        assert_eq!(at(&mut pace, &mut now, 1_000), None);
        assert!(at(&mut pace, &mut now, 100_000).is_some());
        assert_eq!(pace.wait(Duration::ZERO), None);
    }

    #[test]
    fn a_wait_is_as_long_as_a_good_batch_takes_within_bounds() {
        let (mut pace, mut now) = (Pace::default(), NANOS_PER_SECOND);
        assert_eq!(at(&mut pace, &mut now, 24_000), Some(5 * LEAST));
        let middle = at(&mut pace, &mut now, 96_000).unwrap();
        assert!((490..=510).contains(&middle.as_micros()), "{middle:?}");
        assert_eq!(at(&mut pace, &mut now, 1_000_000), Some(LEAST));
    }

    #[test]
    fn one_packet_after_a_silence_is_not_a_rate() {
        let mut pace = Pace::default();
        pace.note(64, NANOS_PER_SECOND);
        pace.note(1, 3600 * NANOS_PER_SECOND);
        assert_eq!(pace.wait(LEAST), None);
    }

    #[test]
    fn a_clock_that_stands_still_is_not_a_rate() {
        let mut pace = Pace::default();
        for _ in 0..100_000 {
            pace.note(64, 5);
        }
        assert_eq!(pace.wait(LEAST), None);
    }
}
