//! From merged cells to series and sketches.

use std::collections::HashMap;
use std::sync::Arc;

use greyhound_model::context::Context;
use greyhound_model::flush::{FlushBatch, HistogramSeries, Members, SetSeries, SketchSeries};
use greyhound_model::series::{Point, Points, Series, SeriesKind, Suffix, Unit};

use super::contexts::Contexts;
use super::histogram;
use super::merge::Merged;
use crate::aggregate::cell::{Cell, HistogramCell, Shape};
use crate::rules::Rules;

/// Builds the series of one flush, bucket after bucket.
#[derive(Debug)]
pub(super) struct Emitter<'a> {
    rules: &'a Rules,
    summaries: bool,
    /// Several buckets: points of one context meet in one series.
    several: bool,
    series: HashMap<(u32, Suffix, SeriesKind), usize>,
    sketches: HashMap<u32, usize>,
    histograms: HashMap<u32, usize>,
    sets: HashMap<u32, usize>,
    name: Vec<u8>,
    pub(super) not_finite: u64,
    pub(super) filtered: u64,
}

/// One value on its way into a series.
struct Value {
    number: u32,
    suffix: Suffix,
    kind: SeriesKind,
    unit: Unit,
    point: Point,
}

// === impl Emitter ===

impl<'a> Emitter<'a> {
    pub(super) fn new(rules: &'a Rules, summaries: bool, several: bool) -> Self {
        Self {
            rules,
            summaries,
            several,
            series: HashMap::new(),
            sketches: HashMap::new(),
            histograms: HashMap::new(),
            sets: HashMap::new(),
            name: Vec::new(),
            not_finite: 0,
            filtered: 0,
        }
    }

    /// Adds the points of one bucket.
    pub(super) fn bucket(
        &mut self,
        start: i64,
        mut merged: Merged,
        contexts: &Contexts,
        batch: &mut FlushBatch,
    ) {
        if !self.several {
            batch.series.reserve_exact(self.series_of(&merged));
            batch.sketches.reserve_exact(merged.sketches.len());
        }
        for cell in merged.cells.iter().filter(|cell| cell.has_value) {
            let Some(context) = contexts.context(cell.context) else {
                continue;
            };
            let value = match cell.shape {
                Shape::Gauge | Shape::Counter => cell.value,
                Shape::Set => {
                    let members = std::mem::take(&mut merged.sets[cell.place()].members);
                    let count = members.len() as f64;
                    let point = (start, Arc::new(members));
                    self.set(cell.context, context, point, &mut batch.sets);
                    count
                }
                Shape::Histogram => {
                    let histogram = &merged.histograms[cell.place()];
                    self.histogram(cell, histogram, start, context, batch);
                    continue;
                }
            };
            let kind = match cell.shape {
                Shape::Counter => SeriesKind::Rate,
                Shape::Gauge | Shape::Set | Shape::Histogram => SeriesKind::Gauge,
            };
            let point = Point {
                unix_seconds: start,
                value,
            };
            let (number, suffix, unit) = (cell.context, Suffix::None, Unit::None);
            self.push(
                Value {
                    number,
                    suffix,
                    kind,
                    unit,
                    point,
                },
                context,
                &mut batch.series,
            );
        }
        for cell in merged.sketches {
            let (number, sketch) = (cell.context, cell.sketch);
            let Some(context) = contexts.context(number) else {
                continue;
            };
            if sketch.is_empty() {
                continue;
            }
            if self.several {
                if let Some(&at) = self.sketches.get(&number) {
                    batch.sketches[at].points.push((start, sketch));
                    continue;
                }
                self.sketches.insert(number, batch.sketches.len());
            }
            let points = vec![(start, sketch)];
            batch.sketches.push(SketchSeries {
                context: context.clone(),
                points,
            });
        }
    }

    fn histogram(
        &mut self,
        cell: &Cell,
        histogram: &HistogramCell,
        start: i64,
        context: &Context,
        batch: &mut FlushBatch,
    ) {
        let unit = if histogram.is_timing {
            Unit::Millisecond
        } else {
            Unit::None
        };
        let rules = self.rules;
        let sorted = histogram.sorted();
        histogram::aggregates(
            histogram,
            &sorted,
            &rules.histogram,
            |suffix, kind, value| {
                if rules.filter.has_flush_entries() && self.is_filtered(context, suffix) {
                    self.filtered += 1;
                    return;
                }
                let point = Point {
                    unix_seconds: start,
                    value,
                };
                let number = cell.context;
                self.push(
                    Value {
                        number,
                        suffix,
                        kind,
                        unit,
                        point,
                    },
                    context,
                    &mut batch.series,
                );
            },
        );
        if self.summaries {
            let point = histogram::summary(histogram, &sorted, start);
            if self.several {
                if let Some(&at) = self.histograms.get(&cell.context) {
                    batch.histograms[at].points.push(point);
                    return;
                }
                self.histograms.insert(cell.context, batch.histograms.len());
            }
            let (context, points) = (context.clone(), vec![point]);
            batch.histograms.push(HistogramSeries {
                context,
                unit,
                points,
            });
        }
    }

    /// Members are handed on, not copied.
    fn set(
        &mut self,
        number: u32,
        context: &Context,
        point: (i64, Arc<Members>),
        sets: &mut Vec<SetSeries>,
    ) {
        if self.several {
            if let Some(&at) = self.sets.get(&number) {
                sets[at].points.push(point);
                return;
            }
            self.sets.insert(number, sets.len());
        }
        sets.push(SetSeries {
            context: context.clone(),
            points: vec![point],
        });
    }

    /// How many series the cells make at most.
    fn series_of(&self, merged: &Merged) -> usize {
        let rules = &self.rules.histogram;
        let of_histogram = rules.aggregates.len() + rules.percentiles.len();
        let histograms = merged.histograms.len();
        // Every histogram has a cell.
        (merged.cells.len() - histograms) + histograms * of_histogram
    }

    fn is_filtered(&mut self, context: &Context, suffix: Suffix) -> bool {
        self.name.clear();
        self.name.extend_from_slice(context.name());
        suffix.append_to(&mut self.name);
        self.rules.filter.flush_refuses(&self.name)
    }

    fn push(&mut self, value: Value, context: &Context, series: &mut Vec<Series>) {
        if !value.point.value.is_finite() {
            self.not_finite += 1;
            return;
        }
        if self.several {
            let key = (value.number, value.suffix, value.kind);
            if let Some(&at) = self.series.get(&key) {
                series[at].points.push(value.point);
                return;
            }
            self.series.insert(key, series.len());
        }
        series.push(Series {
            context: context.clone(),
            suffix: value.suffix,
            kind: value.kind,
            unit: value.unit,
            points: Points::One(value.point),
        });
    }
}
