//! What the reader knows, as JSON.

use std::sync::atomic::Ordering;
use std::time::{SystemTime, UNIX_EPOCH};

use greyhound_conntrack::flow::{Flow, Tuple};
use greyhound_conntrack::reader::view::{NamespaceView, View};
use greyhound_conntrack::stats::{COUNTERS, CpuStats, Totals};
use serde_json::{Map, Value, json};

use super::Shown;

/// Clients listed.
const CLIENTS: usize = 100;

pub(super) fn tuple(tuple: &Tuple) -> Value {
    json!({
        "src": tuple.source().to_string(),
        "sport": tuple.source_port,
        "dst": tuple.destination().to_string(),
        "dport": tuple.destination_port,
    })
}

/// A flow; the same shape wherever one is shown.
pub(super) fn flow(flow: &Flow) -> Value {
    json!({
        "proto": flow.original.protocol().to_string(),
        "zone": flow.original.zone,
        "original": tuple(&flow.original),
        "reply": tuple(&flow.reply),
        "nat": flow.nat().as_str(),
        "status": flow.status.0,
        "id": flow.id,
        "timeout": flow.timeout_seconds,
    })
}

pub(super) fn stats(totals: &Totals, per_cpu: &[CpuStats]) -> Value {
    let cpu = |cpu: &CpuStats| {
        let mut counters = Map::new();
        counters.insert("cpu".into(), cpu.cpu.into());
        for ((name, ..), value) in COUNTERS.iter().zip(cpu.values) {
            counters.insert((*name).into(), value.into());
        }
        Value::Object(counters)
    };
    json!({
        "entries": totals.entries,
        "max_entries": totals.max_entries,
        "per_cpu": per_cpu.iter().map(cpu).collect::<Vec<_>>(),
    })
}

pub(super) fn overview(view: &View) -> Value {
    json!({
        "mode": match view.mode {
            greyhound_conntrack::reader::Mode::Pull => "pull",
            greyhound_conntrack::reader::Mode::Events => "events",
        },
        "state": view.state.as_str(),
        "reason": view.state.reason(),
        "cure": view.state.trouble().map(|trouble| &trouble.cure),
        "sampling_rate": view.sampling_rate,
        "stale_flows": view.stale.count,
        "namespaces": view.namespaces.iter().map(namespace).collect::<Vec<_>>(),
    })
}

fn namespace(view: &NamespaceView) -> Value {
    let sysctls = &view.sysctls;
    json!({
        "name": view.name,
        "inode": view.inode,
        "state": view.state.as_str(),
        "reason": view.state.reason(),
        "hint": view.hint.as_ref().map(|hint| format!("{}: {}", hint.what, hint.cure)),
        "entries": view.totals.map(|totals| totals.entries),
        "max_entries": view.totals.map(|totals| totals.max_entries),
        "receive_buffer_bytes": view.receive_buffer_bytes,
        "lost_events": view.lost_events,
        "rows": view.rows,
        "table_bytes": view.table_bytes,
        "sysctls": {
            "events": sysctls.events,
            "acct": sysctls.acct,
            "timestamp": sysctls.timestamp,
            "udp_timeout": sysctls.udp_timeout,
        },
        "last_load": view.load.as_ref().map(|load| json!({
            "at": unix(load.at),
            "cause": load.cause,
            "rows": load.rows,
            "millis": load.millis,
            "lossy": load.is_lossy,
        })),
    })
}

/// Who sends, and what became of naming them.
pub(super) fn dogstatsd(shown: &Shown) -> Value {
    let view = shown.reader.view();
    let stale: Vec<Value> = view
        .stale
        .flows
        .iter()
        .map(|(namespace, one)| {
            let mut value = flow(one);
            value["netns"] = namespace.as_str().into();
            value
        })
        .collect();
    let mut answer = json!({
        "ports": shown.reader.ports(),
        "stale_flows": view.stale.count,
        "stale": stale,
    });
    if let Some(asking) = &shown.asking {
        let counts = asking.counts();
        let get = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let clients = asking.book().top(CLIENTS).into_iter().map(
            |client| json!({ "address": client.address.to_string(), "datagrams": client.datagrams }),
        );
        answer["clients"] = clients.collect();
        answer["datagrams"] = json!({
            "attributed": get(&counts.attributed),
            "untracked": get(&counts.untracked),
            "unknown": get(&counts.unknown),
        });
        answer["questions"] = json!({
            "asked": get(&counts.asked),
            "skipped": get(&counts.skipped),
            "errors": get(&counts.errors),
            "voided": get(&counts.voided),
            "dropped": get(&counts.questions_dropped) + get(&counts.answers_dropped),
            "nanoseconds": get(&counts.nanos),
        });
    }
    answer
}

fn unix(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
