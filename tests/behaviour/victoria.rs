//! VictoriaMetrics stores what the Python client sent, value by value: pushed by remote write, exported by OTLP.

use greyhound_tests::daemon::{Daemon, HOSTNAME, Setup};
use greyhound_tests::victoria::{Stored, Victoria};
use greyhound_tests::{python, wait};

use crate::send;

/// What the client's script dates its own samples with.
const PAST_MS: i64 = 1_700_000_000_000;

/// The one stored series of this name and these labels.
fn one<'a>(all: &'a [Stored], name: &str, labels: &[(&str, &str)]) -> &'a Stored {
    let found: Vec<_> = all
        .iter()
        .filter(|series| series.label("__name__") == name)
        .filter(|series| {
            labels
                .iter()
                .all(|(name, value)| series.label(name) == *value)
        })
        .collect();
    match found[..] {
        [one] => one,
        _ => panic!("{name} {labels:?} is {found:?}; there are {all:#?}"),
    }
}

/// Lets the Python client make its tour and stops the daemon, which flushes the one bucket.
fn tour(daemon: Daemon) -> Option<()> {
    let python = python::datadog()?;
    python::run(&python, &["tour", &daemon.udp().to_string()], &[]);
    // Two of the script's last lines are its event and its service check.
    wait::until("the tour to arrive", || {
        let page = daemon.telemetry();
        (page.sum(
            "dogstatsd__processed",
            &[("message_type", "service_checks")],
        ) >= 1.0)
            .then_some(())
    });
    daemon.stop();
    Some(())
}

#[test]
fn what_a_python_client_sends_is_stored_by_remote_write_to_the_last_bit() {
    let Some(victoria) = Victoria::start() else {
        return;
    };
    let daemon = Setup::new()
        .with("greyhound.remote_write.url", victoria.url("/api/v1/write"))
        .with("greyhound.remote_write.external_labels", vec!["zone:a-1"])
        .start();
    if tour(daemon).is_none() {
        return;
    }
    let all = victoria.export("tour_");
    let dev = [
        ("env", "dev"),
        ("team", "grey"),
        ("host", HOSTNAME),
        ("zone", "a-1"),
    ];
    for (name, value) in [
        ("tour_count_total", 6.0),
        ("tour_gauge", -2.25),
        ("tour_set", 3.0),
        ("tour_histogram_avg", 4.0),
        ("tour_histogram_max", 10.0),
        ("tour_histogram_median", 3.0),
        ("tour_histogram_count", 5.0),
        ("tour_timing_avg", 40.0),
        ("tour_timing_max", 100.0),
        ("tour_timing_count", 5.0),
        ("tour_distribution_sum", 20.0),
        ("tour_distribution_count", 5.0),
    ] {
        let stored = one(&all, name, &dev);
        assert_eq!(stored.samples.len(), 1, "{stored:?}");
        assert_eq!(stored.last(), value, "{name}");
    }
    assert_eq!(one(&all, "tour_sampled_total", &[]).last(), 10.0);
    let past = |value: f64| vec![(PAST_MS, value)];
    assert_eq!(one(&all, "tour_past_gauge", &[]).samples, past(7.0));
    assert_eq!(one(&all, "tour_past_count_total", &[]).samples, past(9.0));
    for (quantile, value) in [("0.5", 3.0), ("0.99", 10.0)] {
        let stored = one(&all, "tour_distribution", &[("quantile", quantile)]);
        let off = (stored.last() / value - 1.0).abs();
        assert!(off < 0.024, "{quantile}: {stored:?}");
    }
}

#[test]
fn totals_go_on_from_bucket_to_bucket_without_a_gap_or_a_double() {
    let Some(victoria) = Victoria::start() else {
        return;
    };
    let daemon = Setup::new()
        .live()
        .with("greyhound.remote_write.url", victoria.url("/api/v1/write"))
        .start();
    for round in 1..=4 {
        send::udp(daemon.udp(), "steps:5|c|#a:1");
        wait::until("the next total to be stored", || {
            let all = victoria.export("steps_total");
            let total = all.first().map_or(0.0, Stored::last);
            (total == f64::from(5 * round)).then_some(())
        });
    }
    daemon.stop();
    let all = victoria.export("steps_total");
    let samples = &one(&all, "steps_total", &[("a", "1")]).samples;
    assert!(
        samples.windows(2).all(|two| two[0].0 < two[1].0),
        "{samples:?}"
    );
    assert!(
        samples.windows(2).all(|two| two[0].1 <= two[1].1),
        "{samples:?}"
    );
    // Each sample stands on the edge of a bucket, but for the zero a millisecond into the first.
    let edges = samples
        .iter()
        .filter(|(unix_ms, _)| unix_ms % 1000 == 0)
        .count();
    assert!(edges + 1 >= samples.len(), "{samples:?}");
}

#[test]
fn what_a_python_client_sends_is_stored_by_otlp() {
    for temporality in ["delta", "cumulative"] {
        let Some(victoria) = Victoria::start() else {
            return;
        };
        let daemon = Setup::new()
            .with(
                "greyhound.otlp.url",
                victoria.url("/opentelemetry/v1/metrics"),
            )
            .with("greyhound.otlp.temporality", temporality)
            .start();
        if tour(daemon).is_none() {
            return;
        }
        let all = victoria.export("tour");
        let dev = [
            ("team", "grey"),
            ("host.name", HOSTNAME),
            ("deployment.environment.name", "dev"),
        ];
        for (name, value) in [
            ("tour.count", 6.0),
            ("tour.gauge", -2.25),
            ("tour.set", 3.0),
            ("tour.histogram_count", 5.0),
            ("tour.histogram_sum", 20.0),
            ("tour.timing_count", 5.0),
            ("tour.timing_sum", 200.0),
            ("tour.distribution_sum", 20.0),
            ("tour.distribution_count", 5.0),
        ] {
            let stored = one(&all, name, &dev);
            assert_eq!(stored.samples.len(), 1, "{temporality}: {stored:?}");
            assert_eq!(stored.last(), value, "{temporality}: {name}");
        }
        assert_eq!(one(&all, "tour.sampled", &[]).last(), 10.0);
        assert_eq!(one(&all, "tour.past.gauge", &[]).samples, [(PAST_MS, 7.0)]);
        assert_eq!(one(&all, "tour.past.count", &[]).samples, [(PAST_MS, 9.0)]);
        // Each value in a bucket whose edges are within the stated bound of it.
        let mut seen = 0.0;
        for bucket in all
            .iter()
            .filter(|series| series.label("__name__") == "tour.distribution_bucket")
        {
            let (low, high) = bucket.label("vmrange").split_once("...").unwrap();
            let (low, high): (f64, f64) = (low.parse().unwrap(), high.parse().unwrap());
            let values = [1.0, 2.0, 3.0, 4.0, 10.0];
            let fits = values
                .iter()
                .any(|value| *value <= high * 1.009 && *value >= low / 1.009);
            assert!(fits, "{bucket:?}");
            seen += bucket.last();
        }
        assert_eq!(seen, 5.0, "{all:#?}");
    }
}
