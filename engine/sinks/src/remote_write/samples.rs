//! Points of a flush to samples: totals added up, times that only grow.

use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::series::Point;
use greyhound_model::sketch::Sketch;

use super::families::Families;
use super::packer::{About, NativePoint, Packer, Sample};
use super::series::{Entry, Plan, State, Summary};
use crate::exponential::Exponential;
use crate::sink::{Reason, Receipt};
use crate::when;

/// Points of one entry that go together at most; more are cut into pieces.
const POINTS_MAX: usize = 1000;

/// The value that says: this series has ended.
const ENDED: u64 = 0x7ff0_0000_0000_0002;

/// Writes what a flush holds. Keeps its memory.
pub(super) struct Writer<'a> {
    batch: &'a FlushBatch,
    plan: &'a Plan,
    now: u32,
    now_ms: i64,
    started_ms: i64,
    samples: Vec<Sample>,
    buckets: Exponential,
}

// === impl Writer ===

impl<'a> Writer<'a> {
    pub(super) fn new(batch: &'a FlushBatch, now: u32, started_ms: i64, plan: &'a Plan) -> Self {
        Self {
            batch,
            plan,
            now,
            now_ms: batch.unix_seconds.saturating_mul(1000),
            started_ms,
            samples: Vec::new(),
            buckets: Exponential::default(),
        }
    }

    /// A counter or a gauge.
    pub(super) fn scalar(
        &mut self,
        entry: &mut Entry,
        families: &mut Families,
        points: &[Point],
        packer: &mut Packer,
        receipt: &mut Receipt,
    ) {
        entry.touched = self.now;
        for points in points.chunks(POINTS_MAX) {
            self.samples.clear();
            let sent = match entry.state {
                State::Total { .. } => self.total(entry, families, points),
                _ => self.last(entry, points, receipt),
            };
            let about = families.get(entry.family).about();
            if let Some(labels) = entry.state.labels().next() {
                packer.reserve(self.samples.len());
                packer.series(labels, about, &self.samples);
                packer.add_points(sent);
            }
        }
        entry.is_new = false;
    }

    fn total(&mut self, entry: &mut Entry, families: &mut Families, points: &[Point]) -> usize {
        if let Some(zero) = self.zero(entry, points.first().map(|point| point.unix_seconds)) {
            self.samples.push(zero);
        }
        let (family, mut last_ms) = (entry.family, entry.last_ms);
        let State::Total { total, .. } = &mut entry.state else {
            return 0;
        };
        for point in points {
            *total += point.value;
            if point.value < 0.0 {
                families.falls(family);
            }
            if point.value != 0.0 {
                entry.seen = self.now;
            }
            last_ms = self.time(point.unix_seconds).max(last_ms.saturating_add(1));
            self.samples.push((plain(*total), last_ms));
        }
        entry.last_ms = last_ms;
        points.len()
    }

    fn last(&mut self, entry: &mut Entry, points: &[Point], receipt: &mut Receipt) -> usize {
        entry.seen = self.now;
        for point in points {
            let unix_ms = self.time(point.unix_seconds);
            if unix_ms <= entry.last_ms {
                receipt.drop_points(Reason::Invalid, 1);
                continue;
            }
            entry.last_ms = unix_ms;
            self.samples.push((plain(point.value), unix_ms));
        }
        self.samples.len()
    }

    /// A distribution, as quantiles or as a native histogram.
    pub(super) fn distribution(
        &mut self,
        entry: &mut Entry,
        families: &Families,
        points: &[(i64, Sketch)],
        packer: &mut Packer,
    ) {
        entry.touched = self.now;
        entry.seen = self.now;
        let about = families.get(entry.family).about();
        for points in points.chunks(POINTS_MAX) {
            let zero = self.zero(entry, points.first().map(|point| point.0));
            let mut times = Vec::with_capacity(points.len());
            for point in points {
                entry.last_ms = self.time(point.0).max(entry.last_ms.saturating_add(1));
                times.push(entry.last_ms);
            }
            let State::Summary(summary) = &mut entry.state else {
                return;
            };
            packer.reserve(summary.labels.len() * (points.len() + 1));
            match summary.sketch {
                Some(_) => self.native(summary, about, points, &times, packer),
                None => self.quantiles(summary, about, points, &times, zero, packer),
            }
            packer.add_points(points.len());
        }
        entry.is_new = false;
    }

