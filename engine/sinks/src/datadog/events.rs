//! Events as the Agent sends them: one JSON object, lists by source.

use std::borrow::Cow;

use greyhound_model::event::Event;
use greyhound_model::flush::FlushBatch;
use serde_json::{Map, Value, json};

use super::encode::Text;
use super::packer::Packer;
use super::{DatadogConfig, EVENTS};
use crate::delivery::Payload;
use crate::sink::{Reason, Receipt};

/// The source of events that name none.
const NO_SOURCE: &str = "api";

const START: &[u8] = br#"{"apiKey":"","events":{"#;

/// Payloads of all events of a flush.
pub(super) fn pack(
    batch: &FlushBatch,
    config: &DatadogConfig,
    text: &mut Text,
    receipt: &mut Receipt,
) -> Vec<Payload> {
    let end = end(&Value::from(text.utf8(&batch.hostname).into_owned()));
    let mut packer = Packer::new(
        EVENTS,
        config.compression,
        config.other_limits,
        end.as_bytes(),
    );
    // Lists go by the name that is written: one that stood twice would hide the first from most readers.
    let mut events: Vec<(Cow<'_, str>, &Event)> = batch
        .events
        .iter()
        .map(|event| match text.utf8(&event.source_type) {
            source if source.is_empty() => (Cow::Borrowed(NO_SOURCE), event),
            source => (source, event),
        })
        .collect();
    events.sort_by(|a, b| a.0.cmp(&b.0));
    let mut source_before: Option<&str> = None;
    for (source, event) in &events {
        let list = list(source);
        let item = object(event, text).to_string();
        let first = [START, list.as_bytes(), item.as_bytes()];
        let added = if source_before == Some(source) {
            packer.add(&first, &[b",", item.as_bytes()], 1)
        } else {
            packer.add(&first, &[b"],", list.as_bytes(), item.as_bytes()], 1)
        };
        match added {
            Ok(()) => source_before = Some(source),
            Err(_) => {
                // The packer closed what was open.
                source_before = None;
                receipt.drop_points(Reason::TooLarge, 1);
            }
        }
    }
    packer.finish()
}

/// Halves a payload, with the number of events in each; `None` when it holds one, or is none of ours.
pub(super) fn halve(raw: &[u8]) -> Option<([Vec<u8>; 2], [u32; 2])> {
    let body: Value = serde_json::from_slice(raw).ok()?;
    let host = body.get("internalHostname")?;
    let mut all = Vec::new();
    for (source, items) in body.get("events")?.as_object()? {
        all.extend(items.as_array()?.iter().map(|item| (source.as_str(), item)));
    }
    if all.len() < 2 {
        return None;
    }
    let (first, second) = all.split_at(all.len() / 2);
    let points = [first.len() as u32, second.len() as u32];
    Some(([whole(first, host), whole(second, host)], points))
}

/// A payload of events whose sources stand together.
fn whole(events: &[(&str, &Value)], host: &Value) -> Vec<u8> {
    let mut text = String::from_utf8_lossy(START).into_owned();
    let mut before = None;
    for (source, item) in events {
        match before {
            Some(before) if before == *source => text.push(','),
            Some(_) => {
                text.push_str("],");
                text.push_str(&list(source));
            }
            None => text.push_str(&list(source)),
        }
        text.push_str(&item.to_string());
        before = Some(*source);
    }
    text.push_str(&end(host));
    text.into_bytes()
}

/// What begins the list of a source.
fn list(source: &str) -> String {
    format!("{}:[", Value::from(source))
}

/// What closes a payload.
fn end(host: &Value) -> String {
    format!("]}},\"internalHostname\":{host}}}")
}

fn object(event: &Event, text: &mut Text) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
    put("msg_title", text.utf8(&event.title).into());
    put("msg_text", text.utf8(&event.text).into());
    put("timestamp", event.unix_seconds.into());
    put("priority", event.priority.as_str().into());
    put("host", text.utf8(&event.host).into());
    if !event.tags.is_empty() {
        let tags: Vec<Value> = event.tags.iter().map(|tag| text.utf8(tag).into()).collect();
        put("tags", json!(tags));
    }
    put("alert_type", event.alert_type.as_str().into());
    if !event.aggregation_key.is_empty() {
        put("aggregation_key", text.utf8(&event.aggregation_key).into());
    }
    if !event.source_type.is_empty() {
        put("source_type_name", text.utf8(&event.source_type).into());
    }
    Value::Object(object)
}
