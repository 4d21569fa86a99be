//! Events as the Agent sends them: one JSON object, lists by source.

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
    let host = Value::from(text.utf8(&batch.hostname).into_owned());
    let end = format!("]}},\"internalHostname\":{host}}}");
    let mut packer = Packer::new(
        EVENTS,
        config.compression,
        config.other_limits,
        end.as_bytes(),
    );
    let mut events: Vec<&Event> = batch.events.iter().collect();
    events.sort_by(|a, b| a.source_type.cmp(&b.source_type));
    let mut source_before: Option<&[u8]> = None;
    for event in events {
        let source = match text.utf8(&event.source_type) {
            source if source.is_empty() => Value::from(NO_SOURCE),
            source => Value::from(source.into_owned()),
        };
        let list = format!("{source}:[");
        let item = object(event, text).to_string();
        let first = [START, list.as_bytes(), item.as_bytes()];
        let added = if source_before == Some(&event.source_type) {
            packer.add(&first, &[b",", item.as_bytes()], 1)
        } else {
            packer.add(&first, &[b"],", list.as_bytes(), item.as_bytes()], 1)
        };
        match added {
            Ok(()) => source_before = Some(&event.source_type),
            Err(_) => {
                // The packer closed what was open.
                source_before = None;
                receipt.drop_points(Reason::TooLarge, 1);
            }
        }
    }
    packer.finish()
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
