//! How fast UDP packets come, and so whether to wait for more before reading.
//!
//! Woken for every packet, a lane reads batches of three to five; a short wait after a short batch
//! makes them fifty and costs a tenth to a half less. Below the threshold the wait would gain nothing
//! and the lane sleeps as usual.

/// Packets a second from which on waiting pays.
const THRESHOLD_PER_SECOND: u64 = 20_000;
/// The rate is that of the last whole window.
const WINDOW_NANOS: u64 = 20_000_000;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// The recent rate of one lane. Asks no clock: time comes with each batch.
#[derive(Debug, Default)]
pub(super) struct Pace {
    window_start_nanos: u64,
    packets: u64,
    busy: bool,
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
            self.busy = rate >= u128::from(THRESHOLD_PER_SECOND);
            self.window_start_nanos = now_nanos;
            self.packets = 0;
        }
    }

    /// Whether to wait before the next read.
    pub(super) fn is_busy(&self) -> bool {
        self.busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_starts_above_the_threshold_and_stops_below_it() {
        let mut pace = Pace::default();
        let mut now = NANOS_PER_SECOND;
        let mut send = |pace: &mut Pace, per_second: u64| {
            for _ in 0..100 {
                now += 1_000_000;
                pace.note((per_second / 1000) as usize, now);
            }
            pace.is_busy()
        };
        assert!(!send(&mut pace, 19_000));
        assert!(send(&mut pace, 21_000));
        assert!(!send(&mut pace, 1_000));
    }

    #[test]
    fn one_packet_after_a_silence_is_not_a_rate() {
        let mut pace = Pace::default();
        pace.note(64, NANOS_PER_SECOND);
        pace.note(1, 3600 * NANOS_PER_SECOND);
        assert!(!pace.is_busy());
    }

    #[test]
    fn a_clock_that_stands_still_is_not_a_rate() {
        let mut pace = Pace::default();
        for _ in 0..100_000 {
            pace.note(64, 5);
        }
        assert!(!pace.is_busy());
    }
}
