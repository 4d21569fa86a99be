//! OTLP over gRPC against Python's gRPC server: framing, compression, status codes, partial success.

use std::path::Path;
use std::process::{Command, Stdio};

use greyhound_tests::daemon::Setup;
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::{daemon, python, source, wait};
use serde_json::Value;

use crate::send;

fn requests(folder: &Path) -> Vec<Value> {
    let read = |number: u32| std::fs::read_to_string(folder.join(format!("{number}.json"))).ok();
    let texts = (2..).map_while(read);
    texts
        .map(|text| serde_json::from_str(&text).unwrap())
        .collect()
}

#[test]
fn a_collector_of_another_make_takes_what_is_exported() {
    let Some(grpc) = python::grpc() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut collector = daemon::clean(Command::new(&grpc.python))
        .arg(source::root().join("tests/clients/otlp_collector.py"))
        .arg(folder.path())
        .env("PYTHONPATH", &grpc.stubs)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let port = wait::until("the collector to listen", || {
        std::fs::read_to_string(folder.path().join("port")).ok()
    });
    let daemon = Setup::new()
        .live()
        .with("greyhound.otlp.url", format!("http://127.0.0.1:{port}"))
        .with("greyhound.otlp.protocol", "grpc")
        .with("forwarder_backoff_base", 0.2)
        .with("forwarder_backoff_max", 0.5)
        .with("dogstatsd_expiry_seconds", 1)
        .start();
    send::udp(
        daemon.udp(),
        "hits:3|c|#env:dev,path:/\ntemp:21.5|g\nspread:1:2:3|d",
    );
    wait::until("the metrics to arrive", || {
        let text = format!("{:?}", requests(folder.path()));
        ["hits", "temp", "spread"]
            .iter()
            .all(|name| text.contains(name))
            .then_some(())
    });
    let page = daemon.telemetry();
    assert_eq!(
        page.sum(
            "greyhound__sink__points_dropped",
            &[("sink", "otlp"), ("reason", "invalid")]
        ),
        1.0
    );
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "otlp");
    assert_eq!((end.dropped, end.kept), (1, 0), "{}", stopped.log);
    assert!(stopped.log.contains("one is enough") || stopped.log.contains("not accepted"));
    let text = serde_json::to_string(&requests(folder.path())).unwrap();
    for expected in [
        r#""as_double":3.0"#,
        r#""as_double":21.5"#,
        r#""sum":6.0"#,
        r#""key":"deployment.environment.name""#,
        r#""aggregation_temporality":"AGGREGATION_TEMPORALITY_DELTA""#,
    ] {
        assert!(text.contains(expected), "{expected} in {text}");
    }
    // Its standard input ends with this, and so does it.
    drop(collector.stdin.take());
    let status = wait::within(wait::PATIENCE, "the collector to end", || {
        collector.try_wait().unwrap()
    });
    assert!(status.success(), "{status}");
}
