//! Payloads decoded by a generated decoder, against what went in.

use greyhound_model::flush::SketchSeries;
use greyhound_proto::datadog::agentpayload::{MetricPayload, SketchPayload};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::client::ClientConfig;
use crate::delivery::BackoffConfig;
use crate::fixtures;
use crate::sink::Reason;

pub(super) const LIMITS: Limits = Limits {
    packed_bytes: 512_000,
    raw_bytes: 5_242_880,
    points: 10_000,
};

pub(super) fn sink(limits: Limits, compression: Compression) -> DatadogSink {
    let config = DatadogConfig {
        name: "datadog".to_owned(),
        url: "http://127.0.0.1:9".to_owned(),
        key_check_url: None,
        key_check_interval: Duration::from_secs(60),
        api_key: "0123456789abcdef".to_owned(),
        version: "1.2.3".to_owned(),
        series_limits: limits,
        other_limits: limits,
        compression,
        tags_max: 3,
        says_it_runs: false,
        arbitrary_tag_values: false,
    };
    let delivery = DeliveryConfig {
        memory_bytes_max: 1 << 30,
        concurrency_max: 1,
        backoff: BackoffConfig::default(),
        drop_on_auth_error: false,
        age_max: Duration::from_secs(60),
        spool: None,
    };
    let client = Client::new(&ClientConfig::default()).expect("a client");
    DatadogSink::new(config, delivery, client, Egress::start().expect("threads"))
        .expect("a good address")
}

pub(super) fn raw(payload: &Payload) -> Vec<u8> {
    packer::unpack(payload, usize::MAX - 1).expect("a whole payload")
}

pub(super) fn encode(sink: &DatadogSink, batch: &FlushBatch) -> (Vec<Payload>, Receipt) {
    let mut receipt = Receipt::default();
    let payloads = sink.encode(batch, &mut receipt);
    (payloads, receipt)
}

fn series_of(
    payloads: &[Payload],
) -> Vec<greyhound_proto::datadog::agentpayload::metric_payload::MetricSeries> {
    payloads
        .iter()
        .filter(|payload| payload.class == SERIES)
        .flat_map(|payload| {
            let decoded = MetricPayload::decode(&raw(payload)[..]).expect("protobuf");
            let points: usize = decoded.series.iter().map(|one| one.points.len()).sum();
            assert_eq!(payload.points as usize, points);
            decoded.series
        })
        .collect()
}

