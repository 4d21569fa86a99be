//! Items of one flush to export requests, grouped by resource and metric.

use std::cmp::Ordering;
use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use greyhound_model::context::Context;
use greyhound_model::flush::{FlushBatch, HistogramPoint};
use greyhound_model::series::{Point, Suffix, Unit};
use greyhound_model::sketch::Sketch;
use hashbrown::HashSet;

use super::attributes::Split;
use super::collector::{FRAMED_GZIP, GZIP};
use super::totals::{Kind, Totals};
use super::{OtlpConfig, Temporality, grpc};
use crate::datadog::proto;
use crate::delivery::Payload;
use crate::exponential::{Exponential, SCALE, zero_threshold};
use crate::sink::{Reason, Receipt};
use crate::when;

const NANOS: i64 = 1_000_000_000;

/// Numbers of `AggregationTemporality`.
const DELTA: i64 = 1;
const CUMULATIVE: i64 = 2;

/// What one series of the flush holds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Data<'b> {
    Sum(&'b [Point]),
    Gauge(&'b [Point], Unit),
    Histogram(&'b [HistogramPoint], Unit),
    Distribution(&'b [(i64, Sketch)]),
}

/// One series of the flush.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'b> {
    /// Its resource.
    pub(super) split: u32,
    pub(super) context: &'b Context,
    pub(super) suffix: Suffix,
    pub(super) data: Data<'b>,
    /// Points of the ledger it answers for.
    pub(super) points: u32,
}

/// Writes the requests of one flush.
pub(super) struct Encoder<'b> {
    config: &'b OtlpConfig,
    batch: &'b FlushBatch,
    split: Split<'b>,
    negative: &'b HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    buckets: Exponential,
}

/// The numbers of an exponential histogram.
struct Shape<'s> {
    start: u64,
    end: u64,
    sum: f64,
    sketch: &'s Sketch,
}

// === impl Encoder ===

impl<'b> Encoder<'b> {
    pub(super) fn new(
        config: &'b OtlpConfig,
        batch: &'b FlushBatch,
        split: Split<'b>,
        negative: &'b HashSet<Box<[u8]>, foldhash::fast::RandomState>,
    ) -> Self {
        Self {
            config,
            batch,
            split,
            negative,
            buckets: Exponential::default(),
        }
    }

    /// Requests, each within the limit of points; a single series with more is a request of its own.
    pub(super) fn encode(
        &mut self,
        mut items: Vec<Item<'b>>,
        totals: &mut Totals,
        now: u32,
        receipt: &mut Receipt,
    ) -> Vec<Payload> {
        items.sort_by(|a, b| a.split.cmp(&b.split).then_with(|| a.same_metric(b)));
        let mut payloads = Vec::new();
        let mut rest = &items[..];
        while !rest.is_empty() {
            let mut weight = rest[0].weight();
            let mut len = 1;
            while let Some(item) = rest.get(len)
                && weight + item.weight() <= self.config.points_max
            {
                weight += item.weight();
                len += 1;
            }
            let (these, others) = rest.split_at(len);
            rest = others;
            let mut raw = Vec::with_capacity(weight * 128);
            let mut points = 0;
            for of_one in these.chunk_by(|a, b| a.split == b.split) {
                points += self.resource(of_one, totals, now, receipt, &mut raw);
            }
            if !raw.is_empty() {
                let (encoding, body) = match self.config.is_grpc {
                    true => (FRAMED_GZIP, grpc::frame(&pack(&raw))),
                    false => (GZIP, pack(&raw)),
                };
                payloads.push(Payload {
                    class: 0,
                    encoding,
                    points,
                    body,
                });
            }
        }
        payloads
    }

