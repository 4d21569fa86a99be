//! The series a receiver knows of us: what identifies them, what they stand at, when they were last sent.
//!
//! ```text
//!  context, role ──▶ by_key ──▶ entries[id]: labels ready to send, total, last time ◀── by_labels (no two alike)
//! ```
//!
//! Labels are rendered once, when a series is new, and kept as the bytes that go out: a flush copies them. That
//! is about 150 bytes a series, and the reason why a flush costs a tenth of a microsecond for each and not one.

use std::hash::BuildHasher;

use greyhound_model::context::Context;
use greyhound_model::series::{Suffix, Unit};
use greyhound_model::sketch::Sketch;
use hashbrown::HashTable;

use super::families::{Families, FamilyType};
use super::labels::{self, Renderer};
use crate::sink::Reason;

/// What of a context a series shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    /// Increments, sent as their total; `.count` of a histogram too.
    Total(Suffix),
    /// Values as they are.
    Last(Suffix),
    /// A distribution.
    Distribution,
}

/// One of ours, which may be several of the receiver's.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) context: Context,
    role: Role,
    pub(super) family: u32,
    /// Time of the last sample, in milliseconds.
    pub(super) last_ms: i64,
    /// Whether nothing was sent yet.
    pub(super) is_new: bool,
    /// Monotonic second of the last sample that was more than a zero.
    pub(super) seen: u32,
    /// Monotonic second it was last part of a flush.
    pub(super) touched: u32,
    pub(super) state: State,
}

/// What it stands at, with the labels of each of its series.
#[derive(Debug)]
pub(super) enum State {
    Total { total: f64, labels: Box<[u8]> },
    Last { labels: Box<[u8]> },
    Summary(Box<Summary>),
}

/// A distribution since it appeared.
#[derive(Debug)]
pub(super) struct Summary {
    /// One for each quantile, then sum and count; or a single one for a native histogram.
    pub(super) labels: Box<[Box<[u8]>]>,
    pub(super) sum: f64,
    pub(super) count: u64,
    /// For a native histogram: all values.
    pub(super) sketch: Option<Sketch>,
}

/// How entries are made.
#[derive(Debug)]
pub(super) struct Plan {
    /// Empty when distributions are native histograms.
    pub(super) quantiles: Vec<f64>,
    pub(super) is_native: bool,
    pub(super) series_max: u64,
    /// Names and values, sorted.
    pub(super) external_labels: Vec<(String, String)>,
    pub(super) own_host_label: bool,
}

/// Everything that was sent and has not expired.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_key: HashTable<u32>,
    /// Entry and number of the series in it.
    by_labels: HashTable<(u32, u32)>,
    pub(super) families: Families,
    hasher: foldhash::fast::RandomState,
    renderer: Renderer,
    series: u64,
    /// Texts that were not fit to be sent as they came.
    pub(super) repaired: u64,
}

// === impl State ===

impl State {
    /// Labels of each series.
    pub(super) fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let (one, many): (Option<&[u8]>, &[Box<[u8]>]) = match self {
            Self::Total { labels, .. } | Self::Last { labels } => (Some(labels), &[]),
            Self::Summary(summary) => (None, &summary.labels),
        };
        one.into_iter().chain(many.iter().map(|labels| &**labels))
    }

    fn label(&self, index: u32) -> &[u8] {
        match self {
            Self::Total { labels, .. } | Self::Last { labels } => labels,
            Self::Summary(summary) => &summary.labels[index as usize],
        }
    }
}

// === impl Table ===

