//! Requests decoded by generated code: kinds, times, resources, buckets; and what answers mean.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use greyhound_model::context::Context;
use greyhound_model::flush::FlushCause;
use greyhound_model::series::{Series, Unit};
use greyhound_model::time::{SimulatedClock, Stamp};
use greyhound_proto::opentelemetry::proto::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use greyhound_proto::opentelemetry::proto::common::v1::{KeyValue, any_value::Value};
use greyhound_proto::opentelemetry::proto::metrics::v1::{Metric, metric, number_data_point};
use hyper::header::HeaderMap;
use prost::Message;

use super::*;
use crate::client::{ClientConfig, Whole};
use crate::delivery::{BackoffConfig, Judgement, Target};
use crate::fixtures::{self, BUCKET, counter, distribution, gauge, histogram};

const NANOS: u64 = 1_000_000_000;
const START: u64 = BUCKET as u64 * NANOS;
const END: u64 = (BUCKET as u64 + 10) * NANOS;

fn config() -> OtlpConfig {
    OtlpConfig {
        name: "otlp".into(),
        url: "http://127.0.0.1:1/v1/metrics".into(),
        is_grpc: false,
        authorization: String::new(),
        headers: Vec::new(),
        version: "1.2.3".into(),
        temporality: Temporality::Delta,
        aggregates: false,
        expiry_seconds: 300,
        series_max: 100,
        points_max: 1000,
    }
}

fn sink(change: impl FnOnce(&mut OtlpConfig)) -> (OtlpSink, Arc<SimulatedClock>) {
    let mut config = config();
    change(&mut config);
    let delivery = DeliveryConfig {
        memory_bytes_max: 1 << 20,
        concurrency_max: 4,
        backoff: BackoffConfig::default(),
        drop_on_auth_error: false,
        age_max: Duration::from_secs(3600),
        spool: None,
    };
    let clock = Arc::new(SimulatedClock::new(Stamp::at_unix_seconds(BUCKET as f64)));
    let client = Client::new(&ClientConfig::default()).expect("a client");
    let egress = Egress::start().expect("a thread");
    let sink = OtlpSink::new(config, delivery, client, egress, clock.clone());
    (sink.expect("settings make sense"), clock)
}

fn decode(payload: &Payload) -> ExportMetricsServiceRequest {
    let raw = collector::unpack(&payload.body).expect("gzip");
    ExportMetricsServiceRequest::decode(&raw[..]).expect("a request")
}

fn encode(sink: &mut OtlpSink, batch: &FlushBatch) -> Vec<ExportMetricsServiceRequest> {
    let mut receipt = Receipt::default();
    let payloads = sink.encode(batch, &mut receipt);
    let points: u64 = payloads
        .iter()
        .map(|payload| u64::from(payload.points))
        .sum();
    assert_eq!(points + receipt.total(), batch.point_count());
    payloads.iter().map(decode).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::ArrayValue(list) => {
            let texts: Vec<_> = list
                .values
                .iter()
                .filter_map(|v| v.value.as_ref())
                .map(text)
                .collect();
            format!("[{}]", texts.join(" "))
        }
        other => format!("{other:?}"),
    }
}

fn attributes(all: &[KeyValue]) -> String {
    let pair = |pair: &KeyValue| {
        let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
        format!("{}={}", pair.key, value.map(text).unwrap_or_default())
    };
    all.iter().map(pair).collect::<Vec<_>>().join(" ")
}

/// Metrics by the attributes of their resource and their name.
fn metrics(requests: &[ExportMetricsServiceRequest]) -> BTreeMap<(String, String), Metric> {
    let mut all = BTreeMap::new();
    for resource in requests
        .iter()
        .flat_map(|request| &request.resource_metrics)
    {
        let who = resource.resource.as_ref().expect("a resource");
        let [scope] = &resource.scope_metrics[..] else {
            panic!("{resource:?}");
        };
        let about = scope.scope.as_ref().expect("a scope");
        assert_eq!(
            (about.name.as_str(), about.version.as_str()),
            ("greyhound", "1.2.3")
        );
        for metric in &scope.metrics {
            let key = (attributes(&who.attributes), metric.name.clone());
            assert!(
                all.insert(key, metric.clone()).is_none(),
                "{metric:?} twice"
            );
        }
    }
    all
}

