//! The rules a message meets, compiled once and then shared, unchanged, by all lanes.

use greyhound_model::series::Suffix;
use greyhound_wire::Options;

use crate::admit::filter::NameFilter;
use crate::admit::mapper::Mapper;
use crate::admit::namespace::Namespace;
use crate::admit::tag_filter::TagFilter;
use crate::config::{HistogramConfig, LimitsConfig, OriginConfig, RulesConfig};

/// One generation of rules. A packet meets exactly one.
#[derive(Debug)]
pub struct Rules {
    /// What the parser reads.
    pub wire: Options,
    /// Name mapping; `None` when there are no profiles, or a bad one.
    pub mapper: Option<Mapper>,
    /// Size of each lane's mapper cache.
    pub mapper_cache_entries: usize,
    /// Prefix of names.
    pub namespace: Namespace,
    /// Names that are dropped.
    pub filter: NameFilter,
    /// Tags that are dropped from distributions.
    pub tag_filter: TagFilter,
    /// Tags of everything.
    pub tags: Vec<Vec<u8>>,
    /// Key of the tag with a UDP client's address.
    pub client_tag: Option<Vec<u8>>,
    /// Histograms.
    pub histogram: HistogramRules,
    /// Enrichment.
    pub origin: OriginConfig,
    /// Refused messages are warned of.
    pub tells_refused: bool,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Seconds of zeros after a counter fell silent.
    pub counter_expiry_seconds: i64,
    /// Seconds a silent context lives.
    pub context_expiry_seconds: i64,
}

/// What a histogram becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramRules {
    /// Aggregates in the configured order.
    pub aggregates: Vec<Suffix>,
    /// Whole percents, ascending.
    pub percentiles: Vec<u8>,
    /// Name prefix of the copy as a distribution, when there is one.
    pub copy_prefix: Option<Vec<u8>>,
}

// === impl Rules ===

impl Rules {
    /// Compiles what the settings say. What is wrong but not fatal is told in words: a bad mapper
    /// profile switches mapping off as a whole, as the Agent does.
    pub fn compile(config: &RulesConfig) -> (Self, Vec<String>) {
        let mut warnings = Vec::new();
        let mapper = match config.mapper_profiles.as_slice() {
            [] => None,
            profiles => Mapper::compile(profiles)
                .map_err(|error| {
                    warnings.push(format!(
                        "`dogstatsd_mapper_profiles`: {error}; mapping is off"
                    ));
                })
                .ok(),
        };
        let histogram = HistogramRules::compile(&config.histogram, &mut warnings);
        let suffixes = histogram.suffixes();
        let rules = Self {
            wire: Options {
                timestamps: config.timestamps,
                client_origin: config.client_origin,
            },
            mapper,
            mapper_cache_entries: config.mapper_cache_entries,
            namespace: Namespace::new(&config.namespace, &config.namespace_exempt),
            filter: NameFilter::new(&config.filter_names, config.filter_match_prefix, &suffixes),
            tag_filter: TagFilter::new(&config.tag_filter),
            tags: sorted_unique(&config.tags),
            client_tag: config.client_tag.clone(),
            histogram,
            origin: config.origin,
            tells_refused: config.tells_refused,
            limits: config.limits,
            counter_expiry_seconds: i64::from(config.counter_expiry_seconds),
            context_expiry_seconds: i64::from(config.context_expiry_seconds),
        };
        (rules, warnings)
    }
}

/// Static tags are sorted and made unique once, at start.
fn sorted_unique(tags: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut tags = tags.to_vec();
    tags.sort_unstable();
    tags.dedup();
    tags
}

// === impl HistogramRules ===

impl HistogramRules {
    fn compile(config: &HistogramConfig, warnings: &mut Vec<String>) -> Self {
        let mut aggregates = Vec::new();
        for name in &config.aggregates {
            match aggregate(name) {
                Some(suffix) => aggregates.push(suffix),
                None => warnings.push(format!("`histogram_aggregates`: {name:?} is skipped")),
            }
        }
        let mut percentiles = Vec::new();
        for text in &config.percentiles {
            match text.trim().parse::<f64>() {
                // In 0..=1, so the product is in 0..=100.5 and its whole part fits.
                Ok(p) if (0.0..=1.0).contains(&p) => percentiles.push((p * 100.0 + 0.5) as u8),
                _ => warnings.push(format!(
                    "`histogram_percentiles`: {text:?} is skipped, it is not between 0 and 1"
                )),
            }
        }
        percentiles.sort_unstable();
        let copy_prefix = config
            .copy_to_distribution
            .then(|| config.copy_prefix.clone());
        Self {
            aggregates,
            percentiles,
            copy_prefix,
        }
    }

    /// Everything that can stand behind a histogram's name.
    fn suffixes(&self) -> Vec<Vec<u8>> {
        let percentiles = self.percentiles.iter().map(|&p| Suffix::Percentile(p));
        self.aggregates
            .iter()
            .copied()
            .chain(percentiles)
            .map(|suffix| {
                let mut text = Vec::new();
                suffix.append_to(&mut text);
                text
            })
            .collect()
    }
}

fn aggregate(name: &str) -> Option<Suffix> {
    Some(match name {
        "max" => Suffix::Max,
        "min" => Suffix::Min,
        "median" => Suffix::Median,
        "avg" => Suffix::Avg,
        "sum" => Suffix::Sum,
        "count" => Suffix::Count,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_aggregates_and_percentiles_are_skipped_with_a_word() {
        let config = HistogramConfig {
            aggregates: ["max", "p95"].map(String::from).to_vec(),
            percentiles: ["abc", "1.5", "0.9", "0.29", "0.999"]
                .map(String::from)
                .to_vec(),
            ..HistogramConfig::default()
        };
        let mut warnings = Vec::new();
        let rules = HistogramRules::compile(&config, &mut warnings);
        assert_eq!(rules.aggregates, [Suffix::Max]);
        assert_eq!(rules.percentiles, [29, 90, 100]);
        assert_eq!(warnings.len(), 3, "{warnings:?}");
    }
}
