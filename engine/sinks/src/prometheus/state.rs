//! What a scrape reads: every live series, once, by context and by exposed identity.
//!
//! ```text
//!  by_context  ──┐                          by_name (sorted) ──▶ Family ── members, sorted ──┐
//!  by_identity ──┴──▶ entries[id]: context, family, times, value ◀───────────────────────────┘
//! ```
//!
//! No text is kept per series: names and labels are rendered from the shared context when a page is
//! written, and once more when a series is new, to see whether its place is taken. A plain series
//! costs 64 bytes in `entries`, about 10 in each of the two indexes and 4 in its family, growth
//! included about 110.

use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::ops::Bound;
use std::sync::Arc;

use greyhound_model::context::Context;
use greyhound_model::flush::FlushBatch;
use greyhound_model::series::Point;
use greyhound_model::time::Stamp;
use hashbrown::HashTable;

use super::names::{FamilyKind, Labels, family_name};
use super::plan::Plan;
use super::summary::{Observation, Summary, SummaryKind};
use crate::sink::Reason;

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
    identity: u64,
    family: u32,
    /// When its last sample came; an increment of zero is none.
    seen: u32,
    /// When it was last part of a flush.
    touched: u32,
}

/// What a series stands at.
#[derive(Debug)]
pub(super) enum Data {
    Counter { total: f64, created: i64 },
    Gauge { value: f64, unix_seconds: i64 },
    Summary(Box<Summary>),
}

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

/// One family as a scrape sees it.
#[derive(Debug)]
pub(super) struct FamilyView<'a> {
    pub(super) name: &'a Arc<str>,
    pub(super) kind: FamilyKind,
    pub(super) falls: bool,
    members: &'a [u32],
    entries: &'a [Option<Entry>],
}

#[derive(Debug, Default)]
struct Scratch {
    name: String,
    probe: String,
    labels: Labels,
    other_labels: Labels,
}

// Keep the promise of the module's text.
const _: () = assert!(size_of::<Option<Entry>>() <= 64);

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

