//! What the data plane counts: listeners, ledger, contexts, lanes.

use std::fmt::Write;

use greyhound_pipeline::engine::handle::{Handle, ListenerState};
use greyhound_pipeline::ledger::{LedgerReading, ListenerId, Tally};
use greyhound_pipeline::receive::telemetry::ReceiveTally;
use serde_json::{Map, Value, json};

use crate::wiring::contexts::{TagKey, Top};

use super::{Observed, bytes, grouped, rows};

const STARTING: &str = "  starting\n";

/// Every listener with what it counted; those that were removed too.
pub(super) fn of_listeners(engine: &Handle) -> Vec<(ListenerId, Tally, ListenerState)> {
    let listeners = engine.listeners();
    let states = listeners.iter().enumerate();
    states
        .map(|(index, state)| {
            // There are never 65,536 listeners: each has a file descriptor.
            let listener = ListenerId(index as u16);
            (listener, engine.ledger().listener(listener), state.clone())
        })
        .collect()
}

pub(super) fn listeners_json(observed: &Observed, _: bool) -> Value {
    let Some(engine) = observed.engine.get() else {
        return json!([]);
    };
    of_listeners(engine)
        .into_iter()
        .map(|(id, tally, listener)| {
            let buffer = listener.receive_buffer.as_ref();
            json!({
                "id": listener.info.id,
                "transport": listener.info.transport.as_str(),
                "address": listener.info.address,
                "open": listener.open,
                "packets": tally.datagrams_read,
                "bytes": tally.bytes_read,
                "messages": tally.messages,
                "samples": tally.samples,
                "kernel_drops": engine.kernel_drops().of(id),
                "truncated": tally.truncated,
                "dropped": counts(tally.datagram_drops()),
                "receive_buffer_bytes": buffer.map(|buffer| buffer.effective_bytes),
                "receive_buffer_forced": buffer.map(|buffer| buffer.forced),
            })
        })
        .collect()
}

pub(super) fn listeners_text(observed: &Observed, _: bool) -> String {
    let Some(engine) = observed.engine.get() else {
        return STARTING.to_owned();
    };
    let mut out = String::new();
    for (id, tally, listener) in of_listeners(engine) {
        let info = &listener.info;
        let buffer = listener.receive_buffer.map_or_else(String::new, |buffer| {
            format!(", receive buffer {}", bytes(buffer.effective_bytes as u64))
        });
        writeln!(
            out,
            "  {} {}{buffer}",
            info.transport.as_str(),
            info.address
        )
        .expect("a string takes everything");
        let mut lost = vec![("kernel_drops", engine.kernel_drops().of(id))];
        lost.extend(tally.datagram_drops());
        writeln!(
            out,
            "    packets {}  bytes {}  messages {}  samples {}  lost: {}",
            grouped(tally.datagrams_read),
            grouped(tally.bytes_read),
            grouped(tally.messages),
            grouped(tally.samples),
            reasons(lost)
        )
        .expect("a string takes everything");
    }
    if out.is_empty() {
        out.push_str("  none: nothing is received\n");
    }
    let connections = engine.connections();
    if connections > 0 {
        writeln!(out, "  stream connections open: {connections}")
            .expect("a string takes everything");
    }
    if let Some(forwarded) = engine.forwarded() {
        writeln!(
            out,
            "  packets copied on: {} sent, {} failed",
            grouped(forwarded.packets.get()),
            grouped(forwarded.errors.get())
        )
        .expect("a string takes everything");
    }
    out
}

pub(super) fn ledger_json(observed: &Observed, _: bool) -> Value {
    let Some(engine) = observed.engine.get() else {
        return Value::Null;
    };
    let reading = engine.ledger().read();
    let total = &reading.total;
    json!({
        "received": reading.items_received(),
        "aggregated": reading.items_aggregated(),
        "open": reading.samples_open(),
        "rejected": counts(rejected(total)),
        "dropped": counts(dropped(&reading)),
        "datagrams": { "read": total.datagrams_read, "parsed": total.datagrams_parsed,
                       "dropped": counts(total.datagram_drops()) },
        "messages": { "all": total.messages, "metrics": total.metrics, "events": total.events,
                      "service_checks": total.service_checks },
        "samples": { "all": total.samples, "aggregated": total.samples_aggregated,
                     "timestamped": total.samples_timestamped },
        "remainder": reading.remainder(),
    })
}

