//! Texts of tags, each kept once for all long contexts of a builder.
//!
//! A client with long tags sends the same ones again and again in other combinations: of 2 KB of tags of
//! a context a tenth is its own. Whoever makes contexts also knows when many are gone, and sweeps then:
//! what only the table still holds is let go. The table is in shards, so that neither a sweep nor growth
//! has to touch all texts at one go.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use triomphe::ThinArc;

use super::{SLICE_HEAD_LEN, Tag};

/// Bytes of a tag beside its text: counts, its place in the table.
const TAG_BYTES: usize = SLICE_HEAD_LEN + 16;

/// Power of two.
const SHARDS: usize = 64;
/// Steps in which a sweep goes round.
pub(super) const SWEEP_STEPS: usize = 4;
/// Texts that a step looks at in any case: a small table is swept in one.
const STEP_TEXTS_MIN: usize = 16_384;

/// The texts.
#[derive(Default)]
pub(super) struct Interner {
    /// None until the first text.
    shards: Vec<HashTable<Tag>>,
    hasher: foldhash::fast::RandomState,
    /// The shard at which the next step of a sweep begins.
    next: usize,
    len: usize,
    bytes: usize,
}

// === impl Interner ===

impl Interner {
    /// The shared text, made when it is new. Cost: a hash of the text, a comparison.
    pub(super) fn intern(&mut self, text: &[u8]) -> Tag {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, HashTable::new);
        }
        let hasher = &self.hasher;
        let hash = hasher.hash_one(text);
        let shard = &mut self.shards[shard_of(hash)];
        if let Some(tag) = shard.find(hash, |tag| tag.slice == *text) {
            return tag.clone();
        }
        let tag = ThinArc::from_header_and_slice((), text);
        self.len += 1;
        self.bytes += TAG_BYTES + text.len();
        shard.insert_unique(hash, tag.clone(), |tag| hasher.hash_one(&tag.slice));
        tag
    }

    /// Lets go of one text if nothing but `tag` holds it.
    pub(super) fn release(&mut self, tag: &Tag) {
        if ThinArc::strong_count(tag) > 2 {
            return;
        }
        let hash = self.hasher.hash_one(&tag.slice);
        let is_it = |held: &Tag| std::ptr::eq(&raw const held.slice, &raw const tag.slice);
        if let Some(shard) = self.shards.get_mut(shard_of(hash))
            && let Ok(held) = shard.find_entry(hash, is_it)
        {
            held.remove();
            self.len -= 1;
            self.bytes -= TAG_BYTES + tag.slice.len();
        }
    }

    /// One step of letting go of texts that no context holds; [`SWEEP_STEPS`] go round. Cost: a look at
    /// the counts of a quarter of the texts.
    pub(super) fn sweep_step(&mut self) {
        let mut looked_at = 0;
        for count in 0..self.shards.len() {
            if count >= SHARDS / SWEEP_STEPS && looked_at >= STEP_TEXTS_MIN {
                break;
            }
            looked_at += self.sweep_shard();
        }
    }

    /// Sweeps the next shard, and says how many texts it held.
    fn sweep_shard(&mut self) -> usize {
        let shard = &mut self.shards[self.next];
        self.next = (self.next + 1) % SHARDS;
        let held = shard.len();
        let bytes = &mut self.bytes;
        shard.retain(|tag| {
            let is_held = ThinArc::strong_count(tag) > 1;
            if !is_held {
                *bytes -= TAG_BYTES + tag.slice.len();
            }
            is_held
        });
        self.len -= held - shard.len();
        if shard.len() < shard.capacity() / 4 {
            let hasher = &self.hasher;
            shard.shrink_to(shard.len() * 2, |tag| hasher.hash_one(&tag.slice));
        }
        held
    }

    /// Bytes of all texts and of what keeps them together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl std::fmt::Debug for Interner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interner")
            .field("tags", &self.len)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// By bits that neither the place in a shard nor its fingerprint is made of.
fn shard_of(hash: u64) -> usize {
    (hash >> 40) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_as_long_as_somebody_holds_it() {
        let mut interner = Interner::default();
        let first = interner.intern(b"env:prod");
        let again = interner.intern(b"env:prod");
        assert!(std::ptr::eq(&raw const first.slice, &raw const again.slice));
        drop(interner.intern(b"env:test"));
        assert_eq!(interner.bytes(), 2 * (TAG_BYTES + 8));
        interner.sweep_step();
        assert_eq!(interner.bytes(), TAG_BYTES + 8);
        drop((first, again));
        interner.sweep_step();
        assert!(interner.is_empty());
        assert_eq!(interner.bytes(), 0);
    }

    #[test]
    fn many_texts_come_and_go() {
        let mut interner = Interner::default();
        let text = |n: u32| format!("tag:{n}").into_bytes();
        let held: Vec<_> = (0..5000).map(|n| interner.intern(&text(n))).collect();
        for n in 5000..20_000 {
            interner.intern(&text(n));
        }
        for _ in 0..SWEEP_STEPS {
            interner.sweep_step();
        }
        assert_eq!(interner.len, 5000);
        for (n, tag) in (0..5000).zip(&held) {
            assert_eq!(tag.slice, *text(n));
            assert!(std::ptr::eq(
                &raw const interner.intern(&text(n)).slice,
                &raw const tag.slice
            ));
        }
    }

    #[test]
    fn a_step_looks_at_a_part_and_a_round_at_all() {
        let mut interner = Interner::default();
        let count = 8 * STEP_TEXTS_MIN;
        for n in 0..count {
            interner.intern(format!("tag:{n}").as_bytes());
        }
        for step in 1..=SWEEP_STEPS {
            interner.sweep_step();
            let left = count - count * step / SWEEP_STEPS;
            // Shards are of about the same size.
            assert!(interner.len.abs_diff(left) < count / 20, "{step}");
        }
        assert!(interner.is_empty());
        assert_eq!(interner.bytes(), 0);
    }

    #[test]
    fn only_what_nobody_else_holds_is_released() {
        let mut interner = Interner::default();
        let (held, refused) = (interner.intern(b"held"), interner.intern(b"refused"));
        let again = interner.intern(b"held");
        interner.release(&again);
        interner.release(&refused);
        interner.release(&refused);
        drop((again, refused));
        assert_eq!((interner.len, interner.bytes()), (1, TAG_BYTES + 4));
        interner.release(&held);
        assert_eq!((interner.len, interner.bytes()), (0, 0));
    }
}
