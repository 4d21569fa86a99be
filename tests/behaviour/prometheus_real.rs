//! A real Prometheus scrapes the daemon, has nothing to complain about, and answers queries with our values.

use greyhound_tests::daemon::Setup;
use greyhound_tests::prometheus::Prometheus;
use greyhound_tests::wait;

use crate::send;

#[test]
fn prometheus_scrapes_without_a_complaint_and_answers_exactly() {
    let daemon = Setup::new().live().start();
    let Some(prometheus) = Prometheus::scraping(&daemon.ready().http) else {
        return;
    };
    send::udp(
        daemon.udp(),
        "page.views:3|c|#env:dev\npage.views:4|c|@0.5|#env:dev\nroom.temp:21.5|g",
    );
    send::udp(
        daemon.udp(),
        "took:10:20:30|ms|#path:a\\b\"c\nspread:5:15|d\nusers:a|s\nusers:b|s",
    );
    send::udp(
        daemon.udp(),
        "odd-name.1:1|c|#bare,0digit:x,dup:1,dup:2,host:elsewhere",
    );
    daemon.wait_metric("page_views_total", &[("env", "dev")], 11.0);
    let answers = |query: &str, value: &str| {
        let mut last = Vec::new();
        let found = wait::try_within(wait::PATIENCE, || {
            last = prometheus.query(query);
            (last.len() == 1 && last[0].1 == value).then_some(())
        });
        assert!(found.is_some(), "{query} should be {value}, is {last:?}");
    };
    answers("page_views_total{env=\"dev\"}", "11");
    answers("room_temp", "21.5");
    answers("took_count", "3");
    answers("took_sum{path=\"a\\\\b\\\"c\"}", "60");
    answers("spread_sum", "20");
    answers("users", "2");
    answers("sum({__name__=~\"odd.*\"})", "1");
    answers("up", "1");
    let target = prometheus.target();
    assert_eq!(target["lastError"], "", "{target}");
    assert_eq!(target["health"], "up", "{target}");
    // Prometheus asks for OpenMetrics, where the family has no suffix.
    assert_eq!(prometheus.metadata("page_views")["type"], "counter");
    assert_eq!(prometheus.metadata("took")["type"], "summary");
    let log = prometheus.log();
    for line in log.lines() {
        assert!(
            !line.contains("level=warn") && !line.contains("level=error"),
            "{line}"
        );
    }
    drop(prometheus);
    daemon.stop();
}

#[test]
fn prometheus_reads_our_own_counters_too() {
    let daemon = Setup::new().live().start();
    let Some(prometheus) = Prometheus::scraping_path(&daemon.ready().http, "/telemetry") else {
        return;
    };
    send::udp(daemon.udp(), "a:1|c\nb:2|c");
    daemon.wait_processed(2);
    wait::until("Prometheus to know both samples", || {
        let known = prometheus.query("sum(dogstatsd__processed{state=\"ok\"})");
        (known.len() == 1 && known[0].1 == "2").then_some(())
    });
    assert_eq!(prometheus.target()["lastError"], "");
    drop(prometheus);
    daemon.stop();
}
