//! From the closed buckets of all lanes to one batch for the sinks.
//!
//! ```text
//!  lane 0 ─┐ LaneFlush: contexts made, buckets, contexts forgotten
//!  lane 1 ─┼─▶ contexts: lane's number ─▶ common number
//!  lane n ─┘       ▼
//!              per bucket: merge ▸ keepalive (zeros of silent counters) ▸ emit ─▶ FlushBatch
//! ```
//!
//! Lanes number their contexts and say once what a number means, so merging is array look-ups: no
//! context is hashed again at every flush. Counters add up, sets unite, sketches merge, histograms
//! are put end to end, gauges keep the value that came last.

pub mod clients;
mod contexts;
mod emit;
mod histogram;
mod merge;
mod notice;
pub mod survey;

use std::collections::BTreeMap;
use std::sync::Arc;

use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::metric::MetricKind;
use greyhound_model::series::{Point, Points, Series, SeriesKind, Suffix, Unit};
use greyhound_model::time::{BucketWidth, Stamp};
use greyhound_telemetry::counters;

use crate::aggregate::bucket::Bucket;
use crate::aggregate::cell::Shape;
use crate::process::{LaneFlush, Timestamped};
use crate::rules::Rules;

use clients::ClientReports;
use contexts::Contexts;
use emit::Emitter;
use merge::Merged;
use notice::Notices;

counters! {
    /// What flushes came to.
    pub struct FlushTally / FlushCells {
        /// Flushes on the bucket grid, the last one included.
        flushes,
        /// Points of series.
        series_points,
        /// Points of sketches.
        sketch_points,
        /// Events.
        events,
        /// Service checks.
        service_checks,
        /// Series points of samples that brought their own time.
        timestamped_points,
        /// Points whose value is not finite: dropped.
        not_finite_points,
        /// Points of histogram aggregates on the name filter list: dropped.
        filtered_points,
        /// Contexts whose type differed between lanes within a bucket; the first lane's stays.
        lane_clashes,
        /// Contexts whose first sample was a gauge.
        contexts_gauge,
        /// Contexts whose first sample was a counter's.
        contexts_counter,
        /// Contexts whose first sample was a histogram's or a timing's.
        contexts_histogram,
        /// Contexts whose first sample was a set's.
        contexts_set,
        /// Contexts whose first sample was a distribution's.
        contexts_distribution,
        /// Contexts known over all lanes, silent counters included.
        contexts,
        /// Samples that clients say they made (`datadog.dogstatsd.client.metrics`).
        client_metrics,
        /// Events that clients say they made.
        client_events,
        /// Service checks that clients say they made.
        client_service_checks,
        /// Samples that clients dropped before sending.
        client_metric_dropped_on_receive,
        /// Packets that clients say they sent.
        client_packets_sent,
        /// Packets that clients could not send.
        client_packets_dropped,
        /// Of those, because the client's own queue was full.
        client_packets_dropped_queue,
        /// Of those, because the socket refused.
        client_packets_dropped_writer,
        /// Bytes that clients say they sent.
        client_bytes_sent,
        /// Bytes that clients could not send.
        client_bytes_dropped,
        /// Of those, because the client's own queue was full.
        client_bytes_dropped_queue,
        /// Of those, because the socket refused.
        client_bytes_dropped_writer,
        /// Contexts that clients aggregated before sending.
        client_aggregated_context,
        /// Microseconds the latest flush took to merge and emit.
        duration_microseconds,
    }
}

/// Merges lanes. Belongs to the flush thread; a simulation calls it directly.
#[derive(Debug)]
pub struct Flusher {
    rules: Arc<Rules>,
    width: BucketWidth,
    hostname: Arc<[u8]>,
    histogram_summaries: bool,
    contexts: Contexts,
    clients: ClientReports,
    /// Samples are counted by context.
    counts_contexts: bool,
    last_cutoff: i64,
    notices: Notices,
    tally: FlushTally,
    cells: Arc<FlushCells>,
}

/// Buckets of one start, with common context numbers.
type LaneBuckets = Vec<Bucket>;

// === impl Flusher ===

impl Flusher {
    /// A flusher for so many lanes.
    pub fn new(
        rules: Arc<Rules>,
        width: BucketWidth,
        hostname: Arc<[u8]>,
        histogram_summaries: bool,
        lanes: usize,
    ) -> Self {
        Self {
            rules,
            width,
            hostname,
            histogram_summaries,
            contexts: Contexts::new(lanes),
            clients: ClientReports::default(),
            counts_contexts: false,
            last_cutoff: i64::MIN,
            notices: Notices::default(),
            tally: FlushTally::default(),
            cells: Arc::default(),
        }
    }

