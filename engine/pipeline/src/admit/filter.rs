//! `metric_filterlist`, or `statsd_metric_blocklist` when that is empty: names not wanted.
//!
//! Tested twice. At intake, on the name with its namespace, against every entry. At flush, on the
//! final series name, against the entries that can name one aggregate of a histogram: those that
//! end in a configured suffix (`h.t.median`), and every prefix, which may reach into one.
//!
//! Entries and names are compared in the form the intake stores ([`super::normalize`]). A name the
//! intake would not store never matches: it is refused there, and its sender should see that.

use super::normalize::{self, NAME_LEN_BYTES_MAX};
use super::prefixes::PrefixSet;
use foldhash::fast::RandomState;
use hashbrown::HashSet;

/// Names to drop, at intake and at flush.
#[derive(Clone, Debug, Default)]
pub struct NameFilter {
    intake: HashSet<Box<[u8]>, RandomState>,
    flush: HashSet<Box<[u8]>, RandomState>,
    prefixes: PrefixSet,
    unstorable: usize,
}

// === impl NameFilter ===

impl NameFilter {
    /// Compiles the entries of a list.
    ///
    /// An entry that ends in `*` is a prefix; with `match_prefix` every entry is. `suffixes` are
    /// those the configured histogram aggregates and percentiles add, with their dot: `.max`,
    /// `.95percentile`. Entries that no stored name can match are left out and counted in
    /// [`NameFilter::unstorable`].
    pub fn new<E: AsRef<[u8]>, S: AsRef<[u8]>>(
        entries: impl IntoIterator<Item = E>,
        match_prefix: bool,
        suffixes: &[S],
    ) -> Self {
        let mut filter = Self::default();
        let mut prefixes: Vec<Box<[u8]>> = Vec::new();
        let mut form = [0; NAME_LEN_BYTES_MAX];
        for entry in entries {
            let entry = entry.as_ref();
            if entry == b"*" {
                prefixes.push(Box::default());
                continue;
            }
            let prefix = entry.strip_suffix(b"*").or(match_prefix.then_some(entry));
            let stored = match prefix {
                Some(prefix) => normalize::normalize_prefix_into(prefix, &mut form),
                None => normalize::normalize_name_into(entry, &mut form),
            };
            let Some(stored) = stored else {
                filter.unstorable += 1;
                continue;
            };
            if prefix.is_some() {
                prefixes.push(stored.into());
                continue;
            }
            if suffixes
                .iter()
                .any(|suffix| stored.ends_with(suffix.as_ref()))
            {
                filter.flush.insert(stored.into());
            }
            filter.intake.insert(stored.into());
        }
        filter.prefixes = PrefixSet::new(prefixes);
        filter
    }

    /// True if a message of this name is to be dropped when it comes in. The name has its
    /// namespace already.
    ///
    /// Cost: one pass over the name, one hash, one binary search among prefixes; no allocation.
    #[inline]
    pub fn intake_refuses(&self, namespaced_name: &[u8]) -> bool {
        !self.is_empty() && self.refuses(&self.intake, namespaced_name)
    }

    /// True if a series of this final name, its aggregate suffix included, is to be dropped at
    /// flush.
    ///
    /// Cost: as at intake.
    #[inline]
    pub fn flush_refuses(&self, final_series_name: &[u8]) -> bool {
        self.has_flush_entries() && self.refuses(&self.flush, final_series_name)
    }

    /// True if nothing is ever refused.
    pub fn is_empty(&self) -> bool {
        self.intake.is_empty() && self.prefixes.is_empty()
    }

    /// True if the flush has to ask at all.
    pub fn has_flush_entries(&self) -> bool {
        !self.flush.is_empty() || !self.prefixes.is_empty()
    }

    /// Entries in use.
    pub fn len(&self) -> usize {
        self.intake.len() + self.prefixes.len()
    }

    /// Entries left out because no name in the intake's form can match them. Worth a warning.
    pub fn unstorable(&self) -> usize {
        self.unstorable
    }

    fn refuses(&self, exact: &HashSet<Box<[u8]>, RandomState>, name: &[u8]) -> bool {
        if normalize::is_normalized(name) {
            return exact.contains(name) || self.prefixes.starts(name);
        }
        self.refuses_rewritten(exact, name)
    }

    /// The rare name that is not in the intake's form yet. Kept out of line, with its buffer on the
    /// stack.
    #[cold]
    fn refuses_rewritten(&self, exact: &HashSet<Box<[u8]>, RandomState>, name: &[u8]) -> bool {
        let mut buffer = [0; NAME_LEN_BYTES_MAX];
        normalize::normalize_name_into(name, &mut buffer)
            .is_some_and(|stored| exact.contains(stored) || self.prefixes.starts(stored))
    }
}

#[cfg(test)]
mod tests;
