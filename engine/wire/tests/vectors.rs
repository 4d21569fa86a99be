//! The conformance vectors, without sockets: each packet is split, parsed and told in their words.
//!
//! The whole engine is held against the same file elsewhere; this is the fast check beside the code.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use greyhound_wire::frame::{self, StreamDecoder};
use greyhound_wire::tags::{TagMetadata, extract};
use greyhound_wire::{
    Event, Message, Metric, Options, OriginFields, ServiceCheck, Values, parse, write_unescaped,
};
use serde_json::{Map, Value, json};

/// Where the engine knowingly differs, and why.
const DEVIATIONS: [(&str, &str); 1] = [(
    "as-eol",
    "a required newline is looked for in each UDP datagram, which is what the setting promises",
)];

type Counters = BTreeMap<&'static str, u64>;

#[test]
fn every_vector_but_the_known_deviations_passes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/parity/dogstatsd.jsonl");
    let text = fs::read_to_string(path).expect("the vectors are part of the project");
    let mut passed = 0;
    let mut wrong = Vec::new();
    for line in text.lines() {
        let vector: Value = serde_json::from_str(line).expect("one JSON object per line");
        let id = vector["id"].as_str().expect("every vector has an id");
        let agrees = judge(&vector);
        let deviates = DEVIATIONS.iter().any(|(known, _)| *known == id);
        match (agrees, deviates) {
            (Ok(()), false) => passed += 1,
            (Err(_), true) => {}
            (Ok(()), true) => wrong.push(format!("{id}: no deviation any more")),
            (Err(difference), false) => wrong.push(format!("{id}: {difference}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(passed + DEVIATIONS.len() >= 252, "only {passed} passed");
}

fn judge(vector: &Value) -> Result<(), String> {
    let config = &vector["config"];
    let options = Options {
        timestamps: config["dogstatsd_no_aggregation_pipeline"] != Value::Bool(false),
        client_origin: config["dogstatsd_origin_detection_client"] == Value::Bool(true),
    };
    let buffer_size = config["dogstatsd_buffer_size"].as_u64().unwrap_or(8192) as usize;
    let transport = vector["transport"].as_str().unwrap_or("udp");
    let listener = if transport.starts_with("uds") {
        "uds"
    } else {
        "udp"
    };
    let eol_required = config["dogstatsd_eol_required"]
        .as_array()
        .is_some_and(|names| names.iter().any(|name| name == listener));

    let mut counters = Counters::new();
    let mut messages = Vec::new();
    let mut read = |packet: &[u8]| {
        let packet = &packet[..packet.len().min(buffer_size)];
        read_packet(packet, eol_required, options, &mut messages, &mut counters);
    };
    let mut actual = Map::new();
    if transport == "uds_stream" {
        let bytes = input(vector);
        let mut decoder = StreamDecoder::new(buffer_size);
        decoder.space()[..bytes.len()].copy_from_slice(&bytes);
        decoder.advance(bytes.len());
        while let Ok(Some(frame)) = decoder.next_frame() {
            read(frame);
        }
        actual.insert("connection".into(), decoder.finish().as_str().into());
    } else if let Some(datagrams) = vector["datagrams"].as_array() {
        for datagram in datagrams {
            read(datagram.as_str().expect("a text").as_bytes());
        }
    } else {
        read(&input(vector));
    }
    actual.insert("messages".into(), Value::Array(messages));

    let mut expected = vector["expect"].clone();
    if expected.get("messages").is_none() {
        expected = json!({ "messages": [expected] });
    }
    same(&Value::Object(actual), &expected)?;
    match vector.get("counters") {
        Some(expected) => same(&json!(counters), expected),
        None => Ok(()),
    }
}

fn input(vector: &Value) -> Vec<u8> {
    match vector["input"].as_str() {
        Some(text) => text.as_bytes().to_vec(),
        None => {
            let hex = vector["input_hex"].as_str().expect("input or input_hex");
            hex.as_bytes()
                .chunks(2)
                .map(|pair| {
                    let pair = std::str::from_utf8(pair).expect("ASCII");
                    u8::from_str_radix(pair, 16).expect("two hex digits")
                })
                .collect()
        }
    }
}

fn read_packet(
    packet: &[u8],
    eol_required: bool,
    options: Options,
    messages: &mut Vec<Value>,
    counters: &mut Counters,
) {
    let mut lines = frame::lines(packet, eol_required);
    for line in lines.by_ref() {
        let (message, counter, count) = match parse(line, options) {
            Ok(Message::Metric(metric)) => (
                tell_metric(&metric),
                "metrics.ok",
                metric.values.len() as u64,
            ),
            Ok(Message::Event(event)) => (tell_event(&event), "events.ok", 1),
            Ok(Message::ServiceCheck(check)) => (tell_check(&check), "service_checks.ok", 1),
            Err(error) => {
                let counter = match error.kind.message_kind().as_str() {
                    "metric" => "metrics.error",
                    "event" => "events.error",
                    _ => "service_checks.error",
                };
                (json!({ "error": error.kind.as_str() }), counter, 1)
            }
        };
        messages.push(message);
        *counters.entry(counter).or_default() += count;
    }
    if lines.unterminated() {
        *counters.entry("unterminated").or_default() += 1;
    }
}

// === telling a message in the vectors' words ===

fn tell_metric(metric: &Metric<'_>) -> Value {
    let mut told = Map::new();
    told.insert("kind".into(), "metric".into());
    told.insert("name".into(), text(metric.name));
    let kind = metric.kind.telemetry_name();
    let kind = if kind == "counter" { "count" } else { kind };
    told.insert("type".into(), kind.into());
    match metric.values {
        Values::Set(member) => told.insert("set_value".into(), text(member)),
        values => told.insert("values".into(), values.iter().map(number).collect()),
    };
    told.insert("sample_rate".into(), number(metric.sample_rate));
    if let Some(seconds) = metric.timestamp {
        told.insert("timestamp".into(), seconds.into());
    }
    tell_origin(&mut told, metric.tags.iter(), &metric.origin, b"");
    Value::Object(told)
}

fn tell_event(event: &Event<'_>) -> Value {
    let mut told = Map::new();
    let unescaped = |bytes: &[u8]| {
        let mut out = Vec::new();
        write_unescaped(bytes, &mut out);
        text(&out)
    };
    told.insert("kind".into(), "event".into());
    told.insert("title".into(), unescaped(event.title));
    told.insert("text".into(), unescaped(event.text));
    told.insert("priority".into(), event.priority.as_str().into());
    told.insert("alert_type".into(), event.alert_type.as_str().into());
    if let Some(seconds) = event.timestamp {
        told.insert("timestamp".into(), seconds.into());
    }
    insert_text(&mut told, "aggregation_key", event.aggregation_key);
    insert_text(&mut told, "source_type", event.source_type);
    tell_origin(&mut told, event.tags.iter(), &event.origin, event.host);
    Value::Object(told)
}

fn tell_check(check: &ServiceCheck<'_>) -> Value {
    let mut told = Map::new();
    told.insert("kind".into(), "service_check".into());
    told.insert("name".into(), text(check.name));
    told.insert("status".into(), check.status.as_str().into());
    if let Some(seconds) = check.timestamp {
        told.insert("timestamp".into(), seconds.into());
    }
    insert_text(&mut told, "message", check.message);
    tell_origin(&mut told, check.tags.iter(), &check.origin, check.host);
    Value::Object(told)
}

fn tell_origin<'a>(
    told: &mut Map<String, Value>,
    tags: impl Iterator<Item = &'a [u8]>,
    origin: &OriginFields<'a>,
    host: &[u8],
) {
    let mut kept = Vec::new();
    let TagMetadata {
        host: tag_host,
        entity_id,
        cardinality,
        jmx_check_name,
    } = extract(tags, origin.cardinality, |tag| kept.push(text(tag)));
    told.insert("tags".into(), Value::Array(kept));
    if !host.is_empty() {
        told.insert("host".into(), text(host));
    } else if let Some(host) = tag_host {
        told.insert("host".into(), text(host));
    }
    insert_text(told, "pod_uid", entity_id);
    insert_text(told, "cardinality", cardinality);
    insert_text(told, "jmx_check_name", jmx_check_name.unwrap_or_default());
    let local = origin.local_data();
    insert_text(told, "container_id", local.container_id);
    if local.inode != 0 {
        told.insert("inode".into(), local.inode.into());
    }
    if !origin.external_data.is_empty() {
        let external = origin.external_data();
        told.insert(
            "external".into(),
            json!({
                "init": external.init,
                "container_name": text(external.container_name),
                "pod_uid": text(external.pod_uid),
            }),
        );
    }
}

fn insert_text(told: &mut Map<String, Value>, key: &str, bytes: &[u8]) {
    if !bytes.is_empty() {
        told.insert(key.into(), text(bytes));
    }
}

fn text(bytes: &[u8]) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

fn number(value: f64) -> Value {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        json!(value)
    }
}

/// Numbers are the same when they are the same double, whatever they look like.
fn same(actual: &Value, expected: &Value) -> Result<(), String> {
    fn bits(value: &Value) -> Value {
        match value {
            Value::Number(number) => {
                let number = number.as_f64().expect("a double");
                format!("number {:x}", number.to_bits()).into()
            }
            Value::Array(items) => items.iter().map(bits).collect(),
            Value::Object(fields) => fields
                .iter()
                .map(|(key, value)| (key.clone(), bits(value)))
                .collect(),
            other => other.clone(),
        }
    }
    if bits(actual) == bits(expected) {
        Ok(())
    } else {
        Err(format!("\n  found    {actual}\n  expected {expected}"))
    }
}
