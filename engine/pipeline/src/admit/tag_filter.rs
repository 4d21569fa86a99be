//! `metric_tag_filterlist`: per metric, which tags of a distribution stay.
//!
//! Contexts that become equal when tags go are merged into one sketch by the caller, so a rule
//! here loses detail but never a value.

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// What an entry does with the tags it lists. The Agent takes anything unknown for `exclude`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TagAction {
    /// Only the listed tags stay.
    Include,
    /// The listed tags go.
    #[default]
    Exclude,
}

/// One entry of the setting.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagFilterEntry {
    /// The exact metric name; an entry without one is skipped.
    pub metric_name: String,
    /// What happens to the tags listed.
    pub action: TagAction,
    /// Tag keys: the text before the first `:` of a tag.
    pub tags: Vec<String>,
}

/// The rule of one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagRule {
    action: TagAction,
    /// Sorted, without repeats.
    keys: Vec<Box<[u8]>>,
}

/// The rules of all metrics.
#[derive(Clone, Debug, Default)]
pub struct TagFilter(HashMap<Box<[u8]>, TagRule, RandomState>);

// === impl TagFilter ===

impl TagFilter {
    /// Compiles the entries. Several entries of one metric: tags of the same action come together;
    /// when the actions differ, `exclude` wins and the tags listed for `include` do not matter.
    pub fn new<'e>(entries: impl IntoIterator<Item = &'e TagFilterEntry>) -> Self {
        let mut rules: HashMap<Box<[u8]>, TagRule, RandomState> = HashMap::default();
        for entry in entries {
            if entry.metric_name.is_empty() {
                continue;
            }
            let rule = rules
                .entry(entry.metric_name.as_bytes().into())
                .or_insert_with(|| TagRule {
                    action: entry.action,
                    keys: Vec::new(),
                });
            match (rule.action, entry.action) {
                (TagAction::Exclude, TagAction::Include) => continue,
                (TagAction::Include, TagAction::Exclude) => {
                    rule.action = TagAction::Exclude;
                    rule.keys.clear();
                }
                _ => {}
            }
            rule.keys
                .extend(entry.tags.iter().map(|tag| Box::from(tag.as_bytes())));
        }
        for rule in rules.values_mut() {
            rule.keys.sort_unstable();
            rule.keys.dedup();
        }
        Self(rules)
    }

    /// The rule for a metric, if it has one. Without one all its tags stay.
    ///
    /// Cost: one hash; nothing at all while there are no rules.
    #[inline]
    pub fn keep(&self, metric_name: &[u8]) -> Option<&TagRule> {
        if self.0.is_empty() {
            None
        } else {
            self.0.get(metric_name)
        }
    }

    /// True if every tag of every metric stays.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Metrics with a rule.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

// === impl TagRule ===

impl TagRule {
    /// True if this tag stays.
    ///
    /// Cost: one binary search among the keys of the metric.
    #[inline]
    pub fn keeps(&self, tag: &[u8]) -> bool {
        let key_len = memchr::memchr(b':', tag).unwrap_or(tag.len());
        let listed = self
            .keys
            .binary_search_by(|key| (**key).cmp(&tag[..key_len]))
            .is_ok();
        listed == (self.action == TagAction::Include)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    fn entry(metric_name: &str, action: TagAction, tags: &[&str]) -> TagFilterEntry {
        let tags = tags.iter().map(ToString::to_string).collect();
        TagFilterEntry {
            metric_name: metric_name.into(),
            action,
            tags,
        }
    }

    #[track_caller]
    fn check(entries: &[TagFilterEntry], tags: &str, expected: &str) {
        let filter = TagFilter::new(entries);
        let kept: Vec<&str> = tags
            .split(',')
            .filter(|tag| {
                filter
                    .keep(b"m")
                    .is_none_or(|rule| rule.keeps(tag.as_bytes()))
            })
            .collect();
        assert_eq!(kept.join(","), expected);
    }

    #[test]
    fn exclude_drops_and_include_keeps_the_listed_keys() {
        use TagAction::{Exclude, Include};
        let tags = "env:prod,pod:a,pod:b:c,pod,podname:x,:v,";
        check(&[], tags, tags);
        check(
            &[entry("m", Exclude, &["pod"])],
            tags,
            "env:prod,podname:x,:v,",
        );
        check(&[entry("m", Include, &["pod"])], tags, "pod:a,pod:b:c,pod");
        check(&[entry("m", Include, &[])], tags, "");
        check(&[entry("m", Exclude, &[])], tags, tags);
        check(
            &[entry("m", Exclude, &[""])],
            tags,
            "env:prod,pod:a,pod:b:c,pod,podname:x",
        );
        check(&[entry("M", Exclude, &["pod"])], tags, tags);
    }

    #[test]
    fn entries_of_one_metric_merge_and_exclude_wins() {
        use TagAction::{Exclude, Include};
        let tags = "a:1,b:1,c:1";
        let check = |entries: &[TagFilterEntry], expected| check(entries, tags, expected);
        check(
            &[entry("m", Exclude, &["b"]), entry("m", Exclude, &["a"])],
            "c:1",
        );
        check(
            &[entry("m", Include, &["b"]), entry("m", Include, &["a"])],
            "a:1,b:1",
        );
        check(
            &[entry("m", Include, &["b"]), entry("m", Exclude, &["a"])],
            "b:1,c:1",
        );
        check(
            &[entry("m", Exclude, &["a"]), entry("m", Include, &["b"])],
            "b:1,c:1",
        );
        check(
            &[entry("", Exclude, &["a"]), entry("n", Exclude, &["b"])],
            tags,
        );
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_reading_the_entries_in_order(
            entries in prop::collection::vec(
                (any::<bool>(), prop::collection::vec(select(vec!["a", "b", "c"]), 0..3)), 0..5),
            tag in "[abc]{0,2}(:[abc:]{0,2})?",
        ) {
            let entries: Vec<TagFilterEntry> = entries
                .iter()
                .map(|(exclude, tags)| {
                    let action = if *exclude { TagAction::Exclude } else { TagAction::Include };
                    entry("m", action, tags)
                })
                .collect();
            let filter = TagFilter::new(&entries);
            let key = tag.split(':').next().unwrap_or_default();
            let action = entries.iter().map(|e| e.action).max_by_key(|a| *a == TagAction::Exclude);
            let listed = entries
                .iter()
                .any(|e| Some(e.action) == action && e.tags.iter().any(|t| t == key));
            let expected = action.is_none_or(|action| listed == (action == TagAction::Include));
            let got = filter.keep(b"m").is_none_or(|rule| rule.keeps(tag.as_bytes()));
            prop_assert_eq!(got, expected);
        }
    }
}
