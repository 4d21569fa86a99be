//! Running totals, for collectors that want them: since when, and how much.

use greyhound_model::context::Context;
use greyhound_model::series::Suffix;
use greyhound_model::sketch::Sketch;
use hashbrown::HashMap;

use crate::sink::Reason;

/// Whether a total is a number or a histogram: one name may have both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Sum,
    Histogram,
}

/// All totals.
#[derive(Debug)]
pub(super) struct Totals {
    all: HashMap<(Context, Suffix, Kind), Total, foldhash::fast::RandomState>,
    series_max: usize,
    expiry_seconds: u32,
    swept_at: u32,
}

/// One since it appeared.
#[derive(Debug)]
pub(super) struct Total {
    /// Unix seconds.
    pub(super) start: i64,
    pub(super) sum: f64,
    /// For a histogram.
    pub(super) sketch: Sketch,
    /// End of the last point, Unix nanoseconds.
    pub(super) last_nanos: u64,
    seen: u32,
}

// === impl Totals ===

impl Totals {
    pub(super) fn new(series_max: usize, expiry_seconds: u32) -> Self {
        Self {
            all: HashMap::default(),
            series_max,
            expiry_seconds,
            swept_at: 0,
        }
    }

    /// The total of a series, begun at `start` when it is new and there is room.
    pub(super) fn of(
        &mut self,
        context: &Context,
        suffix: Suffix,
        kind: Kind,
        start: i64,
        now: u32,
    ) -> Result<&mut Total, Reason> {
        let key = (context.clone(), suffix, kind);
        if self.all.len() >= self.series_max && !self.all.contains_key(&key) {
            return Err(Reason::SeriesLimit);
        }
        let total = self.all.entry(key).or_insert_with(|| Total {
            start,
            sum: 0.0,
            sketch: Sketch::default(),
            last_nanos: 0,
            seen: now,
        });
        total.seen = now;
        Ok(total)
    }

    /// Forgets what fell silent.
    pub(super) fn expire(&mut self, now: u32, interval_seconds: u32) {
        let expiry = self.expiry_seconds.max(interval_seconds.saturating_mul(2));
        if self.expiry_seconds == 0 || now == self.swept_at {
            return;
        }
        self.swept_at = now;
        self.all
            .retain(|_, total| now.saturating_sub(total.seen) <= expiry);
    }
}
