//! The settings of the exposition, checked once and put into the shape the state works with.

use greyhound_model::sketch::key;

use crate::config::PrometheusConfig;

/// How many pieces the quantile window is cut into: it slides in steps of one piece.
const WINDOW_SLOTS: u32 = 6;

/// Series are numbered with 32 bits.
const SERIES_MAX: u64 = u32::MAX as u64 - 1;

/// Why the exposition cannot be built.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// Outside of 0 to 1.
    #[error("`greyhound.prometheus.quantiles` holds {value}, a quantile is from 0 to 1")]
    Quantile {
        /// The offender.
        value: f64,
    },
    /// Not finite, or not above the one before.
    #[error(
        "`greyhound.prometheus.classic_buckets` must ascend and be finite, {value} does not fit"
    )]
    Bucket {
        /// The offender.
        value: f64,
    },
    /// No window.
    #[error("`greyhound.prometheus.window_seconds` is 0, quantiles need at least 1")]
    Window,
}

/// Settings that make sense.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) expiry_seconds: Option<u32>,
    pub(super) lines_max: u64,
    /// Ascending, each once.
    pub(super) quantiles: Vec<f64>,
    pub(super) window: Window,
    pub(super) buckets: Vec<Bucket>,
    pub(super) own_host_label: bool,
    pub(super) created_lines: bool,
}

/// A sliding window cut into slots.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) seconds: u32,
    slot_seconds: u32,
    slots: u32,
}

/// A classic bucket: its bound, and the last sketch bin that belongs to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) bound: f64,
    pub(super) last_key: i16,
}

// === impl Plan ===

impl Plan {
    pub(super) fn try_new(config: &PrometheusConfig) -> Result<Self, ConfigError> {
        let mut quantiles = config.quantiles.clone();
        if let Some(&value) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(ConfigError::Quantile { value });
        }
        quantiles.sort_unstable_by(f64::total_cmp);
        quantiles.dedup();
        let mut buckets: Vec<Bucket> = Vec::with_capacity(config.classic_buckets.len());
        for &bound in &config.classic_buckets {
            let ascends = buckets.last().is_none_or(|before| before.bound < bound);
            if !bound.is_finite() || !ascends {
                return Err(ConfigError::Bucket { value: bound });
            }
            buckets.push(Bucket::new(bound));
        }
        Ok(Self {
            expiry_seconds: Some(config.expiry_seconds).filter(|&seconds| seconds > 0),
            lines_max: config.series_max.min(SERIES_MAX),
            quantiles,
            window: Window::try_new(config.quantile_window_seconds).ok_or(ConfigError::Window)?,
            buckets,
            own_host_label: config.own_host_label,
            created_lines: config.created_lines,
        })
    }
}

// === impl Window ===

impl Window {
    fn try_new(seconds: u32) -> Option<Self> {
        if seconds == 0 {
            return None;
        }
        let slot_seconds = seconds.div_ceil(WINDOW_SLOTS);
        Some(Self {
            seconds,
            slot_seconds,
            slots: seconds.div_ceil(slot_seconds),
        })
    }

    /// The slot a moment falls into.
    pub(super) fn slot(self, seconds: u32) -> u32 {
        seconds / self.slot_seconds
    }

    /// Whether a slot is still inside the window that ends now.
    pub(super) fn covers(self, slot: u32, now_slot: u32) -> bool {
        now_slot.saturating_sub(slot) < self.slots
    }
}

// === impl Bucket ===

impl Bucket {
    fn new(bound: f64) -> Self {
        // A value that is at most the bound has at most its key, so values equal to a bound are
        // always inside, and values less than one bin above it may be.
        Self {
            bound,
            last_key: key::of(bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut PrometheusConfig)) -> Option<ConfigError> {
        let mut config = PrometheusConfig::default();
        change(&mut config);
        Plan::try_new(&config).err()
    }

    #[test]
    fn settings_that_make_no_sense_are_named() {
        assert_eq!(refused(|_| ()), None);
        assert_eq!(
            refused(|c| c.quantiles = vec![0.5, 1.5]),
            Some(ConfigError::Quantile { value: 1.5 })
        );
        assert_eq!(
            refused(|c| c.classic_buckets = vec![1.0, 1.0]),
            Some(ConfigError::Bucket { value: 1.0 })
        );
        assert!(refused(|c| c.classic_buckets = vec![f64::INFINITY]).is_some());
        assert!(refused(|c| c.quantiles = vec![f64::NAN]).is_some());
        assert_eq!(
            refused(|c| c.quantile_window_seconds = 0),
            Some(ConfigError::Window)
        );
    }

    #[test]
    fn a_window_never_reaches_further_back_than_it_says() {
        for seconds in [1, 2, 5, 6, 7, 10, 59, 60, 61, 3600] {
            let window = Window::try_new(seconds).expect("not zero");
            let now = 100_000;
            let covered = (0..=now)
                .rev()
                .take_while(|&second| window.covers(window.slot(second), window.slot(now)))
                .count() as u32;
            assert!(covered <= seconds + window.slot_seconds, "{seconds}");
            assert!(covered + window.slot_seconds >= seconds, "{seconds}");
        }
    }
}
