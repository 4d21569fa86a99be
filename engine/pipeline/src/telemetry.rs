//! The ledger, the lanes and the flush as counters, under the Agent's names where it has one.
//!
//! Names that begin with `greyhound.` are what the Agent does not count: every loss with its reason,
//! and what is left unexplained.

use std::sync::Arc;

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

use crate::flush::FlushCells;
use crate::flush::clients::REPORTED;
use crate::ledger::{Ledger, ListenerId, ListenerInfo, Tally, Transport};

/// Reads the ledger for [`Registry`](greyhound_telemetry::Registry).
#[derive(Debug)]
pub struct PipelineTelemetry {
    ledger: Arc<Ledger>,
    flush: Arc<FlushCells>,
}

const fn counter(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Desc {
    Desc {
        name,
        kind: Kind::Counter,
        unit,
        help,
        labels,
    }
}

const fn gauge(
    name: &'static str,
    unit: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
) -> Desc {
    Desc {
        name,
        kind: Kind::Gauge,
        unit,
        help,
        labels,
    }
}

const UDP: &[&str] = &["state"];
const UDS: &[&str] = &["listener_id", "transport", "state"];
const UDS_BYTES: &[&str] = &["listener_id", "transport"];
const LISTENER: &[&str] = &["listener_id", "address", "outcome", "reason"];
const LANE: &[&str] = &["shard"];

static UDP_PACKETS: Desc = counter(
    "dogstatsd.udp_packets",
    "datagrams",
    UDP,
    "UDP datagrams read; error: truncated ones.",
);
static UDP_BYTES: Desc = counter(
    "dogstatsd.udp_packets_bytes",
    "bytes",
    &[],
    "Bytes of UDP datagrams read.",
);
static UDS_PACKETS: Desc = counter(
    "dogstatsd.uds_packets",
    "datagrams",
    UDS,
    "Datagrams or frames read from Unix sockets; error: truncated or broken ones.",
);
static UDS_BYTES_DESC: Desc = counter(
    "dogstatsd.uds_packets_bytes",
    "bytes",
    UDS_BYTES,
    "Bytes read from Unix sockets.",
);
static PROCESSED: Desc = counter(
    "dogstatsd.processed",
    "items",
    &["message_type", "state", "origin"],
    "Metrics: ok per sample, error per message. Events and service checks: per message.",
);
static KINDS: Desc = counter(
    "dogstatsd.metric_type_count",
    "messages",
    &["metric_type"],
    "Metric messages understood, by type, before mapping and filtering.",
);
static FILTERED: Desc = counter(
    "dogstatsd.listener_filtered_points",
    "messages",
    &[],
    "Metric messages refused by the name filter list.",
);
static AGGREGATED: Desc = counter(
    "aggregator.processed",
    "items",
    &["shard", "data_type"],
    "Samples, events and service checks that reached the aggregator.",
);
static FLUSHED: Desc = counter(
    "aggregator.flush",
    "points",
    &["data_type", "state"],
    "Points handed to the sinks; error: values that are not finite.",
);
static BUCKETS: Desc = gauge(
    "aggregator.dogstatsd_time_buckets",
    "buckets",
    LANE,
    "Open buckets, by lane.",
);
static CONTEXTS: Desc = gauge(
    "aggregator.dogstatsd_contexts",
    "contexts",
    LANE,
    "Contexts known, by lane.",
);
static TIMESTAMPED: Desc = counter(
    "no_aggregation.processed",
    "samples",
    &["state"],
    "Samples that brought their own time: ok, or of a type that cannot.",
);
static LEDGER_DATAGRAMS: Desc = counter(
    "greyhound.ledger.datagrams",
    "datagrams",
    LISTENER,
    "Where datagrams and frames went: parsed, or dropped for a reason.",
);
static LEDGER_MESSAGES: Desc = counter(
    "greyhound.ledger.messages",
    "messages",
    LISTENER,
    "Where messages went: understood, or rejected with a class.",
);
static LEDGER_ITEMS: Desc = counter(
    "greyhound.ledger.items",
    "items",
    LISTENER,
    "Where samples, events and service checks went: aggregated, passed through, or dropped for a reason.",
);
static LEDGER_LATE: Desc = counter(
    "greyhound.ledger.late_drops",
    "samples",
    &["reason"],
    "Aggregated samples lost with an open bucket.",
);
static LEDGER_REMAINDER: Desc = gauge(
    "greyhound.ledger.remainder",
    "items",
    &["unit"],
    "What the ledger cannot explain; anything but 0 while quiet is a bug.",
);
static RATES_CLAMPED: Desc = counter(
    "greyhound.samples.rate_clamped",
    "messages",
    &[],
    "Sample rates that gave no finite weight and counted as 1.",
);
static TYPE_CLASHES: Desc = counter(
    "greyhound.samples.type_clashes",
    "samples",
    &[],
    "Samples whose type differs from the one their context has in this bucket.",
);
static SPELLINGS: Desc = gauge(
    "greyhound.lane.spellings",
    "spellings",
    LANE,
    "Raw names and tags as sent that a lane remembers.",
);
static MEMORY: Desc = gauge(
    "greyhound.lane.memory",
    "bytes",
    LANE,
    "Bytes of a lane's contexts and open buckets.",
);
static CONTEXTS_CREATED: Desc = counter(
    "greyhound.lane.contexts_created",
    "contexts",
    LANE,
    "Contexts made since the start.",
);
static CONTEXTS_EXPIRED: Desc = counter(
    "greyhound.lane.contexts_expired",
    "contexts",
    LANE,
    "Contexts forgotten since the start.",
);
static MAPPER: Desc = counter(
    "greyhound.mapper.lookups",
    "names",
    &["shard", "result"],
    "Names asked of the mapper cache: hit or miss.",
);
static CLOCK_JUMPS: Desc = counter(
    "greyhound.lane.clock_jumps",
    "jumps",
    LANE,
    "Batches that arrived with a wall clock behind the buckets already closed.",
);
static FLUSHES: Desc = counter("greyhound.flush.count", "flushes", &[], "Flushes done.");
static FLUSH_DURATION: Desc = gauge(
    "greyhound.flush.duration",
    "microseconds",
    &[],
    "How long the latest flush took to merge the lanes.",
);
static FLUSH_CONTEXTS: Desc = gauge(
    "greyhound.flush.contexts",
    "contexts",
    &[],
    "Contexts known over all lanes, silent counters included.",
);
static FLUSH_FILTERED: Desc = counter(
    "greyhound.flush.filtered",
    "points",
    &[],
    "Points of histogram aggregates dropped by the name filter list.",
);

static CONTEXTS_BY_TYPE: Desc = gauge(
    "aggregator.dogstatsd_contexts_by_mtype",
    "contexts",
    &["shard", "metric_type"],
    "Contexts over all lanes at the latest flush, by the type of their first sample.",
);
static LANE_CLASHES: Desc = counter(
    "greyhound.flush.lane_clashes",
    "contexts",
    &[],
    "Contexts whose type differed between lanes within a bucket; the first lane's stayed.",
);
static CLIENTS: Desc = counter(
    "greyhound.clients.reported",
    "items",
    &["what"],
    "What clients say they sent or dropped, by their own telemetry; set it against what arrived.",
);

static DESCRIPTORS: [Desc; 32] = [
    UDP_PACKETS,
    UDP_BYTES,
    UDS_PACKETS,
    UDS_BYTES_DESC,
    PROCESSED,
    KINDS,
    FILTERED,
    AGGREGATED,
    FLUSHED,
    BUCKETS,
    CONTEXTS,
    TIMESTAMPED,
    LEDGER_DATAGRAMS,
    LEDGER_MESSAGES,
    LEDGER_ITEMS,
    LEDGER_LATE,
    LEDGER_REMAINDER,
    RATES_CLAMPED,
    TYPE_CLASHES,
    SPELLINGS,
    MEMORY,
    CONTEXTS_CREATED,
    CONTEXTS_EXPIRED,
    MAPPER,
    CLOCK_JUMPS,
    FLUSHES,
    FLUSH_DURATION,
    FLUSH_CONTEXTS,
    FLUSH_FILTERED,
    CONTEXTS_BY_TYPE,
    LANE_CLASHES,
    CLIENTS,
];

/// Everything this module counts, for the reference page.
pub fn descriptors() -> impl Iterator<Item = &'static Desc> {
    DESCRIPTORS.iter()
}

