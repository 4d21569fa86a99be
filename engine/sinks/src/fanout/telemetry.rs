//! `greyhound.sink.*`: points flushed = delivered + waiting + merged + dropped, for every sink.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use super::Account;
use crate::sink::Reason;

pub(crate) static DESCRIPTORS: [Desc; 9] = [
    Desc {
        name: "greyhound.sink.points_flushed",
        kind: Kind::Counter,
        unit: "points",
        help: "Points the pipeline made for this sink.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.points_delivered",
        kind: Kind::Counter,
        unit: "points",
        help: "Points that arrived: shown, written, or accepted by the other side.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.points_waiting",
        kind: Kind::Gauge,
        unit: "points",
        help: "Points neither delivered nor dropped yet.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.points_dropped",
        kind: Kind::Counter,
        unit: "points",
        help: "Points lost on the way out, by reason.",
        labels: &["sink", "reason"],
    },
    Desc {
        name: "greyhound.sink.points_merged",
        kind: Kind::Counter,
        unit: "points",
        help: "Points that became part of another one because a tag policy took what told them apart.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.points_passed_by",
        kind: Kind::Counter,
        unit: "points",
        help: "Points that routing rules send elsewhere; not among points_flushed.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.queue_flushes",
        kind: Kind::Gauge,
        unit: "flushes",
        help: "Flushes in the queue of this sink.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.refused_flushes",
        kind: Kind::Counter,
        unit: "flushes",
        help: "Flushes refused because the queue of this sink was full.",
        labels: &["sink"],
    },
    Desc {
        name: "greyhound.sink.panics",
        kind: Kind::Counter,
        unit: "panics",
        help: "Times the sink broke on a flush and was started again. Each one is a bug.",
        labels: &["sink"],
    },
];

/// Reads the accounts of all sinks.
#[derive(Debug)]
pub(super) struct SinkTelemetry {
    accounts: Vec<Arc<Account>>,
}

// === impl SinkTelemetry ===

impl SinkTelemetry {
    pub(super) fn new(accounts: Vec<Arc<Account>>) -> Self {
        Self { accounts }
    }
}

impl Source for SinkTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let [
            flushed,
            delivered,
            waiting,
            dropped,
            merged,
            passed_by,
            queue,
            refused,
            panics,
        ] = &DESCRIPTORS;
        for account in &self.accounts {
            let sink = account.name.as_str();
            let totals = account.ledger.totals();
            out.push(flushed, &[sink], totals.flushed as f64);
            out.push(delivered, &[sink], totals.settled.delivered() as f64);
            out.push(waiting, &[sink], totals.waiting() as f64);
            for reason in Reason::ALL {
                let points = totals.settled.dropped(reason);
                out.push(dropped, &[sink, reason.as_str()], points as f64);
            }
            out.push(merged, &[sink], totals.merged as f64);
            out.push(passed_by, &[sink], totals.passed_by as f64);
            let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed) as f64;
            out.push(queue, &[sink], read(&account.queued_flushes));
            out.push(refused, &[sink], read(&account.refused_flushes));
            out.push(panics, &[sink], read(&account.panics));
        }
    }
}
