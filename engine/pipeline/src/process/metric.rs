//! A metric message: to its cell when its spelling is known, else through admission first.

use greyhound_model::metric::MetricKind;
use greyhound_wire::{Metric, Values};

use super::{Processor, Timestamped};
use crate::aggregate::cell::Shape;
use crate::aggregate::weight::Weight;
use crate::config::LimitsConfig;
use crate::context::limiter::{Limit, Limiter};
use crate::context::table::{FILTERED, NONE, RawKey};
use crate::ledger::Tally;

/// Bytes charged for a set member beside its text.
const MEMBER_BYTES: u64 = 32;
/// Bytes charged for a histogram value.
const VALUE_BYTES: u64 = 8;

impl Processor {
    /// Counts and applies one metric message.
    #[inline]
    pub(super) fn metric<const COUNTS: bool>(
        &mut self,
        metric: &Metric<'_>,
        sender: u32,
        tally: &mut Tally,
    ) {
        let key = raw_key(metric, sender);
        let hash = self.contexts.hash(&key);
        self.hashed_metric::<COUNTS>(metric, &key, hash, None, tally);
    }

    /// The same when the hash is known. `guess` is the entry that may be its spelling.
    #[inline]
    pub(super) fn hashed_metric<const COUNTS: bool>(
        &mut self,
        metric: &Metric<'_>,
        key: &RawKey<'_>,
        hash: u64,
        guess: Option<u32>,
        tally: &mut Tally,
    ) {
        let samples = metric.values.len() as u64;
        tally.metrics += 1;
        tally.samples += samples;
        let found = guess
            .filter(|&entry| self.contexts.is_spelling(entry, key))
            .or_else(|| self.contexts.find(hash, key));
        let spelling = match found {
            Some(spelling) => {
                if self.is_scalar_added(spelling, metric) {
                    tally.samples_aggregated += 1;
                    if COUNTS {
                        let context = self.contexts.spelling(spelling).context;
                        self.counts.add(context, 1, self.arrival.second);
                    }
                    return;
                }
                spelling
            }
            None => match self.admit(hash, key, metric) {
                Ok(spelling) => spelling,
                Err(limit) => return self.refuse_metric(limit, metric, samples, tally),
            },
        };
        let context = self.contexts.spelling(spelling).context;
        if COUNTS && context != FILTERED {
            self.counts.add(context, samples, self.arrival.second);
        }
        if context == FILTERED {
            tally.filtered_messages += 1;
            tally.filtered += samples;
        } else if let Some(unix_seconds) = metric.timestamp {
            self.timestamped(metric, context, unix_seconds, tally);
        } else if metric.kind == MetricKind::Distribution {
            self.distribution(metric, spelling, context, tally);
        } else {
            self.cell(metric, spelling, context, tally);
        }
    }

    /// Four messages in five: one value of a gauge or an unsampled counter whose cell is open. What
    /// is not so plain goes the long way. Put in place by order: there are two of each caller.
    #[inline(always)]
    fn is_scalar_added(&mut self, spelling: u32, metric: &Metric<'_>) -> bool {
        let Values::One(value) = metric.values else {
            return false;
        };
        if metric.timestamp.is_some() {
            return false;
        }
        let spelling = self.contexts.spelling(spelling);
        let Some(cell) = self
            .buckets
            .current()
            .cell_of(spelling.cell, spelling.context)
        else {
            return false;
        };
        cell.is_scalar_added(metric.kind, value, metric.sample_rate, self.arrival)
    }

    /// Gauges, counters, sets, histograms and timings.
    #[inline]
    fn cell(&mut self, metric: &Metric<'_>, spelling: u32, context: u32, tally: &mut Tally) {
        let place = self.place(spelling, context, metric.kind);
        let weight = Weight::of_rate(metric.sample_rate);
        tally.rate_clamped += u64::from(weight.clamped);
        let bucket = self.buckets.current();
        if bucket.cells[place as usize].shape != Shape::of(metric.kind) {
            tally.type_clashes += metric.values.len() as u64;
        }
        match &metric.values {
            Values::Set(member) => self.member(place, member, weight, metric.name, tally),
            values => {
                for value in values.iter() {
                    self.number(place, value, weight, metric.name, tally);
                }
            }
        }
        self.copy(metric, context, None);
    }

