//! The known bytes of the Datadog encoders, read by a decoder that shares no code with them: Python's protobuf
//! with classes made from our `.proto`, and Python's JSON.

use std::process::Command;

use greyhound_tests::{command, daemon, python, source, wait};
use serde_json::{Value, json};

const PROGRAM: &str = r#"
import json, sys
from google.protobuf.json_format import MessageToDict
from datadog.agentpayload import agent_payload_pb2 as payload

def read(name):
    with open(sys.argv[1] + "/" + name) as file:
        return bytes.fromhex("".join(file.read().split()))

def message(kind, name):
    decoded = kind.FromString(read(name))
    # Nothing unknown, and the same bytes when written again.
    again = decoded.SerializeToString(deterministic=True)
    shown = MessageToDict(decoded, preserving_proto_field_name=True)
    return {"message": shown, "bytes": len(read(name)), "again": len(again)}

print(json.dumps({
    "series": message(payload.MetricPayload, "series.hex"),
    "sketches": message(payload.SketchPayload, "sketches.hex"),
    "events": json.load(open(sys.argv[1] + "/events.json")),
    "service_checks": json.load(open(sys.argv[1] + "/service_checks.json")),
}))
"#;

/// The start of the bucket the known payloads are of.
const BUCKET: i64 = 1_700_000_000;

fn decoded() -> Option<Value> {
    let grpc = python::grpc()?;
    let mut program = daemon::clean(Command::new(&grpc.python));
    program
        .args(["-c", PROGRAM])
        .arg(source::root().join("engine/sinks/golden/datadog"))
        .env("PYTHONPATH", &grpc.stubs);
    let done = command::finish(&mut program, wait::PATIENCE).expect("the decoder ends");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    Some(serde_json::from_str(&done.stdout).unwrap())
}

/// Python writes integers of 64 bits as text.
fn at(after: i64) -> String {
    (BUCKET + after).to_string()
}

#[test]
fn an_independent_decoder_reads_what_was_meant() {
    let Some(all) = decoded() else {
        return;
    };
    let series = &all["series"]["message"]["series"];
    let host = json!({ "type": "host", "name": "agent-host" });
    assert_eq!(
        series[0],
        json!({
            "resources": [
                host, { "type": "aws_ec2", "name": "i-1" }, { "type": "device", "name": "sda" },
            ],
            "metric": "page.views", "tags": ["env:prod"], "type": "RATE", "interval": "10",
            "points": [{ "value": 2.5, "timestamp": at(0) }],
        })
    );
    assert_eq!(
        series[1],
        json!({
            "resources": [host], "metric": "zero", "tags": [format!("long:{}", "x".repeat(200))],
            "type": "GAUGE", "interval": "10", "points": [{ "timestamp": at(0) }],
        })
    );
    assert_eq!(series[2]["metric"], "request.wait.max");
    assert_eq!(
        (&series[2]["unit"], &series[2]["points"][0]["value"]),
        (&json!("millisecond"), &json!(0.1))
    );
    assert_eq!(
        series[3]["points"],
        json!([
            { "value": 1.5, "timestamp": at(0) }, { "value": -0.0, "timestamp": at(7) },
            { "value": 1e300, "timestamp": at(9) },
        ])
    );
    assert_eq!(
        series[4]["resources"],
        json!([{ "type": "host", "name": "other-host" }])
    );
    assert_eq!(
        (&series[4]["tags"][0], &series[4]["points"][0]["value"]),
        (&json!("latin:\u{fffd}"), &json!("Infinity"))
    );
    assert_eq!(series.as_array().unwrap().len(), 5);
}

#[test]
fn an_independent_decoder_reads_the_sketches() {
    let Some(all) = decoded() else {
        return;
    };
    let sketches = &all["sketches"]["message"]["sketches"];
    assert_eq!(sketches.as_array().unwrap().len(), 3);
    let size = &sketches[0];
    assert_eq!(
        (&size["metric"], &size["host"]),
        (&json!("request.size"), &json!("agent-host"))
    );
    assert_eq!(size["tags"], json!(["device:sda", "env:prod"]));
    let point = &size["dogsketches"][0];
    assert_eq!(
        (&point["ts"], &point["cnt"]),
        (&json!(at(0)), &json!("500"))
    );
    assert_eq!(
        (&point["min"], &point["max"], &point["avg"], &point["sum"]),
        (&json!(1.0), &json!(500.0), &json!(250.5), &json!(125_250.0))
    );
    let (keys, counts) = (
        point["k"].as_array().unwrap(),
        point["n"].as_array().unwrap(),
    );
    assert_eq!(keys.len(), counts.len());
    assert_eq!(counts.iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 500);
    // 1 is the lower end of bin 1338, 500 = 1.015625^400.8.
    assert_eq!(
        (&keys[0], keys.last().unwrap()),
        (&json!(1338), &json!(1739))
    );
    assert_eq!(
        size["dogsketches"][1],
        json!({ "ts": at(10), "cnt": "1", "k": [0], "n": [1] })
    );
    let signed = &sketches[1]["dogsketches"][0];
    let keys: Vec<i64> = signed["k"]
        .as_array()
        .unwrap()
        .iter()
        .map(|key| key.as_i64().unwrap())
        .collect();
    // What is too small for a bin of its own is zero.
    assert_eq!(
        (keys.len(), keys[0] < 0, keys.contains(&0)),
        (4, true, true)
    );
    assert_eq!(
        (&signed["min"], &signed["max"]),
        (&json!(-3.5), &json!(1e12))
    );
    assert_eq!(sketches[2]["dogsketches"][0]["n"], json!([u32::MAX]));
    assert_eq!(
        all["sketches"]["message"]["metadata"],
        json!({}),
        "always there"
    );
}

#[test]
fn an_independent_decoder_reads_events_and_checks() {
    let Some(all) = decoded() else {
        return;
    };
    let events = &all["events"];
    assert_eq!(
        (&events["apiKey"], &events["internalHostname"]),
        (&json!(""), &json!("agent-host"))
    );
    assert_eq!(
        events["events"]["nagios"],
        json!([{
            "msg_title": "disk \"full\"", "msg_text": "line one\nline \u{2713} \u{fffd}",
            "timestamp": BUCKET + 3, "priority": "low", "host": "agent-host", "tags": ["a:1"],
            "alert_type": "error", "aggregation_key": "key", "source_type_name": "nagios",
        }])
    );
    let api: Vec<&Value> = events["events"]["api"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["msg_title"])
        .collect();
    assert_eq!(api, ["plain", "named"]);
    assert_eq!(
        all["service_checks"],
        json!([
            { "check": "db.up", "host_name": "agent-host", "timestamp": BUCKET + 3, "status": 1,
              "message": "down\t\u{fffd}", "tags": ["a:1"] },
            { "check": "web.up", "host_name": "agent-host", "timestamp": BUCKET + 3, "status": 2,
              "message": "", "tags": [] },
        ])
    );
}

#[test]
fn nothing_in_the_bytes_is_unknown_to_the_decoder() {
    let Some(all) = decoded() else {
        return;
    };
    for kind in ["series", "sketches"] {
        let (bytes, again) = (
            all[kind]["bytes"].as_i64().unwrap(),
            all[kind]["again"].as_i64().unwrap(),
        );
        assert_eq!(bytes, again, "{kind}");
    }
}