fn only(requests: &[ExportMetricsServiceRequest], name: &str) -> metric::Data {
    let all = metrics(requests);
    let mut found = all.iter().filter(|((_, other), _)| other == name);
    let metric = found
        .next()
        .unwrap_or_else(|| panic!("no {name} in {all:?}"));
    assert!(found.next().is_none(), "{all:?}");
    metric.1.data.clone().expect("points")
}

#[test]
fn counters_are_delta_sums_and_gauges_gauges() {
    let (mut sink, _) = sink(|_| ());
    let mut flush = fixtures::flush([
        counter("hits", "path:/,canary,role:b,role:a", 3.0),
        counter("net", "", -1.0),
        gauge("temp", "", 0.0),
    ]);
    flush.series[2].unit = Unit::Millisecond;
    let requests = encode(&mut sink, &flush);
    let metric::Data::Sum(hits) = only(&requests, "hits") else {
        panic!("{requests:?}");
    };
    assert!(hits.is_monotonic && hits.aggregation_temporality == 1);
    let point = &hits.data_points[0];
    assert_eq!(
        (point.start_time_unix_nano, point.time_unix_nano),
        (START, END)
    );
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(3.0)));
    assert_eq!(attributes(&point.attributes), "canary= path=/ role=[a b]");
    let metric::Data::Sum(net) = only(&requests, "net") else {
        panic!("{requests:?}");
    };
    assert!(!net.is_monotonic);
    let metric::Data::Gauge(temp) = only(&requests, "temp") else {
        panic!("{requests:?}");
    };
    // A zero is a value.
    assert_eq!(
        temp.data_points[0].value,
        Some(number_data_point::Value::AsDouble(0.0))
    );
    // Once negative, never monotonic again.
    let requests = encode(&mut sink, &fixtures::flush([counter("net", "", 5.0)]));
    assert!(matches!(only(&requests, "net"), metric::Data::Sum(net) if !net.is_monotonic));
}

#[test]
fn who_sends_is_the_resource() {
    let (mut sink, _) = sink(|_| ());
    let context = Context::new(
        b"m",
        greyhound_model::context::Host::Named(b"web-1"),
        [
            &b"service:api"[..],
            b"env:prod",
            b"version:7",
            b"pod_name:p",
            b"zone:a",
        ],
    );
    let flush = fixtures::flush([
        fixtures::series(context, SeriesKind::Gauge, 1.0),
        gauge("m", "zone:b", 2.0),
        gauge("n", "zone:b", 2.0),
    ]);
    let requests = encode(&mut sink, &flush);
    let keys: Vec<_> = metrics(&requests).into_keys().collect();
    let api = "host.name=web-1 deployment.environment.name=prod k8s.pod.name=p service.name=api \
               service.version=7";
    let own = "host.name=agent-host";
    assert_eq!(
        keys,
        [(own, "m"), (own, "n"), (api, "m")].map(|(who, name)| (who.to_owned(), name.to_owned()))
    );
    assert_eq!(requests[0].resource_metrics.len(), 2);
}

