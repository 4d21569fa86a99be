//! A histogram, timing or distribution as it is exposed: running totals, and either the sketches
//! of a sliding window or classic buckets.

use greyhound_model::series::Unit;
use greyhound_model::sketch::Sketch;

use super::plan::Plan;
use super::window::Packed;

/// Where a summary comes from. Two sources never share one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SummaryKind {
    Histogram(Unit),
    Distribution,
}

/// What one bucket of the pipeline held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observation<'a> {
    pub(super) unix_seconds: i64,
    pub(super) sum: f64,
    pub(super) count: u64,
    pub(super) sketch: &'a Sketch,
}

/// Running totals since the series appeared, and its distribution.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) kind: SummaryKind,
    pub(super) created: i64,
    pub(super) sum: f64,
    pub(super) count: u64,
    shape: Shape,
}

#[derive(Debug)]
enum Shape {
    /// Sketches of a sliding window.
    Window(Packed),
    /// How many values fell into each classic bucket since the series appeared, not cumulated;
    /// what is above the last bound is only in `count`.
    Buckets(Box<[u64]>),
}

// === impl SummaryKind ===

impl SummaryKind {
    /// Whether two come from the same kind of sample. A unit may change over time.
    pub(super) fn same_source(self, other: Self) -> bool {
        matches!(self, Self::Distribution) == matches!(other, Self::Distribution)
    }
}

// === impl Observation ===

impl<'a> Observation<'a> {
    pub(super) fn of_sketch((unix_seconds, sketch): &'a (i64, Sketch)) -> Self {
        Self {
            unix_seconds: *unix_seconds,
            sum: sketch.sum(),
            count: sketch.count(),
            sketch,
        }
    }
}

// === impl Summary ===

impl Summary {
    pub(super) fn new(plan: &Plan, kind: SummaryKind, created: i64) -> Self {
        let shape = if plan.buckets.is_empty() {
            Shape::Window(Packed::default())
        } else {
            Shape::Buckets(vec![0; plan.buckets.len()].into())
        };
        Self {
            kind,
            created,
            sum: 0.0,
            count: 0,
            shape,
        }
    }

    pub(super) fn observe(&mut self, plan: &Plan, observation: Observation<'_>, seconds: u32) {
        self.sum += observation.sum;
        self.count = self.count.saturating_add(observation.count);
        match &mut self.shape {
            Shape::Buckets(counts) => {
                for (key, n) in observation.sketch.bins() {
                    let at = plan.buckets.partition_point(|bucket| bucket.last_key < key);
                    if let Some(count) = counts.get_mut(at) {
                        *count = count.saturating_add(n);
                    }
                }
            }
            Shape::Window(packed) => {
                let slot = plan.window.slot(seconds);
                packed.add(plan.window, slot, observation.sketch);
            }
        }
    }

    /// The quantiles over the window that ends at `seconds`: NaN where nothing fell into it.
    ///
    /// Cost: one merge per slot, some microseconds each.
    pub(super) fn quantiles(&self, plan: &Plan, seconds: u32, out: &mut Vec<f64>) {
        out.clear();
        let now_slot = plan.window.slot(seconds);
        let merged = match &self.shape {
            Shape::Window(packed) => packed.merged(plan.window, now_slot),
            Shape::Buckets(_) => return,
        };
        // A bin may reach beyond the largest value; a quantile that does would only confuse.
        out.extend(plan.quantiles.iter().map(|&q| match &merged {
            Some(sketch) if !sketch.is_empty() => {
                sketch.quantile(q).clamp(sketch.min(), sketch.max())
            }
            _ => f64::NAN,
        }));
    }

    /// Bound and cumulated count of every classic bucket, without +Inf.
    pub(super) fn buckets(&self, plan: &Plan) -> impl Iterator<Item = (f64, u64)> {
        let counts: &[u64] = match &self.shape {
            Shape::Buckets(counts) => counts,
            Shape::Window(_) => &[],
        };
        plan.buckets
            .iter()
            .zip(counts)
            .scan(0_u64, |sum, (bucket, count)| {
                *sum = sum.saturating_add(*count);
                Some((bucket.bound, *sum))
            })
    }
}