// === impl PipelineTelemetry ===

impl PipelineTelemetry {
    /// A reader of these cells.
    pub fn new(ledger: Arc<Ledger>, flush: Arc<FlushCells>) -> Self {
        Self { ledger, flush }
    }
}

impl Source for PipelineTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let mut total = Tally::default();
        for (index, info) in self.ledger.listeners().iter().enumerate() {
            // There are never 65,536 listeners: each has a file descriptor.
            let tally = self.ledger.listener(ListenerId(index as u16));
            total.add(&tally);
            packets(info, &tally, out);
            ledger(info, &tally, out);
        }
        messages(&total, out);
        let late = self.ledger.read().late_drops();
        for (reason, count) in late {
            push(out, &LEDGER_LATE, &[reason], count);
        }
        let remainders = [
            ("datagrams", total.datagram_remainder()),
            ("messages", total.message_remainder()),
            ("items", total.item_remainder()),
        ];
        for (unit, remainder) in remainders {
            out.push(&LEDGER_REMAINDER, &[unit], remainder as f64);
        }
        for lane in 0..self.ledger.lane_count() {
            lanes(lane, &self.ledger, out);
        }
        flush(&self.flush, out);
    }
}

fn push(out: &mut Snapshot, desc: &'static Desc, labels: &[&str], value: u64) {
    out.push(desc, labels, value as f64);
}

