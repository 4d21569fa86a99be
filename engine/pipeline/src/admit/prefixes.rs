//! A set of prefixes that answers "does any of them start this name?" in one binary search.

/// Prefixes, sorted, none of which starts another one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet(Box<[Box<[u8]>]>);

// === impl PrefixSet ===

impl PrefixSet {
    /// Keeps the shortest of every family of prefixes; the longer ones could not change an answer.
    ///
    /// An empty prefix starts every name.
    pub fn new<P: Into<Box<[u8]>>>(prefixes: impl IntoIterator<Item = P>) -> Self {
        let mut sorted: Vec<Box<[u8]>> = prefixes.into_iter().map(Into::into).collect();
        sorted.sort_unstable();
        let mut kept: Vec<Box<[u8]>> = Vec::with_capacity(sorted.len());
        for prefix in sorted {
            // Whatever starts with `last` sorts right behind it, before anything else.
            if kept.last().is_none_or(|last| !prefix.starts_with(last)) {
                kept.push(prefix);
            }
        }
        Self(kept.into())
    }

    /// True if a prefix of the set starts `name`.
    ///
    /// Cost: one binary search, no allocation.
    #[inline]
    pub fn starts(&self, name: &[u8]) -> bool {
        // A prefix of `name` sorts at or before `name`, and nothing in the set lies between the
        // two: it would start with that prefix too.
        let behind = self.0.partition_point(|prefix| **prefix <= *name);
        behind > 0 && name.starts_with(&self.0[behind - 1])
    }

    /// True if the set starts no name at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Prefixes kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn longer_members_of_a_family_are_dropped() {
        let set = PrefixSet::new([&b"b"[..], b"a.b", b"a", b"a.", b"ab", b"b"]);
        assert_eq!(set, PrefixSet::new([&b"a"[..], b"b"]));
        assert_eq!(set.len(), 2);
    }

    #[test]
    fn an_empty_prefix_starts_everything_and_an_empty_set_nothing() {
        assert!(PrefixSet::new([&b""[..], b"x"]).starts(b""));
        assert!(PrefixSet::new([&b""[..], b"x"]).starts(b"anything"));
        assert!(!PrefixSet::default().starts(b""));
        assert!(PrefixSet::default().is_empty());
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_trying_each(
            prefixes in prop::collection::vec("[ab.]{0,4}", 0..8),
            name in "[ab.]{0,6}",
        ) {
            let set = PrefixSet::new(prefixes.iter().map(|p| p.as_bytes()));
            let expected = prefixes.iter().any(|p| name.starts_with(p));
            prop_assert_eq!(set.starts(name.as_bytes()), expected);
        }
    }
}
