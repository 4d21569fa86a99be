//! Writes a page out of the state, one chunk per hold of the lock.
//!
//! Between two chunks a flush may come in: each series is shown as it stood when its chunk was
//! written, and none is shown twice, because families and series come in a fixed order (names, then
//! contexts) and a chunk begins behind the last series of the one before.

use std::sync::Arc;

use greyhound_model::context::Context;
use greyhound_model::series::Unit;
use greyhound_telemetry::text::{FamilyType, Format, Syntax, Writer};

use super::Shared;
use super::names::{FamilyKind, Labels};
use super::plan::Plan;
use super::state::{Data, Entry, FamilyView, Now, State};
use super::summary::{Summary, SummaryKind};
use crate::escape;

/// Series per chunk: about 64 KiB of plain ones.
const SERIES_PER_CHUNK: usize = 512;

/// A page being written.
#[derive(Debug)]
pub struct Scrape {
    shared: Arc<Shared>,
    format: Format,
    now: Now,
    place: Place,
    pen: Pen,
}

/// How far a page has got.
#[derive(Debug)]
enum Place {
    Start,
    /// Behind this series of this family.
    Behind {
        family: Arc<str>,
        kind: FamilyKind,
        context: Context,
    },
    End,
}

/// Memory kept from series to series.
#[derive(Debug, Default)]
struct Pen {
    labels: Labels,
    own_host: Option<Arc<[u8]>>,
    quantiles: Vec<f64>,
    /// The texts of the `quantile` or `le` labels, in order.
    numbers: Vec<Vec<u8>>,
}

// === impl Scrape ===

impl Scrape {
    pub(super) fn new(shared: Arc<Shared>, format: Format, now: Now) -> Self {
        let mut pen = Pen::default();
        let plan = &shared.plan;
        let bounds = plan.buckets.iter().map(|bucket| bucket.bound);
        let numbers: Vec<f64> = if plan.buckets.is_empty() {
            plan.quantiles.clone()
        } else {
            bounds.chain([f64::INFINITY]).collect()
        };
        for number in numbers {
            let mut text = Vec::new();
            format.write_label_number(number, &mut text);
            pen.numbers.push(text);
        }
        Self {
            shared,
            format,
            now,
            place: Place::Start,
            pen,
        }
    }

    /// Appends the next piece of the page. Returns false when there was none left.
    ///
    /// Holds the state's lock for one chunk: well below a millisecond of plain series, a few
    /// milliseconds of summaries.
    pub fn next_chunk(&mut self, out: &mut Vec<u8>) -> bool {
        if matches!(self.place, Place::End) {
            return false;
        }
        let Self {
            shared,
            format,
            now,
            place,
            pen,
        } = self;
        let mut state = shared.lock();
        pen.own_host = state.own_host(&shared.plan);
        let mut writer = Writer::new(out, *format);
        let mut room = SERIES_PER_CHUNK;
        while room > 0 {
            let Some((view, last)) = next_family(&mut state, place) else {
                writer.finish();
                *place = Place::End;
                return true;
            };
            let mut last_written = None;
            for entry in view.entries_after(last.as_ref()).take(room) {
                if last.is_none() && last_written.is_none() {
                    pen.write_head(&mut writer, &shared.plan, &view, entry);
                }
                pen.write_series(&mut writer, &shared.plan, &view, entry, *now);
                room -= 1;
                last_written = Some(&entry.context);
            }
            let context = last_written.or(last.as_ref()).cloned();
            let Some(context) = context else {
                // A family without series is removed with its last one, so this is not reached;
                // ending the page is better than never ending it.
                debug_assert!(false, "family without series");
                *place = Place::End;
                writer.finish();
                return true;
            };
            *place = Place::Behind {
                family: Arc::clone(view.name),
                kind: view.kind,
                context,
            };
        }
        true
    }
}

/// The family to go on with, and the series of it to start behind.
fn next_family<'a>(
    state: &'a mut State,
    place: &Place,
) -> Option<(FamilyView<'a>, Option<Context>)> {
    let (name, last) = match place {
        Place::Start => return Some((state.family_after(None)?, None)),
        Place::End => return None,
        Place::Behind {
            family,
            kind,
            context,
        } => {
            // The family may have expired and come back as something else in between: then its
            // head is written already and wrong, so the rest is left for the next page.
            let same = state.family(family).filter(|view| view.kind == *kind);
            let more = same.is_some_and(|view| view.entries_after(Some(context)).next().is_some());
            (family, more.then(|| context.clone()))
        }
    };
    match last {
        Some(last) => Some((state.family(name)?, Some(last))),
        None => Some((state.family_after(Some(name))?, None)),
    }
}

