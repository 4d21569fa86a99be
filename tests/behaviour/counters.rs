//! `/telemetry` and `/metrics`: what they show, in which form, to whom.

use greyhound_tests::daemon::Setup;
use greyhound_tests::exposition::Exposition;
use greyhound_tests::http;

use crate::send;

#[test]
fn our_own_counters_say_what_was_read_and_what_became_of_it() {
    let daemon = Setup::new().uds().start();
    send::udp(daemon.udp(), "a:1:2:3|c\nb:x|g\n_e{1,1}:t|x\n_sc|c|0\n");
    send::uds(daemon.uds(), "a:1|c");
    daemon.wait_processed(7);
    let page = daemon.telemetry();
    let processed = |kind: &str, state: &str| {
        page.sum(
            "dogstatsd__processed",
            &[("message_type", kind), ("state", state)],
        )
    };
    assert_eq!(processed("metrics", "ok"), 4.0);
    assert_eq!(processed("metrics", "error"), 1.0);
    assert_eq!(processed("events", "ok"), 1.0);
    assert_eq!(processed("service_checks", "ok"), 1.0);
    assert_eq!(page.sum("dogstatsd__udp_packets", &[("state", "ok")]), 1.0);
    assert_eq!(page.sum("dogstatsd__uds_packets", &[("state", "ok")]), 1.0);
    assert_eq!(page.sum("dogstatsd__uds_packets_bytes", &[]), 5.0);
    assert_eq!(
        page.sum(
            "dogstatsd__metric_type_count",
            &[("metric_type", "counter")]
        ),
        2.0
    );
    for sample in &page.samples {
        let family = |name: &str| page.types.contains_key(name) && page.help.contains_key(name);
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| sample.name.strip_suffix(suffix))
            .unwrap_or(&sample.name);
        assert!(
            family(&sample.name) || family(base),
            "{} has no help",
            sample.name
        );
    }
    daemon.stop();
}

#[test]
fn the_form_is_negotiated() {
    let daemon = Setup::new().live().start();
    send::udp(daemon.udp(), "page.views:2|c|#env:dev");
    daemon.wait_metric("page_views_total", &[("env", "dev")], 2.0);
    let address = &daemon.ready().http;
    let plain = http::get(address, "/metrics").unwrap();
    assert!(
        plain.headers["content-type"].starts_with("text/plain"),
        "{:?}",
        plain.headers
    );
    assert!(!Exposition::parse(&plain.body).unwrap().eof);
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let open = http::get_with(address, "/metrics", &[("Accept", accept)]).unwrap();
    assert!(
        open.headers["content-type"].starts_with("application/openmetrics-text"),
        "{:?}",
        open.headers
    );
    assert!(Exposition::parse(&open.body).unwrap().eof);
    assert_eq!(http::get(address, "/nothing-here").unwrap().status, 404);
    daemon.stop();
}

#[test]
fn every_kind_reaches_prometheus_with_exact_values() {
    let daemon = Setup::new().live().start();
    send::udp(
        daemon.udp(),
        "views:3|c|#env:dev\nviews:4|c|@0.5|#env:dev\nlevel:-2.25|g\n",
    );
    send::udp(
        daemon.udp(),
        "took:10:20:30|ms\nsize:1:2:3:4|h\nspread:5:15|d\nusers:a|s\n",
    );
    daemon.wait_metric("views_total", &[("env", "dev")], 11.0);
    daemon.wait_metric("level", &[], -2.25);
    for (name, count, sum) in [
        ("took", 3.0, 60.0),
        ("size", 4.0, 10.0),
        ("spread", 2.0, 20.0),
    ] {
        daemon.wait_metric(&format!("{name}_count"), &[], count);
        daemon.wait_metric(&format!("{name}_sum"), &[], sum);
        let page = daemon.metrics();
        assert_eq!(page.types[name], "summary");
        assert!(page.value(name, &[("quantile", "0.5")]).is_some(), "{name}");
    }
    daemon.wait_metric("users", &[], 1.0);
    // Totals go on over buckets.
    send::udp(daemon.udp(), "views:1|c|#env:dev\ntook:40|ms");
    daemon.wait_metric("views_total", &[("env", "dev")], 12.0);
    daemon.wait_metric("took_sum", &[], 100.0);
    daemon.stop();
}

#[test]
fn names_that_become_one_are_refused_once_and_counted() {
    let daemon = Setup::new().live().start();
    send::udp(daemon.udp(), "a.b:1|c");
    daemon.wait_metric("a_b_total", &[], 1.0);
    send::udp(daemon.udp(), "a_b:5|c\nother:1|c");
    daemon.wait_metric("other_total", &[], 1.0);
    let page = daemon.metrics();
    assert_eq!(page.matching("a_b_total", &[]).count(), 1);
    assert_eq!(page.value("a_b_total", &[]), Some(1.0));
    daemon.stop();
}

#[test]
fn a_series_that_falls_silent_disappears() {
    let daemon = Setup::new()
        .live()
        .with("greyhound.prometheus.expiry_seconds", 2)
        .start();
    send::udp(daemon.udp(), "short.lived:1|g");
    daemon.wait_metric("short_lived", &[], 1.0);
    greyhound_tests::wait::until("the silent series to disappear", || {
        daemon
            .metrics()
            .matching("short_lived", &[])
            .next()
            .is_none()
            .then_some(())
    });
    daemon.stop();
}
