//! `/debug`: what the process is doing right now, for whoever holds the token. Off unless
//! `greyhound.control.debug` is set. Read from `/proc` when asked, so it costs nothing before.

use std::fs;
use std::sync::Arc;

use greyhound_telemetry::{Registry, Snapshot};
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::response::Response;
use super::{Handler, Route};
use crate::register::Commands;

/// Threads listed at most.
const THREADS_MAX: usize = 4096;
/// Clock ticks per second of `/proc`, the same on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Group and name of an expvar, the counter it shows, and the labels that pick the counter's series.
type Expvar = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

/// The Agent's expvars by the counter they show.
const EXPVARS: &[Expvar] = &[
    (
        "dogstatsd",
        "MetricPackets",
        "dogstatsd.processed",
        &[("message_type", "metrics"), ("state", "ok")],
    ),
    (
        "dogstatsd",
        "MetricParseErrors",
        "dogstatsd.processed",
        &[("message_type", "metrics"), ("state", "error")],
    ),
    (
        "dogstatsd",
        "EventPackets",
        "dogstatsd.processed",
        &[("message_type", "events"), ("state", "ok")],
    ),
    (
        "dogstatsd",
        "EventParseErrors",
        "dogstatsd.processed",
        &[("message_type", "events"), ("state", "error")],
    ),
    (
        "dogstatsd",
        "ServiceCheckPackets",
        "dogstatsd.processed",
        &[("message_type", "service_checks"), ("state", "ok")],
    ),
    (
        "dogstatsd",
        "ServiceCheckParseErrors",
        "dogstatsd.processed",
        &[("message_type", "service_checks"), ("state", "error")],
    ),
    (
        "dogstatsd-udp",
        "Packets",
        "dogstatsd.udp_packets",
        &[("state", "ok")],
    ),
    (
        "dogstatsd-udp",
        "PacketReadingErrors",
        "dogstatsd.udp_packets",
        &[("state", "error")],
    ),
    ("dogstatsd-udp", "Bytes", "dogstatsd.udp_packets_bytes", &[]),
    (
        "dogstatsd-uds",
        "Packets",
        "dogstatsd.uds_packets",
        &[("state", "ok")],
    ),
    (
        "dogstatsd-uds",
        "PacketReadingErrors",
        "dogstatsd.uds_packets",
        &[("state", "error")],
    ),
    ("dogstatsd-uds", "Bytes", "dogstatsd.uds_packets_bytes", &[]),
    (
        "dogstatsd-uds",
        "OriginDetectionErrors",
        "dogstatsd.uds_origin_detection_error",
        &[],
    ),
    (
        "aggregator",
        "DogstatsdContexts",
        "aggregator.dogstatsd_contexts",
        &[],
    ),
    (
        "aggregator",
        "DogstatsdMetricSample",
        "aggregator.processed",
        &[("data_type", "dogstatsd_metrics")],
    ),
    (
        "aggregator",
        "Event",
        "aggregator.processed",
        &[("data_type", "events")],
    ),
    (
        "aggregator",
        "ServiceCheck",
        "aggregator.processed",
        &[("data_type", "service_checks")],
    ),
];

/// `/debug/vars`, `/debug/threads`, `/debug/memory`.
pub(crate) fn routes(registry: &Arc<Registry>, commands: &Arc<dyn Commands>) -> Vec<Route> {
    vec![
        vars_route(registry, commands),
        Route::get(
            "/debug/threads",
            "Every thread: name, state, processor time, what it waits for",
            Handler::blocking(|_| Response::json(&threads())),
        )
        .tag("debug")
        .json(200, "The threads", json!({ "type": "object" })),
        Route::get(
            "/debug/memory",
            "What the kernel says about the memory of the process",
            Handler::blocking(|_| memory()),
        )
        .tag("debug")
        .text(200, "As in /proc/self/smaps_rollup and /proc/self/status"),
    ]
}

/// `/debug/vars`.
pub(crate) fn vars_route(registry: &Arc<Registry>, commands: &Arc<dyn Commands>) -> Route {
    let (registry, commands) = (Arc::clone(registry), Arc::clone(commands));
    Route::get(
        "/debug/vars",
        "Counters under the names of the Agent's expvars",
        Handler::blocking(move |_| Response::json(&vars(&registry, &*commands))),
    )
    .tag("debug")
    .json(200, "Groups of counters", json!({ "type": "object" }))
}

/// Counters the way the Agent's expvars show them.
fn vars(registry: &Registry, commands: &dyn Commands) -> Value {
    let snapshot = registry.snapshot();
    let version = commands.version();
    let mut groups = Map::new();
    for (group, name, counter, labels) in EXPVARS {
        let value = whole(&snapshot, counter, labels);
        let group = groups.entry(*group).or_insert_with(|| json!({}));
        group[*name] = value.into();
    }
    groups.insert("hostname".to_owned(), commands.hostname().into());
    groups.insert("pid".to_owned(), std::process::id().into());
    let version = format!("{}.{}.{}", version.major, version.minor, version.patch);
    groups.insert("version".to_owned(), version.into());
    Value::Object(groups)
}

fn whole(snapshot: &Snapshot, counter: &str, labels: &[(&str, &str)]) -> u64 {
    // Counters are whole and far below 2^53.
    snapshot.get(counter, labels).unwrap_or(0.0) as u64
}

fn threads() -> Value {
    let Ok(entries) = fs::read_dir("/proc/self/task") else {
        return json!({ "threads": [] });
    };
    let threads: Vec<Value> = entries
        .flatten()
        .take(THREADS_MAX)
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse::<u32>().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let waits = fs::read_to_string(entry.path().join("wchan")).unwrap_or_default();
            let (name, state, seconds) = thread(&stat)?;
            Some(json!({
                "id": id,
                "name": name,
                "state": state,
                "cpu_seconds": seconds,
                "waits_in": waits.trim_end_matches('\0'),
            }))
        })
        .collect();
    json!({ "threads": threads })
}

/// Name, state, and seconds of processor time of a line of `/proc/*/stat`.
fn thread(stat: &str) -> Option<(&str, &str, f64)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let name = head.split_once('(')?.1;
    let mut fields = tail.split_ascii_whitespace();
    let state = fields.next()?;
    // utime and stime are fields 14 and 15 of the line, 11 and 12 behind the state.
    let ticks = |text: Option<&str>| text?.parse::<f64>().ok();
    let mut fields = fields.skip(10);
    let (user, system) = (ticks(fields.next())?, ticks(fields.next())?);
    Some((name, state, (user + system) / TICKS_PER_SECOND))
}

fn memory() -> Response {
    let mut text = String::new();
    for file in ["/proc/self/smaps_rollup", "/proc/self/status"] {
        match fs::read_to_string(file) {
            Ok(content) => text.push_str(&content),
            Err(error) => text.push_str(&format!("{file}: {error}\n")),
        }
    }
    Response::text(text).with_status(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_is_read_whatever_the_name() {
        let stat = "12 (a) b)) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 9 0 1 1 1";
        assert_eq!(thread(stat), Some(("a) b)", "S", 2.0)));
        assert_eq!(thread("12 (a S"), None);
    }

    #[test]
    fn this_thread_is_listed() {
        let listed = threads();
        let threads = listed["threads"].as_array().expect("a list");
        assert!(!threads.is_empty() && threads.iter().all(|one| one["name"].is_string()));
    }
}
