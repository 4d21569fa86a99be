//! What is said about a name: its type and unit. Told when it is new and once in a while after that.

use std::sync::Arc;

use greyhound_model::series::Unit;
use hashbrown::HashMap;

use super::packer::About;
use crate::datadog::proto;

/// Numbers both versions of the protocol share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FamilyType {
    Counter = 1,
    Gauge = 2,
    Histogram = 3,
    Summary = 5,
}

/// One name.
#[derive(Debug)]
pub(super) struct Family {
    name: Arc<str>,
    pub(super) kind: FamilyType,
    pub(super) unit: Unit,
    /// Entries that belong to it; 0 = its place is free.
    entries: u32,
    told_at: Option<u32>,
}

/// All names.
#[derive(Debug, Default)]
pub(super) struct Families {
    all: Vec<Family>,
    free: Vec<u32>,
    by_name: HashMap<Arc<str>, u32, foldhash::fast::RandomState>,
}

// === impl Families ===

impl Families {
    /// The family of this name, with one more entry. The first one's type counts.
    pub(super) fn join(&mut self, name: String, kind: FamilyType, unit: Unit) -> u32 {
        if let Some(&id) = self.by_name.get(name.as_str()) {
            self.all[id as usize].entries += 1;
            return id;
        }
        let name: Arc<str> = name.into();
        let family = Family {
            name: Arc::clone(&name),
            kind,
            unit,
            entries: 1,
            told_at: None,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.all[id as usize] = family;
                id
            }
            None => {
                self.all.push(family);
                (self.all.len() - 1) as u32
            }
        };
        self.by_name.insert(name, id);
        id
    }

    /// One entry less.
    pub(super) fn leave(&mut self, id: u32) {
        let family = &mut self.all[id as usize];
        family.entries -= 1;
        if family.entries == 0 {
            self.by_name.remove(&family.name);
            self.free.push(id);
        }
    }

    pub(super) fn get(&self, id: u32) -> &Family {
        &self.all[id as usize]
    }

    /// A total that goes down is no counter.
    pub(super) fn falls(&mut self, id: u32) {
        let family = &mut self.all[id as usize];
        if family.kind == FamilyType::Counter {
            family.kind = FamilyType::Gauge;
            family.told_at = None;
        }
    }

    /// Writes what was not told within so many seconds, as messages of field 3, each given to `write`.
    pub(super) fn tell(&mut self, now: u32, every_seconds: u32, mut write: impl FnMut(&[u8])) {
        let mut out = Vec::new();
        for family in self.all.iter_mut().filter(|family| family.entries > 0) {
            let is_due = family
                .told_at
                .is_none_or(|at| now.saturating_sub(at) >= every_seconds);
            if !is_due {
                continue;
            }
            family.told_at = Some(now);
            out.clear();
            proto::message(&mut out, 3, |out| {
                proto::integer(out, 1, family.kind as i64);
                proto::bytes(out, 2, family.name.as_bytes());
                if let Some(unit) = unit_name(family.unit) {
                    proto::bytes(out, 5, unit.as_bytes());
                }
            });
            write(&out);
        }
    }
}

// === impl Family ===

impl Family {
    /// What version 2 says with each series.
    pub(super) fn about(&self) -> About {
        About {
            kind: self.kind,
            unit: self.unit,
        }
    }
}

/// A unit as Prometheus spells it.
pub(super) fn unit_name(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::None => None,
        Unit::Millisecond => Some("milliseconds"),
    }
}
