//! Golden pages, life and death of series, collisions, and random flushes against a plain model.
//! Every page goes through a strict reader.

use greyhound_model::context::Host;
use greyhound_model::flush::FlushCause;
use greyhound_model::series::{Point, Points, Unit};
use greyhound_model::time::{SimulatedClock, Stamp};
use greyhound_telemetry::text::Format;

use super::*;
use crate::fixtures::{self as f, BUCKET, counter, distribution, flush, gauge, histogram};

mod chunks;
mod collisions;
mod random;
mod strict;

/// Both ends of an exposition, and its clock.
struct Rig {
    clock: Arc<SimulatedClock>,
    sink: PrometheusSink,
    exposition: Exposition,
    seconds: i64,
}

impl Rig {
    fn new(change: impl FnOnce(&mut PrometheusConfig)) -> Self {
        let mut config = PrometheusConfig {
            quantiles: vec![0.5, 0.99],
            ..PrometheusConfig::default()
        };
        change(&mut config);
        let clock = Arc::new(SimulatedClock::default());
        let shared_clock = Arc::clone(&clock) as Arc<dyn Clock>;
        let (sink, exposition) = build(&config, shared_clock).expect("settings are right");
        let mut rig = Self {
            clock,
            sink,
            exposition,
            seconds: BUCKET,
        };
        rig.wait(15);
        rig
    }

    fn wait(&mut self, seconds: i64) {
        self.seconds += seconds;
        self.clock.set(Stamp::at_unix_seconds(self.seconds as f64));
    }

    fn accept(&mut self, batch: FlushBatch) -> Receipt {
        let points = batch.point_count();
        let receipt = self.sink.accept(&Arc::new(batch));
        assert_eq!(receipt.total(), points, "every point is accounted for");
        receipt
    }

    /// Accepts, and expects that nothing is dropped.
    fn take(&mut self, batch: FlushBatch) {
        assert_eq!(self.accept(batch).dropped_total(), 0);
    }

    /// The page in both forms, each read strictly; the plain one is returned.
    fn page(&self) -> String {
        let open_metrics = String::from_utf8(self.exposition.page(Format::OPEN_METRICS));
        strict::check(&open_metrics.expect("a page is text"), true);
        let text = String::from_utf8(self.exposition.page(Format::TEXT)).expect("a page is text");
        strict::check(&text, false);
        text
    }

    /// The samples only.
    fn samples(&self) -> Vec<String> {
        let page = self.page();
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples.map(str::to_owned).collect()
    }

    fn telemetry(&self, name: &str) -> f64 {
        let mut snapshot = greyhound_telemetry::Snapshot::default();
        self.exposition.telemetry().collect(&mut snapshot);
        snapshot.sum(name)
    }
}

fn rig() -> Rig {
    Rig::new(|_| ())
}

fn mixed() -> FlushBatch {
    let mut batch = flush([
        counter("page.views", "env:prod,canary", 12.0),
        counter("page.views", "env:dev", 3.0),
        gauge("queue.depth", "", 7.5),
        f::series(
            Context::new(b"queue.depth", Host::Named(b"web-1"), []),
            SeriesKind::Gauge,
            -1.0,
        ),
    ]);
    batch
        .series
        .extend(f::aggregates("db.time", "", &[10.0; 4]));
    batch.histograms = vec![histogram("db.time", "", Unit::Millisecond, &[10.0; 4])];
    batch.sketches = vec![distribution("req.size", "route:/a\"b\\", &[100.0, 100.0])];
    batch
}

#[test]
fn a_mixed_flush_as_plain_text() {
    let mut rig = rig();
    rig.take(mixed());
    assert_eq!(
        rig.page(),
        r#"# HELP db_time DogStatsD histogram db.time in milliseconds, quantiles over the last 60 s.
# TYPE db_time summary
db_time{quantile="0.5"} 10
db_time{quantile="0.99"} 10
db_time_sum 40
db_time_count 4
# HELP page_views_total DogStatsD counter page.views.
# TYPE page_views_total counter
page_views_total{canary="true",env="prod"} 12
page_views_total{env="dev"} 3
# HELP queue_depth DogStatsD gauge queue.depth.
# TYPE queue_depth gauge
queue_depth 7.5
queue_depth{host="web-1"} -1
# HELP req_size DogStatsD distribution req.size, quantiles over the last 60 s.
# TYPE req_size summary
req_size{route="/a\"b\\",quantile="0.5"} 100
req_size{route="/a\"b\\",quantile="0.99"} 100
req_size_sum{route="/a\"b\\"} 200
req_size_count{route="/a\"b\\"} 2
"#
    );
}

