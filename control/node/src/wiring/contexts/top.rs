//! Which names have the most contexts, and which tag keys the most values: what an operator looks for when
//! contexts explode.
//!
//! Contexts are gone through twice: first names are counted by their hash alone, then only the largest are
//! looked at closely. Memory is bounded by [`DISTINCT_MAX`]; beyond it numbers of values are a lower bound.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use serde_json::{Value, json};

/// Different tags remembered, over all names: 16 bytes each.
const DISTINCT_MAX: usize = 2 << 20;
/// Tag keys remembered for one name, and for all together.
const KEYS_MAX: usize = 1 << 16;
/// Stands for tags without a value, which clients may have any number of.
const BARE: &[u8] = b"(tags without value)";

/// The largest of everything.
#[derive(Clone, Debug, Default)]
pub struct Top {
    /// Contexts in all.
    pub contexts: u64,
    /// Names with the most contexts, largest first.
    pub metrics: Vec<Metric>,
    /// Tag keys with the most values over all names, largest first.
    pub tags: Vec<TagKey>,
}

/// A name.
#[derive(Clone, Debug)]
pub struct Metric {
    /// As it goes out; what is no UTF-8 is replaced.
    pub name: String,
    /// How many contexts it has.
    pub contexts: u64,
    /// Its tag keys, those with most values first.
    pub tags: Vec<TagKey>,
}

/// A tag key.
#[derive(Clone, Debug)]
pub struct TagKey {
    /// What stands before the first colon.
    pub key: String,
    /// Different values seen.
    pub values: u64,
}

/// Shows every context: its name and tags.
pub(super) type Visit<'v> = dyn FnMut(&[u8], &mut dyn Iterator<Item = &[u8]>) + 'v;

/// Different values by tag key.
#[derive(Default)]
struct Keys {
    seen: HashSet<u64>,
    values: HashMap<Box<[u8]>, u64>,
}

/// Counts what `walk` shows; it is called twice.
///
/// # Errors
/// Those of `walk`.
pub(super) fn count(
    metrics: usize,
    tags: usize,
    mut walk: impl FnMut(&mut Visit<'_>) -> Result<(), String>,
) -> Result<Top, String> {
    let hasher = RandomState::new();
    let mut by_name: HashMap<u64, u64> = HashMap::new();
    let mut all = Keys::default();
    let mut contexts = 0;
    walk(&mut |name, with| {
        contexts += 1;
        *by_name.entry(hasher.hash_one(name)).or_default() += 1;
        for tag in with {
            all.add(&hasher, tag, DISTINCT_MAX);
        }
    })?;
    let mut largest: Vec<(u64, u64)> = by_name.into_iter().collect();
    largest.sort_unstable_by_key(|&(hash, count)| (std::cmp::Reverse(count), hash));
    largest.truncate(metrics);
    let mut wanted: HashMap<u64, (Option<String>, u64, Keys)> = largest
        .iter()
        .map(|&(hash, count)| (hash, (None, count, Keys::default())))
        .collect();
    let mut left = DISTINCT_MAX;
    walk(&mut |name, with| {
        let Some((text, _, keys)) = wanted.get_mut(&hasher.hash_one(name)) else {
            return;
        };
        text.get_or_insert_with(|| String::from_utf8_lossy(name).into_owned());
        for tag in with {
            let before = keys.seen.len();
            keys.add(&hasher, tag, before + left);
            left -= keys.seen.len() - before;
        }
    })?;
    let named = largest.iter().filter_map(|(hash, _)| {
        let (name, contexts, keys) = wanted.remove(hash)?;
        Some(Metric {
            name: name?,
            contexts,
            tags: keys.largest(tags),
        })
    });
    Ok(Top {
        contexts,
        metrics: named.collect(),
        tags: all.largest(tags),
    })
}

// === impl Keys ===

impl Keys {
    fn add(&mut self, hasher: &RandomState, tag: &[u8], distinct_max: usize) {
        if self.seen.len() >= distinct_max || !self.seen.insert(hasher.hash_one(tag)) {
            return;
        }
        let colon = tag.iter().position(|byte| *byte == b':');
        let key = colon.map_or(BARE, |colon| &tag[..colon]);
        if let Some(values) = self.values.get_mut(key) {
            *values += 1;
        } else if self.values.len() < KEYS_MAX {
            self.values.insert(key.into(), 1);
        }
    }

    fn largest(self, count: usize) -> Vec<TagKey> {
        let mut keys: Vec<(Box<[u8]>, u64)> = self.values.into_iter().collect();
        keys.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        keys.truncate(count);
        let keys = keys.into_iter().map(|(key, values)| TagKey {
            key: String::from_utf8_lossy(&key).into_owned(),
            values,
        });
        keys.collect()
    }
}

// === impl Top ===

impl Top {
    /// For programs.
    pub fn json(&self) -> Value {
        let keys = |keys: &[TagKey]| -> Vec<Value> {
            keys.iter()
                .map(|tag| json!({ "key": tag.key, "values": tag.values }))
                .collect()
        };
        let metrics: Vec<Value> = self
            .metrics
            .iter()
            .map(|metric| {
                json!({ "name": metric.name, "contexts": metric.contexts, "tags": keys(&metric.tags) })
            })
            .collect();
        json!({ "contexts": self.contexts, "metrics": metrics, "tags": keys(&self.tags) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(contexts: &[(String, Vec<String>)], visit: &mut Visit<'_>) {
        for (name, tags) in contexts {
            visit(name.as_bytes(), &mut tags.iter().map(String::as_bytes));
        }
    }

    #[test]
    fn the_exploding_name_and_the_tag_behind_it_come_first() {
        let mut contexts = vec![("quiet".to_owned(), vec!["env:a".to_owned()])];
        for id in 0..50 {
            let tags = vec![
                format!("user:{id}"),
                format!("env:{}", id % 2),
                format!("b{id}"),
            ];
            contexts.push(("loud".to_owned(), tags));
        }
        contexts.extend((0..3).map(|id| ("some".to_owned(), vec![format!("zone:{id}")])));
        let top = count(2, 2, |visit| {
            walk(&contexts, visit);
            Ok(())
        })
        .expect("counted");
        assert_eq!(
            top.json(),
            json!({
                "contexts": 54,
                "metrics": [
                    { "name": "loud", "contexts": 50, "tags": [
                        { "key": "(tags without value)", "values": 50 },
                        { "key": "user", "values": 50 },
                    ] },
                    { "name": "some", "contexts": 3, "tags": [{ "key": "zone", "values": 3 }] },
                ],
                "tags": [
                    { "key": "(tags without value)", "values": 50 },
                    { "key": "user", "values": 50 },
                ],
            })
        );
    }

    #[test]
    fn a_walk_that_fails_is_no_empty_answer() {
        assert_eq!(
            count(1, 1, |_| Err("gone".to_owned())).expect_err("failed"),
            "gone"
        );
    }
}
