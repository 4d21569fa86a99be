//! `greyhound.delivery.*`: what each destination does with payloads.

use std::sync::Arc;

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use super::status::{BreakerStatus, DeliveryStatus, DiskStatus, View};
use crate::client::FailureKind;

/// Classes of answers, by the first digit of their status.
const ANSWERS: [&str; 6] = ["other", "1xx", "2xx", "3xx", "4xx", "5xx"];

const fn desc(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Desc {
    Desc {
        name,
        kind,
        unit,
        help,
        labels,
    }
}

const SINK: &[&str] = &["sink"];

/// The plain ones, then those with more labels.
pub(crate) static DESCRIPTORS: [Desc; 21] = [
    desc(
        "greyhound.delivery.payloads_delivered",
        Kind::Counter,
        "payloads",
        SINK,
        "Payloads the destination accepted.",
    ),
    desc(
        "greyhound.delivery.bytes_delivered",
        Kind::Counter,
        "bytes",
        SINK,
        "Bytes of those, compressed.",
    ),
    desc(
        "greyhound.delivery.payloads_refused",
        Kind::Counter,
        "payloads",
        SINK,
        "Payloads the destination refused for good.",
    ),
    desc(
        "greyhound.delivery.payloads_queued",
        Kind::Gauge,
        "payloads",
        SINK,
        "Payloads that wait or are on their way.",
    ),
    desc(
        "greyhound.delivery.bytes_queued",
        Kind::Gauge,
        "bytes",
        SINK,
        "Bytes of those, in memory or on disk.",
    ),
    desc(
        "greyhound.delivery.memory_bytes",
        Kind::Gauge,
        "bytes",
        SINK,
        "Bytes of payloads in memory.",
    ),
    desc(
        "greyhound.delivery.in_flight",
        Kind::Gauge,
        "requests",
        SINK,
        "Requests on their way.",
    ),
    desc(
        "greyhound.delivery.retries",
        Kind::Counter,
        "requests",
        SINK,
        "Requests that failed and were or will be repeated.",
    ),
    desc(
        "greyhound.delivery.payloads_resent",
        Kind::Counter,
        "payloads",
        SINK,
        "Payloads sent again although they may have arrived: the bound of duplicates.",
    ),
    desc(
        "greyhound.delivery.points_resent",
        Kind::Counter,
        "points",
        SINK,
        "Points in payloads sent again although they may have arrived.",
    ),
    desc(
        "greyhound.delivery.payloads_recovered",
        Kind::Counter,
        "payloads",
        SINK,
        "Payloads an earlier run left on disk.",
    ),
    desc(
        "greyhound.delivery.disk_errors",
        Kind::Counter,
        "errors",
        SINK,
        "Failed writes and syncs of the disk queue.",
    ),
    desc(
        "greyhound.delivery.corrupt_records",
        Kind::Counter,
        "records",
        SINK,
        "Records of the disk queue that were damaged.",
    ),
    desc(
        "greyhound.delivery.quarantined_files",
        Kind::Counter,
        "files",
        SINK,
        "Files in the folder of the disk queue that were left alone.",
    ),
    desc(
        "greyhound.delivery.texts_repaired",
        Kind::Counter,
        "texts",
        SINK,
        "Names and tags that were not UTF-8, which the destination demands.",
    ),
    desc(
        "greyhound.delivery.tags_cut",
        Kind::Counter,
        "tags",
        SINK,
        "Tags beyond what the destination takes, cut off.",
    ),
    desc(
        "greyhound.delivery.failures",
        Kind::Counter,
        "requests",
        &["sink", "kind"],
        "Requests without an answer, by kind of failure.",
    ),
    desc(
        "greyhound.delivery.answers",
        Kind::Counter,
        "requests",
        &["sink", "status"],
        "Answers by class of their status.",
    ),
    desc(
        "greyhound.delivery.breaker_open",
        Kind::Gauge,
        "",
        &["sink", "class"],
        "1 while payloads of this class wait for the destination to recover.",
    ),
    desc(
        "greyhound.delivery.disk_bytes",
        Kind::Gauge,
        "bytes",
        SINK,
        "Bytes of the disk queue.",
    ),
    desc(
        "greyhound.delivery.buffer_seconds_left",
        Kind::Gauge,
        "seconds",
        SINK,
        "Seconds until the buffer is full if nothing is delivered, at the present rate.",
    ),
];

/// Fields of a status in the order of the plain descriptors.
const PLAIN: [fn(&DeliveryStatus) -> u64; 16] = [
    |status| status.delivered_payloads,
    |status| status.delivered_bytes,
    |status| status.refused_payloads,
    |status| status.queued_payloads,
    |status| status.queued_bytes,
    |status| status.memory_bytes,
    |status| status.in_flight,
    |status| status.retries,
    |status| status.resent_payloads,
    |status| status.resent_points,
    |status| status.recovered_payloads,
    |status| status.disk_errors,
    |status| status.corrupt_records,
    |status| status.quarantined_files,
    |status| status.texts_repaired,
    |status| status.tags_cut,
];

/// Looks at all destinations.
#[derive(Debug)]
pub(crate) struct DeliveryTelemetry {
    views: Vec<(String, View)>,
}

// === impl DeliveryTelemetry ===

impl DeliveryTelemetry {
    /// A source over these sinks, by name.
    pub(crate) fn source(views: Vec<(String, View)>) -> Arc<dyn Source> {
        Arc::new(Self { views })
    }
}

impl Source for DeliveryTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let (plain, more) = DESCRIPTORS.split_at(PLAIN.len());
        let [failures, answers, breaker, disk, seconds] = more else {
            unreachable!("five descriptors follow the plain ones");
        };
        for (sink, view) in &self.views {
            let sink = sink.as_str();
            let status = view.status();
            for (desc, field) in plain.iter().zip(PLAIN) {
                out.push(desc, &[sink], field(&status) as f64);
            }
            for (kind, count) in FailureKind::ALL.iter().zip(status.failures) {
                out.push(failures, &[sink, kind.as_str()], count as f64);
            }
            for (class, count) in ANSWERS.iter().zip(status.answers) {
                out.push(answers, &[sink, class], count as f64);
            }
            for class in &status.classes {
                let is_open = class.breaker != BreakerStatus::Closed;
                out.push(breaker, &[sink, class.name], f64::from(u8::from(is_open)));
            }
            if let DiskStatus::Good { bytes, .. } = status.disk {
                out.push(disk, &[sink], bytes as f64);
            }
            if let Some(left) = status.buffer_seconds_left {
                out.push(seconds, &[sink], left);
            }
        }
    }
}