#[test]
fn a_mixed_flush_as_open_metrics() {
    let mut rig = Rig::new(|config| config.created_lines = true);
    rig.take(mixed());
    let page = String::from_utf8(rig.exposition.page(Format::OPEN_METRICS)).expect("text");
    strict::check(&page, true);
    assert!(page.starts_with(
        r#"# HELP db_time DogStatsD histogram db.time in milliseconds, quantiles over the last 60 s.
# TYPE db_time summary
db_time{quantile="0.5"} 10
db_time{quantile="0.99"} 10
db_time_sum 40
db_time_count 4
db_time_created 1700000000
# HELP page_views DogStatsD counter page.views.
# TYPE page_views counter
page_views_total{canary="true",env="prod"} 12
page_views_created{canary="true",env="prod"} 1700000000
"#
    ));
    assert!(page.ends_with("# EOF\n"));
    assert!(
        !rig.page().contains("_created"),
        "plain text has no such line"
    );
}

#[test]
fn an_empty_state_is_a_valid_page() {
    let rig = rig();
    assert_eq!(rig.page(), "");
    assert_eq!(rig.exposition.page(Format::OPEN_METRICS), b"# EOF\n");
}

#[test]
fn counters_add_up_over_flushes() {
    let mut rig = rig();
    for sum in [1.0, 0.0, 2.5] {
        rig.take(flush([counter("c", "", sum)]));
        rig.wait(10);
    }
    assert_eq!(rig.samples(), ["c_total 3.5"]);
}

#[test]
fn a_falling_counter_keeps_its_name_and_is_called_a_gauge() {
    let mut rig = rig();
    rig.take(flush([
        counter("workers", "", 5.0),
        counter("fine", "", 1.0),
    ]));
    rig.take(flush([counter("workers", "", -2.0)]));
    let page = rig.page();
    assert!(
        page.contains("# TYPE workers_total gauge\nworkers_total 3\n"),
        "{page}"
    );
    assert!(page.contains("because it was decremented"), "{page}");
    assert!(page.contains("# TYPE fine_total counter\n"), "{page}");
    assert_eq!(
        rig.telemetry("greyhound.prometheus.negative_increments"),
        1.0
    );
}

#[test]
fn a_gauge_shows_its_last_value_by_time() {
    let at = |seconds, value| Point {
        unix_seconds: seconds,
        value,
    };
    let mut late = gauge("g", "", 0.0);
    late.points = Points::Many(vec![at(BUCKET + 12, 3.0), at(BUCKET - 100, 4.0)]);
    let mut batch = flush([gauge("g", "", 1.0), late]);
    batch.cause = FlushCause::Timestamped;
    let mut rig = rig();
    rig.take(batch);
    assert_eq!(rig.samples(), ["g 3"]);
    // The future is now: it does not keep later values out.
    let mut future = gauge("g", "", 0.0);
    future.points = Points::One(at(BUCKET + 100_000, 9.0));
    rig.take(flush([future]));
    assert_eq!(rig.samples(), ["g 9"]);
    rig.wait(10);
    let mut next = gauge("g", "", 0.0);
    next.points = Points::One(at(BUCKET + 20, 5.0));
    rig.take(flush([next]));
    assert_eq!(rig.samples(), ["g 5"]);
}

#[test]
fn timestamped_counters_are_added() {
    let mut rig = rig();
    rig.take(flush([counter("c", "", 1.0)]));
    let mut batch = flush([counter("c", "", 4.0)]);
    batch.cause = FlushCause::Timestamped;
    rig.take(batch);
    assert_eq!(rig.samples(), ["c_total 5"]);
}

