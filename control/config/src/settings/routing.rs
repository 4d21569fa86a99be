//! Which output gets what.

pub use crate::routing::{Gauges, RouteRule, TagPolicy};

/// Rules and policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// `greyhound.routing.rules`: the first that fits decides.
    pub rules: Vec<RouteRule>,
    /// `greyhound.routing.default_outputs`: of what no rule fits.
    pub default_outputs: Vec<String>,
    /// `greyhound.routing.tag_policies`: the first that fits decides.
    pub tag_policies: Vec<TagPolicy>,
}