/// The Agent's counters of a listener.
fn packets(info: &ListenerInfo, tally: &Tally, out: &mut Snapshot) {
    let errors: u64 = tally.truncated + tally.frame_too_big + tally.frame_partial;
    let ok = tally.datagrams_read.saturating_sub(errors);
    let transport = info.transport.as_str();
    match info.transport {
        Transport::Udp => {
            push(out, &UDP_PACKETS, &["ok"], ok);
            push(out, &UDP_PACKETS, &["error"], errors);
            push(out, &UDP_BYTES, &[], tally.bytes_read);
        }
        Transport::Unixgram | Transport::UnixStream => {
            push(out, &UDS_PACKETS, &[&info.id, transport, "ok"], ok);
            push(out, &UDS_PACKETS, &[&info.id, transport, "error"], errors);
            push(
                out,
                &UDS_BYTES_DESC,
                &[&info.id, transport],
                tally.bytes_read,
            );
        }
    }
}

/// Where a listener's input went.
fn ledger(info: &ListenerInfo, tally: &Tally, out: &mut Snapshot) {
    let (id, address) = (info.id.as_str(), info.address.as_str());
    push(
        out,
        &LEDGER_DATAGRAMS,
        &[id, address, "parsed", ""],
        tally.datagrams_parsed,
    );
    for (reason, count) in tally.datagram_drops() {
        push(
            out,
            &LEDGER_DATAGRAMS,
            &[id, address, "dropped", reason],
            count,
        );
    }
    let understood = tally.metrics + tally.events + tally.service_checks;
    push(
        out,
        &LEDGER_MESSAGES,
        &[id, address, "understood", ""],
        understood,
    );
    for (class, count) in tally.rejected() {
        push(
            out,
            &LEDGER_MESSAGES,
            &[id, address, "rejected", class.as_str()],
            count,
        );
    }
    let unterminated = tally.unterminated;
    push(
        out,
        &LEDGER_MESSAGES,
        &[id, address, "rejected", "unterminated"],
        unterminated,
    );
    let aggregated = tally.samples_aggregated + tally.items_collected;
    push(
        out,
        &LEDGER_ITEMS,
        &[id, address, "aggregated", ""],
        aggregated,
    );
    push(
        out,
        &LEDGER_ITEMS,
        &[id, address, "timestamped", ""],
        tally.samples_timestamped,
    );
    for (reason, count) in tally.item_drops() {
        push(out, &LEDGER_ITEMS, &[id, address, "dropped", reason], count);
    }
}

/// The Agent's counters of messages.
fn messages(total: &Tally, out: &mut Snapshot) {
    // Rejected classes are in the order of the parser: six of metrics, four of events, three of
    // checks; their names begin with the kind.
    let errors = |kind: &str| -> u64 {
        total
            .rejected()
            .filter(|(class, _)| class.as_str().starts_with(kind))
            .map(|(_, count)| count)
            .sum()
    };
    let understood = total.samples.saturating_sub(total.filtered);
    push(out, &PROCESSED, &["metrics", "ok", ""], understood);
    push(out, &PROCESSED, &["metrics", "error", ""], errors("metric"));
    push(out, &PROCESSED, &["events", "ok", ""], total.events);
    push(out, &PROCESSED, &["events", "error", ""], errors("event"));
    push(
        out,
        &PROCESSED,
        &["service_checks", "ok", ""],
        total.service_checks,
    );
    push(
        out,
        &PROCESSED,
        &["service_checks", "error", ""],
        errors("service_check"),
    );
    for (kind, count) in [
        ("gauge", total.kind_gauge),
        ("counter", total.kind_counter),
        ("distribution", total.kind_distribution),
        ("histogram", total.kind_histogram),
        ("set", total.kind_set),
        ("timing", total.kind_timing),
    ] {
        push(out, &KINDS, &[kind], count);
    }
    push(out, &FILTERED, &[], total.filtered_messages);
    push(out, &TIMESTAMPED, &["ok"], total.samples_timestamped);
    push(
        out,
        &TIMESTAMPED,
        &["unsupported_type"],
        total.timestamped_unsupported,
    );
    push(out, &RATES_CLAMPED, &[], total.rate_clamped);
    push(out, &TYPE_CLASHES, &[], total.type_clashes);
}