#[test]
fn totals_of_a_summary_run_on_while_its_window_slides() {
    let mut rig = rig();
    let one = |value: f64| {
        let mut batch = f::batch();
        batch.sketches = vec![distribution("d", "", &[value])];
        batch
    };
    rig.take(one(100.0));
    rig.wait(50);
    rig.take(one(1.0));
    let both = rig.samples();
    assert_eq!(both[0], "d{quantile=\"0.5\"} 1");
    assert!(both[1].starts_with("d{quantile=\"0.99\"} 99."), "{both:?}");
    assert_eq!(both[2..], ["d_sum 101", "d_count 2"]);
    rig.wait(20);
    assert_eq!(
        rig.samples()[1],
        "d{quantile=\"0.99\"} 1",
        "100 is too old now"
    );
    rig.wait(60);
    let quiet = rig.samples();
    assert_eq!(quiet[0], "d{quantile=\"0.5\"} NaN");
    assert_eq!(quiet[2..], ["d_sum 101", "d_count 2"]);
}

#[test]
fn quantiles_are_those_of_all_sketches_in_the_window() {
    let mut rig = rig();
    let mut all = greyhound_model::sketch::Sketch::default();
    for step in 0..6 {
        let values: Vec<f64> = (1..=50).map(|i| f64::from(i + step * 50)).collect();
        let mut batch = f::batch();
        batch.histograms = vec![histogram("h", "", Unit::None, &values)];
        rig.take(batch);
        all.merge(&f::sketch_of(&values));
        rig.wait(10);
    }
    rig.wait(-10);
    let mut expected = Vec::new();
    greyhound_telemetry::text::write_number(all.quantile(0.5), &mut expected);
    let expected = String::from_utf8(expected).expect("a number");
    assert_eq!(
        rig.samples()[0],
        format!("h{{quantile=\"0.5\"}} {expected}")
    );
}

#[test]
fn classic_buckets_instead_of_quantiles() {
    let mut rig = Rig::new(|config| config.classic_buckets = vec![-1.0, 0.0, 5.0, 100.0]);
    let mut batch = f::batch();
    batch.sketches = vec![distribution(
        "d",
        "a:1",
        &[-3.0, 0.0, 4.9, 5.0, 5.2, 1000.0],
    )];
    rig.take(batch.clone());
    rig.take(batch);
    assert_eq!(
        rig.page(),
        r#"# HELP d DogStatsD distribution d.
# TYPE d histogram
d_bucket{a="1",le="-1"} 2
d_bucket{a="1",le="0"} 4
d_bucket{a="1",le="5"} 8
d_bucket{a="1",le="100"} 10
d_bucket{a="1",le="+Inf"} 12
d_sum{a="1"} 2024.2
d_count{a="1"} 12
"#
    );
}

#[test]
fn a_series_that_falls_silent_disappears() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 60);
    rig.take(flush([
        counter("c", "", 1.0),
        gauge("g", "", 1.0),
        gauge("h", "", 1.0),
    ]));
    rig.wait(60);
    rig.take(flush([gauge("h", "", 2.0)]));
    assert_eq!(rig.samples().len(), 3, "exactly at the limit they stay");
    // No flush comes any more: the scrape itself forgets.
    rig.wait(1);
    assert_eq!(rig.samples(), ["h 2"]);
    assert_eq!(rig.telemetry("greyhound.prometheus.expired"), 2.0);
    assert_eq!(rig.telemetry("greyhound.prometheus.series"), 1.0);
    assert_eq!(rig.telemetry("greyhound.prometheus.families"), 1.0);
    // And it comes back from zero.
    rig.take(flush([counter("c", "", 4.0)]));
    assert_eq!(rig.samples(), ["c_total 4", "h 2"]);
}

#[test]
fn filled_in_zeros_neither_prolong_a_life_nor_bring_it_back() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 60);
    rig.take(flush([counter("c", "", 1.0)]));
    for _ in 0..30 {
        rig.wait(10);
        rig.take(flush([counter("c", "", 0.0)]));
        assert_eq!(
            rig.samples(),
            ["c_total 1"],
            "it is still part of every flush"
        );
    }
    rig.wait(21);
    assert_eq!(rig.samples().len(), 0, "two flushes without it are enough");
}

#[test]
fn a_counter_may_start_at_zero() {
    let mut rig = rig();
    rig.take(flush([counter("c", "", 0.0)]));
    assert_eq!(rig.samples(), ["c_total 0"]);
}

