//! A flush with fewer tags, for one sink.

use std::sync::Arc;

use greyhound_model::context::Context;
use greyhound_model::flush::{
    FlushBatch, FlushCause, HistogramPoint, HistogramSeries, Members, SetSeries, SketchSeries,
};
use greyhound_model::series::{Point, Points, Series, SeriesKind, Suffix, Unit};
use greyhound_model::sketch::Sketch;
use hashbrown::HashMap;

use super::join::{self, Joined, Rule};
use super::{GaugeRule, Policy};
use crate::route::memory::Memory;

/// A map of this process's own contexts, which clients cannot aim at: their hash is seeded.
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;
/// Number of a context within one flush.
type Number = u32;

/// Makes flushes with fewer tags; remembers what became of a context.
#[derive(Debug)]
pub(crate) struct Reducer {
    policies: Arc<[Policy]>,
    memory: Memory<Fate>,
}

/// What a policy makes of a context.
#[derive(Clone, Debug)]
struct Fate {
    /// `None` = it stays as it is.
    context: Option<Context>,
    gauges: GaugeRule,
}

/// Contexts of one flush after the policies, numbered.
#[derive(Debug, Default)]
struct Contexts {
    numbers: Map<Context, Number>,
    list: Vec<Context>,
}

/// One series on the way out.
#[derive(Debug)]
struct Outgoing {
    number: Number,
    suffix: Suffix,
    kind: SeriesKind,
    unit: Unit,
    points: Vec<(i64, Joined)>,
}

// === impl Reducer ===

impl Reducer {
    pub(crate) fn new(policies: Arc<[Policy]>) -> Self {
        Self {
            policies,
            memory: Memory::new(),
        }
    }

    /// The flush as the policies have it.
    ///
    /// Cost: a few look-ups per point, and the copy of it.
    pub(crate) fn reduce(&mut self, batch: &FlushBatch) -> FlushBatch {
        let mut contexts = Contexts::default();
        let sets = self.sets(batch, &mut contexts);
        let histograms = self.histograms(batch, &mut contexts);
        let series = self.series(batch, &mut contexts, &sets, &histograms);
        let sketches = self.sketches(batch, &mut contexts);
        let (mut events, mut service_checks) = (batch.events.clone(), batch.service_checks.clone());
        for event in &mut events {
            self.strip(b"", &mut event.tags, &mut event.host);
        }
        for check in &mut service_checks {
            self.strip(&check.name, &mut check.tags, &mut check.host);
        }
        if batch.cause != FlushCause::Timestamped {
            self.memory.end_flush();
        }
        FlushBatch {
            unix_seconds: batch.unix_seconds,
            interval_seconds: batch.interval_seconds,
            hostname: Arc::clone(&batch.hostname),
            cause: batch.cause,
            series,
            sketches,
            histograms: by_context(histograms, &contexts, |context, points| {
                let unit = points.first().map_or(Unit::None, |(_, (unit, _))| *unit);
                let points = points.into_iter().map(|(_, (_, point))| point).collect();
                HistogramSeries {
                    context,
                    unit,
                    points,
                }
            }),
            sets: by_context(sets, &contexts, |context, points| SetSeries {
                context,
                points,
            }),
            events,
            service_checks,
        }
    }

    fn series(
        &mut self,
        batch: &FlushBatch,
        contexts: &mut Contexts,
        sets: &Map<(Number, i64), Arc<Members>>,
        histograms: &Map<(Number, i64), (Unit, HistogramPoint)>,
    ) -> Vec<Series> {
        let mut outgoing: Vec<Outgoing> = Vec::with_capacity(batch.series.len());
        let mut places: Map<(Number, Suffix, SeriesKind), u32> = Map::default();
        let mut points: Map<(u32, i64), u32> = Map::default();
        for series in &batch.series {
            let (number, gauges) = self.number(&series.context, contexts);
            let key = (number, series.suffix, series.kind);
            let place = *places.entry(key).or_insert_with(|| {
                outgoing.push(Outgoing {
                    number,
                    suffix: series.suffix,
                    kind: series.kind,
                    unit: series.unit,
                    points: Vec::new(),
                });
                (outgoing.len() - 1) as u32
            });
            let rule = Rule::of(series.suffix, series.kind, gauges);
            let known = &mut outgoing[place as usize];
            for point in series.points.as_slice() {
                match points.get(&(place, point.unix_seconds)) {
                    Some(&at) => known.points[at as usize].1.add(point.value),
                    None => {
                        points.insert((place, point.unix_seconds), known.points.len() as u32);
                        let joined = Joined::new(rule, point.value);
                        known.points.push((point.unix_seconds, joined));
                    }
                }
            }
        }
        let value = |series: &Outgoing, second: i64, joined: &Joined| {
            if joined.is_alone() {
                return joined.value();
            }
            let key = (series.number, second);
            let set = sets.get(&key).map(|members| members.len() as f64);
            let summary = || histograms.get(&key);
            match (series.suffix, series.kind) {
                (Suffix::None, SeriesKind::Gauge) => set,
                (suffix, _) => summary().and_then(|(_, point)| join::of_summary(point, suffix)),
            }
            .unwrap_or_else(|| joined.value())
        };
        let made = outgoing.iter().map(|series| {
            let mut points = series.points.iter().map(|(second, joined)| Point {
                unix_seconds: *second,
                value: value(series, *second, joined),
            });
            let points = match (points.next(), series.points.len()) {
                (Some(only), 1) => Points::One(only),
                (first, _) => {
                    let mut all: Vec<Point> = first.into_iter().chain(points).collect();
                    all.sort_by_key(|point| point.unix_seconds);
                    Points::Many(all)
                }
            };
            Series {
                context: contexts.list[series.number as usize].clone(),
                suffix: series.suffix,
                kind: series.kind,
                unit: series.unit,
                points,
            }
        });
        made.collect()
    }