    /// The context's cell in the open bucket.
    #[inline]
    fn place(&mut self, spelling: u32, context: u32, kind: MetricKind) -> u32 {
        let place = self.contexts.spelling(spelling).cell;
        if self.buckets.current().is_cell_of(place, context) {
            return place;
        }
        self.open_place(spelling, context, kind)
    }

    /// Once per context, spelling and bucket.
    #[cold]
    fn open_place(&mut self, spelling: u32, context: u32, kind: MetricKind) -> u32 {
        let bucket = self.buckets.current();
        let end = bucket.start.saturating_add(self.width.seconds());
        let slot = self.contexts.slot(context);
        if !bucket.is_cell_of(slot.cell, context) {
            slot.cell = bucket.add_cell(context, kind);
            slot.last_seen = u32::try_from(end)
                .unwrap_or(u32::MAX)
                .max(self.arrival.second);
            slot.is_counter = kind == MetricKind::Counter;
        }
        let place = slot.cell;
        self.contexts.spelling(spelling).cell = place;
        place
    }

    /// One number into a cell of any shape.
    #[inline]
    fn number(&mut self, place: u32, value: f64, weight: Weight, name: &[u8], tally: &mut Tally) {
        let bucket = self.buckets.current();
        if !value.is_finite() {
            // The context is known from now on all the same.
            bucket.cells[place as usize].last_seen = self.arrival.second;
            tally.not_finite += 1;
            return;
        }
        if bucket.cells[place as usize].shape == Shape::Histogram {
            let limits = &self.rules.limits;
            let limit = limits.histogram_values as usize;
            if limit != 0 && bucket.histogram_len(place) >= limit {
                tally.value_limit += 1;
                return self.note_refusal(Limit::HistogramValues, 1, name);
            }
            if !self.limiter.take(limits, VALUE_BYTES) {
                tally.memory_limit += 1;
                return self.note_refusal(Limit::Memory, 1, name);
            }
            bucket.charged_bytes += VALUE_BYTES;
        }
        bucket.apply_number(place, value, weight, self.arrival);
        tally.samples_aggregated += 1;
    }

    /// One member, or its value 0 where the bucket holds another shape.
    fn member(
        &mut self,
        place: u32,
        member: &[u8],
        weight: Weight,
        name: &[u8],
        tally: &mut Tally,
    ) {
        let bucket = self.buckets.current();
        let second = self.arrival.second;
        let Some(set) = bucket.set(place) else {
            return self.number(place, 0.0, weight, name, tally);
        };
        if !set.members.contains(member) {
            let limits = &self.rules.limits;
            let limit = limits.set_members as usize;
            if limit != 0 && set.members.len() >= limit {
                tally.member_limit += 1;
                return self.note_refusal(Limit::SetMembers, 1, name);
            }
            let bytes = member.len() as u64 + MEMBER_BYTES;
            if !self.limiter.take(limits, bytes) {
                tally.memory_limit += 1;
                return self.note_refusal(Limit::Memory, 1, name);
            }
            set.members.insert(member.into());
            bucket.charged_bytes += bytes;
        }
        let cell = &mut bucket.cells[place as usize];
        cell.has_value = true;
        cell.last_seen = second;
        tally.samples_aggregated += 1;
    }

    fn distribution(
        &mut self,
        metric: &Metric<'_>,
        spelling: u32,
        context: u32,
        tally: &mut Tally,
    ) {
        let place = self.contexts.spelling(spelling).cell;
        let place = if self.buckets.current().is_sketch_of(place, context) {
            place
        } else {
            let place = self.open_sketch(context);
            self.contexts.spelling(spelling).cell = place;
            place
        };
        let bucket = self.buckets.current();
        let cell = &mut bucket.sketches[place as usize];
        cell.last_seen = self.arrival.second;
        if !has_sketch_room(&mut self.limiter, &self.rules.limits) {
            return self.refuse_distribution(metric, tally);
        }
        let held = cell.sketch.heap_bytes();
        let mut inserted = 0;
        for value in metric.values.iter() {
            if value.is_finite() {
                cell.sketch.insert(value, metric.sample_rate);
                inserted += 1;
            } else {
                tally.not_finite += 1;
            }
        }
        let grown = cell.sketch.heap_bytes().saturating_sub(held);
        bucket.charged_bytes += self.limiter.charge(grown as u64);
        tally.samples_aggregated += inserted;
    }

