//! Updates and snapshots as they go over the wire: one gRPC message each, its five bytes of frame in
//! front, so that a stream hands them on without touching them.

use bytes::{BufMut, Bytes};
use greyhound_config::live::feed::{Setting, Snapshot, Update};
use greyhound_proto::datadog::model::v1::config_event::Event;
use greyhound_proto::datadog::model::v1::{
    ConfigEvent, ConfigSetting, ConfigSnapshot, ConfigUpdate,
};
use prost::Message;
use prost_types::value::Kind;
use prost_types::{ListValue, Struct, Value};

/// Not compressed, and the length of the message.
const FRAME_HEAD_BYTES: usize = 5;

/// One update.
///
/// # Cost
/// One allocation for the bytes, a few for the message; 1 µs.
pub(super) fn update(origin: &str, update: &Update) -> Bytes {
    frame(Event::Update(ConfigUpdate {
        origin: origin.to_owned(),
        sequence_id: sequence_id(update.sequence),
        setting: Some(ConfigSetting {
            source: update.source.to_owned(),
            key: update.key.to_owned(),
            value: Some(value(&update.value)),
            unset_source: update.unset_source.unwrap_or_default().to_owned(),
        }),
    }))
}

/// All settings.
pub(super) fn snapshot(origin: &str, snapshot: &Snapshot) -> Bytes {
    let setting = |setting: &Setting| ConfigSetting {
        source: setting.source.to_owned(),
        key: setting.key.to_owned(),
        value: Some(value(&setting.value)),
        unset_source: String::new(),
    };
    frame(Event::Snapshot(ConfigSnapshot {
        origin: origin.to_owned(),
        sequence_id: sequence_id(snapshot.sequence),
        settings: snapshot.settings.iter().map(setting).collect(),
    }))
}

fn frame(event: Event) -> Bytes {
    let event = ConfigEvent { event: Some(event) };
    let len = event.encoded_len();
    let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + len);
    frame.put_u8(0);
    // All settings together stay far below 4 GiB: a settings file is bounded.
    frame.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    event.encode_raw(&mut frame);
    frame.into()
}

/// The wire has 32 signed bits. Counted from the beginning of 2026 in seconds, they last until 2094.
fn sequence_id(sequence: u64) -> i32 {
    i32::try_from(sequence).unwrap_or(i32::MAX)
}

/// JSON as the protocol's `Value`. Integers above 2^53 lose precision there; JSON has no NaN.
fn value(json: &serde_json::Value) -> Value {
    let kind = match json {
        serde_json::Value::Null => Kind::NullValue(0),
        serde_json::Value::Bool(bool) => Kind::BoolValue(*bool),
        serde_json::Value::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(0.0)),
        serde_json::Value::String(text) => Kind::StringValue(text.clone()),
        serde_json::Value::Array(values) => Kind::ListValue(ListValue {
            values: values.iter().map(value).collect(),
        }),
        serde_json::Value::Object(fields) => Kind::StructValue(Struct {
            fields: fields
                .iter()
                .map(|(key, field)| (key.clone(), value(field)))
                .collect(),
        }),
    };
    Value { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_update_is_one_framed_message() {
        let bytes = update(
            "datadog.yaml",
            &Update {
                sequence: 9,
                key: "log_level",
                value: json!("debug"),
                source: "file",
                unset_source: Some("cli"),
            },
        );
        assert_eq!(bytes[0], 0);
        let len = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
        assert_eq!(len as usize, bytes.len() - FRAME_HEAD_BYTES);
        let event = ConfigEvent::decode(&bytes[FRAME_HEAD_BYTES..]).expect("our own bytes");
        let Some(Event::Update(update)) = event.event else {
            panic!("not an update: {event:?}");
        };
        assert_eq!(update.origin, "datadog.yaml");
        assert_eq!(update.sequence_id, 9);
        let setting = update.setting.expect("a setting");
        assert_eq!(setting.key, "log_level");
        assert_eq!(setting.source, "file");
        assert_eq!(setting.unset_source, "cli");
    }

    #[test]
    fn values_keep_their_types() {
        let json = json!({"a": [1, 2.5, true, null, "x"], "b": {}});
        let Some(Kind::StructValue(all)) = value(&json).kind else {
            panic!("not a struct");
        };
        let Some(Kind::ListValue(list)) = &all.fields["a"].kind else {
            panic!("not a list");
        };
        let kinds: Vec<_> = list.values.iter().map(|value| value.kind.clone()).collect();
        assert_eq!(
            kinds,
            [
                Some(Kind::NumberValue(1.0)),
                Some(Kind::NumberValue(2.5)),
                Some(Kind::BoolValue(true)),
                Some(Kind::NullValue(0)),
                Some(Kind::StringValue("x".to_owned())),
            ]
        );
        assert!(matches!(all.fields["b"].kind, Some(Kind::StructValue(_))));
    }

    #[test]
    fn numbers_end_at_what_the_wire_can_carry() {
        assert_eq!(sequence_id(28_000_000), 28_000_000);
        assert_eq!(sequence_id(u64::MAX), i32::MAX);
    }
}
