//! Finding a series, and giving a new one its place: its family, its identity, its entry.

use std::hash::BuildHasher;
use std::sync::Arc;

use greyhound_model::context::Context;

use super::{Data, Entry, Family, FamilyKind, Now, Scratch, State, entry_at, spread};
use crate::prometheus::names::family_name;
use crate::prometheus::plan::Plan;
use crate::sink::Reason;

// === impl State ===

impl State {
    /// The series of a context, made when it is new and there is room.
    pub(super) fn locate(
        &mut self,
        plan: &Plan,
        context: &Context,
        kind: FamilyKind,
        now: Now,
        data: impl FnOnce() -> Data,
    ) -> Result<u32, Reason> {
        let hash = self.hasher.hash_one(context);
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
    ) -> Result<u32, Reason> {
        let own_host = own_host(plan, self.hostname.as_ref());
        let Scratch {
            name,
            labels,
            other_labels,
            ..
        } = &mut self.scratch;
        labels.render(context, own_host);
        let hash = self.hasher.hash_one((name.as_str(), labels.identity()));
        let identity = (hash >> 32) as u32;
        let Some(family) = family else {
            return Ok(identity);
        };
        let twin = self.by_identity.find(spread(identity), |&id| {
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
            entry_at(entries, id).map_or(0, |entry| hasher.hash_one(&entry.context))
        });
        self.by_identity.insert_unique(spread(identity), id, |&id| {
            entry_at(entries, id).map_or(0, |entry| spread(entry.identity))
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
}

fn own_host<'a>(plan: &Plan, hostname: Option<&'a Arc<[u8]>>) -> Option<&'a [u8]> {
    hostname
        .filter(|_| plan.own_host_label)
        .map(|name| &name[..])
}

/// How many series Prometheus makes of one of ours.
pub(super) fn lines_of(kind: FamilyKind, plan: &Plan) -> u64 {
    match kind {
        FamilyKind::Counter | FamilyKind::Gauge => 1,
        FamilyKind::Summary => plan.quantiles.len() as u64 + 2,
        FamilyKind::Histogram => plan.buckets.len() as u64 + 3,
    }
}

/// Doubling would leave half the memory unused at a million series; a quarter is enough.
fn grow_slowly<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 4).max(64));
    }
}