pub(super) fn ledger_text(observed: &Observed, verbose: bool) -> String {
    let Some(engine) = observed.engine.get() else {
        return STARTING.to_owned();
    };
    let reading = engine.ledger().read();
    let sum = |parts: &[(&str, u64)]| parts.iter().map(|(_, count)| count).sum::<u64>();
    let (refused, lost) = (rejected(&reading.total), dropped(&reading));
    let mut lines = vec![
        ("received", grouped(reading.items_received())),
        ("= aggregated", grouped(reading.items_aggregated())),
        ("+ rejected", with_reasons(sum(&refused), &refused)),
        ("+ dropped", with_reasons(sum(&lost), &lost)),
        ("remainder", reading.remainder().to_string()),
    ];
    let total = &reading.total;
    lines.push((
        "packets",
        format!(
            "{} read, lost: {}",
            grouped(total.datagrams_read),
            reasons(total.datagram_drops())
        ),
    ));
    if verbose {
        lines.push(("in open buckets", reading.samples_open().to_string()));
        lines.push(("clashes of type", grouped(total.type_clashes)));
        lines.push(("rates counted as 1", grouped(total.rate_clamped)));
    }
    rows(lines)
}

pub(super) fn contexts_json(observed: &Observed, _: bool) -> Value {
    let Some(engine) = observed.engine.get() else {
        return Value::Null;
    };
    let reading = engine.ledger().read();
    let (lanes, total) = (&reading.lanes, &reading.total);
    let limits = observed.live.settings().limits;
    json!({
        // The flush thread knows them from the first flush on.
        "contexts": engine.flush_cells().load().contexts.max(one_lane(lanes.contexts, engine)),
        "lane_contexts": lanes.contexts,
        "spellings": lanes.spellings,
        "created": lanes.contexts_created,
        "expired": lanes.contexts_expired,
        "memory_bytes": lanes.memory_bytes,
        "buckets": lanes.buckets,
        "limits": {
            "contexts": limits.contexts,
            "contexts_per_origin": limits.contexts_per_origin,
            "tags_per_metric": limits.tags_per_metric,
            "set_members": limits.set_members,
            "histogram_values": limits.histogram_values,
            "events": limits.events,
            "memory_bytes": limits.memory_bytes,
        },
        "refused": {
            "context_limit": total.context_limit,
            "origin_limit": total.origin_limit,
            "tag_limit": total.tag_limit,
            "memory_limit": total.memory_limit,
            "member_limit": total.member_limit,
            "value_limit": total.value_limit,
            "items_limit": total.items_limit,
        },
        "largest": observed.contexts.largest().map(|top| top.json()),
    })
}

pub(super) fn contexts_text(observed: &Observed, _: bool) -> String {
    let Some(engine) = observed.engine.get() else {
        return STARTING.to_owned();
    };
    let reading = engine.ledger().read();
    let (lanes, total) = (&reading.lanes, &reading.total);
    let limits = observed.live.settings().limits;
    let limit = |number: u64| match number {
        0 => "no limit".to_owned(),
        number => format!("limit {}", grouped(number)),
    };
    let mut out = rows([
        (
            "contexts",
            format!(
                "{} ({})",
                grouped(lanes.contexts),
                limit(limits.contexts.into())
            ),
        ),
        ("spellings", grouped(lanes.spellings)),
        (
            "made, forgotten",
            format!(
                "{}, {}",
                grouped(lanes.contexts_created),
                grouped(lanes.contexts_expired)
            ),
        ),
        ("memory", bytes(lanes.memory_bytes)),
        (
            "refused by limits",
            reasons([
                ("context_limit", total.context_limit),
                ("origin_limit", total.origin_limit),
                ("tag_limit", total.tag_limit),
                ("memory_limit", total.memory_limit),
                ("member_limit", total.member_limit),
                ("value_limit", total.value_limit),
                ("items_limit", total.items_limit),
            ]),
        ),
    ]);
    if let Some(top) = observed.contexts.largest() {
        out.push_str(&largest(&top));
    }
    out
}

