//! What the configured rules make of a metric after it was understood: mapping, namespace, filter.
//!
//! The same compiled rules as a lane's, asked for one metric at a time. Contexts and buckets are not
//! involved; `simulate` shows those.

use std::fmt::Write;

use greyhound_model::metric::MetricKind;
use greyhound_pipeline::admit::cache::MapperCache;
use greyhound_pipeline::config::RulesConfig;
use greyhound_pipeline::rules::Rules;
use greyhound_wire::Message;

use crate::explain::show::printable;

/// The rules, with the scratch memory they want.
#[derive(Debug)]
pub(crate) struct Admission {
    rules: Rules,
    cache: MapperCache,
    scratch: Vec<u8>,
}

// === impl Admission ===

impl Admission {
    /// Compiles the rules; what is wrong with them is told by `greyhound config check`.
    pub(crate) fn new(config: &RulesConfig) -> Self {
        let (rules, _warnings) = Rules::compile(config);
        Self {
            rules,
            cache: MapperCache::new(0),
            scratch: Vec::new(),
        }
    }

    /// Label and text for everything the rules do to this message; empty when they do nothing.
    pub(crate) fn rows(&mut self, message: &Message<'_>) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        let Message::Metric(metric) = message else {
            self.push_tags(&mut rows);
            return rows;
        };
        let mut name = metric.name.to_vec();
        if let Some(mapper) = &self.rules.mapper
            && let Some(mapped) = mapper.map(&mut self.cache, metric.name)
        {
            name = mapped.name.to_vec();
            let mut text = printable(&mapped.name);
            for (index, tag) in mapped.tags.iter().enumerate() {
                let gap = if index == 0 { " with " } else { ", " };
                write!(text, "{gap}{}", printable(tag)).expect("a string takes everything");
            }
            rows.push(("mapped to", text));
        }
        let namespaced = self.rules.namespace.apply(&name, &mut self.scratch);
        if namespaced != name {
            rows.push(("goes out as", printable(namespaced)));
        }
        if self.rules.filter.intake_refuses(namespaced) {
            rows.push((
                "filtered",
                "dropped and counted: the name is on the filter list".into(),
            ));
            return rows;
        }
        if let Some(prefix) = &self.rules.histogram.copy_prefix
            && matches!(metric.kind, MetricKind::Histogram | MetricKind::Timing)
        {
            let copy = [prefix, namespaced].concat();
            rows.push(("copied to", format!("{}, a distribution", printable(&copy))));
        }
        self.push_tags(&mut rows);
        rows
    }

    fn push_tags(&self, rows: &mut Vec<(&'static str, String)>) {
        if !self.rules.tags.is_empty() {
            let tags: Vec<_> = self.rules.tags.iter().map(|tag| printable(tag)).collect();
            rows.push(("tags added", tags.join(", ")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_pipeline::admit::mapper::{MapperProfile, Mapping, MatchKind};
    use greyhound_pipeline::config::HistogramConfig;
    use greyhound_wire::Options;

    fn rows(config: &RulesConfig, line: &str) -> Vec<String> {
        let message = greyhound_wire::parse(line.as_bytes(), Options::default()).expect(line);
        let rows = Admission::new(config).rows(&message);
        rows.into_iter()
            .map(|(label, text)| format!("{label}: {text}"))
            .collect()
    }

    #[test]
    fn nothing_configured_is_nothing_to_say() {
        assert_eq!(rows(&RulesConfig::default(), "a:1|c"), [""; 0]);
    }

    #[test]
    fn rules_are_told_in_the_order_they_apply() {
        let config = RulesConfig {
            mapper_profiles: vec![MapperProfile {
                name: "jobs".into(),
                prefix: "job.".into(),
                mappings: vec![Mapping {
                    pattern: "job.*".into(),
                    kind: MatchKind::Wildcard,
                    name: "job".into(),
                    tags: vec![("id".into(), "$1".into())],
                }],
            }],
            namespace: b"corp".to_vec(),
            tags: vec![b"dc:n".to_vec()],
            filter_names: vec![b"corp.noise".to_vec()],
            histogram: HistogramConfig {
                copy_to_distribution: true,
                copy_prefix: b"dist.".to_vec(),
                ..HistogramConfig::default()
            },
            ..RulesConfig::default()
        };
        assert_eq!(
            rows(&config, "job.7:1|h"),
            [
                "mapped to: job with id:7",
                "goes out as: corp.job",
                "copied to: dist.corp.job, a distribution",
                "tags added: dc:n",
            ]
        );
        let filtered = rows(&config, "noise:1|c");
        assert_eq!(filtered.len(), 2);
        assert!(filtered[1].starts_with("filtered: dropped"), "{filtered:?}");
        assert_eq!(rows(&config, "_sc|up|0"), ["tags added: dc:n"]);
    }
}
