//! `greyhound.routing.*`: what rules decided, and what was sent nowhere.

use std::sync::{Arc, Mutex, PoisonError};

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use super::Nowhere;
use super::select::Router;

pub(crate) static DESCRIPTORS: [Desc; 2] = [
    Desc {
        name: "greyhound.routing.points",
        kind: Kind::Counter,
        unit: "points",
        help: "Points each rule decided on since these rules are in force; none is what no rule fits.",
        labels: &["rule"],
    },
    Desc {
        name: "greyhound.routing.points_nowhere",
        kind: Kind::Counter,
        unit: "points",
        help: "Points that rules send to no output that runs, by reason.",
        labels: &["reason"],
    },
];

/// Reads the router.
#[derive(Debug)]
pub(crate) struct RoutingTelemetry(pub(crate) Arc<Mutex<Router>>);

impl Source for RoutingTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let [points, nowhere] = &DESCRIPTORS;
        let (routing, tally) = {
            let router = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (Arc::clone(router.routing()), Arc::clone(router.tally()))
        };
        if routing.has_rules() {
            for (rule, count) in routing.counts() {
                let rule = rule.map_or_else(|| "none".to_owned(), |number| number.to_string());
                out.push(points, &[&rule], count as f64);
            }
        }
        for reason in Nowhere::ALL {
            out.push(nowhere, &[reason.as_str()], tally.nowhere(reason) as f64);
        }
    }
}
