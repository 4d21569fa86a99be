//! Rules send metrics to some outputs and not to others, tag policies add up what they make equal, and both
//! change while the daemon runs.

use greyhound_tests::daemon::Setup;
use serde_json::json;

use crate::send;

#[test]
fn each_output_gets_what_the_rules_say_and_the_rest_is_counted() {
    let daemon = Setup::new()
        .live()
        .with(
            "greyhound.routing.rules",
            json!([
                { "name": "pay.*", "tags": "env:prod", "outputs": "ndjson" },
                { "name": "noise.*", "outputs": [] },
                { "name": "both", "outputs": "*" },
            ]),
        )
        .with("greyhound.routing.default_outputs", json!(["prometheus"]))
        .start();
    send::udp(
        daemon.udp(),
        "pay.ok:1|c|#env:prod\npay.ok:2|c|#env:dev\nnoise.a:1|c\nboth:4|c\nweb:5|c",
    );
    daemon.wait_processed(5);
    daemon.wait_metric("both_total", &[], 4.0);
    daemon.wait_metric("web_total", &[], 5.0);
    daemon.wait_metric("pay_ok_total", &[("env", "dev")], 2.0);
    let metrics = daemon.metrics();
    assert_eq!(metrics.matching("noise_a_total", &[]).count(), 0);
    assert_eq!(
        metrics.matching("pay_ok_total", &[("env", "prod")]).count(),
        0
    );
    let telemetry = daemon.telemetry();
    // Zeros of the silent counter may have followed its first point.
    assert!(
        telemetry.sum(
            "greyhound__routing__points_nowhere",
            &[("reason", "nowhere")]
        ) >= 1.0
    );
    assert!(telemetry.sum("greyhound__sink__points_passed_by", &[("sink", "ndjson")]) >= 3.0);
    let records = daemon.stop().records;
    assert_eq!(records.total("pay.ok"), 1.0);
    assert_eq!(records.total("both"), 4.0);
    assert!(records.series("web").is_empty() && records.series("noise.a").is_empty());
}

#[test]
fn a_policy_takes_tags_from_one_output_and_adds_up() {
    let daemon = Setup::new()
        .with(
            "greyhound.routing.tag_policies",
            json!([{ "outputs": ["ndjson"], "drop": ["pod", "host"], "gauges": "max" }]),
        )
        .start();
    for pod in ["a", "b", "c"] {
        send::udp(
            daemon.udp(),
            format!(
                "hits:2|c|#pod:{pod},env:x\nload:{}|g|#pod:{pod}\nusers:u|s|#pod:{pod}\n\
                 users:{pod}|s|#pod:{pod}\nsize:1|d|#pod:{pod}\ntime:7|h|#pod:{pod}",
                pod.len() + usize::from(pod == "b")
            ),
        );
    }
    daemon.wait_processed(18);
    let records = daemon.stop().records;
    assert_eq!(records.total("hits"), 6.0);
    assert_eq!(records.tags("hits"), ["env:x"]);
    assert_eq!(records.series("hits")[0]["host"], "");
    assert_eq!(records.total("load"), 2.0);
    assert_eq!(records.total("users"), 4.0);
    assert_eq!(records.sketch("size").count, 3);
    assert_eq!(records.total("time.count"), 3.0);
    assert_eq!(records.total("time.avg"), 7.0);
    assert_eq!(records.total("time.95percentile"), 7.0);
}

#[test]
fn other_rules_are_in_force_from_the_next_flush_on() {
    let daemon = Setup::new().live().start();
    send::udp(daemon.udp(), "first:1|c");
    daemon.wait_metric("first_total", &[], 1.0);
    let path = daemon.path("greyhound.yaml");
    let text = std::fs::read_to_string(&path).expect("a settings file");
    let mut settings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    settings["greyhound"]["routing"] =
        json!({ "rules": [{ "name": "hidden", "outputs": ["ndjson"] }] });
    std::fs::write(&path, settings.to_string()).expect("written");
    daemon.signal("HUP");
    daemon.wait_log("settings reloaded");
    send::udp(daemon.udp(), "hidden:1|c\nshown:1|c");
    daemon.wait_metric("shown_total", &[], 1.0);
    assert_eq!(daemon.metrics().matching("hidden_total", &[]).count(), 0);
    // An output that does not exist changes nothing and is named.
    settings["greyhound"]["routing"] = json!({ "rules": [{ "outputs": ["ndjsn"] }] });
    std::fs::write(&path, settings.to_string()).expect("written");
    daemon.signal("HUP");
    let line = daemon.wait_log("ndjsn");
    assert!(line.contains("greyhound.routing.rules"), "{line}");
    send::udp(daemon.udp(), "hidden:1|c\nagain:1|c");
    daemon.wait_metric("again_total", &[], 1.0);
    assert_eq!(daemon.metrics().matching("hidden_total", &[]).count(), 0);
    assert_eq!(daemon.stop().records.total("hidden"), 2.0);
}

#[test]
fn a_rule_for_an_output_that_does_not_exist_stops_the_start() {
    let end = Setup::new()
        .with(
            "greyhound.routing.rules",
            json!([{ "name": "a", "outputs": ["nowhere-else"] }]),
        )
        .run_to_end();
    let log = format!("{end:?}");
    assert!(
        log.contains("nowhere-else") && log.contains("greyhound.routing.rules"),
        "{log}"
    );
}
