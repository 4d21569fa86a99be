//! A real Prometheus takes remote writes: in order, also after an outage, and it sees series end.

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::prometheus::{Prometheus, free_port};
use greyhound_tests::wait;

use crate::send;

fn pushing_to(port: u16) -> Setup {
    Setup::new()
        .live()
        .with(
            "greyhound.remote_write.url",
            format!("http://127.0.0.1:{port}/api/v1/write"),
        )
        .with("forwarder_backoff_base", 0.2)
        .with("forwarder_backoff_max", 0.5)
}

fn answers(prometheus: &Prometheus, query: &str, value: &str) {
    let mut last = Vec::new();
    let found = wait::try_within(wait::PATIENCE, || {
        last = prometheus.query(query);
        (last.len() == 1 && last[0].1 == value).then_some(())
    });
    let log = prometheus.log();
    assert!(
        found.is_some(),
        "{query} should be {value}, is {last:?}\n{log}"
    );
}

fn refused(daemon: &Daemon) -> f64 {
    let page = daemon.telemetry();
    page.sum(
        "greyhound__sink__points_dropped",
        &[("sink", "remote_write")],
    )
}

#[test]
fn prometheus_answers_with_our_values_until_the_series_ends() {
    let port = free_port();
    let Some(prometheus) = Prometheus::receiving_at(port) else {
        return;
    };
    let daemon = pushing_to(port)
        .with("greyhound.remote_write.expiry_seconds", 3)
        // As long as the engine fills gaps with zeros a counter is not silent.
        .with("dogstatsd_expiry_seconds", 1)
        .start();
    send::udp(
        daemon.udp(),
        "page.views:3|c|#env:dev\npage.views:4|c|@0.5|#env:dev\nroom.temp:21.5|g\nspread:5:15|d",
    );
    answers(&prometheus, "page_views_total{env=\"dev\"}", "11");
    answers(&prometheus, "room_temp", "21.5");
    answers(&prometheus, "spread_sum", "20");
    answers(&prometheus, "spread_count", "2");
    // Without a marker Prometheus would show them for five minutes.
    for name in ["page_views_total", "room_temp", "spread", "spread_count"] {
        wait::until("Prometheus to see the series end", || {
            prometheus.query(name).is_empty().then_some(())
        });
    }
    assert_eq!(refused(&daemon), 0.0, "{}", prometheus.log());
    daemon.stop();
}

#[test]
fn what_waited_for_prometheus_arrives_in_order() {
    let port = free_port();
    let daemon = pushing_to(port).start();
    let queued = || {
        daemon
            .telemetry()
            .sum("greyhound__delivery__payloads_queued", &[])
    };
    for _ in 0..3 {
        let before = queued();
        send::udp(daemon.udp(), "late:1|c\nlast:1|g");
        // Two, so that the next round is of another bucket: the first may have closed just before.
        wait::until("flushes to wait for the receiver", || {
            (queued() >= before + 2.0).then_some(())
        });
    }
    let Some(prometheus) = Prometheus::receiving_at(port) else {
        return;
    };
    answers(&prometheus, "late_total", "3");
    wait::until("nothing to wait any more", || {
        (queued() == 0.0).then_some(())
    });
    send::udp(daemon.udp(), "late:1|c");
    answers(&prometheus, "late_total", "4");
    // Prometheus refuses what is older than what it has: nothing was.
    assert_eq!(refused(&daemon), 0.0, "{}", prometheus.log());
    let values = prometheus.query("count_over_time(last[1h])");
    assert!(
        values[0].1.parse::<u32>().is_ok_and(|count| count >= 3),
        "{values:?}"
    );
    daemon.stop();
}

#[test]
fn a_newer_prometheus_is_spoken_to_in_the_second_version() {
    let port = free_port();
    let Some(prometheus) = Prometheus::newer_receiving_at(port) else {
        return;
    };
    let daemon = pushing_to(port)
        .with("greyhound.remote_write.native_histograms", true)
        .start();
    daemon.wait_log("remote write version agreed");
    send::udp(daemon.udp(), "hits:3|c|#env:dev\nspread:1:2:2:1024|d");
    answers(&prometheus, "hits_total{env=\"dev\"}", "3");
    answers(&prometheus, "histogram_count(spread)", "4");
    answers(&prometheus, "histogram_sum(spread)", "1029");
    let median = prometheus.query("histogram_quantile(0.5, spread)");
    let value: f64 = median[0].1.parse().unwrap();
    assert!((value / 2.0 - 1.0).abs() < 0.03, "{median:?}");
    assert_eq!(refused(&daemon), 0.0, "{}", prometheus.log());
    daemon.stop();
}

#[test]
fn an_older_prometheus_never_gets_the_second_version() {
    let port = free_port();
    let Some(prometheus) = Prometheus::receiving_at(port) else {
        return;
    };
    let daemon = pushing_to(port).start();
    send::udp(daemon.udp(), "hits:3|c");
    answers(&prometheus, "hits_total", "3");
    assert!(!daemon.log().contains("remote write version agreed"));
    assert_eq!(refused(&daemon), 0.0, "{}", prometheus.log());
    daemon.stop();
}