// === impl State: taking in ===

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
            created: first_second(points, now),
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
            unix_seconds: i64::MIN,
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
            let second = point.unix_seconds.min(now.unix_seconds);
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

    /// The series of a context, made when it is new and there is room.
    fn locate(
        &mut self,
        plan: &Plan,
        context: &Context,
        kind: FamilyKind,
        now: Now,
        data: impl FnOnce() -> Data,
    ) -> Result<u32, Reason> {
        let hash = self.hasher.hash_one(context.as_bytes());
        let found = self.by_context.find(hash, |&id| {
            entry_at(&self.entries, id).is_some_and(|entry| entry.context == *context)
        });
        if let Some(&id) = found {
            return Ok(id);
        }
        let lines = lines_of(kind, plan);
        if self.lines.saturating_add(lines) > plan.lines_max {
            self.counts.limit_refusals += 1;
            return Err(Reason::SeriesLimit);
        }
        let family = self.claim_family(plan, context.name(), kind)?;
        let identity = self.claim_identity(plan, context, family)?;
        let entry = Entry {
            context: context.clone(),
            data: data(),
            identity,
            family: 0,
            seen: now.seconds,
            touched: now.seconds,
        };
        self.lines += lines;
        self.counts.repaired += u64::from(self.scratch.labels.repaired());
        Ok(self.insert(entry, hash, family, kind))
    }

    /// The family a new series would belong to: `None` when it has to be made.
    fn claim_family(
        &mut self,
        plan: &Plan,
        metric: &[u8],
        kind: FamilyKind,
    ) -> Result<Option<u32>, Reason> {
        let Scratch { name, probe, .. } = &mut self.scratch;
        family_name(metric, kind, name);
        if let Some(&family) = self.by_name.get(name.as_str()) {
            if self.families[family as usize].kind == kind {
                return Ok(Some(family));
            }
            self.counts.family_collisions += 1;
            return Err(Reason::Collision);
        }
        // Some other family may already write samples of a name this one would write.
        for ending in kind.endings(plan.created_lines) {
            probe.clear();
            probe.push_str(name);
            probe.push_str(ending);
            for other_ending in FamilyKind::ENDINGS {
                let taken = probe
                    .strip_suffix(other_ending)
                    .and_then(|other| self.by_name.get(other))
                    .map(|&id| self.families[id as usize].kind)
                    .is_some_and(|other| {
                        other
                            .endings(plan.created_lines)
                            .any(|ending| ending == other_ending)
                    });
                if taken {
                    self.counts.family_collisions += 1;
                    return Err(Reason::Collision);
                }
            }
        }
        Ok(None)
    }

    /// The hash of a new series' labels, unless a series of its family has the same ones.
    fn claim_identity(
        &mut self,
        plan: &Plan,
        context: &Context,
        family: Option<u32>,
    ) -> Result<u64, Reason> {
        let own_host = own_host(plan, self.hostname.as_ref());
        let Scratch {
            name,
            labels,
            other_labels,
            ..
        } = &mut self.scratch;
        labels.render(context, own_host);
        let identity = self.hasher.hash_one((name.as_str(), labels.identity()));
        let Some(family) = family else {
            return Ok(identity);
        };
        let twin = self.by_identity.find(identity, |&id| {
            entry_at(&self.entries, id).is_some_and(|entry| {
                entry.identity == identity && entry.family == family && {
                    other_labels.render(&entry.context, own_host);
                    other_labels.identity() == labels.identity()
                }
            })
        });
        if twin.is_some() {
            self.counts.series_collisions += 1;
            return Err(Reason::Collision);
        }
        Ok(identity)
    }

    fn insert(
        &mut self,
        mut entry: Entry,
        hash: u64,
        family: Option<u32>,
        kind: FamilyKind,
    ) -> u32 {
        let family = family.unwrap_or_else(|| self.make_family(kind));
        entry.family = family;
        let identity = entry.identity;
        let id = self.free.pop().unwrap_or_else(|| {
            grow_slowly(&mut self.entries);
            self.entries.push(None);
            // `lines_max` keeps the number of series below u32::MAX, see `Plan`.
            (self.entries.len() - 1) as u32
        });
        self.entries[id as usize] = Some(entry);
        let Self {
            entries, hasher, ..
        } = self;
        self.by_context.insert_unique(hash, id, |&id| {
            entry_at(entries, id).map_or(0, |entry| hasher.hash_one(entry.context.as_bytes()))
        });
        self.by_identity.insert_unique(identity, id, |&id| {
            entry_at(entries, id).map_or(0, |entry| entry.identity)
        });
        let family = &mut self.families[family as usize];
        family.members.push(id);
        family.sorted = family.members.len() == 1;
        id
    }

    /// Makes the family whose name stands in the scratch memory.
    fn make_family(&mut self, kind: FamilyKind) -> u32 {
        let name: Arc<str> = Arc::from(self.scratch.name.as_str());
        let family = Family {
            name: Arc::clone(&name),
            kind,
            falls: false,
            sorted: true,
            members: Vec::new(),
        };
        let id = match self.free_families.pop() {
            Some(id) => {
                self.families[id as usize] = family;
                id
            }
            None => {
                self.families.push(family);
                (self.families.len() - 1) as u32
            }
        };
        self.by_name.insert(name, id);
        id
    }

    /// A context that was one kind and now is another: the first stays until it expires.
    fn refuse_series(&mut self) -> Result<(), Reason> {
        self.counts.family_collisions += 1;
        Err(Reason::Collision)
    }
}

// === impl State: forgetting ===

impl State {
    /// Drops series whose last sample is too long ago. At most once per second of the clock.
    ///
    /// Cost: one pass over all series, about 10 ms for a million.
    pub(super) fn expire(&mut self, plan: &Plan, now: Now) {
        let Some(expiry_seconds) = plan.expiry_seconds else {
            return;
        };
        if self.swept_at.is_none_or(|at| at >= now.seconds) {
            return;
        }
        self.swept_at = Some(now.seconds);
        // While the pipeline still fills gaps with zeros the series stays, or it would come back
        // with the next one.
        let quiet_seconds = self.interval_seconds.saturating_mul(2);
        let expired = |entry: &Entry| {
            now.seconds.saturating_sub(entry.seen) > expiry_seconds
                && now.seconds.saturating_sub(entry.touched) > quiet_seconds
        };
        let mut thinned: Vec<u32> = Vec::new();
        for id in 0..self.entries.len() {
            if self.entries[id].as_ref().is_some_and(expired)
                && let Some(entry) = self.entries[id].take()
            {
                thinned.push(entry.family);
                self.forget(plan, id as u32, &entry);
            }
        }
        thinned.sort_unstable();
        thinned.dedup();
        for id in thinned {
            let family = &mut self.families[id as usize];
            family
                .members
                .retain(|&member| self.entries[member as usize].is_some());
            if family.members.is_empty() {
                self.by_name.remove(&family.name);
                family.members = Vec::new();
                self.free_families.push(id);
            }
        }
    }