/// Where contexts come from, as of the last flush: what to look at when they explode.
fn largest(top: &Top) -> String {
    let keys = |keys: &[TagKey]| -> String {
        let keys = keys.iter().map(|tag| {
            let key = tag.key.escape_debug();
            format!("{key} {}", grouped(tag.values))
        });
        keys.collect::<Vec<_>>().join(", ")
    };
    let mut out = String::new();
    if top.metrics.is_empty() {
        return out;
    }
    out.push_str("  metrics with the most contexts (different values of their tags):\n");
    for metric in &top.metrics {
        writeln!(
            out,
            "    {:>9}  {} ({})",
            grouped(metric.contexts),
            metric.name.escape_debug(),
            keys(&metric.tags)
        )
        .expect("a string takes everything");
    }
    writeln!(out, "  tags with the most values: {}", keys(&top.tags))
        .expect("a string takes everything");
    out
}

/// What one lane alone knows; several may know the same.
fn one_lane(contexts: u64, engine: &Handle) -> u64 {
    match engine.ledger().lane_count() {
        1 => contexts,
        _ => 0,
    }
}

pub(super) fn lanes_json(observed: &Observed, _: bool) -> Value {
    let Some(engine) = observed.engine.get() else {
        return Value::Null;
    };
    let receive = engine.receive();
    let lanes: Vec<Value> = (0..engine.ledger().lane_count())
        .map(|lane| {
            let tally = engine.ledger().lane(lane);
            json!({
                "lane": lane,
                "contexts": tally.contexts,
                "memory_bytes": tally.memory_bytes,
                "buckets": tally.buckets,
                "clock_jumps": tally.clock_jumps,
            })
        })
        .collect();
    json!({
        "ready": engine.is_ready(),
        "rules_generation": engine.rules_generation(),
        "queue_batches": engine.queue_len(),
        "restarts": receive.lane_restarts,
        "receive": counts(named(&receive)),
        "lanes": lanes,
    })
}

pub(super) fn lanes_text(observed: &Observed, verbose: bool) -> String {
    let Some(engine) = observed.engine.get() else {
        return STARTING.to_owned();
    };
    let receive = engine.receive();
    let state = if engine.is_ready() {
        "ready"
    } else {
        "not ready"
    };
    let mut lines = vec![
        ("state", state.to_owned()),
        ("lanes", engine.ledger().lane_count().to_string()),
        ("batches waiting", grouped(engine.queue_len() as u64)),
        ("restarts", grouped(receive.lane_restarts)),
        ("flushes", grouped(engine.flush_cells().load().flushes)),
        (
            "latest flush took",
            format!(
                "{} us",
                grouped(engine.flush_cells().load().duration_microseconds)
            ),
        ),
    ];
    if verbose {
        lines.extend(named(&receive).map(|(name, count)| (name, grouped(count))));
    }
    rows(lines)
}

fn named(receive: &ReceiveTally) -> impl Iterator<Item = (&'static str, u64)> {
    let names = ReceiveTally::FIELDS.iter().map(|(name, _)| *name);
    names.zip(receive.values())
}

fn rejected(total: &Tally) -> Vec<(&'static str, u64)> {
    total
        .rejected()
        .map(|(kind, count)| (kind.as_str(), count))
        .chain([("unterminated", total.unterminated)])
        .collect()
}

fn dropped(reading: &LedgerReading) -> Vec<(&'static str, u64)> {
    let drops = reading.total.item_drops().into_iter();
    drops.chain(reading.late_drops()).collect()
}

/// Counts by name, zeros included: programs want the same names every time.
fn counts(parts: impl IntoIterator<Item = (&'static str, u64)>) -> Value {
    let entries = parts
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!(count)));
    Value::Object(entries.collect::<Map<_, _>>())
}

/// `3 (a 2, b 1)`.
fn with_reasons(sum: u64, parts: &[(&'static str, u64)]) -> String {
    if sum == 0 {
        return "0".to_owned();
    }
    format!("{} ({})", grouped(sum), reasons(parts.iter().copied()))
}

/// `a 2, b 1`, or `none`.
fn reasons(parts: impl IntoIterator<Item = (&'static str, u64)>) -> String {
    let named: Vec<String> = parts
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", grouped(count)))
        .collect();
    if named.is_empty() {
        "none".to_owned()
    } else {
        named.join(", ")
    }
}
