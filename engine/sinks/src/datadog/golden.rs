//! The bytes of each encoder, as they were when an independent decoder last agreed with them: a change of a
//! payload is seen in the diff. `tests/behaviour/datadog_golden.rs` lets that decoder read the same files.
//!
//! `GREYHOUND_BLESS=1` writes them anew.

use std::path::Path;

use greyhound_model::event::{AlertType, Priority};
use greyhound_model::flush::SketchSeries;
use greyhound_model::service_check::Status;

use super::tests::{LIMITS, encode, raw, sink};
use super::*;
use crate::fixtures;

/// One of everything that has a form of its own.
fn batch() -> FlushBatch {
    let mut timing = fixtures::gauge("request.wait", "env:prod", 0.1);
    timing.unit = Unit::Millisecond;
    timing.suffix = Suffix::Max;
    let mut many = fixtures::gauge("own.times", "", 0.0);
    many.points = Points::Many(
        [(0, 1.5), (7, -0.0), (9, 1e300)]
            .map(|(after, value)| Point {
                unix_seconds: fixtures::BUCKET + after,
                value,
            })
            .to_vec(),
    );
    let mut elsewhere = fixtures::gauge("remote", "", f64::INFINITY);
    elsewhere.context = Context::new(
        b"remote",
        Host::Named(b"other-host"),
        [b"latin:\xe9".as_slice()],
    );
    let long = "x".repeat(200);
    let mut batch = fixtures::flush([
        fixtures::counter(
            "page.views",
            "env:prod,device:sda,dd.internal.resource:aws_ec2:i-1",
            25.0,
        ),
        fixtures::gauge("zero", &format!("long:{long}"), 0.0),
        timing,
        many,
        elsewhere,
    ]);
    let values: Vec<f64> = (1..=500).map(f64::from).collect();
    let mut two = fixtures::distribution("request.size", "env:prod,device:sda", &values);
    two.points
        .push((fixtures::BUCKET + 10, fixtures::sketch_of(&[0.0])));
    batch.sketches = vec![
        two,
        fixtures::distribution("signed", "", &[-3.5, -1e-12, 0.0, 2.0, 1e12]),
        SketchSeries {
            context: fixtures::context("full", ""),
            points: vec![(fixtures::BUCKET, {
                let mut sketch = greyhound_model::sketch::Sketch::default();
                sketch.insert_weighted(5.0, u64::from(u32::MAX));
                sketch
            })],
        },
    ];
    let mut event = fixtures::event(b"disk \"full\"", b"line one\nline \xe2\x9c\x93 \xff");
    event.source_type = b"nagios".to_vec();
    event.aggregation_key = b"key".to_vec();
    event.priority = Priority::Low;
    event.alert_type = AlertType::Error;
    let mut named_api = fixtures::event(b"named", b"");
    named_api.source_type = b"api".to_vec();
    batch.events = vec![event, fixtures::event(b"plain", b"text"), named_api];
    let mut check = fixtures::service_check(b"db.up", b"down\t\xff");
    check.tags = vec![b"a:1".to_vec()];
    check.status = Status::Warning;
    batch.service_checks = vec![check, fixtures::service_check(b"web.up", b"")];
    batch
}

fn hex(bytes: &[u8]) -> String {
    let lines = bytes.chunks(32).map(|line| {
        let mut text: String = line.iter().map(|byte| format!("{byte:02x}")).collect();
        text.push('\n');
        text
    });
    lines.collect()
}

#[test]
fn payloads_are_the_known_bytes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/datadog");
    let (payloads, receipt) = encode(&sink(LIMITS, Compression::Identity), &batch());
    assert_eq!(receipt, Receipt::default());
    let found: Vec<u8> = payloads.iter().map(|payload| payload.class).collect();
    assert_eq!(found, [SERIES, SKETCHES, EVENTS, SERVICE_CHECKS]);
    for payload in &payloads {
        let bytes = raw(payload);
        let (kind, text) = match payload.class {
            SERIES | SKETCHES => ("hex", hex(&bytes)),
            _ => (
                "json",
                String::from_utf8(bytes).expect("JSON is UTF-8") + "\n",
            ),
        };
        let path = folder.join(format!("{}.{kind}", CLASSES[usize::from(payload.class)]));
        if std::env::var_os("GREYHOUND_BLESS").is_some() {
            std::fs::create_dir_all(&folder).expect("the tree can be written");
            std::fs::write(&path, &text).expect("the tree can be written");
        }
        let known = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text, known, "{}", path.display());
    }
}
