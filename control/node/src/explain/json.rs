//! Messages as JSON, in the schema of the conformance vectors: a field that has its default is left
//! out, text that is not UTF-8 becomes `{"hex": …}`, numbers JSON has no form for become words.

use greyhound_model::metric::MetricKind;
use greyhound_wire::tags::{self, TagMetadata, Tags};
use greyhound_wire::{
    Event, Message, Metric, OriginFields, ParseError, ServiceCheck, Values, write_unescaped,
};
use serde_json::{Map, Value, json};

type Object = Map<String, Value>;

/// An understood message.
pub fn message(message: &Message<'_>) -> Value {
    Value::Object(match message {
        Message::Metric(metric) => self::metric(metric),
        Message::Event(event) => self::event(event),
        Message::ServiceCheck(check) => service_check(check),
    })
}

/// A refused message.
pub fn refusal(error: ParseError) -> Value {
    json!({ "error": error.kind.as_str() })
}

/// Text if it is text, else `{"hex": …}`.
pub fn bytes(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => json!(text),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

/// A number, or `"NaN"`, `"+Inf"`, `"-Inf"`.
pub fn number(value: f64) -> Value {
    if value.is_nan() {
        json!("NaN")
    } else if value.is_infinite() {
        json!(if value > 0.0 { "+Inf" } else { "-Inf" })
    } else {
        json!(value)
    }
}

/// Unescaped text of an event.
pub(crate) fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    write_unescaped(text, &mut out);
    out
}

fn metric(metric: &Metric<'_>) -> Object {
    let mut object = object("metric");
    object.insert("name".into(), bytes(metric.name));
    object.insert("type".into(), kind_name(metric.kind).into());
    match metric.values {
        Values::Set(member) => object.insert("set_value".into(), bytes(member)),
        Values::One(_) | Values::Pack(_) => {
            object.insert("values".into(), metric.values.iter().map(number).collect())
        }
    };
    object.insert("sample_rate".into(), number(metric.sample_rate));
    push_tags_and_origin(&mut object, metric.tags, &metric.origin, b"");
    if let Some(seconds) = metric.timestamp {
        object.insert("timestamp".into(), seconds.into());
    }
    object
}

fn event(event: &Event<'_>) -> Object {
    let mut object = object("event");
    object.insert("title".into(), bytes(&unescaped(event.title)));
    object.insert("text".into(), bytes(&unescaped(event.text)));
    object.insert("priority".into(), event.priority.as_str().into());
    object.insert("alert_type".into(), event.alert_type.as_str().into());
    push_tags_and_origin(&mut object, event.tags, &event.origin, event.host);
    push_text(&mut object, "aggregation_key", event.aggregation_key);
    push_text(&mut object, "source_type", event.source_type);
    if let Some(seconds) = event.timestamp {
        object.insert("timestamp".into(), seconds.into());
    }
    object
}

fn service_check(check: &ServiceCheck<'_>) -> Object {
    let mut object = object("service_check");
    object.insert("name".into(), bytes(check.name));
    object.insert("status".into(), check.status.as_str().into());
    push_tags_and_origin(&mut object, check.tags, &check.origin, check.host);
    push_text(&mut object, "message", check.message);
    if let Some(seconds) = check.timestamp {
        object.insert("timestamp".into(), seconds.into());
    }
    object
}

fn object(kind: &str) -> Object {
    let mut object = Object::new();
    object.insert("kind".into(), kind.into());
    object
}

/// Tags without the special ones, and what those and the origin fields say. `host` is the field of
/// events and checks; it wins over a tag unless it is empty.
fn push_tags_and_origin(
    object: &mut Object,
    tags: Tags<'_>,
    origin: &OriginFields<'_>,
    host: &[u8],
) {
    let mut kept = Vec::new();
    let TagMetadata {
        host: host_tag,
        entity_id,
        cardinality,
        jmx_check_name,
    } = tags::extract(tags, origin.cardinality, |tag| kept.push(bytes(tag)));
    object.insert("tags".into(), Value::Array(kept));
    if let Some(host) = Some(host).filter(|host| !host.is_empty()).or(host_tag) {
        object.insert("host".into(), bytes(host));
    }
    let local = origin.local_data();
    push_text(object, "container_id", local.container_id);
    if local.inode > 0 {
        object.insert("inode".into(), local.inode.into());
    }
    if !origin.external_data.is_empty() {
        let external = origin.external_data();
        object.insert(
            "external".into(),
            json!({
                "init": external.init,
                "container_name": bytes(external.container_name),
                "pod_uid": bytes(external.pod_uid),
            }),
        );
    }
    push_text(object, "cardinality", cardinality);
    push_text(object, "pod_uid", entity_id);
    if let Some(name) = jmx_check_name {
        object.insert("jmx_check_name".into(), bytes(name));
    }
}

fn push_text(object: &mut Object, key: &str, text: &[u8]) {
    if !text.is_empty() {
        object.insert(key.into(), bytes(text));
    }
}

/// The vectors' word for a kind; for counters it is not the one of the Agent's own telemetry.
fn kind_name(kind: MetricKind) -> &'static str {
    match kind {
        MetricKind::Counter => "count",
        other => other.telemetry_name(),
    }
}