    fn quantiles(
        &mut self,
        summary: &mut Summary,
        about: About,
        points: &[(i64, Sketch)],
        times: &[i64],
        zero: Option<Sample>,
        packer: &mut Packer,
    ) {
        let Summary {
            labels, sum, count, ..
        } = summary;
        for (labels, &quantile) in labels.iter().zip(&self.plan.quantiles) {
            self.samples.clear();
            for ((_, sketch), &unix_ms) in points.iter().zip(times) {
                if !sketch.is_empty() {
                    // A bin may reach beyond the largest value; a quantile that does would only confuse.
                    let value = sketch.quantile(quantile).clamp(sketch.min(), sketch.max());
                    self.samples.push((value, unix_ms));
                }
            }
            packer.series(labels, about, &self.samples);
        }
        let [.., sum_labels, count_labels] = &**labels else {
            return;
        };
        self.samples.clear();
        self.samples.extend(zero);
        for ((_, sketch), &unix_ms) in points.iter().zip(times) {
            *sum += sketch.sum();
            self.samples.push((plain(*sum), unix_ms));
        }
        packer.series(sum_labels, about, &self.samples);
        self.samples.clear();
        self.samples.extend(zero);
        for ((_, sketch), &unix_ms) in points.iter().zip(times) {
            *count = count.saturating_add(sketch.count());
            self.samples.push((*count as f64, unix_ms));
        }
        packer.series(count_labels, about, &self.samples);
    }

    fn native(
        &mut self,
        summary: &mut Summary,
        about: About,
        points: &[(i64, Sketch)],
        times: &[i64],
        packer: &mut Packer,
    ) {
        for ((_, sketch), &unix_ms) in points.iter().zip(times) {
            let Some(all) = &mut summary.sketch else {
                return;
            };
            all.merge(sketch);
            self.buckets.fill(all);
            summary.sum += sketch.sum();
            summary.count = all.count();
            let point = NativePoint {
                buckets: &self.buckets,
                sum: plain(summary.sum),
                count: summary.count,
                unix_ms,
            };
            packer.native(&summary.labels[0], about, &[point]);
        }
    }

    /// The zero a new total begins with, a millisecond into its first bucket: what ended there before may
    /// have its marker on the edge.
    fn zero(&self, entry: &mut Entry, start: Option<i64>) -> Option<Sample> {
        let edge_ms = start?.saturating_mul(1000);
        let start_ms = edge_ms.saturating_add(1);
        let is_due = entry.is_new
            && self.batch.cause == FlushCause::Interval
            && edge_ms > self.started_ms
            && start_ms < self.now_ms;
        entry.is_new = false;
        is_due.then(|| {
            entry.last_ms = start_ms;
            (0.0, start_ms)
        })
    }

    /// The time a point is sent with: the end of its bucket, and never later than now.
    fn time(&self, unix_seconds: i64) -> i64 {
        let (_, end) = when::span(self.batch, unix_seconds);
        end.saturating_mul(1000).min(self.now_ms)
    }
}

/// The last samples of a series: markers at the end of the last bucket. Counts as one point.
pub(super) fn write_end(batch: &FlushBatch, entry: &Entry, about: About, packer: &mut Packer) {
    let interval = i64::from(batch.interval_seconds.max(1));
    let end = batch.unix_seconds - batch.unix_seconds.rem_euclid(interval);
    let unix_ms = end
        .saturating_mul(1000)
        .max(entry.last_ms.saturating_add(1));
    let marker = f64::from_bits(ENDED);
    packer.reserve(entry.state.labels().count());
    let is_native = matches!(&entry.state, State::Summary(summary) if summary.sketch.is_some());
    for labels in entry.state.labels() {
        if is_native {
            packer.native_end(labels, about, marker, unix_ms);
        } else {
            packer.series(labels, about, &[(marker, unix_ms)]);
        }
    }
    packer.add_points(1);
}

/// A value that cannot be taken for the marker.
fn plain(value: f64) -> f64 {
    if value.is_nan() { f64::NAN } else { value }
}
