//! The known bytes of remote write and OTLP, read by a decoder that shares no code with them: Python's protobuf
//! with classes made from our `.proto`.

use std::process::Command;

use greyhound_tests::{command, daemon, python, source, wait};
use serde_json::{Value, json};

const PROGRAM: &str = r#"
import json, sys
from google.protobuf.json_format import MessageToDict
from prometheus import remote_write_v1_pb2 as one, remote_write_v2_pb2 as two
from opentelemetry import metrics_service_pb2 as otlp

def message(kind, name):
    with open(sys.argv[1] + "/" + name) as file:
        raw = bytes.fromhex("".join(file.read().split()))
    decoded = kind.FromString(raw)
    # Nothing unknown: as long when it is written again.
    again = len(decoded.SerializeToString())
    shown = MessageToDict(decoded, preserving_proto_field_name=True)
    return {"message": shown, "bytes": len(raw), "again": again}

print(json.dumps({
    "one": message(one.WriteRequest, "remote_write_1.hex"),
    "one_native": message(one.WriteRequest, "remote_write_1_native.hex"),
    "two": message(two.Request, "remote_write_2.hex"),
    "two_native": message(two.Request, "remote_write_2_native.hex"),
    "delta": message(otlp.ExportMetricsServiceRequest, "otlp_delta.hex"),
    "cumulative": message(otlp.ExportMetricsServiceRequest, "otlp_cumulative.hex"),
}))
"#;

/// End of the bucket the known requests are of, in milliseconds; Python writes long integers as text.
const END_MS: &str = "1700000010000";

fn decoded() -> Option<Value> {
    let grpc = python::grpc()?;
    let mut program = daemon::clean(Command::new(&grpc.python));
    program
        .args(["-c", PROGRAM])
        .arg(source::root().join("engine/sinks/golden/push"))
        .env("PYTHONPATH", &grpc.stubs);
    let done = command::finish(&mut program, wait::PATIENCE).expect("the decoder ends");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    Some(serde_json::from_str(&done.stdout).unwrap())
}

/// Labels of a series of the second version, as those of the first.
fn labels(request: &Value, series: &Value) -> Value {
    let text = |reference: &Value| &request["symbols"][reference.as_u64().unwrap() as usize];
    let references = series["labels_refs"].as_array().unwrap();
    let pairs = references.chunks(2);
    pairs
        .map(|pair| json!({ "name": text(&pair[0]), "value": text(&pair[1]) }))
        .collect()
}

#[test]
fn an_independent_decoder_reads_what_was_meant() {
    let Some(all) = decoded() else {
        return;
    };
    for (name, one) in all.as_object().unwrap() {
        assert_eq!(one["bytes"], one["again"], "{name} holds something unknown");
    }
    let one = &all["one"]["message"]["timeseries"];
    let label = |name: &str, value: &str| json!({ "name": name, "value": value });
    assert_eq!(
        one[0],
        json!({
            "labels": [
                label("__name__", "page_views_total"),
                label("env", "prod"),
                label("role", "a,b"),
            ],
            "samples": [{ "value": 25.0, "timestamp": END_MS }],
        })
    );
    assert_eq!(one[1]["samples"][0]["value"], -2.5);
    // Zeros are not written.
    assert_eq!(one[2]["samples"], json!([{ "timestamp": END_MS }]));

    for (first, second) in [("one", "two"), ("one_native", "two_native")] {
        let first = all[first]["message"]["timeseries"].as_array().unwrap();
        let request = &all[second]["message"];
        let second = request["timeseries"].as_array().unwrap();
        assert_eq!(first.len(), second.len());
        for (first, second) in first.iter().zip(second) {
            assert_eq!(first["labels"], labels(request, second));
            assert_eq!(first["samples"], second["samples"]);
            assert_eq!(first["histograms"], second["histograms"]);
        }
    }
    let wait = &all["two"]["message"]["timeseries"][3]["metadata"];
    assert_eq!(wait["type"], "METRIC_TYPE_GAUGE");

    let native = &all["one_native"]["message"]["timeseries"][4]["histograms"][0];
    assert_eq!(native["count_int"], "6");
    assert_eq!(native["zero_count_int"], "1");
    assert_eq!(native["schema"], 5);
    assert_eq!(native["positive_deltas"], json!(["1", "1", "-1"]));

    let resources = &all["delta"]["message"]["resource_metrics"];
    let host = json!({ "key": "host.name", "value": { "string_value": "agent-host" } });
    assert_eq!(resources[0]["resource"]["attributes"][0], host);
    let text = all["delta"]["message"].to_string();
    for expected in [
        "\"as_double\":25.0",
        "\"as_double\":0.0",
        "\"scale\":5",
        "service.name",
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    let text = all["cumulative"]["message"].to_string();
    assert!(text.contains("AGGREGATION_TEMPORALITY_CUMULATIVE") && !text.contains("_DELTA"));
}
