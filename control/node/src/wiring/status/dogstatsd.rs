//! The numbers that the Agent's users know, under the names the Agent has for them.

use greyhound_pipeline::ledger::{Tally, Transport};
use serde_json::{Map, Value, json};

use super::{Observed, engine, grouped, rows};

/// In the Agent's order: by name.
fn fields(observed: &Observed) -> Vec<(&'static str, u64)> {
    let Some(handle) = observed.engine.get() else {
        return Vec::new();
    };
    let (mut udp, mut uds) = (Tally::default(), Tally::default());
    let mut total = Tally::default();
    for (_, tally, listener) in engine::of_listeners(handle) {
        total.add(&tally);
        match listener.info.transport {
            Transport::Udp => udp.add(&tally),
            Transport::Unixgram | Transport::UnixStream => uds.add(&tally),
        }
    }
    let refused = |of: &str| -> u64 {
        total
            .rejected()
            .filter(|(kind, _)| kind.as_str().starts_with(of))
            .map(|(_, count)| count)
            .sum()
    };
    let receive = handle.receive();
    vec![
        ("Event Packets", total.events),
        ("Event Parse Errors", refused("event_")),
        ("Metric Packets", total.metrics),
        ("Metric Parse Errors", refused("metric_")),
        ("Service Check Packets", total.service_checks),
        ("Service Check Parse Errors", refused("service_check_")),
        ("Udp Bytes", udp.bytes_read),
        ("Udp Packet Reading Errors", udp.truncated),
        ("Udp Packets", udp.datagrams_read),
        ("Uds Bytes", uds.bytes_read),
        ("Uds Origin Detection Errors", receive.credentials_missing),
        (
            "Uds Packet Reading Errors",
            uds.truncated + uds.frame_too_big + uds.frame_partial,
        ),
        ("Uds Packets", uds.datagrams_read),
        ("Unterminated Metric Errors", total.unterminated),
    ]
}

pub(super) fn json(observed: &Observed, _: bool) -> Value {
    let entries = fields(observed)
        .into_iter()
        .map(|(name, count)| (name.to_owned(), json!(count)));
    Value::Object(entries.collect::<Map<_, _>>())
}

pub(super) fn text(observed: &Observed, _: bool) -> String {
    rows(
        fields(observed)
            .into_iter()
            .map(|(name, count)| (name, grouped(count))),
    )
}
