//! What the reader counts, for the registry behind `/telemetry`: under the Agent's names where its reader counts
//! the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_telemetry::{Desc, DuplicateName, Kind, Registry, Snapshot, Source};

use crate::attribution::Asking;
use crate::mirror::MirrorCounts;
use crate::reader::Handle;

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

const NETNS: &[&str] = &["netns"];

const STATE: Desc = desc(
    "greyhound.conntrack.state",
    Kind::Gauge,
    "",
    &["netns", "state"],
    "1 for the state the reader of connection tracking is in.",
);
const EVENTS: Desc = desc(
    "greyhound.conntrack.events",
    Kind::Counter,
    "events",
    &["kind"],
    "Events about flows read: new, update, destroy.",
);
const LOST: Desc = desc(
    "greyhound.conntrack.lost_events",
    Kind::Counter,
    "events",
    NETNS,
    "Events the kernel dropped because the receive buffer was full, exactly; a load of the table follows.",
);
const ERRORS: Desc = desc(
    "network_tracer.conntracker.msg_errors",
    Kind::Counter,
    "messages",
    &[],
    "Events and rows without both tuples.",
);
const SAMPLING: Desc = desc(
    "network_tracer.conntracker.sampling_pct",
    Kind::Gauge,
    "percent",
    &[],
    "Share of entries listened to; below 100 while there are too many events.",
);
const BUFFER: Desc = desc(
    "greyhound.conntrack.receive_buffer",
    Kind::Gauge,
    "bytes",
    NETNS,
    "Receive buffer for events the kernel granted.",
);
const LOADS: Desc = desc(
    "greyhound.conntrack.loads",
    Kind::Counter,
    "loads",
    &[],
    "Loads of the whole table: at the start, after losses, when asked for.",
);
const LOAD_MILLIS: Desc = desc(
    "greyhound.conntrack.load_duration",
    Kind::Gauge,
    "milliseconds",
    NETNS,
    "How long the last load took.",
);
const ROWS: Desc = desc(
    "network_tracer.conntracker.state_size",
    Kind::Gauge,
    "flows",
    NETNS,
    "Flows in the table. The limit is `greyhound.conntrack.flows`.",
);
const TABLE_BYTES: Desc = desc(
    "greyhound.conntrack.table_memory",
    Kind::Gauge,
    "bytes",
    NETNS,
    "Memory of the table.",
);
const MIRROR: Desc = desc(
    "greyhound.conntrack.rows",
    Kind::Counter,
    "flows",
    &["netns", "what"],
    "What happened to rows of the table: registered, unregistered, not_kept, unsupported_protocol, evicted, replaced, \
     destroy_unknown, tombstoned, swept, verified, expired.",
);
const DATAGRAMS: Desc = desc(
    "greyhound.conntrack.attribution",
    Kind::Counter,
    "datagrams",
    &["result"],
    "UDP datagrams whose client the kernel named (attributed), that it does not track (untracked), and that came before \
     an answer or without one (unknown).",
);
const QUESTIONS: Desc = desc(
    "greyhound.conntrack.questions",
    Kind::Counter,
    "questions",
    &["state"],
    "Questions for clients: asked, skipped (beyond `greyhound.conntrack.attribution_rate`), error, dropped (a queue was \
     full), voided (taken back because the flow ended).",
);
const QUESTION_NANOS: Desc = desc(
    "network_tracer.conntracker.gets_duration_nanoseconds",
    Kind::Counter,
    "nanoseconds",
    &[],
    "Time spent asking the kernel for single flows.",
);
const CLIENTS: Desc = desc(
    "greyhound.conntrack.clients",
    Kind::Gauge,
    "clients",
    &[],
    "Clients behind UDP with a number.",
);
const CLIENTS_EVICTED: Desc = desc(
    "greyhound.conntrack.clients_evicted",
    Kind::Counter,
    "clients",
    &[],
    "Clients whose number was given up for another client.",
);
const STALE: Desc = desc(
    "greyhound.conntrack.stale",
    Kind::Gauge,
    "flows",
    &[],
    "Flows that lead to an address that is gone, at the last look.",
);

