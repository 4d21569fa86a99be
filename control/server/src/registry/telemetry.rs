//! What the registry counts, under the Agent's names (one underscore between subsystem and name).
//!
//! Agents name themselves, so the number of series is bounded: names beyond [`LABELS_MAX`] are counted
//! together as `other`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greyhound_telemetry::{Desc, HistogramValue, Kind, Snapshot, Source};

use super::AgentRegistry;

/// Agents with series of their own.
const LABELS_MAX: usize = 256;
/// In the place of the names beyond.
const OTHER: &str = "other";
/// Bounds in seconds: the defaults of Prometheus clients.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Totals by agent.
#[derive(Debug, Default)]
pub struct RegistryTelemetry(Mutex<Totals>);

/// The registry's counters, and how many agents there are now.
pub struct RegistrySource(Arc<AgentRegistry>);

#[derive(Debug, Default)]
struct Totals {
    agents: BTreeMap<Box<str>, Counts>,
    timeouts: BTreeMap<&'static str, u64>,
}

#[derive(Debug, Default)]
struct Counts {
    registered_error: u64,
    updated: u64,
    updated_error: u64,
    events: u64,
    actions: BTreeMap<&'static str, Durations>,
    errors: BTreeMap<(&'static str, &'static str), u64>,
}

#[derive(Debug, Default)]
struct Durations {
    /// By the first bucket they fit in; the last is above all bounds.
    counts: [u64; BUCKETS.len() + 1],
    sum: f64,
}

const NAME: &[&str] = &["remote_agent_name"];
const ACTION: &[&str] = &["remote_agent_name", "action"];

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

const REGISTERED: usize = 0;
const REGISTERED_ERROR: usize = 1;
const UPDATED: usize = 2;
const UPDATED_ERROR: usize = 3;
const DURATION: usize = 4;
const ERROR: usize = 5;
const TIMEOUT: usize = 6;
const EVENTS: usize = 7;
static DESCRIPTORS: [Desc; 8] = [
    desc(
        "remote_agent_registry_registered",
        Kind::Gauge,
        "",
        NAME,
        "Remote agents registered now.",
    ),
    desc(
        "remote_agent_registry_registered_error",
        Kind::Counter,
        "",
        NAME,
        "Registrations refused.",
    ),
    desc(
        "remote_agent_registry_updated",
        Kind::Counter,
        "",
        NAME,
        "Sessions refreshed.",
    ),
    desc(
        "remote_agent_registry_updated_error",
        Kind::Counter,
        "",
        NAME,
        "Refreshes of sessions nobody knows.",
    ),
    desc(
        "remote_agent_registry_action_duration_seconds",
        Kind::Histogram,
        "s",
        ACTION,
        "Time remote agents took to answer a callback.",
    ),
    desc(
        "remote_agent_registry_action_error",
        Kind::Counter,
        "",
        &["remote_agent_name", "action", "error"],
        "Callbacks that failed, or were answered for another session.",
    ),
    desc(
        "remote_agent_registry_action_timeout",
        Kind::Counter,
        "",
        &["action"],
        "Callbacks without an answer in time (remote_agent.registry.query_timeout).",
    ),
    desc(
        "greyhound.remote_agent.events",
        Kind::Counter,
        "events",
        NAME,
        "Events remote agents reported for the operator.",
    ),
];

/// Everything counted here, for the reference page.
pub fn descriptors() -> &'static [Desc] {
    &DESCRIPTORS
}

// === impl RegistryTelemetry ===

impl RegistryTelemetry {
    pub(super) fn registered_error(&self, label: &str) {
        self.totals().of(label).registered_error += 1;
    }

    pub(super) fn updated(&self, label: &str) {
        self.totals().of(label).updated += 1;
    }

    pub(super) fn updated_error(&self, label: &str) {
        self.totals().of(label).updated_error += 1;
    }

    pub(super) fn events(&self, label: &str, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        let mut totals = self.totals();
        let events = &mut totals.of(label).events;
        *events = events.saturating_add(count);
    }

    /// One answered callback.
    pub(super) fn answered(&self, label: &str, action: &'static str, took: Duration) {
        let mut totals = self.totals();
        let durations = totals.of(label).actions.entry(action).or_default();
        durations.note(took.as_secs_f64());
    }

    /// One that was not, or for another session.
    pub(super) fn failed(&self, label: &str, action: &'static str, error: &'static str) {
        *(self.totals().of(label).errors)
            .entry((action, error))
            .or_default() += 1;
    }

    pub(super) fn timed_out(&self, action: &'static str) {
        *self.totals().timeouts.entry(action).or_default() += 1;
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        // Numbers are added one by one: nothing is half done after a panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Totals ===

impl Totals {
    fn of(&mut self, label: &str) -> &mut Counts {
        let known = self.agents.contains_key(label) || self.agents.len() < LABELS_MAX;
        let label = if known { label } else { OTHER };
        self.agents.entry(label.into()).or_default()
    }
}

// === impl Durations ===

impl Durations {
    fn note(&mut self, seconds: f64) {
        self.counts[BUCKETS.partition_point(|bound| *bound < seconds)] += 1;
        self.sum += seconds;
    }

    fn read(&self) -> HistogramValue {
        let mut below = 0;
        let buckets = BUCKETS.iter().zip(&self.counts).map(|(bound, count)| {
            below += count;
            (*bound, below)
        });
        HistogramValue {
            buckets: buckets.collect(),
            count: self.counts.iter().sum(),
            sum: self.sum,
        }
    }
}

// === impl RegistrySource ===

impl RegistrySource {
    pub(super) fn new(registry: Arc<AgentRegistry>) -> Self {
        Self(registry)
    }
}

impl Source for RegistrySource {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        for (session, _) in self.0.agents(Instant::now()).iter().take(LABELS_MAX) {
            out.push(&DESCRIPTORS[REGISTERED], &[session.label()], 1.0);
        }
        let totals = self.0.telemetry.totals();
        for (label, counts) in &totals.agents {
            for (at, count) in [
                (REGISTERED_ERROR, counts.registered_error),
                (UPDATED, counts.updated),
                (UPDATED_ERROR, counts.updated_error),
                (EVENTS, counts.events),
            ] {
                out.push(&DESCRIPTORS[at], &[label], count as f64);
            }
            for (action, durations) in &counts.actions {
                out.push_value(&DESCRIPTORS[DURATION], &[label, action], durations.read());
            }
            for ((action, error), count) in &counts.errors {
                out.push(&DESCRIPTORS[ERROR], &[label, action, error], *count as f64);
            }
        }
        for (action, count) in &totals.timeouts {
            out.push(&DESCRIPTORS[TIMEOUT], &[action], *count as f64);
        }
    }
}