impl Table {
    /// The entry of a context, made when it is new and there is room.
    pub(super) fn locate(
        &mut self,
        plan: &Plan,
        context: &Context,
        role: Role,
        unit: Unit,
        hostname: &[u8],
        now: u32,
    ) -> Result<u32, Reason> {
        let hash = self.hasher.hash_one((context, role));
        let found = self.by_key.find(hash, |&id| {
            self.entry(id)
                .is_some_and(|entry| entry.role == role && entry.context == *context)
        });
        if let Some(&id) = found {
            return Ok(id);
        }
        let own_host = plan.own_host_label.then_some(hostname);
        self.repaired += u64::from(self.renderer.start(context, own_host));
        let state = self.state(plan, context, role);
        let count = state.labels().count() as u64;
        if self.series + count > plan.series_max {
            return Err(Reason::SeriesLimit);
        }
        if state.labels().any(|labels| self.is_taken(labels)) {
            return Err(Reason::Collision);
        }
        let family = self.families.join(
            labels::family(context, role),
            match role {
                Role::Total(_) => FamilyType::Counter,
                Role::Last(_) => FamilyType::Gauge,
                Role::Distribution if plan.is_native => FamilyType::Histogram,
                Role::Distribution => FamilyType::Summary,
            },
            unit,
        );
        self.series += count;
        let entry = Entry {
            context: context.clone(),
            role,
            family,
            last_ms: i64::MIN,
            is_new: true,
            seen: now,
            touched: now,
            state,
        };
        Ok(self.insert(entry, hash))
    }

    fn state(&mut self, plan: &Plan, context: &Context, role: Role) -> State {
        let name = labels::family(context, role);
        let external = &plan.external_labels;
        let mut render = |ending: &str, quantile: Option<f64>| {
            self.renderer.render(&name, ending, quantile, external)
        };
        match role {
            Role::Total(_) => State::Total {
                total: 0.0,
                labels: render("", None),
            },
            Role::Last(_) => State::Last {
                labels: render("", None),
            },
            Role::Distribution if plan.is_native => State::Summary(Box::new(Summary {
                labels: [render("", None)].into(),
                sum: 0.0,
                count: 0,
                sketch: Some(Sketch::default()),
            })),
            Role::Distribution => {
                let quantiles = plan.quantiles.iter();
                let mut all: Vec<_> = quantiles.map(|q| render("", Some(*q))).collect();
                all.push(render("_sum", None));
                all.push(render("_count", None));
                State::Summary(Box::new(Summary {
                    labels: all.into(),
                    sum: 0.0,
                    count: 0,
                    sketch: None,
                }))
            }
        }
    }

    /// An entry; `None` when it has expired.
    pub(super) fn entry(&self, id: u32) -> Option<&Entry> {
        self.entries.get(id as usize)?.as_ref()
    }

    /// Takes an entry out, its labels free for another.
    pub(super) fn remove(&mut self, id: u32) -> Option<Entry> {
        let entry = self.entries.get_mut(id as usize)?.take()?;
        let hash = self.hasher.hash_one((&entry.context, entry.role));
        if let Ok(place) = self.by_key.find_entry(hash, |&other| other == id) {
            place.remove();
        }
        for (index, labels) in entry.state.labels().enumerate() {
            let spot = (id, index as u32);
            let hash = self.hasher.hash_one(labels);
            if let Ok(place) = self.by_labels.find_entry(hash, |&other| other == spot) {
                place.remove();
            }
            self.series -= 1;
        }
        self.families.leave(entry.family);
        self.free.push(id);
        Some(entry)
    }

    fn is_taken(&self, labels: &[u8]) -> bool {
        let hash = self.hasher.hash_one(labels);
        let twin = self.by_labels.find(hash, |&(id, index)| {
            self.entry(id)
                .is_some_and(|entry| entry.state.label(index) == labels)
        });
        twin.is_some()
    }

    fn insert(&mut self, entry: Entry, hash: u64) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            (self.entries.len() - 1) as u32
        });
        let count = entry.state.labels().count() as u32;
        self.entries[id as usize] = Some(entry);
        let Self {
            entries,
            by_key,
            by_labels,
            hasher,
            ..
        } = self;
        let at = |id: u32| entries.get(id as usize).and_then(Option::as_ref);
        by_key.insert_unique(hash, id, |&id| {
            at(id).map_or(0, |entry| hasher.hash_one((&entry.context, entry.role)))
        });
        let hash_of = |&(id, index): &(u32, u32)| {
            at(id).map_or(0, |entry| hasher.hash_one(entry.state.label(index)))
        };
        for index in 0..count {
            let spot = (id, index);
            by_labels.insert_unique(hash_of(&spot), spot, hash_of);
        }
        id
    }
}