    /// No memory is left for what a sketch may need.
    #[cold]
    fn refuse_distribution(&mut self, metric: &Metric<'_>, tally: &mut Tally) {
        for value in metric.values.iter() {
            if value.is_finite() {
                tally.memory_limit += 1;
                self.note_refusal(Limit::Memory, 1, metric.name);
            } else {
                tally.not_finite += 1;
            }
        }
    }

    #[cold]
    fn open_sketch(&mut self, context: u32) -> u32 {
        let bucket = self.buckets.current();
        let end = bucket.start.saturating_add(self.width.seconds());
        let slot = self.contexts.slot(context);
        if !bucket.is_sketch_of(slot.sketch, context) {
            let is_first = !bucket.is_cell_of(slot.cell, context);
            slot.sketch = bucket.add_sketch(context, is_first);
            slot.last_seen = u32::try_from(end)
                .unwrap_or(u32::MAX)
                .max(self.arrival.second);
        }
        slot.sketch
    }

    /// A histogram sample once more, as a distribution, when the settings ask for it. Copies are
    /// not samples of their own to the ledger.
    #[inline]
    fn copy(&mut self, metric: &Metric<'_>, context: u32, bucket_start: Option<i64>) {
        if self.rules.histogram.copy_prefix.is_some()
            && matches!(metric.kind, MetricKind::Histogram | MetricKind::Timing)
        {
            self.copy_values(metric, context, bucket_start);
        }
    }

    fn copy_values(&mut self, metric: &Metric<'_>, context: u32, bucket_start: Option<i64>) {
        let copy = match self.contexts.slot(context).copy {
            NONE => self.admit_copy(context),
            copy => copy,
        };
        if copy == NONE {
            return;
        }
        let place = match bucket_start {
            None => self.open_sketch(copy),
            Some(start) => self.buckets.at(start).sketch_by_client_time(copy),
        };
        let bucket = match bucket_start {
            None => self.buckets.current(),
            Some(start) => self.buckets.at(start),
        };
        let cell = &mut bucket.sketches[place as usize];
        cell.last_seen = self.arrival.second;
        if !has_sketch_room(&mut self.limiter, &self.rules.limits) {
            return self.note_refusal(Limit::Memory, 1, metric.name);
        }
        let held = cell.sketch.heap_bytes();
        for value in metric.values.iter().filter(|value| value.is_finite()) {
            cell.sketch.insert(value, metric.sample_rate);
        }
        let grown = cell.sketch.heap_bytes().saturating_sub(held);
        bucket.charged_bytes += self.limiter.charge(grown as u64);
    }

    /// Past the buckets: gauges and counters only, whatever their sample rate.
    fn timestamped(
        &mut self,
        metric: &Metric<'_>,
        context: u32,
        unix_seconds: i64,
        tally: &mut Tally,
    ) {
        self.contexts.slot(context).last_seen = self.arrival.second;
        if !matches!(metric.kind, MetricKind::Gauge | MetricKind::Counter) {
            tally.timestamped_unsupported += metric.values.len() as u64;
            // The copy is aggregated in the bucket of the client's time.
            return self.copy(metric, context, Some(self.width.containing(unix_seconds).0));
        }
        let Some(context) = self.contexts.context(context).cloned() else {
            return;
        };
        for value in metric.values.iter() {
            if !value.is_finite() {
                tally.not_finite += 1;
                continue;
            }
            self.timestamped.push(Timestamped {
                context: context.clone(),
                kind: metric.kind,
                unix_seconds,
                value,
            });
            tally.samples_timestamped += 1;
        }
    }
}

/// What decides the context of a message.
#[inline]
pub(super) fn raw_key<'a>(metric: &'a Metric<'a>, sender: u32) -> RawKey<'a> {
    RawKey {
        kind: metric.kind,
        origin: sender,
        name: metric.name,
        tags: metric.tags.raw().unwrap_or_default(),
        fields: &metric.origin,
    }
}

/// Whether a sketch may grow. What it grows by is known afterwards only, and charged then: the limit
/// can be passed by that much, by one message of each lane.
#[inline]
fn has_sketch_room(limiter: &mut Limiter, limits: &LimitsConfig) -> bool {
    let has_room = limiter.take(limits, 1);
    if has_room {
        limiter.give(1);
    }
    has_room
}
