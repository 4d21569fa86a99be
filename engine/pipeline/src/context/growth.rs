//! Which tag is exploding: of the contexts a limit refuses, the tag key with the most values.
//!
//! Fed with the tags of refused contexts only, so it costs nothing until then. Bounded: past the bounds new keys or values
//! are not followed, and the answer stays right for the ones seen first.

use std::collections::HashMap;

use hashbrown::HashSet;

const KEYS_MAX: usize = 1024;
const VALUES_MAX: usize = 65_536;
const KEY_LEN_MAX: usize = 128;

/// Distinct values per tag key since the last flush.
#[derive(Debug, Default)]
pub struct TagGrowth {
    values_by_key: HashMap<Box<[u8]>, u32>,
    seen: HashSet<u64, foldhash::fast::RandomState>,
}

// === impl TagGrowth ===

impl TagGrowth {
    /// Notes a tag of a refused context.
    pub fn note(&mut self, tag: &[u8]) {
        use std::hash::BuildHasher;
        let hash = self.seen.hasher().hash_one(tag);
        if self.seen.len() >= VALUES_MAX || !self.seen.insert(hash) {
            return;
        }
        let key = tag_key(tag);
        if let Some(count) = self.values_by_key.get_mut(key) {
            *count += 1;
        } else if self.values_by_key.len() < KEYS_MAX {
            self.values_by_key.insert(key.into(), 1);
        }
    }

    /// The key with the most new values, and how many.
    pub fn fastest(&self) -> Option<(&[u8], u32)> {
        self.values_by_key
            .iter()
            .map(|(key, &count)| (&**key, count))
            .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.cmp(a.0)))
    }

    /// Starts over.
    pub fn clear(&mut self) {
        self.values_by_key.clear();
        self.seen.clear();
    }
}

/// What stands before the first colon, cut to a bearable length.
fn tag_key(tag: &[u8]) -> &[u8] {
    let end = tag
        .iter()
        .position(|&byte| byte == b':')
        .unwrap_or(tag.len());
    &tag[..end.min(KEY_LEN_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_with_most_new_values_is_named() {
        let mut growth = TagGrowth::default();
        for n in 0..50 {
            growth.note(b"env:prod");
            growth.note(format!("request_id:{n}").as_bytes());
            growth.note(format!("shard:{}", n % 4).as_bytes());
        }
        assert_eq!(growth.fastest(), Some((&b"request_id"[..], 50)));
        growth.clear();
        assert_eq!(growth.fastest(), None);
    }

    #[test]
    fn hostile_keys_do_not_grow_it_without_bound() {
        let mut growth = TagGrowth::default();
        for n in 0..100_000 {
            growth.note(format!("key{n}:v").as_bytes());
        }
        assert!(growth.values_by_key.len() <= KEYS_MAX);
        assert!(growth.seen.len() <= VALUES_MAX);
    }
}