static DESCRIPTORS: [Desc; 17] = [
    STATE,
    EVENTS,
    LOST,
    ERRORS,
    SAMPLING,
    BUFFER,
    LOADS,
    LOAD_MILLIS,
    ROWS,
    TABLE_BYTES,
    MIRROR,
    DATAGRAMS,
    QUESTIONS,
    QUESTION_NANOS,
    CLIENTS,
    CLIENTS_EVICTED,
    STALE,
];

/// Everything counted here.
pub fn descriptors() -> impl Iterator<Item = &'static Desc> {
    DESCRIPTORS.iter()
}

/// Registers what a reader counts.
///
/// # Errors
/// When a name is taken.
pub fn register(
    registry: &Registry,
    reader: Handle,
    asking: Option<Asking>,
) -> Result<(), DuplicateName> {
    registry.register(Arc::new(ReaderTelemetry { reader, asking }))
}

/// Reads a running reader.
#[derive(Debug)]
struct ReaderTelemetry {
    reader: Handle,
    asking: Option<Asking>,
}

// === impl ReaderTelemetry ===

impl Source for ReaderTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let view = self.reader.view();
        let counts = self.reader.counts();
        for (kind, count) in [
            ("new", &counts.new),
            ("update", &counts.updates),
            ("destroy", &counts.destroyed),
        ] {
            out.push(&EVENTS, &[kind], get(count));
        }
        out.push(&ERRORS, &[], get(&counts.unreadable));
        out.push(&SAMPLING, &[], view.sampling_rate * 100.0);
        out.push(&LOADS, &[], get(&counts.loads));
        out.push(&STALE, &[], view.stale.count as f64);
        for namespace in &view.namespaces {
            let name = namespace.name.as_str();
            out.push(&STATE, &[name, namespace.state.as_str()], 1.0);
            out.push(&LOST, &[name], namespace.lost_events as f64);
            out.push(&BUFFER, &[name], namespace.receive_buffer_bytes as f64);
            out.push(&ROWS, &[name], namespace.rows as f64);
            out.push(&TABLE_BYTES, &[name], namespace.table_bytes as f64);
            if let Some(load) = &namespace.load {
                out.push(&LOAD_MILLIS, &[name], load.millis as f64);
            }
            for (what, count) in rows(&namespace.mirror) {
                out.push(&MIRROR, &[name, what], count as f64);
            }
        }
        if let Some(asking) = &self.asking {
            collect_attribution(asking, out);
        }
    }
}

fn collect_attribution(asking: &Asking, out: &mut Snapshot) {
    let counts = asking.counts();
    for (result, count) in [
        ("attributed", &counts.attributed),
        ("untracked", &counts.untracked),
        ("unknown", &counts.unknown),
    ] {
        out.push(&DATAGRAMS, &[result], get(count));
    }
    let dropped = get(&counts.questions_dropped) + get(&counts.answers_dropped);
    for (state, count) in [
        ("asked", get(&counts.asked)),
        ("skipped", get(&counts.skipped)),
        ("error", get(&counts.errors)),
        ("dropped", dropped),
        ("voided", get(&counts.voided)),
    ] {
        out.push(&QUESTIONS, &[state], count);
    }
    out.push(&QUESTION_NANOS, &[], get(&counts.nanos));
    out.push(&CLIENTS, &[], asking.book().len() as f64);
    out.push(&CLIENTS_EVICTED, &[], asking.book().evicted() as f64);
}

fn rows(counts: &MirrorCounts) -> [(&'static str, u64); 11] {
    [
        ("registered", counts.registered),
        ("unregistered", counts.unregistered),
        ("not_kept", counts.not_kept),
        ("unsupported_protocol", counts.unsupported_protocol),
        ("evicted", counts.evicted),
        ("replaced", counts.replaced),
        ("destroy_unknown", counts.destroy_unknown),
        ("tombstoned", counts.tombstoned),
        ("swept", counts.swept),
        ("verified", counts.verified),
        ("expired", counts.expired),
    ]
}

fn get(counter: &AtomicU64) -> f64 {
    counter.load(Ordering::Relaxed) as f64
}
