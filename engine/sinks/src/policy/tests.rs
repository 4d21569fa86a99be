//! Policies: what becomes equal is added up by the rules of the table.

use std::sync::Arc;

use super::reduce::Reducer;
use super::*;
use crate::fixtures::{BUCKET, batch, context, counter, flush, gauge};
use greyhound_model::flush::{FlushBatch, HistogramPoint, HistogramSeries, Members, SetSeries};
use greyhound_model::series::{Series, SeriesKind, Suffix, Unit};
use greyhound_model::sketch::Sketch;

fn policy(action: TagAction, tags: &[&str], gauges: GaugeRule) -> Policy {
    Policy::new(&PolicyConfig {
        outputs: Vec::new(),
        names: Vec::new(),
        action,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        gauges,
    })
}

fn reduced(policy: Policy, batch: &FlushBatch) -> FlushBatch {
    Reducer::new(Arc::from([policy])).reduce(batch)
}

fn values(batch: &FlushBatch) -> Vec<(String, f64)> {
    let mut values: Vec<(String, f64)> = Vec::new();
    for series in &batch.series {
        let name = String::from_utf8_lossy(&series.full_name()).into_owned();
        for point in series.points.as_slice() {
            values.push((format!("{name} {:?}", series.context), point.value));
        }
    }
    values
}

fn pods(make: fn(&str, &str, f64) -> Series) -> FlushBatch {
    flush([
        make("m", "pod:a,env:x", 1.0),
        make("m", "pod:b,env:x", 4.0),
        make("m", "pod:c,env:y", 10.0),
    ])
}

#[test]
fn counters_add_and_what_is_alone_stays() {
    let drop_pod = policy(TagAction::Drop, &["pod"], GaugeRule::Avg);
    assert_eq!(
        values(&reduced(drop_pod, &pods(counter))),
        [
            ("m m{env:x}".to_owned(), 5.0),
            ("m m{env:y}".to_owned(), 10.0)
        ]
    );
}

#[test]
fn gauges_meet_by_the_rule_of_the_policy() {
    for (rule, value) in [
        (GaugeRule::Avg, 2.5),
        (GaugeRule::Max, 4.0),
        (GaugeRule::Min, 1.0),
        (GaugeRule::Sum, 5.0),
    ] {
        let keep_env = policy(TagAction::Keep, &["env", "host"], rule);
        assert_eq!(values(&reduced(keep_env, &pods(gauge)))[0].1, value);
    }
}

#[test]
fn the_host_is_a_tag_here_and_goes_from_events_and_checks_too() {
    let mut batch = flush([]);
    for host in ["a", "b"] {
        let mut series = counter("m", "", 1.0);
        series.context = Context::new(b"m", Host::Named(host.as_bytes()), []);
        batch.series.push(series);
    }
    batch.series.push(counter("m", "", 1.0));
    batch
        .service_checks
        .push(greyhound_model::service_check::ServiceCheck {
            name: b"up".to_vec(),
            status: greyhound_model::service_check::Status::Ok,
            unix_seconds: 1,
            host: b"a".to_vec(),
            message: Vec::new(),
            tags: vec![b"host_group:x".to_vec()],
        });
    let out = reduced(policy(TagAction::Drop, &["host"], GaugeRule::Avg), &batch);
    assert_eq!(out.series.len(), 1);
    assert_eq!(out.series[0].context.host(), Host::Named(b""));
    assert_eq!(out.series[0].points.as_slice()[0].value, 3.0);
    assert_eq!(out.service_checks[0].host, b"");
    assert_eq!(out.service_checks[0].tags, [b"host_group:x".to_vec()]);
}

#[test]
fn sets_unite() {
    let mut batch = pods(gauge);
    for (series, members) in batch
        .series
        .iter()
        .zip([["1", "2"], ["2", "3"], ["4", "5"]])
    {
        let members: Members = members.iter().map(|m| m.as_bytes().into()).collect();
        batch.sets.push(SetSeries {
            context: series.context.clone(),
            points: vec![(BUCKET, Arc::new(members))],
        });
    }
    let out = reduced(policy(TagAction::Drop, &["pod"], GaugeRule::Sum), &batch);
    assert_eq!(values(&out)[0], ("m m{env:x}".to_owned(), 3.0));
    // Alone: the value stays what it was.
    assert_eq!(values(&out)[1], ("m m{env:y}".to_owned(), 10.0));
    assert_eq!(out.sets.len(), 2);
    assert_eq!(out.sets[0].points[0].1.len(), 3);
}

