//! What the configured rules make of a metric after it was understood: mapping, namespace, filter.
//!
//! The same compiled rules as a lane's, asked for one metric at a time. Contexts and buckets are not
//! involved; `simulate` shows those. With routing rules, it also says which outputs it goes to; tags that the
//! origin of a message would add are not known here.

use std::fmt::Write;

use greyhound_model::context::{Context, Host};
use greyhound_model::metric::MetricKind;
use greyhound_pipeline::admit::cache::MapperCache;
use greyhound_pipeline::config::RulesConfig;
use greyhound_pipeline::rules::Rules;
use greyhound_sinks::route::Routing;
use greyhound_wire::Message;

use crate::explain::show::printable;

/// The rules, with the scratch memory they want.
#[derive(Debug)]
pub(crate) struct Admission {
    rules: Rules,
    /// With the names of the outputs; `None` = all get everything.
    routing: Option<(Routing, Vec<String>)>,
    hostname: Vec<u8>,
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
            routing: None,
            hostname: Vec::new(),
            cache: MapperCache::new(0),
            scratch: Vec::new(),
        }
    }

    /// With rules of outputs, whose names come with them.
    pub(crate) fn with_routing(
        mut self,
        routing: Option<(Routing, Vec<String>)>,
        hostname: &str,
    ) -> Self {
        self.routing = routing;
        self.hostname = hostname.as_bytes().to_vec();
        self
    }

    /// Label and text for everything the rules do to this message; empty when they do nothing.
    pub(crate) fn rows(&mut self, message: &Message<'_>) -> Vec<(&'static str, String)> {
        let mut rows = Vec::new();
        let Message::Metric(metric) = message else {
            self.push_tags(&mut rows);
            return rows;
        };
        let mut name = metric.name.to_vec();
        let mut mapped_tags: Vec<Vec<u8>> = Vec::new();
        if let Some(mapper) = &self.rules.mapper
            && let Some(mapped) = mapper.map(&mut self.cache, metric.name)
        {
            name = mapped.name.to_vec();
            let mut text = printable(&mapped.name);
            mapped_tags.extend(mapped.tags.iter().map(|tag| tag.to_vec()));
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
        let name = namespaced.to_vec();
        self.push_tags(&mut rows);
        let sent = metric.tags.iter().map(<[u8]>::to_vec);
        let tags: Vec<Vec<u8>> = sent.chain(mapped_tags).collect();
        self.push_route(&name, &tags, &mut rows);
        rows
    }

    fn push_route(&self, name: &[u8], tags: &[Vec<u8>], rows: &mut Vec<(&'static str, String)>) {
        let Some((routing, outputs)) = &self.routing else {
            return;
        };
        let host = tags.iter().find_map(|tag| tag.strip_prefix(b"host:"));
        let host = host.map_or(Host::Own, Host::Named);
        let own = self.rules.tags.iter().map(|tag| &tag[..]);
        let tags = tags.iter().map(Vec::as_slice).chain(own);
        let tags = tags.filter(|tag| !tag.starts_with(b"host:"));
        let context = Context::new(name, host, tags);
        let outputs: Vec<&str> = outputs.iter().map(String::as_str).collect();
        let (rule, taking) = routing.explain(&context, &self.hostname, &outputs);
        let by = rule.map_or_else(
            || "no rule fits, so the default".to_owned(),
            |rule| format!("rule {rule}"),
        );
        let to = match taking.is_empty() {
            true => "nowhere".to_owned(),
            false => taking.join(", "),
        };
        rows.push(("goes to", format!("{to} ({by})")));
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
    fn the_route_is_told_by_final_name_tags_and_host() {
        use greyhound_sinks::route::{RoutingConfig, RuleConfig};
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let rule = RuleConfig {
            names: texts(&["corp.*"]),
            tags: texts(&["dc:n", "a:1"]),
            hosts: texts(&["h*"]),
            outputs: texts(&["ndjson"]),
        };
        let config = RoutingConfig {
            rules: vec![rule],
            ..RoutingConfig::default()
        };
        let names = ["prometheus", "ndjson"];
        let rows = |line: &str| {
            let routing = Routing::compile(&config, &names, |_| false).expect("rules");
            let rules = RulesConfig {
                namespace: b"corp".to_vec(),
                tags: vec![b"dc:n".to_vec()],
                ..RulesConfig::default()
            };
            let mut admission =
                Admission::new(&rules).with_routing(Some((routing, texts(&names))), "own");
            let message = greyhound_wire::parse(line.as_bytes(), Options::default()).expect(line);
            admission.rows(&message).pop().expect("a route")
        };
        assert_eq!(
            rows("x:1|c|#a:1,host:h1"),
            ("goes to", "ndjson (rule 1)".to_owned())
        );
        let (_, text) = rows("x:1|c|#a:1");
        assert_eq!(text, "prometheus, ndjson (no rule fits, so the default)");
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
