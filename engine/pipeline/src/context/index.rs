//! An open-addressed index from hash to entry number.
//!
//! Eight bytes a slot: the upper half of the hash and the entry. The place of a key is known from
//! its hash alone, before any probe, which is what makes looking ahead over a batch possible.
//! Linear probing; removal shifts back, so there are no tombstones and long life costs nothing.

use greyhound_sys::prefetch;

/// Entry numbers by hash. The entries themselves, and what makes two equal, belong to the caller.
#[derive(Debug)]
pub struct Index {
    /// Power of two in length. 0 = empty, else `fragment << 32 | entry + 1`.
    slots: Vec<u64>,
    len: usize,
}

const SLOTS_MIN: usize = 64;

/// From so many slots on (196,000 entries) the tables behind an index no longer fit the address cache, and
/// the memory they live in is asked to be of huge pages.
const SLOTS_HUGE: usize = 1 << 19;

// === impl Index ===

impl Default for Index {
    fn default() -> Self {
        Self {
            slots: vec![0; SLOTS_MIN],
            len: 0,
        }
    }
}

impl Index {
    /// Entries held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.slots.len() * size_of::<u64>()
    }

    /// The entry with this hash that `is_it` accepts.
    #[inline]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let fragment = fragment(hash);
        let mask = self.slots.len() - 1;
        let mut place = home(fragment, mask);
        loop {
            let slot = self.slots[place];
            if slot == 0 {
                return None;
            }
            if (slot >> 32) as u32 == fragment {
                let entry = (slot as u32).wrapping_sub(1);
                if is_it(entry) {
                    return Some(entry);
                }
            }
            place = (place + 1) & mask;
        }
    }

    /// Asks for the memory that [`candidate`](Self::candidate) and [`find`](Self::find) will read.
    #[inline]
    pub fn prefetch(&self, hash: u64) {
        let place = home(fragment(hash), self.slots.len() - 1);
        prefetch::read(&self.slots[place]);
    }

    /// The first entry with this hash: most likely the one that is looked for.
    #[inline]
    pub fn candidate(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds an entry that is not there yet. Amortised O(1); doubling moves every slot.
    pub fn insert(&mut self, hash: u64, entry: u32) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.resize(self.slots.len() * 2);
        }
        self.place(u64::from(fragment(hash)) << 32 | u64::from(entry.wrapping_add(1)));
        self.len += 1;
    }

    /// Removes an entry put in under this hash; nothing happens when it is not there.
    pub fn remove(&mut self, hash: u64, entry: u32) {
        let wanted = u64::from(fragment(hash)) << 32 | u64::from(entry.wrapping_add(1));
        let mask = self.slots.len() - 1;
        let mut hole = home(fragment(hash), mask);
        while self.slots[hole] != wanted {
            if self.slots[hole] == 0 {
                return;
            }
            hole = (hole + 1) & mask;
        }
        self.len -= 1;
        // Shift back whatever may not stand behind a hole.
        let mut next = (hole + 1) & mask;
        loop {
            let slot = self.slots[next];
            if slot == 0 {
                break;
            }
            let want = home((slot >> 32) as u32, mask);
            if (next.wrapping_sub(want) & mask) >= (next.wrapping_sub(hole) & mask) {
                self.slots[hole] = slot;
                hole = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[hole] = 0;
        if self.slots.len() > SLOTS_MIN && self.len * 8 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
    }

    fn resize(&mut self, len: usize) {
        let grows = len > self.slots.len();
        let old = std::mem::replace(&mut self.slots, vec![0; len]);
        if grows
            && len >= SLOTS_HUGE
            && let Err(error) = greyhound_sys::pages::prefer_huge(&self.slots)
        {
            tracing::debug!(%error, "no huge pages");
        }
        for slot in old {
            if slot != 0 {
                self.place(slot);
            }
        }
    }

    fn place(&mut self, slot: u64) {
        let mask = self.slots.len() - 1;
        let mut place = home((slot >> 32) as u32, mask);
        while self.slots[place] != 0 {
            place = (place + 1) & mask;
        }
        self.slots[place] = slot;
    }
}

#[inline]
fn fragment(hash: u64) -> u32 {
    (hash >> 32) as u32
}

#[inline]
fn home(fragment: u32, mask: usize) -> usize {
    fragment as usize & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    proptest! {
        // Few distinct fragments, so that runs collide, wrap around and shift back.
        #[test]
        fn it_behaves_like_a_map(
            operations in proptest::collection::vec((any::<bool>(), 0u32..300), 0..2000),
        ) {
            let hash_of = |key: u32| u64::from(key % 37).wrapping_mul(0x0765_4321_0000_0000);
            let mut index = Index::default();
            let mut model = HashMap::new();
            for (insert, key) in operations {
                let hash = hash_of(key);
                let found = index.find(hash, |entry| entry == key);
                prop_assert_eq!(found.is_some(), model.contains_key(&key));
                if insert && found.is_none() {
                    index.insert(hash, key);
                    model.insert(key, ());
                } else if !insert {
                    index.remove(hash, key);
                    model.remove(&key);
                }
                prop_assert_eq!(index.len(), model.len());
            }
            for key in 0..300 {
                let found = index.find(hash_of(key), |entry| entry == key);
                prop_assert_eq!(found.is_some(), model.contains_key(&key));
            }
        }
    }

    #[test]
    fn it_shrinks_when_emptied() {
        let mut index = Index::default();
        for entry in 0..10_000u32 {
            index.insert(u64::from(entry) << 32, entry);
        }
        let full = index.heap_bytes();
        for entry in 0..10_000u32 {
            index.remove(u64::from(entry) << 32, entry);
        }
        assert!(index.is_empty());
        assert!(index.heap_bytes() < full / 10);
    }
}
