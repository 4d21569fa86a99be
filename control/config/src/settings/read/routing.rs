//! Reads rules and policies of outputs.

use super::{Reader, Warning, mistyped};
use crate::report::Report;
use crate::routing;
use crate::settings::routing::Routing;
use crate::value::Value;

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn routing(&self, report: &mut Report) -> Routing {
        const DEFAULT: &str = "greyhound.routing.default_outputs";
        let default_outputs = self.list(DEFAULT);
        if let Some(wrong) = default_outputs
            .iter()
            .find(|name| !routing::is_output(name))
        {
            report.warnings.push(Warning {
                key: DEFAULT.to_owned(),
                place: self.resolved(DEFAULT).place.into_owned(),
                message: format!(
                    "there is no output `{wrong}`; there can be {}, datadog-2, …",
                    routing::OUTPUTS.join(", ")
                ),
            });
        }
        Routing {
            rules: match self.value("greyhound.routing.rules") {
                Value::RouteRules(rules) => rules.clone(),
                other => mistyped("greyhound.routing.rules", other),
            },
            default_outputs,
            tag_policies: match self.value("greyhound.routing.tag_policies") {
                Value::TagPolicies(policies) => policies.clone(),
                other => mistyped("greyhound.routing.tag_policies", other),
            },
        }
    }
}
