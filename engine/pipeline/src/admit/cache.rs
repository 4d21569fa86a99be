//! The mapper's memory: what each recently seen name became, or that it stays.
//!
//! One per lane, so it needs no lock. Bounded twice: in entries, by `dogstatsd_mapper_cache_size`,
//! and in bytes, because neither a name over [`NAME_LEN_BYTES_MAX`] nor a result over
//! [`RESULT_LEN_BYTES_MAX`] is kept. When full, the entry unused for longest gives way; that loses
//! time, never data.
//!
//! ```text
//!  table: hash ─▶ slot        slots: [ name, result, newer, older ] …
//!                             newest ─▶ older ─▶ … ─▶ oldest      (linked by slot number)
//! ```

use super::mapper::Mapped;
use super::template::Span;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Longest name kept, in bytes. Longer ones are mapped anew each time.
pub const NAME_LEN_BYTES_MAX: usize = 1024;
/// Largest result kept, in bytes of name and tags, each tag with [`TAG_COST_BYTES`] on top.
pub const RESULT_LEN_BYTES_MAX: usize = 4096;
/// What a tag costs beside its text: its place in the list and what the allocator adds.
pub const TAG_COST_BYTES: usize = 32;

/// No slot: the end of the list.
const NONE: u32 = u32::MAX;

/// Least-recently-used results by name, with scratch memory for making new ones.
#[derive(Debug)]
pub struct MapperCache {
    capacity_entries: usize,
    hasher: RandomState,
    table: HashTable<u32>,
    slots: Vec<Slot>,
    newest: u32,
    oldest: u32,
    /// The latest result that was not kept; the caller borrows it from here.
    unkept: Option<Mapped>,
    spans: Vec<Span>,
    hits: u64,
    misses: u64,
}

#[derive(Debug)]
struct Slot {
    hash: u64,
    name: Vec<u8>,
    result: Option<Mapped>,
    newer: u32,
    older: u32,
}

// === impl MapperCache ===

impl MapperCache {
    /// An empty cache of up to `capacity_entries` names; 0 keeps none.
    ///
    /// Memory grows with use, to at most about 6 KiB per entry, in practice some 200 bytes.
    pub fn new(capacity_entries: usize) -> Self {
        Self {
            // Slot numbers are 32 bits, the last of them standing for "none".
            capacity_entries: capacity_entries.min(NONE as usize),
            hasher: RandomState::default(),
            table: HashTable::new(),
            slots: Vec::new(),
            newest: NONE,
            oldest: NONE,
            unkept: None,
            spans: Vec::new(),
            hits: 0,
            misses: 0,
        }
    }

    /// Names found here so far.
    pub fn hits(&self) -> u64 {
        self.hits
    }

    /// Names that had to be tried with the rules so far.
    pub fn misses(&self) -> u64 {
        self.misses
    }

    /// Names held.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// True if no name is held.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Forgets every name; for use with another mapper. The counters go on.
    pub fn clear(&mut self) {
        self.table.clear();
        self.slots.clear();
        (self.newest, self.oldest) = (NONE, NONE);
        self.unkept = None;
    }

    /// The same, with another bound from here on.
    pub fn renew(&mut self, capacity_entries: usize) {
        self.clear();
        self.capacity_entries = capacity_entries.min(NONE as usize);
    }

    /// The result for `name`, from memory or from `compute`.
    ///
    /// Cost of a hit: one hash, one comparison, no allocation. Of a miss: `compute`, and the memory
    /// of the entry, which takes over the buffer of the one it displaces.
    pub(super) fn resolve(
        &mut self,
        name: &[u8],
        compute: impl FnOnce(&mut Vec<Span>) -> Option<Mapped>,
    ) -> Option<&Mapped> {
        let hash = self.hasher.hash_one(name);
        let slots = &self.slots;
        let found = self
            .table
            .find(hash, |slot| slots[*slot as usize].name == name)
            .copied();
        if let Some(slot) = found {
            self.hits = self.hits.wrapping_add(1);
            self.touch(slot);
            return self.slots[slot as usize].result.as_ref();
        }
        self.misses = self.misses.wrapping_add(1);
        let result = compute(&mut self.spans);
        let small = result
            .as_ref()
            .is_none_or(|mapped| len_bytes(mapped) <= RESULT_LEN_BYTES_MAX);
        if !small || name.len() > NAME_LEN_BYTES_MAX || self.capacity_entries == 0 {
            self.unkept = result;
            return self.unkept.as_ref();
        }
        let slot = self.insert(hash, name, result);
        self.slots[slot as usize].result.as_ref()
    }