    /// Takes an entry that has left its place out of the indexes.
    fn forget(&mut self, plan: &Plan, id: u32, entry: &Entry) {
        let hash = self.hasher.hash_one(entry.context.as_bytes());
        for (index, hash) in [
            (&mut self.by_context, hash),
            (&mut self.by_identity, entry.identity),
        ] {
            if let Ok(place) = index.find_entry(hash, |&other| other == id) {
                place.remove();
            }
        }
        let kind = self.families[entry.family as usize].kind;
        self.lines = self.lines.saturating_sub(lines_of(kind, plan));
        self.counts.expired += 1;
        self.free.push(id);
    }
}

// === impl State: reading ===

impl State {
    /// The first family behind `name`, or the very first.
    pub(super) fn family_after(&mut self, name: Option<&Arc<str>>) -> Option<FamilyView<'_>> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(&**name));
        let mut behind = self.by_name.range::<str, _>((from, Bound::Unbounded));
        let (_, &id) = behind.next()?;
        Some(self.view(id))
    }

    /// The family of this name, if it is still there.
    pub(super) fn family(&mut self, name: &Arc<str>) -> Option<FamilyView<'_>> {
        let id = *self.by_name.get(name)?;
        Some(self.view(id))
    }

    /// The host to show on series of our own.
    pub(super) fn own_host(&self, plan: &Plan) -> Option<Arc<[u8]>> {
        self.hostname.clone().filter(|_| plan.own_host_label)
    }

    /// Series as Prometheus counts them, contexts, and families alive.
    pub(super) fn sizes(&self) -> [usize; 3] {
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        [lines, self.by_context.len(), self.by_name.len()]
    }

    /// Places for series, used and free.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.entries.len()
    }

    fn view(&mut self, id: u32) -> FamilyView<'_> {
        let Self {
            families, entries, ..
        } = self;
        let family = &mut families[id as usize];
        if !family.sorted {
            let context = |id: &u32| entry_at(entries, *id).map(|entry| &entry.context);
            // Mostly one long sorted run with a short tail, which this sort is quick about.
            family.members.sort_by(|a, b| context(a).cmp(&context(b)));
            family.sorted = true;
        }
        FamilyView {
            name: &family.name,
            kind: family.kind,
            falls: family.falls,
            members: &family.members,
            entries,
        }
    }
}

// === impl FamilyView ===

impl<'a> FamilyView<'a> {
    /// Series behind `last`, in the order of their contexts.
    pub(super) fn entries_after(
        &self,
        last: Option<&Context>,
    ) -> impl Iterator<Item = &'a Entry> + use<'a> {
        let entries = self.entries;
        let start = last.map_or(0, |last| {
            self.members.partition_point(|&id| {
                entry_at(entries, id).is_none_or(|entry| entry.context <= *last)
            })
        });
        self.members[start..]
            .iter()
            .filter_map(move |&id| entry_at(entries, id))
    }
}

fn entry_at(entries: &[Option<Entry>], id: u32) -> Option<&Entry> {
    entries.get(id as usize)?.as_ref()
}

fn own_host<'a>(plan: &Plan, hostname: Option<&'a Arc<[u8]>>) -> Option<&'a [u8]> {
    hostname
        .filter(|_| plan.own_host_label)
        .map(|name| &name[..])
}

/// How many series Prometheus makes of one of ours.
fn lines_of(kind: FamilyKind, plan: &Plan) -> u64 {
    match kind {
        FamilyKind::Counter | FamilyKind::Gauge => 1,
        FamilyKind::Summary => plan.quantiles.len() as u64 + 2,
        FamilyKind::Histogram => plan.buckets.len() as u64 + 3,
    }
}

fn first_second(points: &[Point], now: Now) -> i64 {
    points
        .first()
        .map_or(now.unix_seconds, |point| point.unix_seconds)
}

/// Doubling would leave half the memory unused at a million series; a quarter is enough.
fn grow_slowly<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(64));
    }
}