// === impl Pen ===

impl Pen {
    fn write_head(
        &self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        view: &FamilyView<'_>,
        first: &Entry,
    ) {
        let mut help = String::from("DogStatsD ");
        help.push_str(match &first.data {
            Data::Counter { .. } => "counter ",
            Data::Gauge { .. } => "gauge ",
            Data::Summary(summary) => match summary.kind {
                SummaryKind::Histogram(_) => "histogram ",
                SummaryKind::Distribution => "distribution ",
            },
        });
        escape::push_shown(first.context.name(), &mut help);
        if let Data::Summary(summary) = &first.data {
            if summary.kind == SummaryKind::Histogram(Unit::Millisecond) {
                help.push_str(" in milliseconds");
            }
            if view.kind == FamilyKind::Summary {
                help.push_str(", quantiles over the last ");
                help.push_str(itoa::Buffer::new().format(plan.window.seconds));
                help.push_str(" s");
            }
        }
        if view.falls {
            help.push_str(", a gauge because it was decremented");
        }
        help.push('.');
        let mut name = String::from(&**view.name);
        let family_type = match view.kind {
            FamilyKind::Counter => {
                name.push_str("_total");
                if view.falls {
                    FamilyType::Gauge
                } else {
                    FamilyType::Counter
                }
            }
            FamilyKind::Gauge => FamilyType::Gauge,
            FamilyKind::Summary => FamilyType::Summary,
            FamilyKind::Histogram => FamilyType::Histogram,
        };
        writer.family(&name, family_type, &help, "");
    }

    fn write_series(
        &mut self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        view: &FamilyView<'_>,
        entry: &Entry,
        now: Now,
    ) {
        let name = view.name;
        self.labels.render(&entry.context, self.own_host.as_deref());
        let created = match &entry.data {
            Data::Gauge { value, .. } => {
                writer.sample(name, "", self.labels.iter(), *value);
                None
            }
            Data::Counter { total, created } => {
                writer.sample(name, "_total", self.labels.iter(), *total);
                Some(created.unix_seconds())
            }
            Data::Summary(summary) => {
                if plan.buckets.is_empty() {
                    self.write_quantiles(writer, plan, name, summary, now);
                } else {
                    self.write_buckets(writer, plan, name, summary);
                }
                writer.sample(name, "_sum", self.labels.iter(), summary.sum);
                writer.sample(name, "_count", self.labels.iter(), summary.count as f64);
                Some(summary.created)
            }
        };
        // Only OpenMetrics knows these lines, and it does not know them on a gauge.
        if plan.created_lines
            && writer.format().syntax == Syntax::OpenMetrics
            && !view.falls
            && let Some(created) = created
        {
            writer.sample(name, "_created", self.labels.iter(), created as f64);
        }
    }

    fn write_quantiles(
        &mut self,
        writer: &mut Writer<'_>,
        plan: &Plan,
        name: &str,
        summary: &Summary,
        now: Now,
    ) {
        summary.quantiles(plan, now.seconds, &mut self.quantiles);
        for (text, &value) in self.numbers.iter().zip(&self.quantiles) {
            writer.sample(name, "", with(&self.labels, "quantile", text), value);
        }
    }

    fn write_buckets(&self, writer: &mut Writer<'_>, plan: &Plan, name: &str, summary: &Summary) {
        let counts = summary.buckets(plan).map(|(_, count)| count);
        for (text, count) in self.numbers.iter().zip(counts.chain([summary.count])) {
            let labels = with(&self.labels, "le", text);
            writer.sample(name, "_bucket", labels, count as f64);
        }
    }
}

/// The labels and one more at the end.
fn with<'a>(
    labels: &'a Labels,
    name: &'a str,
    value: &'a [u8],
) -> impl Iterator<Item = (&'a str, &'a [u8])> {
    labels
        .iter()
        .map(|(name, value)| (name, value.as_bytes()))
        .chain([(name, value)])
}
