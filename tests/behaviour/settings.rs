//! Settings come from the file, the environment and the command line, the later ones winning.

use greyhound_tests::daemon::Setup;

use crate::send;

#[test]
fn the_environment_beats_the_file_and_a_flag_beats_both() {
    let daemon = Setup::new()
        .with("statsd_metric_namespace", "file")
        .with("dogstatsd_tags", vec!["from:file"])
        .env("DD_STATSD_METRIC_NAMESPACE", "environment")
        .env("DD_DOGSTATSD_TAGS", "from:environment also:this")
        .argument("--set")
        .argument("statsd_metric_namespace=flag")
        .start();
    send::udp(daemon.udp(), "a:1|c|#b:2");
    daemon.wait_processed(1);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("flag.a"), 1.0);
    assert_eq!(
        stopped.records.tags("flag.a"),
        ["also:this", "b:2", "from:environment"]
    );
}

#[test]
fn mapper_filter_and_percentiles_work_from_the_file() {
    let profiles = serde_json::json!([{
        "name": "batch",
        "prefix": "batch.",
        "mappings": [{
            "match": "batch.*.done.*",
            "name": "batch.done",
            "tags": {"job": "$1", "result": "$2"},
        }],
    }]);
    let daemon = Setup::new()
        .with("dogstatsd_mapper_profiles", profiles)
        .with("metric_filterlist", vec!["secret.one", "noise*"])
        .with("histogram_aggregates", vec!["sum", "count"])
        .with("histogram_percentiles", vec!["0.50"])
        .start();
    send::udp(
        daemon.udp(),
        "batch.nightly.done.ok:2|c\nsecret.one:1|c\nnoise.a:1:2|c\nh:1:2:3|h\n",
    );
    // What the filter refused is neither ok nor an error there; the ledger has it.
    daemon.wait_processed(4);
    let stopped = daemon.stop();
    let records = &stopped.records;
    assert_eq!(records.total("batch.done"), 2.0);
    assert_eq!(records.tags("batch.done"), ["job:nightly", "result:ok"]);
    assert_eq!(records.last("h.sum"), 6.0);
    assert_eq!(records.last("h.50percentile"), 2.0);
    assert!(records.series("h.max").is_empty());
    assert_eq!(stopped.ledger.dropped_for("filtered"), 3);
}

#[test]
fn nothing_listens_where_nothing_is_asked_for() {
    let daemon = Setup::new().uds().with("dogstatsd_port", 0).start();
    assert!(daemon.ready().udp.is_empty());
    send::uds(daemon.uds(), "a:1|c");
    daemon.wait_processed(1);
    daemon.stop();
}

#[test]
fn the_host_name_is_the_one_that_was_set() {
    let daemon = Setup::new().start();
    send::udp(
        daemon.udp(),
        "own:1|c\ntheirs:1|c|#host:other,a:b\nnone:1|c|#host:\n",
    );
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    for (name, host) in [
        ("own", greyhound_tests::daemon::HOSTNAME),
        ("theirs", "other"),
        ("none", ""),
    ] {
        assert_eq!(
            stopped.records.series(name)[0]["host"]
                .as_str()
                .unwrap_or_default(),
            host,
            "{name}"
        );
    }
    assert_eq!(stopped.records.tags("theirs"), ["a:b"]);
}