    fn sketches(&mut self, batch: &FlushBatch, contexts: &mut Contexts) -> Vec<SketchSeries> {
        let mut merged: Map<(Number, i64), Sketch> = Map::default();
        for series in &batch.sketches {
            let (number, _) = self.number(&series.context, contexts);
            for (second, sketch) in &series.points {
                merged
                    .entry((number, *second))
                    .and_modify(|sum| sum.merge(sketch))
                    .or_insert_with(|| sketch.clone());
            }
        }
        by_context(merged, contexts, |context, points| SketchSeries {
            context,
            points,
        })
    }

    fn histograms(
        &mut self,
        batch: &FlushBatch,
        contexts: &mut Contexts,
    ) -> Map<(Number, i64), (Unit, HistogramPoint)> {
        let mut merged: Map<(Number, i64), (Unit, HistogramPoint)> = Map::default();
        for series in &batch.histograms {
            let (number, _) = self.number(&series.context, contexts);
            for point in &series.points {
                merged
                    .entry((number, point.unix_seconds))
                    .and_modify(|(_, sum)| join::summary(sum, point))
                    .or_insert_with(|| (series.unit, point.clone()));
            }
        }
        merged
    }

    fn sets(
        &mut self,
        batch: &FlushBatch,
        contexts: &mut Contexts,
    ) -> Map<(Number, i64), Arc<Members>> {
        let mut merged: Map<(Number, i64), Arc<Members>> = Map::default();
        for series in &batch.sets {
            let (number, _) = self.number(&series.context, contexts);
            for (second, members) in &series.points {
                merged
                    .entry((number, *second))
                    .and_modify(|all| join::members(all, members))
                    .or_insert_with(|| Arc::clone(members));
            }
        }
        merged
    }

    /// Number of what a context becomes, and the rule of its gauges.
    fn number(&mut self, context: &Context, contexts: &mut Contexts) -> (Number, GaugeRule) {
        let policies = &self.policies;
        let fate = self.memory.get(context, || {
            let policy = policies.iter().find(|policy| policy.fits(context.name()));
            Fate {
                context: policy.and_then(|policy| policy.reduced(context)),
                gauges: policy.map_or_else(GaugeRule::default, |policy| policy.gauges),
            }
        });
        let becomes = fate.context.as_ref().unwrap_or(context);
        (contexts.number(becomes), fate.gauges)
    }

    fn strip(&self, name: &[u8], tags: &mut Vec<Vec<u8>>, host: &mut Vec<u8>) {
        if let Some(policy) = self.policies.iter().find(|policy| policy.fits(name)) {
            tags.retain(|tag| policy.keeps(tag));
            if !policy.keeps_host() {
                host.clear();
            }
        }
    }
}

// === impl Contexts ===

impl Contexts {
    fn number(&mut self, context: &Context) -> Number {
        if let Some(&number) = self.numbers.get(context) {
            return number;
        }
        let number = self.list.len() as Number;
        self.list.push(context.clone());
        self.numbers.insert(context.clone(), number);
        number
    }
}

/// Puts the points of a context together, in order of contexts and times.
fn by_context<T, S>(
    points: Map<(Number, i64), T>,
    contexts: &Contexts,
    make: impl Fn(Context, Vec<(i64, T)>) -> S,
) -> Vec<S> {
    let mut points: Vec<((Number, i64), T)> = points.into_iter().collect();
    points.sort_by_key(|(key, _)| *key);
    let mut made = Vec::new();
    let mut points = points.into_iter().peekable();
    while let Some(((number, second), first)) = points.next() {
        let mut list = vec![(second, first)];
        while let Some(((_, second), point)) = points.next_if(|((next, _), _)| *next == number) {
            list.push((second, point));
        }
        made.push(make(contexts.list[number as usize].clone(), list));
    }
    made
}