    /// Other rules, from the next flush on.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        self.rules = rules;
    }

    /// Another bucket width, for buckets of lanes that took it before.
    pub fn set_width(&mut self, width: BucketWidth) {
        self.width = width;
    }

    /// Where flushes are counted.
    pub fn cells(&self) -> Arc<FlushCells> {
        Arc::clone(&self.cells)
    }

    /// Merges what the lanes closed for this moment and makes the batch of it.
    ///
    /// Cost: one pass over all cells and all live counters.
    pub fn flush(&mut self, now: Stamp, cause: FlushCause, lanes: Vec<LaneFlush>) -> FlushBatch {
        let second = now.unix_seconds();
        let cutoff = self.width.containing(second).0;
        self.contexts.begin();
        let mut batch = self.batch(second, cause);
        let mut by_start: BTreeMap<i64, LaneBuckets> = BTreeMap::new();
        // A lane whose answer was late has two here, and the second gives numbers of the first out
        // anew: what a number means is settled flush by flush, in order.
        let (mut open_counters, mut left) = (Vec::new(), Vec::new());
        for mut flush in lanes {
            if flush.starts_anew {
                self.contexts.forget_lane(flush.lane, &mut left);
            }
            let created = std::mem::take(&mut flush.created);
            self.contexts.meet(flush.lane, created, &mut self.clients);
            if self.counts_contexts {
                self.contexts.count(flush.lane, &flush.counts);
            }
            for mut bucket in std::mem::take(&mut flush.buckets) {
                self.contexts.translate(flush.lane, &mut bucket);
                by_start.entry(bucket.start).or_default().push(bucket);
            }
            for (lane_number, last_seen) in flush.open_counters {
                let number = self.contexts.number(flush.lane, lane_number);
                open_counters.push((number, last_seen));
            }
            self.contexts.leave(flush.lane, &flush.expired, &mut left);
            batch.events.append(&mut flush.events);
            batch.service_checks.append(&mut flush.service_checks);
            self.notices.collect(std::mem::take(&mut flush.refusals));
            self.push_timestamped(&mut batch.series, std::mem::take(&mut flush.timestamped));
        }
        self.touch_closed(&by_start);
        // Later than anything in a closed bucket: it must not decide what a context began as.
        for (number, last_seen) in open_counters {
            self.contexts.touch(number, last_seen, MetricKind::Counter);
        }
        self.emit(&mut batch, by_start, cutoff);
        self.contexts.let_go(&left);
        let silent = self.rules.context_expiry_seconds;
        let by_kind = self
            .contexts
            .expire(second, silent, self.rules.counter_expiry_seconds);
        self.tally.contexts_gauge = by_kind[MetricKind::Gauge as usize];
        self.tally.contexts_counter = by_kind[MetricKind::Counter as usize];
        self.tally.contexts_histogram = by_kind[MetricKind::Histogram as usize];
        self.tally.contexts_set = by_kind[MetricKind::Set as usize];
        self.tally.contexts_distribution = by_kind[MetricKind::Distribution as usize];
        if self.last_cutoff.saturating_sub(cutoff) > self.width.seconds() {
            // As the lanes do: after a long step back the new time is believed.
            self.last_cutoff = cutoff;
        }
        self.last_cutoff = self.last_cutoff.max(cutoff);
        self.notices.tell(now);
        self.count(&batch);
        batch
    }

    /// Samples that brought their own time, as a batch of their own.
    pub fn timestamped(&mut self, now: Stamp, samples: Vec<Timestamped>) -> FlushBatch {
        let mut batch = self.batch(now.unix_seconds(), FlushCause::Timestamped);
        self.push_timestamped(&mut batch.series, samples);
        self.cells.store(&self.tally);
        batch
    }

    /// Notes how long a flush took, measured by whoever has a clock.
    pub fn took(&mut self, microseconds: u64) {
        self.tally.duration_microseconds = microseconds;
        self.cells.store(&self.tally);
    }

    fn batch(&self, unix_seconds: i64, cause: FlushCause) -> FlushBatch {
        FlushBatch {
            unix_seconds,
            // A width comes from a u32.
            interval_seconds: u32::try_from(self.width.seconds()).unwrap_or(u32::MAX),
            hostname: Arc::clone(&self.hostname),
            cause,
            series: Vec::new(),
            sketches: Vec::new(),
            histograms: Vec::new(),
            sets: Vec::new(),
            events: Vec::new(),
            service_checks: Vec::new(),
        }
    }

    /// Everything seen in this flush is known before the first zero is made.
    fn touch_closed(&mut self, by_start: &BTreeMap<i64, LaneBuckets>) {
        for bucket in by_start.values().flatten() {
            for cell in bucket.sketches.iter().filter(|cell| cell.is_first) {
                let kind = MetricKind::Distribution;
                self.contexts.touch(cell.context, cell.last_seen, kind);
            }
            for cell in &bucket.cells {
                let kind = match cell.shape {
                    Shape::Gauge => MetricKind::Gauge,
                    Shape::Counter => MetricKind::Counter,
                    Shape::Set => MetricKind::Set,
                    Shape::Histogram => MetricKind::Histogram,
                };
                self.contexts.touch(cell.context, cell.last_seen, kind);
            }
            for cell in bucket.sketches.iter().filter(|cell| !cell.is_first) {
                let kind = MetricKind::Distribution;
                self.contexts.touch(cell.context, cell.last_seen, kind);
            }
        }
    }

    fn emit(&mut self, batch: &mut FlushBatch, by_start: BTreeMap<i64, LaneBuckets>, cutoff: i64) {
        let expiry = self.rules.counter_expiry_seconds;
        let several = by_start.len() > 1;
        let mut emitter = Emitter::new(&self.rules, self.histogram_summaries, several);
        let width = self.width.seconds();
        if by_start.is_empty() && self.last_cutoff.saturating_add(width) <= cutoff {
            // Nothing arrived: the interval just past still gets its zeros, from counters that were
            // there before it.
            let start = cutoff - width;
            let mut merged = Merged::default();
            self.contexts.zero_fill(start, expiry, true, &mut merged);
            emitter.bucket(start, merged, &self.contexts, batch);
        }
        for (start, buckets) in by_start {
            let mut merged = Merged::default();
            for bucket in buckets {
                merged.add(bucket, &mut self.contexts);
            }
            self.tally.lane_clashes += merged.clashes;
            self.clients.add(&merged, &mut self.contexts);
            self.contexts.zero_fill(start, expiry, false, &mut merged);
            emitter.bucket(start, merged, &self.contexts, batch);
        }
        self.tally.not_finite_points += emitter.not_finite;
        self.tally.filtered_points += emitter.filtered;
    }

    fn push_timestamped(&mut self, series: &mut Vec<Series>, samples: Vec<Timestamped>) {
        self.tally.timestamped_points += samples.len() as u64;
        series.extend(samples.into_iter().map(|sample| {
            let kind = match sample.kind {
                MetricKind::Counter => SeriesKind::Rate,
                _ => SeriesKind::Gauge,
            };
            let point = Point {
                unix_seconds: sample.unix_seconds,
                value: sample.value,
            };
            Series {
                context: sample.context,
                suffix: Suffix::None,
                kind,
                unit: Unit::None,
                points: Points::One(point),
            }
        }));
    }

    fn count(&mut self, batch: &FlushBatch) {
        let points = |series: &Series| series.points.as_slice().len() as u64;
        let tally = &mut self.tally;
        tally.flushes += 1;
        tally.series_points += batch.series.iter().map(points).sum::<u64>();
        tally.sketch_points += batch
            .sketches
            .iter()
            .map(|sketch| sketch.points.len() as u64)
            .sum::<u64>();
        tally.events += batch.events.len() as u64;
        tally.service_checks += batch.service_checks.len() as u64;
        tally.contexts = self.contexts.len() as u64;
        [
            tally.client_metrics,
            tally.client_events,
            tally.client_service_checks,
            tally.client_metric_dropped_on_receive,
            tally.client_packets_sent,
            tally.client_packets_dropped,
            tally.client_packets_dropped_queue,
            tally.client_packets_dropped_writer,
            tally.client_bytes_sent,
            tally.client_bytes_dropped,
            tally.client_bytes_dropped_queue,
            tally.client_bytes_dropped_writer,
            tally.client_aggregated_context,
        ] = self.clients.totals();
        self.cells.store(tally);
    }
}