    /// `ResourceMetrics { 1 resource, 2 scope metrics { 1 scope, 2 metrics* } }`.
    fn resource(
        &mut self,
        items: &[Item<'b>],
        totals: &mut Totals,
        now: u32,
        receipt: &mut Receipt,
        out: &mut Vec<u8>,
    ) -> u32 {
        let mut metrics = Vec::new();
        let mut points = 0;
        for items in items.chunk_by(|a, b| a.same_metric(b) == Ordering::Equal) {
            let mut data = Vec::new();
            for item in items {
                match self.points(item, totals, now, &mut data) {
                    Ok(()) => points += item.points,
                    Err(reason) => receipt.drop_points(reason, u64::from(item.points)),
                }
            }
            if !data.is_empty() {
                self.metric(&items[0], &data, &mut metrics);
            }
        }
        if metrics.is_empty() {
            return points;
        }
        let resource = &self.split.resources[items[0].split as usize];
        proto::message(out, 1, |out| {
            proto::bytes(out, 1, resource);
            proto::message(out, 2, |out| {
                proto::message(out, 1, |out| {
                    proto::bytes(out, 1, b"greyhound");
                    proto::bytes(out, 2, self.config.version.as_bytes());
                });
                out.extend_from_slice(&metrics);
            });
        });
        points
    }

    /// `Metric { 1 name, 3 unit, 5 gauge | 7 sum | 10 exponential histogram }` around its points.
    fn metric(&self, item: &Item<'_>, data: &[u8], out: &mut Vec<u8>) {
        let mut name = item.context.name().to_vec();
        item.suffix.append_to(&mut name);
        let temporality = match self.config.temporality {
            Temporality::Delta => DELTA,
            Temporality::Cumulative => CUMULATIVE,
        };
        proto::message(out, 2, |out| {
            proto::bytes(out, 1, String::from_utf8_lossy(&name).as_bytes());
            if item.unit() == Unit::Millisecond {
                proto::bytes(out, 3, b"ms");
            }
            match item.data {
                Data::Gauge(..) => proto::bytes(out, 5, data),
                Data::Sum(_) => proto::message(out, 7, |out| {
                    out.extend_from_slice(data);
                    proto::integer(out, 2, temporality);
                    let is_monotonic = !self.negative.contains(item.context.name());
                    proto::integer(out, 3, i64::from(is_monotonic));
                }),
                Data::Histogram(..) | Data::Distribution(_) => proto::message(out, 10, |out| {
                    out.extend_from_slice(data);
                    proto::integer(out, 2, temporality);
                }),
            }
        });
    }

    fn points(
        &mut self,
        item: &Item<'b>,
        totals: &mut Totals,
        now: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        match item.data {
            Data::Gauge(points, _) => {
                for point in points {
                    let (_, end) = self.span(point.unix_seconds);
                    self.number(item.context, None, end, point.value, out);
                }
                Ok(())
            }
            Data::Sum(points) => self.sum(item, points, totals, now, out),
            Data::Histogram(points, _) => {
                let shapes = points.iter().map(|point| {
                    let (start, end) = self.span(point.unix_seconds);
                    let (sum, sketch) = (point.sum, &point.sketch);
                    (
                        point.unix_seconds,
                        Shape {
                            start,
                            end,
                            sum,
                            sketch,
                        },
                    )
                });
                let shapes: Vec<_> = shapes.collect();
                self.histogram(item, shapes, totals, now, out)
            }
            Data::Distribution(points) => {
                let shapes = points.iter().map(|(unix_seconds, sketch)| {
                    let (start, end) = self.span(*unix_seconds);
                    let sum = sketch.sum();
                    (
                        *unix_seconds,
                        Shape {
                            start,
                            end,
                            sum,
                            sketch,
                        },
                    )
                });
                let shapes: Vec<_> = shapes.collect();
                self.histogram(item, shapes, totals, now, out)
            }
        }
    }

    fn sum(
        &mut self,
        item: &Item<'b>,
        points: &[Point],
        totals: &mut Totals,
        now: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        for point in points {
            let (start, end) = self.span(point.unix_seconds);
            let (start, end, value) = match self.config.temporality {
                Temporality::Delta => (start, end, point.value),
                Temporality::Cumulative => {
                    let since = point.unix_seconds;
                    let total = totals.of(item.context, item.suffix, Kind::Sum, since, now)?;
                    total.sum += point.value;
                    let end = total.advance(end);
                    (nanos(total.start), end, total.sum)
                }
            };
            self.number(item.context, Some(start), end, value, out);
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        item: &Item<'b>,
        shapes: Vec<(i64, Shape<'_>)>,
        totals: &mut Totals,
        now: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Reason> {
        for (since, shape) in shapes {
            if self.config.temporality == Temporality::Delta {
                self.shape(item.context, &shape, out);
                continue;
            }
            let total = totals.of(item.context, item.suffix, Kind::Histogram, since, now)?;
            total.sum += shape.sum;
            total.sketch.merge(shape.sketch);
            let whole = Shape {
                start: nanos(total.start),
                end: total.advance(shape.end),
                sum: total.sum,
                sketch: &total.sketch,
            };
            self.shape(item.context, &whole, out);
        }
        Ok(())
    }

    /// `NumberDataPoint { 2 start, 3 end, 4 double, 7 attributes }` as field 1 of its metric.
    fn number(
        &mut self,
        context: &Context,
        start: Option<u64>,
        end: u64,
        value: f64,
        out: &mut Vec<u8>,
    ) {
        let split = &mut self.split;
        proto::message(out, 1, |out| {
            split.write_point(context, 7, out);
            if let Some(start) = start {
                proto::fixed(out, 2, start);
            }
            proto::fixed(out, 3, end);
            // A member of a choice is written even when it is 0.
            proto::fixed(out, 4, value.to_bits());
        });
    }

    /// `ExponentialHistogramDataPoint`, as field 1 of its metric.
    fn shape(&mut self, context: &Context, shape: &Shape<'_>, out: &mut Vec<u8>) {
        self.buckets.fill(shape.sketch);
        let Self { split, buckets, .. } = self;
        proto::message(out, 1, |out| {
            split.write_point(context, 1, out);
            proto::fixed(out, 2, shape.start);
            proto::fixed(out, 3, shape.end);
            // The buckets hold what the sketch counted, and the count has to be their sum.
            proto::fixed(out, 4, shape.sketch.count());
            proto::fixed(out, 5, shape.sum.to_bits());
            proto::integer_zigzag(out, 6, SCALE.into());
            if buckets.zeros > 0 {
                proto::fixed(out, 7, buckets.zeros);
            }
            write_buckets(out, 8, &buckets.positive);
            write_buckets(out, 9, &buckets.negative);
            if !shape.sketch.is_empty() {
                proto::fixed(out, 12, shape.sketch.min().to_bits());
                proto::fixed(out, 13, shape.sketch.max().to_bits());
            }
            proto::double(out, 14, zero_threshold());
        });
    }

    /// Start and end of the bucket that began then, in nanoseconds; the end is never later than now.
    fn span(&self, unix_seconds: i64) -> (u64, u64) {
        let (start, end) = when::span(self.batch, unix_seconds);
        (nanos(start), nanos(end))
    }
}

fn nanos(unix_seconds: i64) -> u64 {
    u64::try_from(unix_seconds.saturating_mul(NANOS)).unwrap_or(0)
}

/// `Buckets { 1 offset, 2 counts packed }`: from the first to the last, empty ones between them too.
fn write_buckets(out: &mut Vec<u8>, field: u32, buckets: &[(i32, u64)]) {
    let Some(&(first, _)) = buckets.first() else {
        return;
    };
    proto::message(out, field, |out| {
        // Here the bucket of index i begins where ours of index i + 1 does.
        proto::integer_zigzag(out, 1, i64::from(first) - 1);
        proto::message(out, 2, |out| {
            let mut at = first;
            for &(index, count) in buckets {
                for _ in at..index {
                    out.push(0);
                }
                proto::varint(out, count);
                at = index + 1;
            }
        });
    });
}

pub(super) fn pack(raw: &[u8]) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::with_capacity(raw.len() / 4), Compression::fast());
    let packed = encoder.write_all(raw).and_then(|()| encoder.finish());
    Bytes::from(packed.expect("writing to memory does not fail"))
}

// === impl Item ===

impl Item<'_> {
    /// What it counts for in a request.
    fn weight(&self) -> usize {
        let of_sketch = |sketch: &Sketch| 1 + sketch.bins().len() / 16;
        match self.data {
            Data::Sum(points) | Data::Gauge(points, _) => points.len(),
            Data::Histogram(points, _) => points.iter().map(|point| of_sketch(&point.sketch)).sum(),
            Data::Distribution(points) => points.iter().map(|point| of_sketch(&point.1)).sum(),
        }
    }

    fn unit(&self) -> Unit {
        match self.data {
            Data::Gauge(_, unit) | Data::Histogram(_, unit) => unit,
            _ => Unit::None,
        }
    }

    /// Order by metric: those that are equal share one.
    fn same_metric(&self, other: &Self) -> Ordering {
        let kind = |data: &Data<'_>| match data {
            Data::Sum(_) => 0,
            Data::Gauge(..) => 1,
            Data::Histogram(..) | Data::Distribution(_) => 2,
        };
        let unit = |item: &Self| item.unit() == Unit::Millisecond;
        (
            self.context.name(),
            self.suffix,
            kind(&self.data),
            unit(self),
        )
            .cmp(&(
                other.context.name(),
                other.suffix,
                kind(&other.data),
                unit(other),
            ))
    }
}

// === impl Total ===

impl super::totals::Total {
    /// The end of the next point: later than that of the last one.
    fn advance(&mut self, end: u64) -> u64 {
        self.last_nanos = end.max(self.last_nanos.saturating_add(1_000_000));
        self.last_nanos
    }
}
