//! Texts of tags, each kept once for all long contexts of a builder.
//!
//! A client with long tags sends the same ones again and again in other combinations: of 2 KB of tags of
//! a context a tenth is its own. Whoever makes contexts also knows when many are gone, and sweeps then:
//! what only the table still holds is let go.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use triomphe::ThinArc;

use super::{SLICE_HEAD_LEN, Tag};

/// Bytes of a tag beside its text: counts, its place in the table.
const TAG_BYTES: usize = SLICE_HEAD_LEN + 16;

/// The texts.
#[derive(Default)]
pub(super) struct Interner {
    tags: HashTable<Tag>,
    hasher: foldhash::fast::RandomState,
    bytes: usize,
}

// === impl Interner ===

impl Interner {
    /// The shared text, made when it is new. Cost: a hash of the text, a comparison.
    pub(super) fn intern(&mut self, text: &[u8]) -> Tag {
        let Self {
            tags,
            hasher,
            bytes,
        } = self;
        let hash = hasher.hash_one(text);
        if let Some(tag) = tags.find(hash, |tag| tag.slice == *text) {
            return tag.clone();
        }
        let tag = ThinArc::from_header_and_slice((), text);
        *bytes += TAG_BYTES + text.len();
        tags.insert_unique(hash, tag.clone(), |tag| hasher.hash_one(&tag.slice));
        tag
    }

    /// Lets go of texts that no context holds. Cost: a look at each text's count.
    pub(super) fn sweep(&mut self) {
        let bytes = &mut self.bytes;
        self.tags.retain(|tag| {
            let is_held = ThinArc::strong_count(tag) > 1;
            if !is_held {
                *bytes -= TAG_BYTES + tag.slice.len();
            }
            is_held
        });
        if self.tags.len() < self.tags.capacity() / 4 {
            let hasher = &self.hasher;
            self.tags
                .shrink_to(self.tags.len() * 2, |tag| hasher.hash_one(&tag.slice));
        }
    }

    /// Bytes of all texts and of what keeps them together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn is_empty(&self) -> bool {
        self.tags.is_empty()
    }
}

impl std::fmt::Debug for Interner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interner")
            .field("tags", &self.tags.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
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
        interner.sweep();
        assert_eq!(interner.bytes(), TAG_BYTES + 8);
        drop((first, again));
        interner.sweep();
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
        interner.sweep();
        assert_eq!(interner.tags.len(), 5000);
        for (n, tag) in (0..5000).zip(&held) {
            assert_eq!(tag.slice, *text(n));
            assert!(std::ptr::eq(
                &raw const interner.intern(&text(n)).slice,
                &raw const tag.slice
            ));
        }
    }
}
