//! Our additions, `/agent/v1/…`: the numbers behind the sections of the status page, for programs. The shapes
//! are those of the sections' JSON, which only grow.

use std::sync::Arc;

use serde_json::json;

use super::response::Response;
use super::{Handler, Route};
use crate::register::{RouteGroup, StatusSection};

/// Sections served, with their routes.
const SERVED: [(&str, &str, &str); 4] = [
    (
        "ledger",
        "/agent/v1/ledger",
        "Where every message went, and what is unaccounted for",
    ),
    (
        "listeners",
        "/agent/v1/listeners",
        "Sockets, what came in, what the kernel dropped",
    ),
    (
        "sinks",
        "/agent/v1/sinks",
        "Outputs: delivered, waiting, dropped by reason",
    ),
    (
        "contexts",
        "/agent/v1/limits",
        "Bounds, and how often each was hit",
    ),
];

/// The group.
pub struct V1Routes {
    sections: Vec<Arc<dyn StatusSection>>,
}

// === impl V1Routes ===

impl V1Routes {
    /// Over the sections of the status page; those it does not know are left out.
    pub fn new(sections: Vec<Arc<dyn StatusSection>>) -> Self {
        Self { sections }
    }
}

impl RouteGroup for V1Routes {
    fn routes(&self) -> Vec<Route> {
        let served = SERVED.iter().filter_map(|(name, path, summary)| {
            let section = self
                .sections
                .iter()
                .find(|section| section.name() == *name)?;
            let section = Arc::clone(section);
            let handler = Handler::blocking(move |_| Response::json(&section.json(true)));
            let route = Route::get(path, summary, handler);
            Some(
                route
                    .tag("v1")
                    .json(200, summary, json!({ "type": ["object", "array"] })),
            )
        });
        served.collect()
    }
}
