//! Settings to rules and tag policies of the fan-out, at start and when they change.

use greyhound_config::settings::routing::{self, Gauges};
use greyhound_config::settings::{Outputs, Settings};
use greyhound_sinks::fanout::Fanout;
use greyhound_sinks::policy::{GaugeRule, PolicyConfig, TagAction};
use greyhound_sinks::route::{Routing, RoutingConfig, RoutingError, RuleConfig};
use tracing::warn;

/// Settings that are followed while running.
pub const KEYS: &[&str] = &[
    "greyhound.routing.rules",
    "greyhound.routing.default_outputs",
    "greyhound.routing.tag_policies",
];

/// Compiles rules and policies for the sinks that run; says which outputs they name that are off.
///
/// # Errors
/// When they name an output that cannot be meant.
pub fn compile(settings: &routing::Routing, fanout: &Fanout) -> Result<Routing, RoutingError> {
    let totals = fanout.totals();
    let names: Vec<&str> = totals.iter().map(|(name, _)| name.as_str()).collect();
    let config = config(settings);
    let compiled = fanout.compile_routing(&config, |output| may_be_absent(output, &names))?;
    let rules = config.rules.iter().map(|rule| &rule.outputs);
    let policies = config.policies.iter().map(|policy| &policy.outputs);
    let mut absent: Vec<&str> = rules
        .chain(policies)
        .chain([&config.default_outputs])
        .flatten()
        .map(String::as_str)
        .filter(|output| !output.contains('*') && !names.contains(output))
        .collect();
    absent.sort_unstable();
    absent.dedup();
    for output in absent {
        warn!(
            output,
            "routing names an output that is off; what is meant for it alone goes nowhere"
        );
    }
    Ok(compiled)
}

/// An output that is off is no mistake: one file may serve hosts with and without it. A destination beyond
/// those there are is one.
pub fn may_be_absent(output: &str, present: &[&str]) -> bool {
    let has_datadog = present.iter().any(|name| name.starts_with("datadog"));
    greyhound_config::routing::is_output(output) && !(output.starts_with("datadog") && has_datadog)
}

/// The rules for a command without a daemon: compiled for the outputs the settings switch on, whose names come
/// with it. `None` = every output gets everything, or the rules name an output that cannot be meant.
pub fn offline(settings: &Settings) -> Option<(Routing, Vec<String>)> {
    let names = names(&settings.outputs);
    let list: Vec<&str> = names.iter().map(String::as_str).collect();
    let config = config(&settings.routing);
    let routing = Routing::compile(&config, &list, |output| may_be_absent(output, &list)).ok()?;
    (!routing.is_plain()).then_some((routing, names))
}

/// What the outputs are called that the settings switch on.
fn names(outputs: &Outputs) -> Vec<String> {
    let datadog = outputs.datadog.iter();
    let destinations = datadog.flat_map(|datadog| 0..datadog.destinations.len());
    [
        ("prometheus", outputs.prometheus.is_some()),
        ("print", outputs.print),
        ("ndjson", outputs.ndjson.is_some()),
        ("remote_write", outputs.remote_write.is_some()),
        ("otlp", outputs.otlp.is_some()),
        ("relay", outputs.relay.is_some()),
    ]
    .into_iter()
    .filter(|(_, is_on)| *is_on)
    .map(|(name, _)| name.to_owned())
    .chain(destinations.map(super::datadog::name))
    .collect()
}

/// The operator's words as the fan-out's own.
pub fn config(settings: &routing::Routing) -> RoutingConfig {
    let rule = |rule: &routing::RouteRule| RuleConfig {
        names: rule.names.clone(),
        tags: rule.tags.clone(),
        hosts: rule.hosts.clone(),
        outputs: rule.outputs.clone(),
    };
    let policy = |policy: &routing::TagPolicy| PolicyConfig {
        outputs: policy.outputs.clone(),
        names: policy.names.clone(),
        action: match policy.keep {
            true => TagAction::Keep,
            false => TagAction::Drop,
        },
        tags: policy.tags.clone(),
        gauges: match policy.gauges {
            Gauges::Avg => GaugeRule::Avg,
            Gauges::Max => GaugeRule::Max,
            Gauges::Min => GaugeRule::Min,
            Gauges::Sum => GaugeRule::Sum,
        },
    };
    RoutingConfig {
        rules: settings.rules.iter().map(rule).collect(),
        default_outputs: settings.default_outputs.clone(),
        policies: settings.tag_policies.iter().map(policy).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::json;

    #[test]
    fn the_default_is_that_everything_goes_everywhere() {
        let settings = settings_from_json(None).expect("defaults");
        assert_eq!(config(&settings.routing), RoutingConfig::default());
    }

    #[test]
    fn an_output_that_is_off_is_no_mistake() {
        assert!(may_be_absent("relay", &["prometheus"]));
        assert!(may_be_absent("datadog-2", &["prometheus"]));
        assert!(!may_be_absent("datadog-3", &["datadog", "datadog-2"]));
        assert!(!may_be_absent("nowhere", &[]));
    }

    #[test]
    fn rules_are_read_from_a_file() {
        let settings = settings_from_json(Some(&json!({ "greyhound": { "routing": {
            "rules": [{ "name": "pay.*", "outputs": ["datadog-2"] }],
            "default_outputs": ["prometheus"],
            "tag_policies": [{ "outputs": ["datadog*"], "drop": ["host"], "gauges": "sum" }],
        } } })));
        let config = config(&settings.expect("settings").routing);
        assert_eq!(config.rules[0].names, ["pay.*"]);
        assert_eq!(config.policies[0].gauges, GaugeRule::Sum);
        let wrong = json!({ "greyhound": { "routing": { "rules": [{ "name": "pay.*" }] } } });
        let error = settings_from_json(Some(&wrong)).expect_err("no outputs");
        assert!(
            format!("{error:#}").contains("greyhound.routing.rules"),
            "{error:#}"
        );
    }
}
