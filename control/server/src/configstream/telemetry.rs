//! What the config stream counts, under both spellings that are in use: the Agent joins subsystem and
//! name with two underscores, its documents and many dashboards with one.

use greyhound_telemetry::{Counter, Desc, Gauge, Kind, Snapshot, Source};

/// Counters of one [`ConfigStream`](super::ConfigStream).
#[derive(Debug, Default)]
pub struct ConfigStreamTelemetry {
    pub(super) subscribers: Gauge,
    pub(super) snapshots_sent: Counter,
    pub(super) updates_sent: Counter,
    pub(super) discontinuities: Counter,
    pub(super) dropped_updates: Counter,
}

const SUBSCRIBERS: &str = "Config streams open.";
const SNAPSHOTS: &str =
    "Snapshots sent: the first event of a stream, and one per resynchronization.";
const UPDATES: &str = "Updates sent; snapshots are not counted.";
const DISCONTINUITIES: &str =
    "Subscribers that were too slow and got a snapshot instead of updates.";
const DROPPED: &str = "Updates such subscribers did not get; the snapshot holds what they said.";

const fn desc(name: &'static str, kind: Kind, help: &'static str) -> Desc {
    Desc {
        name,
        kind,
        unit: "",
        help,
        labels: &[],
    }
}

const COUNT: usize = 5;
/// The values in order, in the one spelling, then in the other.
static DESCRIPTORS: [Desc; 2 * COUNT] = [
    desc("configstream.subscribers", Kind::Gauge, SUBSCRIBERS),
    desc("configstream.snapshots_sent", Kind::Counter, SNAPSHOTS),
    desc("configstream.updates_sent", Kind::Counter, UPDATES),
    desc(
        "configstream.discontinuities",
        Kind::Counter,
        DISCONTINUITIES,
    ),
    desc("configstream.dropped_updates", Kind::Counter, DROPPED),
    desc("configstream_subscribers", Kind::Gauge, SUBSCRIBERS),
    desc("configstream_snapshots_sent", Kind::Counter, SNAPSHOTS),
    desc("configstream_updates_sent", Kind::Counter, UPDATES),
    desc(
        "configstream_discontinuities",
        Kind::Counter,
        DISCONTINUITIES,
    ),
    desc("configstream_dropped_updates", Kind::Counter, DROPPED),
];

/// Everything counted here, for the reference page.
pub fn descriptors() -> &'static [Desc] {
    &DESCRIPTORS
}

// === impl ConfigStreamTelemetry ===

impl Source for ConfigStreamTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let values = [
            self.subscribers.get() as f64,
            self.snapshots_sent.get() as f64,
            self.updates_sent.get() as f64,
            self.discontinuities.get() as f64,
            self.dropped_updates.get() as f64,
        ];
        let both = values.iter().chain(&values);
        for (desc, value) in DESCRIPTORS.iter().zip(both) {
            out.push(desc, &[], *value);
        }
    }
}
