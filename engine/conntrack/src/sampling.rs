//! How many events to let in when there are too many: down at once, up again when it is quiet.
//!
//! The rate is a share of entries by id, so an entry is followed whole or not at all. What the reader is given
//! after a change was partly let in under the old rate: it applies the smaller of both until its socket was
//! empty once.

/// The smallest share.
pub const RATE_MIN: f64 = 1.0 / 1024.0;
const EWMA_WEIGHT: f64 = 0.2;
/// Seconds of quiet before the rate goes up.
const QUIET_TICKS: u32 = 5;

/// Decides once a second.
#[derive(Clone, Copy, Debug)]
pub struct Sampler {
    rate: f64,
    target: Option<f64>,
    cpu_share_max: f64,
    average: f64,
    quiet: u32,
}

/// What a second was like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Events read.
    pub events: u64,
    /// Events lost.
    pub lost: u64,
    /// Share of a core the reader used.
    pub cpu_share: f64,
}

// === impl Sampler ===

impl Sampler {
    /// Events per second to stay below; `None` = any number. `cpu_share_max` of one core.
    pub fn new(target: Option<u32>, cpu_share_max: f64) -> Self {
        Self {
            rate: 1.0,
            target: target.map(f64::from),
            cpu_share_max,
            average: 0.0,
            quiet: 0,
        }
    }

    /// The share of entries let in, in (0, 1].
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Ids below it are let in; `None` = all.
    pub fn cutoff(&self) -> Option<u32> {
        // Below 1, so the product fits.
        (self.rate < 1.0).then_some((self.rate * 4_294_967_296.0) as u32)
    }

    /// Looks back on a second; whether the rate changed.
    pub fn tick(&mut self, second: Second) -> bool {
        let events = second.events as f64;
        self.average += EWMA_WEIGHT * (events - self.average);
        let before = self.rate;
        let target = self.target.unwrap_or(f64::INFINITY);
        if second.lost > 0 || self.average > target || second.cpu_share > self.cpu_share_max {
            self.quiet = 0;
            let wanted = 0.95 * target / events.max(1.0);
            self.rate = (self.rate * wanted.min(0.5)).max(RATE_MIN);
        } else if events < 0.7 * target {
            self.quiet += 1;
            if self.quiet >= QUIET_TICKS {
                self.rate = (1.25 * self.rate).min(1.0);
            }
        } else {
            self.quiet = 0;
        }
        self.rate.to_bits() != before.to_bits()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(events: u64, lost: u64) -> Second {
        Second {
            events,
            lost,
            cpu_share: 0.0,
        }
    }

    #[test]
    fn a_burst_lowers_the_rate_at_once_and_quiet_brings_it_back() {
        let mut sampler = Sampler::new(Some(1000), 1.0);
        assert!(!sampler.tick(second(100, 0)));
        assert_eq!(sampler.cutoff(), None);
        assert!(sampler.tick(second(10_000, 0)));
        assert!(sampler.rate() < 0.1);
        let cutoff = sampler.cutoff().expect("sampled");
        assert!(f64::from(cutoff) / 4_294_967_296.0 < 0.1);
        for _ in 0..60 {
            sampler.tick(second(10, 0));
        }
        assert_eq!((sampler.rate(), sampler.cutoff()), (1.0, None));
    }

    #[test]
    fn losses_and_a_busy_core_count_as_too_much() {
        let mut sampler = Sampler::new(None, 0.2);
        assert!(sampler.tick(second(10, 1)));
        assert_eq!(sampler.rate(), 0.5);
        let busy = Second {
            cpu_share: 0.5,
            ..second(10, 0)
        };
        assert!(sampler.tick(busy));
        for _ in 0..30 {
            sampler.tick(second(10, 1));
        }
        assert_eq!(sampler.rate(), RATE_MIN);
    }
}
