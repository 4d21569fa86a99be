//! Values that meet at one time.

use std::sync::Arc;

use greyhound_model::flush::{HistogramPoint, Members};
use greyhound_model::series::{SeriesKind, Suffix};

use super::GaugeRule;

/// How values of one kind become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    Sum,
    Max,
    Min,
    Avg,
}

/// Values met so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Joined {
    rule: Rule,
    value: f64,
    count: u32,
}

// === impl Rule ===

impl Rule {
    /// The rule of a series. Averages, medians and percentiles are computed anew where that can be done.
    pub(super) fn of(suffix: Suffix, kind: SeriesKind, gauges: GaugeRule) -> Self {
        match (suffix, kind) {
            (_, SeriesKind::Rate) | (Suffix::Sum | Suffix::Count, SeriesKind::Gauge) => Self::Sum,
            (Suffix::Max | Suffix::Median | Suffix::Percentile(_), SeriesKind::Gauge) => Self::Max,
            (Suffix::Min, SeriesKind::Gauge) => Self::Min,
            (Suffix::Avg, SeriesKind::Gauge) => Self::Avg,
            (Suffix::None, SeriesKind::Gauge) => match gauges {
                GaugeRule::Avg => Self::Avg,
                GaugeRule::Max => Self::Max,
                GaugeRule::Min => Self::Min,
                GaugeRule::Sum => Self::Sum,
            },
        }
    }
}

// === impl Joined ===

impl Joined {
    pub(super) fn new(rule: Rule, value: f64) -> Self {
        Self {
            rule,
            value,
            count: 1,
        }
    }

    pub(super) fn add(&mut self, value: f64) {
        self.count = self.count.saturating_add(1);
        self.value = match self.rule {
            // A sum beyond all numbers stays the largest: infinities are no values.
            Rule::Sum => (self.value + value).clamp(f64::MIN, f64::MAX),
            Rule::Max => self.value.max(value),
            Rule::Min => self.value.min(value),
            // As it goes, so that it cannot overflow.
            Rule::Avg => {
                let share = 1.0 / f64::from(self.count);
                self.value * (1.0 - share) + value * share
            }
        };
    }

    pub(super) fn value(&self) -> f64 {
        self.value
    }

    pub(super) fn is_alone(&self) -> bool {
        self.count == 1
    }
}

/// Adds one summary to another.
pub(super) fn summary(sum: &mut HistogramPoint, other: &HistogramPoint) {
    sum.sum = (sum.sum + other.sum).clamp(f64::MIN, f64::MAX);
    sum.count = sum.count.saturating_add(other.count);
    sum.sketch.merge(&other.sketch);
}

/// What a summary says of one aggregate; `None` when the parts say it better, or it is empty.
pub(super) fn of_summary(summary: &HistogramPoint, suffix: Suffix) -> Option<f64> {
    let value = match suffix {
        Suffix::Avg => summary.sum / summary.count as f64,
        // A quantile may lie above the largest value by the width of a bin.
        Suffix::Median => quantile(summary, 0.5),
        Suffix::Percentile(percent) => quantile(summary, f64::from(percent) / 100.0),
        Suffix::None | Suffix::Max | Suffix::Min | Suffix::Sum | Suffix::Count => return None,
    };
    Some(value).filter(|value| value.is_finite())
}

/// Unites members.
pub(super) fn members(all: &mut Arc<Members>, more: &Arc<Members>) {
    let all = Arc::make_mut(all);
    all.extend(more.iter().cloned());
}

fn quantile(summary: &HistogramPoint, share: f64) -> f64 {
    let sketch = &summary.sketch;
    sketch
        .quantile(share)
        .clamp(sketch.min(), sketch.max().max(sketch.min()))
}