    fn insert(&mut self, hash: u64, name: &[u8], result: Option<Mapped>) -> u32 {
        let slot = if self.slots.len() < self.capacity_entries {
            let slot = self.slots.len() as u32;
            let name = name.to_vec();
            self.slots.push(Slot {
                hash,
                name,
                result,
                newer: NONE,
                older: NONE,
            });
            slot
        } else {
            let slot = self.oldest;
            self.unlink(slot);
            let displaced = &mut self.slots[slot as usize];
            let entry = self
                .table
                .find_entry(displaced.hash, |other| *other == slot);
            entry.expect("every slot in use is in the table").remove();
            displaced.hash = hash;
            displaced.name.clear();
            displaced.name.extend_from_slice(name);
            displaced.result = result;
            slot
        };
        let slots = &self.slots;
        self.table
            .insert_unique(hash, slot, |slot| slots[*slot as usize].hash);
        self.link_newest(slot);
        slot
    }

    fn touch(&mut self, slot: u32) {
        if slot != self.newest {
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Slot { newer, older, .. } = self.slots[slot as usize];
        match self.slots.get_mut(newer as usize) {
            Some(neighbour) => neighbour.older = older,
            None => self.newest = older,
        }
        match self.slots.get_mut(older as usize) {
            Some(neighbour) => neighbour.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let second = std::mem::replace(&mut self.newest, slot);
        match self.slots.get_mut(second as usize) {
            Some(neighbour) => neighbour.newer = slot,
            None => self.oldest = slot,
        }
        let first = &mut self.slots[slot as usize];
        (first.newer, first.older) = (NONE, second);
    }
}

fn len_bytes(mapped: &Mapped) -> usize {
    let tags = mapped.tags.iter().map(|tag| tag.len() + TAG_COST_BYTES);
    mapped.name.len() + tags.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mapped(name: &[u8]) -> Mapped {
        Mapped {
            name: name.into(),
            tags: Vec::new(),
        }
    }

    /// Asks for `name`; true if the cache had it.
    fn ask(cache: &mut MapperCache, name: &str) -> bool {
        let mut computed = false;
        let expected = name.starts_with('+').then(|| mapped(name.as_bytes()));
        let got = cache.resolve(name.as_bytes(), |_| {
            computed = true;
            expected.clone()
        });
        assert_eq!(got, expected.as_ref());
        !computed
    }

    #[test]
    fn positive_and_negative_results_are_remembered() {
        let mut cache = MapperCache::new(2);
        let asked = ["+a", "b", "+a", "b", "b", ""].map(|name| ask(&mut cache, name));
        assert_eq!(asked, [false, false, true, true, true, false]);
        assert_eq!((cache.hits(), cache.misses(), cache.len()), (3, 3, 2));
    }

    #[test]
    fn the_entry_unused_for_longest_gives_way() {
        let mut cache = MapperCache::new(2);
        let asked = ["a", "b", "a", "c", "a", "b"].map(|name| ask(&mut cache, name));
        assert_eq!(asked, [false, false, true, false, true, false]);
    }

    #[test]
    fn a_cache_of_no_entries_still_answers() {
        let mut cache = MapperCache::new(0);
        assert_eq!(
            ["+a", "+a", "b"].map(|name| ask(&mut cache, name)),
            [false; 3]
        );
        assert!(cache.is_empty());
    }

    #[test]
    fn long_names_and_large_results_are_not_kept() {
        let mut cache = MapperCache::new(8);
        for len in [NAME_LEN_BYTES_MAX, NAME_LEN_BYTES_MAX + 1] {
            let name = "+".repeat(len);
            ask(&mut cache, &name);
            assert_eq!(ask(&mut cache, &name), len == NAME_LEN_BYTES_MAX);
        }
        for over in [0, 1] {
            let before = cache.len();
            let large = Mapped {
                name: vec![b'x'; RESULT_LEN_BYTES_MAX - TAG_COST_BYTES - 1].into(),
                tags: vec![vec![b'y'; 1 + over].into()],
            };
            let got = cache.resolve(format!("large {over}").as_bytes(), |_| Some(large.clone()));
            assert_eq!(got, Some(&large));
            assert_eq!(cache.len() - before, 1 - over);
        }
    }

    #[test]
    fn clearing_forgets_names_but_not_counts() {
        let mut cache = MapperCache::new(2);
        assert!(!ask(&mut cache, "+a"));
        cache.clear();
        assert!(!ask(&mut cache, "+a"));
        assert!(ask(&mut cache, "+a"));
        assert_eq!((cache.hits(), cache.misses()), (1, 2));
    }

    proptest! {
        #[test]
        fn hits_are_those_of_a_plain_list(
            capacity in 0_usize..6,
            names in prop::collection::vec("\\+?[a-h]", 0..200),
        ) {
            let mut cache = MapperCache::new(capacity);
            let mut model: Vec<&str> = Vec::new();
            for name in &names {
                let place = model.iter().position(|held| held == name);
                place.map(|place| model.remove(place));
                model.insert(0, name);
                model.truncate(capacity);
                prop_assert_eq!(ask(&mut cache, name), place.is_some());
                prop_assert_eq!(cache.len(), model.len());
            }
        }
    }
}
