//! Whether the parts of the process are well: `GET /agent/status/health`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::register::{HealthCheck, RouteGroup};
use crate::rest::response::Response;
use crate::rest::{Handler, Route};

/// Every part that can be unwell.
#[derive(Clone, Default)]
pub struct HealthPage {
    checks: Vec<Arc<dyn HealthCheck>>,
}

/// Names by state, each sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Well.
    pub healthy: Vec<String>,
    /// Not.
    pub unhealthy: Vec<String>,
}

// === impl HealthPage ===

impl HealthPage {
    /// A page over these parts.
    pub fn new(checks: Vec<Arc<dyn HealthCheck>>) -> Self {
        Self { checks }
    }

    /// Asks every part.
    pub fn read(&self) -> Readings {
        let mut readings = Readings::default();
        for check in &self.checks {
            let side = if check.is_healthy() {
                &mut readings.healthy
            } else {
                &mut readings.unhealthy
            };
            side.push(check.name().to_owned());
        }
        readings.healthy.sort_unstable();
        readings.unhealthy.sort_unstable();
        readings
    }
}

impl RouteGroup for HealthPage {
    fn routes(&self) -> Vec<Route> {
        let page = self.clone();
        let names = json!({ "type": ["array", "null"], "items": { "type": "string" } });
        vec![
            Route::get(
                "/agent/status/health",
                "Parts of the process that are well, and those that are not",
                Handler::now(move |_| Response::json(&page.read().json())),
            )
            .tag("status")
            .json(
                200,
                "Always, also when a part is unwell",
                json!({
                    "type": "object",
                    "required": ["Healthy", "Unhealthy"],
                    "properties": { "Healthy": names, "Unhealthy": names },
                }),
            ),
        ]
    }
}

// === impl Readings ===

impl Readings {
    /// As the Agent answers: a side without names is `null`.
    pub fn json(&self) -> Value {
        let side = |names: &[String]| {
            if names.is_empty() {
                Value::Null
            } else {
                json!(names)
            }
        };
        json!({ "Healthy": side(&self.healthy), "Unhealthy": side(&self.unhealthy) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(&'static str, bool);

    impl HealthCheck for Fixed {
        fn name(&self) -> &str {
            self.0
        }
        fn is_healthy(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn an_empty_side_is_null_as_with_the_agent() {
        let page = HealthPage::new(vec![Arc::new(Fixed("b", true)), Arc::new(Fixed("a", true))]);
        assert_eq!(
            page.read().json().to_string(),
            r#"{"Healthy":["a","b"],"Unhealthy":null}"#
        );
        let page = HealthPage::new(vec![Arc::new(Fixed("lanes", false))]);
        assert_eq!(
            page.read().json().to_string(),
            r#"{"Healthy":null,"Unhealthy":["lanes"]}"#
        );
    }
}
