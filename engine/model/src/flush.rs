//! What leaves the pipeline: one batch per flush, shared by all sinks.

use std::sync::Arc;

use hashbrown::HashSet;

use crate::context::Context;
use crate::event::Event;
use crate::series::{Series, Unit};
use crate::service_check::ServiceCheck;
use crate::sketch::Sketch;

/// Everything one flush produced. Sinks read it; nobody changes it.
#[derive(Clone, Debug)]
pub struct FlushBatch {
    /// When it was made, Unix seconds.
    pub unix_seconds: i64,
    /// Seconds one bucket covers: the interval of rates.
    pub interval_seconds: u32,
    /// What [`Host::Own`](crate::context::Host::Own) means.
    pub hostname: Arc<[u8]>,
    /// Why it was made.
    pub cause: FlushCause,
    /// Gauges and rates, the aggregates of histograms among them (those have a suffix).
    pub series: Vec<Series>,
    /// Distributions.
    pub sketches: Vec<SketchSeries>,
    /// Histograms and timings once more, as sketches that can be merged over time. Only filled
    /// when a sink asked for it; says nothing that `series` does not say.
    pub histograms: Vec<HistogramSeries>,
    /// Sets once more, with their members, for sinks that unite or relay them; says nothing of their
    /// count that `series` does not say.
    pub sets: Vec<SetSeries>,
    /// Events since the last flush.
    pub events: Vec<Event>,
    /// Service checks since the last flush.
    pub service_checks: Vec<ServiceCheck>,
}

/// Why a batch was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushCause {
    /// The bucket grid.
    Interval,
    /// The last one.
    Stop,
    /// Samples that brought their own time; they do not wait for the grid.
    Timestamped,
}

/// A distribution: one sketch per bucket.
#[derive(Clone, Debug)]
pub struct SketchSeries {
    /// Name, host and tags.
    pub context: Context,
    /// Start of the bucket in Unix seconds, and what fell into it.
    pub points: Vec<(i64, Sketch)>,
}

/// A histogram or timing, one summary per bucket.
#[derive(Clone, Debug)]
pub struct HistogramSeries {
    /// Name, host and tags.
    pub context: Context,
    /// Milliseconds for timings.
    pub unit: Unit,
    /// One per bucket.
    pub points: Vec<HistogramPoint>,
}

/// A set, its members bucket by bucket.
#[derive(Clone, Debug)]
pub struct SetSeries {
    /// Name, host and tags.
    pub context: Context,
    /// Start of the bucket in Unix seconds, and what fell into it.
    pub points: Vec<(i64, Arc<Members>)>,
}

/// Distinct members of a set: raw bytes, as sent.
pub type Members = HashSet<Box<[u8]>, foldhash::fast::RandomState>;

/// What one bucket of a histogram held.
#[derive(Clone, Debug)]
pub struct HistogramPoint {
    /// Start of the bucket, Unix seconds.
    pub unix_seconds: i64,
    /// Sum of value × (1 / rate), not truncated.
    pub sum: f64,
    /// Sum of the truncated weights.
    pub count: u64,
    /// The values with their truncated weights, for quantiles.
    pub sketch: Sketch,
}

// === impl FlushBatch ===

impl FlushBatch {
    /// Points in all: one per series point, sketch point, event and service check. Histogram
    /// summaries and members of sets are not counted, their points stand in `series`.
    pub fn point_count(&self) -> u64 {
        let series: usize = self
            .series
            .iter()
            .map(|series| series.points.as_slice().len())
            .sum();
        let sketches: usize = self.sketches.iter().map(|sketch| sketch.points.len()).sum();
        (series + sketches + self.events.len() + self.service_checks.len()) as u64
    }

    /// Members of all sets: what they weigh in memory beside the points.
    pub fn member_count(&self) -> u64 {
        let points = self.sets.iter().flat_map(|set| &set.points);
        points.map(|(_, members)| members.len() as u64).sum()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
            && self.sketches.is_empty()
            && self.histograms.is_empty()
            && self.sets.is_empty()
            && self.events.is_empty()
            && self.service_checks.is_empty()
    }
}
