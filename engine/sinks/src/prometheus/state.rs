//! What a scrape reads: every live series, once, by context and by exposed identity.
//!
//! ```text
//!  by_context  ──┐                          by_name (sorted) ──▶ Family ── members, sorted ──┐
//!  by_identity ──┴──▶ entries[id]: context, family, times, value ◀───────────────────────────┘
//! ```
//!
//! No text is kept per series: names and labels are rendered from the shared context when a page is
//! written, and once more when a series is new, to see whether its place is taken. A plain series
//! costs 48 bytes in `entries`, 4 and some slack in each of the two indexes and in its family.

use std::collections::BTreeMap;
use std::sync::Arc;

use greyhound_model::context::Context;
use greyhound_model::flush::FlushBatch;
use greyhound_model::series::Point;
use greyhound_model::time::Stamp;
use hashbrown::HashTable;

use super::names::{FamilyKind, Labels};
use super::plan::Plan;
use super::summary::{Observation, Summary, SummaryKind};
use crate::sink::Reason;

mod claim;
mod forget;
mod view;

pub(super) use view::FamilyView;

/// Everything behind the lock.
#[derive(Debug, Default)]
pub(super) struct State {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    by_context: HashTable<u32>,
    by_identity: HashTable<u32>,
    families: Vec<Family>,
    free_families: Vec<u32>,
    by_name: BTreeMap<Arc<str>, u32>,
    hasher: foldhash::fast::RandomState,
    /// Series as Prometheus counts them.
    lines: u64,
    /// From the first batch; a host name does not change while the process runs.
    hostname: Option<Arc<[u8]>>,
    /// Seconds between two flushes, from the last batch.
    interval_seconds: u32,
    swept_at: Option<u32>,
    scratch: Scratch,
    pub(super) counts: Counts,
}

/// Running totals for telemetry.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    pub(super) family_collisions: u64,
    pub(super) series_collisions: u64,
    pub(super) limit_refusals: u64,
    pub(super) expired: u64,
    pub(super) repaired: u64,
    pub(super) negative_increments: u64,
}

/// One reading of both clocks, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// Monotonic: expiry and windows do not care about a jump of the wall clock.
    pub(super) seconds: u32,
    /// Wall clock.
    pub(super) unix_seconds: i64,
}

/// One series.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) context: Context,
    pub(super) data: Data,
    /// Upper half of the hash of its labels; see [`spread`].
    identity: u32,
    family: u32,
    /// When its last sample came; an increment of zero is none.
    seen: u32,
    /// When it was last part of a flush.
    touched: u32,
}

/// What a series stands at.
#[derive(Debug)]
pub(super) enum Data {
    Counter { total: f64, created: Second },
    Gauge { value: f64, unix_seconds: Second },
    Summary(Box<Summary>),
}

/// A second of the wall clock from 1970 to 2106, and the nearest one to others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Second(u32);

/// All series of one exposed name.
#[derive(Debug)]
pub(super) struct Family {
    name: Arc<str>,
    pub(super) kind: FamilyKind,
    /// A counter that went down: it calls itself a gauge.
    pub(super) falls: bool,
    sorted: bool,
    members: Vec<u32>,
}

#[derive(Debug, Default)]
struct Scratch {
    name: String,
    probe: String,
    labels: Labels,
    other_labels: Labels,
}

// Keep the promise of the module's text.
const _: () = assert!(size_of::<Option<Entry>>() <= 48);

// === impl Now ===

impl From<Stamp> for Now {
    fn from(stamp: Stamp) -> Self {
        let seconds = stamp.monotonic_nanos / 1_000_000_000;
        Self {
            seconds: u32::try_from(seconds).unwrap_or(u32::MAX),
            unix_seconds: stamp.unix_seconds(),
        }
    }
}

// === impl Second ===

impl Second {
    pub(super) fn of(unix_seconds: i64) -> Self {
        Self(u32::try_from(unix_seconds.max(0)).unwrap_or(u32::MAX))
    }

    pub(super) fn unix_seconds(self) -> i64 {
        self.0.into()
    }
}

// === impl State ===

