//! `greyhound.prometheus.*`: what the exposition holds, and what it refused.

use std::sync::Arc;

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use super::Shared;

pub(crate) static DESCRIPTORS: [Desc; 8] = [
    Desc {
        name: "greyhound.prometheus.series",
        kind: Kind::Gauge,
        unit: "series",
        help: "Series exposed, as Prometheus counts them. The limit is `greyhound.prometheus.series_max`.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.contexts",
        kind: Kind::Gauge,
        unit: "contexts",
        help: "Contexts exposed.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.families",
        kind: Kind::Gauge,
        unit: "families",
        help: "Metric names exposed.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.collisions",
        kind: Kind::Counter,
        unit: "refusals",
        help: "Times a metric was refused because its exposed name was taken: by a family of another type, or by a series with the same labels.",
        labels: &["kind"],
    },
    Desc {
        name: "greyhound.prometheus.limit_refusals",
        kind: Kind::Counter,
        unit: "refusals",
        help: "Times a new series was refused because of `greyhound.prometheus.series_max`.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.expired",
        kind: Kind::Counter,
        unit: "contexts",
        help: "Contexts dropped after `greyhound.prometheus.expiry_seconds` without a sample.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.repaired",
        kind: Kind::Counter,
        unit: "contexts",
        help: "New contexts with label values that were not UTF-8 or held control characters.",
        labels: &[],
    },
    Desc {
        name: "greyhound.prometheus.negative_increments",
        kind: Kind::Counter,
        unit: "points",
        help: "Counter points below zero. Such a counter is exposed as a gauge.",
        labels: &[],
    },
];

/// Reads the counts of the state, with its lock held for a moment.
#[derive(Debug)]
pub(super) struct PrometheusTelemetry {
    shared: Arc<Shared>,
}

// === impl PrometheusTelemetry ===

impl PrometheusTelemetry {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl Source for PrometheusTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let (sizes, counts) = {
            let state = self.shared.lock();
            (state.sizes(), state.counts)
        };
        let [
            series,
            contexts,
            families,
            collisions,
            limit,
            expired,
            repaired,
            negative,
        ] = &DESCRIPTORS;
        for (desc, value) in [series, contexts, families].into_iter().zip(sizes) {
            out.push(desc, &[], value as f64);
        }
        out.push(collisions, &["family"], counts.family_collisions as f64);
        out.push(collisions, &["series"], counts.series_collisions as f64);
        for (desc, value) in [
            (limit, counts.limit_refusals),
            (expired, counts.expired),
            (repaired, counts.repaired),
            (negative, counts.negative_increments),
        ] {
            out.push(desc, &[], value as f64);
        }
    }
}
