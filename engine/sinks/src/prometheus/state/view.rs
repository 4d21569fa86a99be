//! What a scrape sees: families by name, their series by context.

use std::ops::Bound;
use std::sync::Arc;

use greyhound_model::context::Context;

use super::{Entry, FamilyKind, State, entry_at};
use crate::prometheus::plan::Plan;

/// One family as a scrape sees it.
#[derive(Debug)]
pub(in crate::prometheus) struct FamilyView<'a> {
    pub(in crate::prometheus) name: &'a Arc<str>,
    pub(in crate::prometheus) kind: FamilyKind,
    pub(in crate::prometheus) falls: bool,
    members: &'a [u32],
    entries: &'a [Option<Entry>],
}

// === impl State ===

impl State {
    /// The first family behind `name`, or the very first.
    pub(in crate::prometheus) fn family_after(
        &mut self,
        name: Option<&Arc<str>>,
    ) -> Option<FamilyView<'_>> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(&**name));
        let mut behind = self.by_name.range::<str, _>((from, Bound::Unbounded));
        let (_, &id) = behind.next()?;
        Some(self.view(id))
    }

    /// The family of this name, if it is still there.
    pub(in crate::prometheus) fn family(&mut self, name: &Arc<str>) -> Option<FamilyView<'_>> {
        let id = *self.by_name.get(name)?;
        Some(self.view(id))
    }

    /// The host to show on series of our own.
    pub(in crate::prometheus) fn own_host(&self, plan: &Plan) -> Option<Arc<[u8]>> {
        self.hostname.clone().filter(|_| plan.own_host_label)
    }

    /// Series as Prometheus counts them, contexts, and families alive.
    pub(in crate::prometheus) fn sizes(&self) -> [usize; 3] {
        let lines = usize::try_from(self.lines).unwrap_or(usize::MAX);
        [lines, self.by_context.len(), self.by_name.len()]
    }

    /// Places for series, used and free.
    #[cfg(test)]
    pub(in crate::prometheus) fn slots(&self) -> usize {
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
    pub(in crate::prometheus) fn entries_after(
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