#[test]
fn without_expiry_series_stay() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 0);
    rig.take(flush([gauge("g", "", 1.0)]));
    rig.wait(1_000_000);
    assert_eq!(rig.samples(), ["g 1"]);
}

#[test]
fn a_refused_name_is_free_again_when_its_owner_expires() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 30);
    rig.take(flush([gauge("a", "", 1.0)]));
    let refused = rig.accept(flush([counter("a", "", 1.0)]));
    assert_eq!(refused.dropped(Reason::Collision), 1);
    rig.wait(31);
    rig.take(flush([counter("a", "", 2.0)]));
    assert_eq!(rig.samples(), ["a_total 2"]);
}

#[test]
fn aggregates_share_the_fate_of_their_histogram() {
    let mut rig = rig();
    rig.take(flush([gauge("h", "", 1.0)]));
    let mut batch = flush(f::aggregates("h", "", &[1.0]));
    batch.series.extend(f::aggregates("k", "", &[1.0]));
    batch.histograms = vec![
        histogram("h", "", Unit::None, &[1.0]),
        histogram("k", "", Unit::None, &[1.0]),
    ];
    let receipt = rig.accept(batch);
    assert_eq!(receipt.dropped(Reason::Collision), 2);
    assert_eq!(receipt.delivered(), 2);
    let orphans = rig.accept(flush(f::aggregates("m", "", &[1.0])));
    assert_eq!(orphans.dropped(Reason::Unsupported), 2);
}

#[test]
fn the_newest_series_are_refused_at_the_limit() {
    let mut rig = Rig::new(|config| config.series_max = 6);
    let mut batch = flush([
        gauge("a", "", 1.0),
        gauge("b", "", 1.0),
        gauge("c", "", 1.0),
    ]);
    batch.sketches = vec![distribution("d", "", &[1.0])];
    let receipt = rig.accept(batch.clone());
    assert_eq!(
        receipt.dropped(Reason::SeriesLimit),
        1,
        "four lines and two"
    );
    assert_eq!(rig.samples().len(), 6);
    assert_eq!(rig.accept(batch).delivered(), 3, "those inside go on");
    assert_eq!(rig.telemetry("greyhound.prometheus.limit_refusals"), 2.0);
    assert_eq!(rig.telemetry("greyhound.prometheus.series"), 6.0);
}

#[test]
fn events_and_checks_have_no_place_here() {
    let mut batch = f::batch();
    batch.events = vec![f::event(b"t", b"x")];
    batch.service_checks = vec![f::service_check(b"up", b"")];
    let receipt = rig().accept(batch);
    assert_eq!(receipt.dropped(Reason::Unsupported), 2);
}

#[test]
fn the_own_host_is_a_label_when_asked_for() {
    let mut rig = Rig::new(|config| config.own_host_label = true);
    rig.take(flush([gauge("g", "", 1.0)]));
    assert_eq!(rig.samples(), ["g{host=\"agent-host\"} 1"]);
    let other = f::series(
        Context::new(b"g", Host::Named(b"agent-host"), []),
        SeriesKind::Gauge,
        2.0,
    );
    let refused = rig.accept(flush([other]));
    assert_eq!(refused.dropped(Reason::Collision), 1);
}

#[test]
fn repaired_values_are_counted() {
    let mut rig = rig();
    let context = Context::new(b"g\xff", Host::Own, [&b"k:\xff\x01"[..]]);
    rig.take(flush([f::series(context, SeriesKind::Gauge, 1.0)]));
    assert_eq!(rig.samples(), ["g_{k=\"\u{FFFD}\u{FFFD}\"} 1"]);
    assert_eq!(rig.telemetry("greyhound.prometheus.repaired"), 1.0);
}

#[test]
fn memory_is_reused_after_expiry() {
    let mut rig = Rig::new(|config| config.expiry_seconds = 1);
    for round in 0..20 {
        rig.take(flush((0..500).map(|at| {
            gauge(&format!("m{}", at % 7), &format!("id:{round}-{at}"), 1.0)
        })));
        rig.wait(40);
        assert_eq!(rig.samples().len(), 0);
    }
    assert!(rig.exposition.shared.lock().slots() <= 500);
}