impl State {
    /// Takes note of what a batch says about itself.
    pub(super) fn begin(&mut self, batch: &FlushBatch, now: Now) {
        if self.hostname.is_none() {
            self.hostname = Some(Arc::clone(&batch.hostname));
        }
        self.interval_seconds = batch.interval_seconds;
        self.swept_at.get_or_insert(now.seconds);
    }

    /// Adds to a counter.
    pub(super) fn increment(
        &mut self,
        plan: &Plan,
        context: &Context,
        points: &[Point],
        now: Now,
    ) -> Result<(), Reason> {
        let id = self.locate(plan, context, FamilyKind::Counter, now, || Data::Counter {
            total: 0.0,
            created: Second::of(first_second(points, now)),
        })?;
        let entry = self.entries[id as usize].as_mut().ok_or(Reason::Panic)?;
        let Data::Counter { total, .. } = &mut entry.data else {
            return self.refuse_series();
        };
        let (mut negative, mut seen) = (0, entry.seen);
        for point in points {
            *total += point.value;
            negative += u64::from(point.value < 0.0);
            if point.value != 0.0 {
                seen = now.seconds;
            }
        }
        entry.seen = seen;
        entry.touched = now.seconds;
        if negative > 0 {
            self.counts.negative_increments += negative;
            let family = entry.family;
            self.families[family as usize].falls = true;
        }
        Ok(())
    }

    /// Sets a gauge, to the last value by time.
    pub(super) fn set(
        &mut self,
        plan: &Plan,
        context: &Context,
        points: &[Point],
        now: Now,
    ) -> Result<(), Reason> {
        let id = self.locate(plan, context, FamilyKind::Gauge, now, || Data::Gauge {
            value: f64::NAN,
            unix_seconds: Second::default(),
        })?;
        let entry = self.entries[id as usize].as_mut().ok_or(Reason::Panic)?;
        let Data::Gauge {
            value,
            unix_seconds,
        } = &mut entry.data
        else {
            return self.refuse_series();
        };
        for point in points {
            // A sample from the future must not keep later ones out until then.
            let second = Second::of(point.unix_seconds.min(now.unix_seconds));
            if second >= *unix_seconds {
                (*value, *unix_seconds) = (point.value, second);
            }
        }
        (entry.seen, entry.touched) = (now.seconds, now.seconds);
        Ok(())
    }

    /// Adds to a summary or classic histogram.
    pub(super) fn observe<'a>(
        &mut self,
        plan: &Plan,
        context: &Context,
        kind: SummaryKind,
        observations: impl Iterator<Item = Observation<'a>> + Clone,
        now: Now,
    ) -> Result<(), Reason> {
        let family = if plan.buckets.is_empty() {
            FamilyKind::Summary
        } else {
            FamilyKind::Histogram
        };
        let id = self.locate(plan, context, family, now, || {
            let first = observations.clone().next();
            let created = first.map_or(now.unix_seconds, |first| first.unix_seconds);
            Data::Summary(Box::new(Summary::new(plan, kind, created)))
        })?;
        let entry = self.entries[id as usize].as_mut().ok_or(Reason::Panic)?;
        let Data::Summary(summary) = &mut entry.data else {
            return self.refuse_series();
        };
        if !summary.kind.same_source(kind) {
            return self.refuse_series();
        }
        summary.kind = kind;
        for observation in observations {
            summary.observe(plan, observation, now.seconds);
        }
        (entry.seen, entry.touched) = (now.seconds, now.seconds);
        Ok(())
    }

    /// A context that was one kind and now is another: the first stays until it expires.
    fn refuse_series(&mut self) -> Result<(), Reason> {
        self.counts.family_collisions += 1;
        Err(Reason::Collision)
    }
}

/// The hash an identity stands for in the index, which looks at the uppermost and the lowest bits.
fn spread(identity: u32) -> u64 {
    u64::from(identity).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn entry_at(entries: &[Option<Entry>], id: u32) -> Option<&Entry> {
    entries.get(id as usize)?.as_ref()
}

fn first_second(points: &[Point], now: Now) -> i64 {
    points
        .first()
        .map_or(now.unix_seconds, |point| point.unix_seconds)
}