#[test]
fn a_series_has_its_resources_tags_type_and_points() {
    let sink = sink(LIMITS, Compression::Zstd(1));
    let tags = "env:prod,device:sda,dd.internal.resource:aws_ec2:i-1";
    let mut batch = fixtures::flush([
        fixtures::counter("page.views", tags, 20.0),
        fixtures::gauge("temp", "", -0.5),
    ]);
    batch.series[1].unit = Unit::Millisecond;
    let (payloads, receipt) = encode(&sink, &batch);
    assert_eq!(receipt, Receipt::default());
    let series = series_of(&payloads);
    let resources: Vec<_> = series[0]
        .resources
        .iter()
        .map(|one| (one.r#type.as_str(), one.name.as_str()))
        .collect();
    assert_eq!(
        resources,
        [
            ("host", "agent-host"),
            ("aws_ec2", "i-1"),
            ("device", "sda")
        ]
    );
    assert_eq!(series[0].metric, "page.views");
    assert_eq!(series[0].tags, ["env:prod"]);
    assert_eq!((series[0].r#type, series[0].interval), (2, 10));
    let point = series[0].points[0];
    assert_eq!((point.value, point.timestamp), (2.0, fixtures::BUCKET));
    assert_eq!(
        (series[1].r#type, series[1].unit.as_str()),
        (3, "millisecond")
    );
    assert_eq!(series[1].points[0].value, -0.5);
}

#[test]
fn a_sketch_has_its_summary_and_its_bins() {
    let sink = sink(LIMITS, Compression::Gzip);
    let mut batch = fixtures::batch();
    batch.sketches = vec![fixtures::distribution(
        "d",
        "a:1,device:sda",
        &[1.0, -2.0, 0.0, 1.0],
    )];
    let (payloads, _) = encode(&sink, &batch);
    assert_eq!(payloads[0].class, SKETCHES);
    let decoded = SketchPayload::decode(&raw(&payloads[0])[..]).expect("protobuf");
    assert!(decoded.metadata.is_some(), "always written");
    let sketch = &decoded.sketches[0];
    assert_eq!(
        (sketch.metric.as_str(), sketch.host.as_str()),
        ("d", "agent-host")
    );
    // There are no resources to put it into.
    assert_eq!(sketch.tags, ["a:1", "device:sda"]);
    let dog = &sketch.dogsketches[0];
    assert_eq!((dog.ts, dog.cnt), (fixtures::BUCKET, 4));
    assert_eq!((dog.min, dog.max, dog.avg, dog.sum), (-2.0, 1.0, 0.0, 0.0));
    let bins = fixtures::sketch_of(&[1.0, -2.0, 0.0, 1.0]);
    let (k, n): (Vec<i32>, Vec<u32>) = bins.bins().map(|(k, n)| (i32::from(k), n as u32)).unzip();
    assert_eq!((&dog.k, &dog.n), (&k, &n));
}

#[test]
fn a_bin_fuller_than_its_field_is_written_as_several() {
    let mut sketch = greyhound_model::sketch::Sketch::default();
    for _ in 0..3 {
        sketch.insert_weighted(5.0, u64::from(u32::MAX) - 1);
    }
    let mut batch = fixtures::batch();
    batch.sketches = vec![SketchSeries {
        context: fixtures::context("d", ""),
        points: vec![(fixtures::BUCKET, sketch.clone())],
    }];
    let (payloads, _) = encode(&self::sink(LIMITS, Compression::Identity), &batch);
    let decoded = SketchPayload::decode(&raw(&payloads[0])[..]).expect("protobuf");
    let dog = &decoded.sketches[0].dogsketches[0];
    let total: u64 = dog.n.iter().map(|n| u64::from(*n)).sum();
    assert_eq!(total, sketch.count());
    assert_eq!(dog.k.len(), dog.n.len());
}

#[test]
fn events_stand_by_source_and_checks_in_one_array() {
    let sink = sink(LIMITS, Compression::Deflate);
    let mut batch = fixtures::batch();
    let mut from_nagios = fixtures::event(b"\"t\"", b"x\xff");
    from_nagios.source_type = b"nagios".to_vec();
    batch.events = vec![
        from_nagios.clone(),
        fixtures::event(b"plain", b""),
        from_nagios,
    ];
    batch.service_checks = vec![
        fixtures::service_check(b"one", b"m"),
        fixtures::service_check(b"two", b""),
    ];
    let (payloads, _) = encode(&sink, &batch);
    let json = |class: u8| -> serde_json::Value {
        let payload = payloads.iter().find(|one| one.class == class).expect("one");
        serde_json::from_slice(&raw(payload)).expect("JSON")
    };
    let events = json(EVENTS);
    assert_eq!(events["apiKey"], "");
    assert_eq!(events["internalHostname"], "agent-host");
    assert_eq!(events["events"]["api"].as_array().expect("a list").len(), 1);
    let nagios = &events["events"]["nagios"];
    assert_eq!(nagios.as_array().expect("a list").len(), 2);
    assert_eq!(nagios[0]["msg_title"], "\"t\"");
    assert_eq!(nagios[0]["msg_text"], "x\u{fffd}");
    assert_eq!(nagios[0]["alert_type"], "warning");
    let checks = json(SERVICE_CHECKS);
    assert_eq!(checks.as_array().expect("an array").len(), 2);
    assert_eq!(checks[0]["check"], "one");
    assert_eq!(checks[0]["status"], 2);
    assert_eq!(sink.delivery.view().status().texts_repaired, 2);
}

#[test]
fn what_the_intake_would_refuse_is_dropped_and_counted() {
    let sink = sink(LIMITS, Compression::Zstd(1));
    let mut late = fixtures::gauge("late", "", 1.0);
    late.points = Points::One(Point {
        unix_seconds: fixtures::BUCKET + 10_000,
        value: 1.0,
    });
    let batch = fixtures::flush([
        fixtures::gauge("", "", 1.0),
        fixtures::gauge("123", "", 1.0),
        fixtures::gauge(&"x".repeat(351), "", 1.0),
        fixtures::gauge("nan", "", f64::NAN),
        late,
        fixtures::gauge("good", "a:1,b:2,c:3,d:4", 1.0),
    ]);
    let (payloads, receipt) = encode(&sink, &batch);
    assert_eq!(receipt.dropped(Reason::Invalid), 5);
    let series = series_of(&payloads);
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].tags, ["a:1", "b:2", "c:3"]);
    assert_eq!(sink.delivery.view().status().tags_cut, 1);
}

#[test]
fn a_flush_says_that_we_run() {
    let mut sink = sink(LIMITS, Compression::Zstd(1));
    sink.config.says_it_runs = true;
    let (payloads, _) = encode(&sink, &fixtures::batch());
    let series = series_of(&payloads);
    assert_eq!(series[0].metric, "datadog.agent.running");
    assert_eq!(series[0].tags, ["version:1.2.3"]);
    let checks = payloads.last().expect("checks");
    assert!(
        String::from_utf8(raw(checks))
            .expect("JSON")
            .contains("datadog.agent.up")
    );
    let mut timestamped = fixtures::batch();
    timestamped.cause = FlushCause::Timestamped;
    assert_eq!(encode(&sink, &timestamped).0, []);
}

#[test]
fn halves_hold_what_the_whole_held() {
    let sink = sink(LIMITS, Compression::Zstd(1));
    let names = ["a", "b", "c"];
    let batch = fixtures::flush(names.map(|name| fixtures::gauge(name, "x:y", 1.0)));
    let (payloads, _) = encode(&sink, &batch);
    let halves = crate::delivery::Target::split(&*sink.intake, &payloads[0]).expect("three series");
    let found: Vec<String> = series_of(&halves)
        .into_iter()
        .map(|one| one.metric)
        .collect();
    assert_eq!(found, names);
    let single = fixtures::flush([fixtures::gauge("a", "", 1.0)]);
    let (payloads, _) = encode(&sink, &single);
    assert!(crate::delivery::Target::split(&*sink.intake, &payloads[0]).is_none());
}

#[test]
fn halves_of_events_and_checks_are_whole_payloads_again() {
    let sink = sink(LIMITS, Compression::Gzip);
    let mut batch = fixtures::batch();
    for (title, source) in [("a", "x"), ("b", "x"), ("c", "x"), ("d", "y")] {
        let mut event = fixtures::event(title.as_bytes(), b"");
        event.source_type = source.as_bytes().to_vec();
        batch.events.push(event);
    }
    batch.service_checks = vec![
        fixtures::service_check(b"one", b""),
        fixtures::service_check(b"two", b""),
        fixtures::service_check(b"three", b""),
    ];
    let (payloads, _) = encode(&sink, &batch);
    let halves = |class: u8| -> [serde_json::Value; 2] {
        let payload = payloads.iter().find(|one| one.class == class).expect("one");
        let halves = crate::delivery::Target::split(&*sink.intake, payload).expect("halves");
        let points: u32 = halves.iter().map(|half| half.points).sum();
        assert_eq!(points, payload.points);
        halves.map(|half| serde_json::from_slice(&raw(&half)).expect("JSON"))
    };
    let [first, second] = halves(EVENTS);
    let titles = |body: &serde_json::Value, source: &str| -> Vec<String> {
        let list = body["events"][source]
            .as_array()
            .cloned()
            .unwrap_or_default();
        list.iter()
            .map(|event| event["msg_title"].as_str().expect("a title").to_owned())
            .collect()
    };
    assert_eq!(titles(&first, "x"), ["a", "b"]);
    assert_eq!(
        (titles(&second, "x"), titles(&second, "y")),
        (vec!["c".to_owned()], vec!["d".to_owned()])
    );
    assert_eq!(second["internalHostname"], "agent-host");
    let [first, second] = halves(SERVICE_CHECKS);
    let len = |body: &serde_json::Value| body.as_array().expect("an array").len();
    assert_eq!((len(&first), len(&second)), (1, 2));
}

#[test]
fn sources_that_are_written_alike_share_a_list() {
    let sink = sink(LIMITS, Compression::Identity);
    let mut batch = fixtures::batch();
    for source in [b"api".as_slice(), b"a\xff", b"", b"a\xfe", b"aaa"] {
        let mut event = fixtures::event(b"t", b"");
        event.source_type = source.to_vec();
        batch.events.push(event);
    }
    let (payloads, _) = encode(&sink, &batch);
    let body: serde_json::Value = serde_json::from_slice(&raw(&payloads[0])).expect("JSON");
    let lists = body["events"].as_object().expect("lists");
    let lens: Vec<usize> = lists
        .values()
        .map(|list| list.as_array().expect("a list").len())
        .collect();
    assert_eq!(lens.iter().sum::<usize>(), 5, "{body}");
    assert_eq!(lists["api"].as_array().expect("a list").len(), 2);
}

#[test]
fn keys_and_credentials_are_never_printed() {
    let sink = sink(LIMITS, Compression::Zstd(1));
    let printed = format!("{sink:?} {:?} {:?}", sink.config, sink.key_handle());
    assert!(!printed.contains("0123456789abcdef"), "{printed}");
    let (_, headers) = crate::delivery::Target::request(&*sink.intake, SERIES, 1);
    assert!(!format!("{headers:?}").contains("0123456789abcdef"));
    assert_eq!(headers["dd-api-key"], "0123456789abcdef");
    assert_eq!(headers["content-encoding"], "zstd");
    assert_eq!(headers["content-type"], "application/x-protobuf");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Every payload is within every limit, and together they hold every point exactly once.
    #[test]
    fn payloads_stay_within_limits(
        sizes in proptest::collection::vec((1..60_usize, 1..40_usize), 1..60),
        packed_bytes in 600..3_000_usize,
        raw_bytes in 900..4_000_usize,
        points in 3..50_usize,
        compression in prop_oneof![
            Just(Compression::Zstd(1)),
            Just(Compression::Deflate),
            Just(Compression::Gzip),
            Just(Compression::Identity),
        ],
    ) {
        let limits = Limits { packed_bytes, raw_bytes, points };
        let sink = sink(limits, compression);
        let mut state = 88_172_645_463_325_252_u64;
        let mut value = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            f64::from_bits(state >> 2)
        };
        let series: Vec<Series> = sizes
            .iter()
            .enumerate()
            .map(|(index, (name, count))| {
                let mut one = fixtures::gauge(&format!("m{index}.{}", "x".repeat(*name)), "a:1", 0.0);
                one.points = Points::Many((0..*count).map(|at| Point {
                    unix_seconds: fixtures::BUCKET - at as i64,
                    value: value(),
                }).collect());
                one
            })
            .collect();
        let batch = fixtures::flush(series.clone());
        let (payloads, receipt) = encode(&sink, &batch);
        for payload in &payloads {
            prop_assert!(payload.body.len() <= packed_bytes);
            prop_assert!(raw(payload).len() <= raw_bytes);
            prop_assert!(payload.points as usize <= points);
        }
        let found: usize = series_of(&payloads).iter().map(|one| one.points.len()).sum();
        let sent: usize = series.iter().map(|one| one.points.as_slice().len()).sum();
        prop_assert_eq!(found as u64 + receipt.dropped_total(), sent as u64);
        if packed_bytes >= 1_500 && raw_bytes >= 1_500 && compression != Compression::Identity {
            prop_assert_eq!(receipt.dropped_total(), 0);
        }
    }
}