fn histogram(tags: &str, all: &[f64]) -> (Vec<Series>, HistogramSeries) {
    let mut sketch = Sketch::default();
    for value in all {
        sketch.insert(*value, 1.0);
    }
    let sum: f64 = all.iter().sum();
    let aggregate = |suffix, kind, value| {
        let mut series = gauge("h", tags, value);
        (series.suffix, series.kind) = (suffix, kind);
        series
    };
    let largest = all.iter().copied().fold(f64::MIN, f64::max);
    let series = vec![
        aggregate(Suffix::Max, SeriesKind::Gauge, largest),
        aggregate(Suffix::Avg, SeriesKind::Gauge, sum / all.len() as f64),
        aggregate(Suffix::Count, SeriesKind::Rate, all.len() as f64),
        aggregate(Suffix::Percentile(95), SeriesKind::Gauge, largest),
    ];
    let point = HistogramPoint {
        unix_seconds: BUCKET,
        sum,
        count: all.len() as u64,
        sketch,
    };
    let summary = HistogramSeries {
        context: context("h", tags),
        unit: Unit::None,
        points: vec![point],
    };
    (series, summary)
}

#[test]
fn aggregates_of_histograms_are_made_of_all_values_when_they_are_known() {
    let parts = [histogram("pod:a", &[1.0; 99]), histogram("pod:b", &[100.0])];
    let mut batch = batch();
    for (series, summary) in parts {
        batch.series.extend(series);
        batch.histograms.push(summary);
    }
    let drop_pod = || policy(TagAction::Drop, &["pod"], GaugeRule::Avg);
    let out = reduced(drop_pod(), &batch);
    let got: Vec<f64> = values(&out).into_iter().map(|(_, value)| value).collect();
    assert_eq!(got[0], 100.0);
    assert_eq!(got[1], 199.0 / 100.0);
    assert_eq!(got[2], 100.0);
    assert!((got[3] - 1.0).abs() < 0.03, "{}", got[3]);
    assert_eq!(out.histograms[0].points[0].count, 100);
    // Without summaries: the mean of the averages, the largest percentile.
    batch.histograms.clear();
    let got: Vec<f64> = values(&reduced(drop_pod(), &batch))
        .into_iter()
        .map(|(_, v)| v)
        .collect();
    assert_eq!(got, [100.0, 50.5, 100.0, 100.0]);
}

#[test]
fn the_same_context_costs_one_decision_and_times_stay_apart() {
    let mut reducer = Reducer::new(Arc::from([policy(
        TagAction::Drop,
        &["pod"],
        GaugeRule::Avg,
    )]));
    for _ in 0..20 {
        let mut batch = pods(counter);
        let mut late = batch.series[0].clone();
        late.points = greyhound_model::series::Points::One(greyhound_model::series::Point {
            unix_seconds: BUCKET - 10,
            value: 7.0,
        });
        batch.series.push(late);
        let out = reducer.reduce(&batch);
        let points = out.series[0].points.as_slice();
        let points: Vec<_> = points.iter().map(|p| (p.unix_seconds, p.value)).collect();
        assert_eq!(points, [(BUCKET - 10, 7.0), (BUCKET, 5.0)]);
    }
}

#[test]
fn hostile_values_make_no_infinity() {
    let batch = flush([
        counter("m", "pod:a", f64::MAX),
        counter("m", "pod:b", f64::MAX),
        gauge("g", "pod:a", f64::MAX),
        gauge("g", "pod:b", f64::MAX),
    ]);
    let out = reduced(policy(TagAction::Drop, &["pod"], GaugeRule::Avg), &batch);
    assert!(values(&out).iter().all(|(_, value)| value.is_finite()));
}