fn lanes(lane: usize, ledger: &Ledger, out: &mut Snapshot) {
    let shard = lane.to_string();
    let shard = shard.as_str();
    let mut total = Tally::default();
    for cells in ledger.cells(lane) {
        total.add(&cells.load());
    }
    push(
        out,
        &AGGREGATED,
        &[shard, "dogstatsd_metrics"],
        total.samples_aggregated,
    );
    // Events and checks share one counter of what was kept.
    push(
        out,
        &AGGREGATED,
        &[shard, "events_and_service_checks"],
        total.items_collected,
    );
    let tally = ledger.lane(lane);
    push(out, &BUCKETS, &[shard], tally.buckets);
    push(out, &CONTEXTS, &[shard], tally.contexts);
    push(out, &SPELLINGS, &[shard], tally.spellings);
    push(out, &MEMORY, &[shard], tally.memory_bytes);
    push(out, &CONTEXTS_CREATED, &[shard], tally.contexts_created);
    push(out, &CONTEXTS_EXPIRED, &[shard], tally.contexts_expired);
    push(out, &MAPPER, &[shard, "hit"], tally.mapper_hits);
    push(out, &MAPPER, &[shard, "miss"], tally.mapper_misses);
    push(out, &CLOCK_JUMPS, &[shard], tally.clock_jumps);
}

fn flush(cells: &FlushCells, out: &mut Snapshot) {
    let tally = cells.load();
    push(out, &FLUSHES, &[], tally.flushes);
    push(out, &FLUSHED, &["series", "ok"], tally.series_points);
    push(out, &FLUSHED, &["series", "error"], tally.not_finite_points);
    push(out, &FLUSHED, &["sketches", "ok"], tally.sketch_points);
    push(out, &FLUSHED, &["events", "ok"], tally.events);
    push(
        out,
        &FLUSHED,
        &["service_checks", "ok"],
        tally.service_checks,
    );
    push(
        out,
        &FLUSHED,
        &["no_aggregation", "ok"],
        tally.timestamped_points,
    );
    push(out, &FLUSH_DURATION, &[], tally.duration_microseconds);
    push(out, &FLUSH_CONTEXTS, &[], tally.contexts);
    push(out, &FLUSH_FILTERED, &[], tally.filtered_points);
    for (kind, count) in [
        ("Gauge", tally.contexts_gauge),
        ("Counter", tally.contexts_counter),
        ("Histogram", tally.contexts_histogram),
        ("Set", tally.contexts_set),
        ("Distribution", tally.contexts_distribution),
    ] {
        push(out, &CONTEXTS_BY_TYPE, &["all", kind], count);
    }
    push(out, &LANE_CLASHES, &[], tally.lane_clashes);
    let reported = [
        tally.client_metrics,
        tally.client_events,
        tally.client_service_checks,
        tally.client_metric_dropped_on_receive,
        tally.client_packets_sent,
        tally.client_packets_dropped,
        tally.client_packets_dropped_queue,
        tally.client_packets_dropped_writer,
        tally.client_bytes_sent,
        tally.client_bytes_dropped,
        tally.client_bytes_dropped_queue,
        tally.client_bytes_dropped_writer,
        tally.client_aggregated_context,
    ];
    for (what, count) in REPORTED.into_iter().zip(reported) {
        push(out, &CLIENTS, &[what], count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_telemetry::Registry;

    #[test]
    fn every_counter_is_registered_explained_and_pushed() {
        let info = |transport, id: &str| ListenerInfo {
            id: id.into(),
            address: "here".into(),
            transport,
            eol_required: false,
        };
        let listeners = vec![
            info(Transport::Udp, "udp"),
            info(Transport::Unixgram, "uds-unixgram"),
        ];
        let ledger = Arc::new(Ledger::new(listeners, 2));
        let tally = Tally {
            datagrams_read: 3,
            datagrams_parsed: 2,
            truncated: 1,
            ..Tally::default()
        };
        ledger.cells(1)[0].store(&tally);
        let registry = Registry::new();
        let source = Arc::new(PipelineTelemetry::new(ledger, Arc::default()));
        registry
            .register(source)
            .expect("nobody else owns these names");
        let snapshot = registry.snapshot();
        for desc in &DESCRIPTORS {
            assert!(desc.help.ends_with('.'), "{}", desc.name);
            let pushed = snapshot.iter().any(|sample| sample.desc.name == desc.name);
            assert!(pushed, "{} is never pushed", desc.name);
        }
        assert_eq!(
            snapshot.get("dogstatsd.udp_packets", &[("state", "error")]),
            Some(1.0)
        );
        assert_eq!(
            snapshot.get("greyhound.ledger.remainder", &[("unit", "datagrams")]),
            Some(0.0)
        );
    }
}
