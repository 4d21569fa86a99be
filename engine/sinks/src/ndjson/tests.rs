//! Lines as they are documented, and targets that fail.

use std::os::unix::fs::PermissionsExt;

use greyhound_model::context::{Context, Host};
use greyhound_model::series::{SeriesKind, Unit};
use serde_json::{Value, json};

use super::*;
use crate::config::Rotation;
use crate::fixtures::{self as f, BUCKET, counter, distribution, flush, gauge};

fn written(batch: FlushBatch) -> Vec<String> {
    let mut out = Vec::new();
    let points = batch.point_count();
    let receipt = NdjsonSink::new(&mut out).accept(&Arc::new(batch));
    assert_eq!(receipt, Receipt::delivered_all(points));
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn values(batch: FlushBatch) -> Vec<Value> {
    let parse = |line: &String| serde_json::from_str(line).expect("every line is JSON");
    written(batch).iter().map(parse).collect()
}

#[test]
fn series_have_a_stable_shape() {
    let mut timing = f::aggregates("t", "", &[2.0])[0].clone();
    timing.unit = Unit::Millisecond;
    let other = Context::new(b"g", Host::Named(b""), [&b"x"[..], b"a:1"]);
    let batch = flush([
        counter("c", "env:prod", 12.0),
        f::series(other, SeriesKind::Gauge, -0.5),
        timing,
    ]);
    assert_eq!(
        written(batch),
        [
            r#"{"kind":"series","at":1700000015,"name":"c","type":"rate","host":"agent-host","tags":["env:prod"],"interval":10,"points":[[1700000000,1.2]]}"#,
            r#"{"kind":"series","at":1700000015,"name":"g","type":"gauge","host":"","tags":["a:1","x"],"interval":10,"points":[[1700000000,-0.5]]}"#,
            r#"{"kind":"series","at":1700000015,"name":"t.max","type":"gauge","host":"agent-host","tags":[],"interval":10,"unit":"millisecond","points":[[1700000000,2]]}"#,
        ]
    );
}

#[test]
fn sketches_events_and_checks_have_a_stable_shape() {
    let mut batch = f::batch();
    batch.sketches = vec![distribution("d", "", &[1.0, 1.0, 2.0])];
    batch.events = vec![f::event(b"t", b"x\ny")];
    batch.events[0].aggregation_key = b"k".to_vec();
    batch.service_checks = vec![f::service_check(b"up", b"bad")];
    let lines = values(batch);
    assert_eq!(
        lines,
        [
            json!({"kind": "sketch", "at": BUCKET + 15, "name": "d", "host": "agent-host",
                "tags": [], "interval": 10, "points": [{"ts": BUCKET, "cnt": 3, "min": 1,
                "max": 2, "sum": 4, "avg": lines[0]["points"][0]["avg"],
                "k": [1338, 1383], "n": [2, 1]}]}),
            json!({"kind": "event", "at": BUCKET + 15, "title": "t", "text": "x\ny",
                "priority": "normal", "alert_type": "warning", "tags": ["a:1"],
                "host": "agent-host", "timestamp": BUCKET + 3, "aggregation_key": "k"}),
            json!({"kind": "service_check", "at": BUCKET + 15, "name": "up",
                "status": "critical", "tags": [], "host": "agent-host",
                "timestamp": BUCKET + 3, "message": "bad"}),
        ]
    );
}

#[test]
fn bytes_and_numbers_json_does_not_know_are_spelled_out() {
    let context = Context::new(b"\xff\"", Host::Named(b"\x00"), [&b"\xfe"[..]]);
    let lines = values(flush([
        f::series(context, SeriesKind::Gauge, f64::NAN),
        gauge("inf", "", f64::NEG_INFINITY),
    ]));
    assert_eq!(lines[0]["name"], json!({"hex": "ff22"}));
    assert_eq!(lines[0]["host"], json!("\u{0}"));
    assert_eq!(lines[0]["tags"], json!([{"hex": "fe"}]));
    assert_eq!(lines[0]["points"][0][1], json!("NaN"));
    assert_eq!(lines[1]["points"][0][1], json!("-Inf"));
}

#[test]
fn a_file_is_made_private_and_appended_to() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("out.ndjson");
    for _ in 0..2 {
        let mut sink =
            open(&NdjsonTarget::File(path.clone(), Rotation::default())).expect("the file opens");
        let receipt = sink.accept(&Arc::new(flush([gauge("g", "", 1.0)])));
        assert_eq!(receipt.delivered(), 1);
    }
    let text = std::fs::read_to_string(&path).expect("the file is there");
    assert_eq!(text.lines().count(), 2);
    let mode = std::fs::metadata(&path)
        .expect("the file is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_file_that_cannot_be_opened_names_the_setting() {
    let target = NdjsonTarget::File(
        PathBuf::from("/nonexistent/folder/out"),
        Rotation::default(),
    );
    let error = open(&target).expect_err("refused").to_string();
    assert!(error.contains("/nonexistent/folder/out"), "{error}");
    assert!(error.contains("greyhound.ndjson.path"), "{error}");
}

/// A disk that is full for a while, and then takes half a chunk.
#[derive(Default)]
struct Disk {
    room: usize,
    written: Vec<u8>,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        self.written.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_cannot_be_written_is_counted_and_tears_no_other_line() {
    let mut disk = Disk {
        room: 40,
        ..Disk::default()
    };
    let batch = Arc::new(flush([gauge("first", "", 1.0), gauge("second", "", 2.0)]));
    let receipt = NdjsonSink::new(&mut disk).accept(&batch);
    assert_eq!(receipt, Receipt::dropped_all(Reason::Write, 2));
    disk.room = usize::MAX;
    let mut sink = NdjsonSink::new(&mut disk);
    sink.torn = true;
    assert_eq!(sink.accept(&batch), Receipt::delivered_all(2));
    let text = String::from_utf8(disk.written).expect("JSON is UTF-8");
    let whole = text
        .lines()
        .filter(|line| serde_json::from_str::<Value>(line).is_ok());
    assert_eq!(whole.count(), 2);
    assert_eq!(text.lines().count(), 3, "the torn line stands alone");
}

#[test]
fn large_flushes_are_written_in_chunks_and_counted_to_the_point() {
    let many = |count: usize| flush((0..count).map(|at| gauge(&format!("m{at}"), "", 1.0)));
    assert_eq!(written(many(3000)).len(), 3000);
    let mut disk = Disk {
        room: 100 * 1024,
        ..Disk::default()
    };
    let receipt = NdjsonSink::new(&mut disk).accept(&Arc::new(many(3000)));
    assert_eq!(receipt.total(), 3000);
    assert!(receipt.delivered() > 0 && receipt.dropped(Reason::Write) > 0);
    let lines = disk.written.iter().filter(|&&byte| byte == b'\n').count();
    assert!(lines as u64 >= receipt.delivered());
}