#[test]
fn distributions_and_histograms_are_exponential() {
    let (mut sink, _) = sink(|_| ());
    let values = [0.0, 1.0, 2.0, 2.0, 8.0, -4.0];
    let mut flush = FlushBatch {
        sketches: vec![distribution("spread", "", &values)],
        histograms: vec![histogram("took", "", Unit::Millisecond, &[1.0, 3.0])],
        ..fixtures::flush(fixtures::aggregates("took", "", &[1.0, 3.0]))
    };
    flush.series.push(gauge("g", "", 1.0));
    let requests = encode(&mut sink, &flush);
    let metric::Data::ExponentialHistogram(spread) = only(&requests, "spread") else {
        panic!("{requests:?}");
    };
    assert_eq!(spread.aggregation_temporality, 1);
    let point = &spread.data_points[0];
    assert_eq!((point.count, point.zero_count, point.scale), (6, 1, 5));
    assert_eq!(
        (point.sum, point.min, point.max),
        (Some(9.0), Some(-4.0), Some(8.0))
    );
    let positive = point.positive.as_ref().expect("values above zero");
    // 1 is the upper edge of the bucket before 0; 8 lies 96 above it, and the middle of the bin of 2 lies 33.
    assert_eq!((positive.offset, positive.bucket_counts.len()), (-1, 97));
    let full: Vec<_> = positive
        .bucket_counts
        .iter()
        .enumerate()
        .filter(|(_, n)| **n > 0)
        .collect();
    assert_eq!(full, [(0, &1), (33, &2), (96, &1)]);
    let negative = point.negative.as_ref().expect("values below zero");
    assert_eq!(
        (negative.offset, &negative.bucket_counts[..]),
        (63, &[1][..])
    );
    assert_eq!(metrics(&requests).len(), 3, "the aggregates stay at home");
    let took = &metrics(&requests)[&("host.name=agent-host".to_owned(), "took".to_owned())];
    assert_eq!(took.unit, "ms");
}

#[test]
fn aggregates_go_out_where_they_are_wanted() {
    let (mut sink, _) = sink(|config| config.aggregates = true);
    assert!(!sink.wants_histograms());
    let flush = fixtures::flush(fixtures::aggregates("took", "", &[1.0, 3.0]));
    let requests = encode(&mut sink, &flush);
    assert!(matches!(
        only(&requests, "took.max"),
        metric::Data::Gauge(_)
    ));
    assert!(matches!(
        only(&requests, "took.count"),
        metric::Data::Sum(_)
    ));
}

#[test]
fn running_totals_start_once_and_grow() {
    let (mut sink, clock) = sink(|config| {
        config.temporality = Temporality::Cumulative;
        config.series_max = 2;
    });
    let flush = |second: i64| {
        let mut flush = FlushBatch {
            unix_seconds: BUCKET + second + 10,
            sketches: vec![distribution("spread", "", &[1.0, 2.0])],
            ..fixtures::flush([counter("hits", "", 3.0)])
        };
        flush.series[0].points =
            greyhound_model::series::Points::One(greyhound_model::series::Point {
                unix_seconds: BUCKET + second,
                value: 3.0,
            });
        flush.sketches[0].points[0].0 = BUCKET + second;
        flush
    };
    encode(&mut sink, &flush(0));
    let requests = encode(&mut sink, &flush(10));
    let metric::Data::Sum(hits) = only(&requests, "hits") else {
        panic!("{requests:?}");
    };
    assert_eq!(hits.aggregation_temporality, 2);
    let point = &hits.data_points[0];
    assert_eq!(point.value, Some(number_data_point::Value::AsDouble(6.0)));
    assert_eq!(
        (point.start_time_unix_nano, point.time_unix_nano),
        (START, END + 10 * NANOS)
    );
    let metric::Data::ExponentialHistogram(spread) = only(&requests, "spread") else {
        panic!("{requests:?}");
    };
    assert_eq!(
        (spread.data_points[0].count, spread.data_points[0].sum),
        (4, Some(6.0))
    );
    let mut receipt = Receipt::default();
    sink.encode(&fixtures::flush([counter("more", "", 1.0)]), &mut receipt);
    assert_eq!(receipt.dropped(Reason::SeriesLimit), 1);
    // Silence makes room, and a new start.
    clock.set(Stamp::at_unix_seconds((BUCKET + 400) as f64));
    let requests = encode(&mut sink, &flush(390));
    assert!(matches!(only(&requests, "hits"), metric::Data::Sum(hits)
        if hits.data_points[0].start_time_unix_nano == START + 390 * NANOS));
}

