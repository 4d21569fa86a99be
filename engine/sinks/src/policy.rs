//! Tags an output is not to see, and how points that become one are added up.
//!
//! ```text
//!  web.hits{pod:a}@h1 3 ─┐ drop pod, host
//!  web.hits{pod:b}@h2 4 ─┴──────────────▶ web.hits{} 7
//! ```
//!
//! | what | becomes |
//! |---|---|
//! | counters, `.count`, `.sum` | the sum |
//! | sets | the number of distinct members of all |
//! | distributions | the merged sketch: nothing is lost |
//! | gauges | average, sum, largest or smallest, as the policy says |
//! | `.max`, `.min` | the largest, the smallest |
//! | `.avg`, `.median`, percentiles | of all values, when the flush carries summaries ([`FlushBatch::histograms`]); else the mean of the averages, the largest of the others |
//!
//! Only points of one time and one flush meet. Points that stay alone pass as they are, bit for bit.
//!
//! [`FlushBatch::histograms`]: greyhound_model::flush::FlushBatch::histograms

mod join;
pub(crate) mod reduce;

use greyhound_model::context::{Context, Host};

use crate::route::glob::Glob;

/// One policy, as the operator wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Whom it is for; `*` in a name is any text.
    pub outputs: Vec<String>,
    /// Patterns of metric names; one of them fits. Empty = all.
    pub names: Vec<String>,
    /// What happens to the tags named below.
    pub action: TagAction,
    /// Patterns of tag keys; `host` is the host.
    pub tags: Vec<String>,
    /// What becomes of gauges that meet.
    pub gauges: GaugeRule,
}

/// Drop or keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagAction {
    /// The tags named go.
    Drop,
    /// Only the tags named stay.
    Keep,
}

/// One gauge of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum GaugeRule {
    /// Their average.
    #[default]
    Avg,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their sum.
    Sum,
}

/// A policy ready for use.
#[derive(Debug)]
pub(crate) struct Policy {
    names: Box<[Glob]>,
    action: TagAction,
    tags: Box<[Glob]>,
    pub(crate) gauges: GaugeRule,
}

// === impl Policy ===

impl Policy {
    pub(crate) fn new(config: &PolicyConfig) -> Self {
        let globs = |patterns: &[String]| patterns.iter().map(|text| Glob::new(text)).collect();
        Self {
            names: globs(&config.names),
            action: config.action,
            tags: globs(&config.tags),
            gauges: config.gauges,
        }
    }

    /// Whether it is about this metric.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        self.names.is_empty() || self.names.iter().any(|glob| glob.matches(name))
    }

    /// Whether a tag stays. Its key ends at the first colon.
    pub(crate) fn keeps(&self, tag: &[u8]) -> bool {
        let end = tag.iter().position(|byte| *byte == b':');
        self.keeps_key(&tag[..end.unwrap_or(tag.len())])
    }

    /// Whether the host stays.
    pub(crate) fn keeps_host(&self) -> bool {
        self.keeps_key(b"host")
    }

    /// The context without the tags that go; `None` when all stay.
    pub(crate) fn reduced(&self, context: &Context) -> Option<Context> {
        let host = match self.keeps_host() || context.host() == Host::Named(b"") {
            true => context.host(),
            false => Host::Named(b""),
        };
        let is_same = host == context.host() && context.tags().all(|tag| self.keeps(tag));
        let kept = || context.tags().filter(|tag| self.keeps(tag));
        (!is_same).then(|| Context::new(context.name(), host, kept()))
    }

    fn keeps_key(&self, key: &[u8]) -> bool {
        let is_named = self.tags.iter().any(|glob| glob.matches(key));
        is_named == (self.action == TagAction::Keep)
    }
}

#[cfg(test)]
mod tests;