#[test]
fn own_times_are_kept() {
    let (mut sink, _) = sink(|_| ());
    let flush = FlushBatch {
        cause: FlushCause::Timestamped,
        ..fixtures::flush([gauge("g", "", 1.0)])
    };
    let requests = encode(&mut sink, &flush);
    assert!(matches!(only(&requests, "g"), metric::Data::Gauge(g)
        if g.data_points[0].time_unix_nano == START));
}

#[test]
fn requests_keep_within_their_limit_and_halves_lose_nothing() {
    let (mut sink, _) = sink(|config| config.points_max = 10);
    let series: Vec<Series> = (0..35).map(|n| gauge(&format!("g{n}"), "", 1.0)).collect();
    let mut receipt = Receipt::default();
    let payloads = sink.encode(&fixtures::flush(series), &mut receipt);
    assert_eq!(
        payloads
            .iter()
            .map(|payload| payload.points)
            .collect::<Vec<_>>(),
        [10, 10, 10, 5]
    );
    let collector = Collector::new(&config()).expect("an address");
    let halves = collector.split(&payloads[0]).expect("more than one metric");
    assert_eq!(halves.iter().map(|half| half.points).sum::<u32>(), 10);
    let halves: Vec<_> = halves.iter().map(decode).collect();
    assert_eq!(metrics(&halves), metrics(&[decode(&payloads[0])]));
    let framed = Payload {
        encoding: FRAMED_GZIP,
        body: grpc::frame(&payloads[0].body),
        ..payloads[0].clone()
    };
    for half in collector.split(&framed).expect("more than one metric") {
        let inside = grpc::unframe(&half.body).expect("a frame");
        assert!(collector::unpack(inside).is_some());
        assert_eq!(half.encoding, FRAMED_GZIP);
    }
    let one = sink.encode(&fixtures::flush([gauge("g", "", 1.0)]), &mut receipt);
    assert!(collector.split(&one[0]).is_none());
}

#[test]
fn answers_mean_what_otlp_says() {
    let collector = Collector::new(&config()).expect("an address");
    let answer = |status: u16, body: Bytes| {
        let whole = Whole {
            status,
            headers: HeaderMap::new(),
            body,
            ..Whole::default()
        };
        collector.judge(GZIP, &whole)
    };
    for kept in [200, 202, 307, 401, 403, 413, 429, 502, 503, 504] {
        assert_eq!(answer(kept, Bytes::new()), None, "{kept}");
    }
    for refused in [400, 404, 405, 415, 500, 501] {
        assert_eq!(
            answer(refused, Bytes::new()),
            Some(Judgement::Refused(String::new())),
            "{refused}"
        );
    }
    let partial = |rejected_data_points: i64, error_message: &str| {
        let response = ExportMetricsServiceResponse {
            partial_success: Some(ExportMetricsPartialSuccess {
                rejected_data_points,
                error_message: error_message.into(),
            }),
        };
        answer(200, Bytes::from(response.encode_to_vec()))
    };
    assert_eq!(
        partial(3, "too old"),
        Some(Judgement::Partly {
            rejected: 3,
            words: "too old".into()
        })
    );
    assert_eq!(partial(0, ""), None);
    assert_eq!(
        partial(-1, "odd"),
        Some(Judgement::Partly {
            rejected: 0,
            words: "odd".into()
        })
    );
    assert_eq!(answer(200, Bytes::from_static(b"\xff\xff\xff")), None);
}

#[test]
fn the_bytes_are_known() {
    for (name, temporality) in [
        ("otlp_delta.hex", Temporality::Delta),
        ("otlp_cumulative.hex", Temporality::Cumulative),
    ] {
        let (mut sink, _) = sink(|config| config.temporality = temporality);
        let payloads = sink.encode(&crate::golden::batch(), &mut Receipt::default());
        let [payload] = &payloads[..] else {
            panic!("{} requests", payloads.len());
        };
        let raw = collector::unpack(&payload.body).expect("gzip");
        crate::golden::check(name, &raw);
    }
}
