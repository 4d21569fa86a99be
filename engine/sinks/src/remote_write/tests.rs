//! Requests decoded by generated code: names, labels, totals, times, ends.

use std::collections::BTreeMap;
use std::time::Duration;

use greyhound_model::context::{Context, Host};
use greyhound_model::flush::SketchSeries;
use greyhound_model::series::{Point, Points, Series, Suffix};
use greyhound_model::time::{SimulatedClock, Stamp};
use greyhound_proto::io::prometheus::write::v2;
use greyhound_proto::prometheus::{WriteRequest, histogram};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::client::ClientConfig;
use crate::delivery::{BackoffConfig, Target};
use crate::fixtures::{self, BUCKET, counter, distribution, gauge, sketch_of};

const MS: i64 = 1000;
/// End of the bucket of the fixtures.
const END: i64 = (BUCKET + 10) * MS;

struct Rig {
    sink: RemoteWriteSink,
    clock: Arc<SimulatedClock>,
    second: i64,
}

fn config() -> RemoteWriteConfig {
    RemoteWriteConfig {
        name: "remote_write".into(),
        url: "http://127.0.0.1:1/api/v1/write".into(),
        authorization: String::new(),
        headers: Vec::new(),
        external_labels: Vec::new(),
        own_host_label: false,
        expiry_seconds: 300,
        series_max: 1000,
        quantiles: vec![0.5, 0.99],
        native_histograms: false,
        ask_for_two: false,
        limits: Limits {
            samples: 10_000,
            raw_bytes: 1 << 22,
        },
    }
}

fn rig(change: impl FnOnce(&mut RemoteWriteConfig)) -> Rig {
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
    let sink = RemoteWriteSink::new(
        config,
        delivery,
        Client::new(&ClientConfig::default()).expect("a client"),
        Egress::start().expect("a thread"),
        clock.clone(),
    );
    Rig {
        sink: sink.expect("settings make sense"),
        clock,
        second: BUCKET,
    }
}

impl Rig {
    /// Sends a batch, `seconds` after the fixtures' bucket began; their points are moved along.
    fn send(&mut self, seconds: i64, mut batch: FlushBatch) -> (Vec<WriteRequest>, Receipt) {
        self.second = BUCKET + seconds;
        self.clock
            .set(Stamp::at_unix_seconds((self.second + 10) as f64));
        batch.unix_seconds = self.second + 10;
        for series in &mut batch.series {
            if let Points::One(point) = &mut series.points {
                point.unix_seconds = self.second;
            }
        }
        for sketch in &mut batch.sketches {
            sketch
                .points
                .iter_mut()
                .for_each(|point| point.0 = self.second);
        }
        let mut receipt = Receipt::default();
        let payloads = self.sink.encode(&batch, &mut receipt);
        let points: u64 = payloads
            .iter()
            .map(|payload| u64::from(payload.points))
            .sum();
        if seconds <= 300 {
            assert_eq!(points + receipt.total(), batch.point_count());
        }
        (payloads.iter().map(decode).collect(), receipt)
    }
}

fn decode(payload: &Payload) -> WriteRequest {
    let raw = packer::unpack(&payload.body, 1 << 26).expect("snappy");
    WriteRequest::decode(&raw[..]).expect("a request")
}

/// Series by their labels in exposition form, with values and times; checks what all requests promise.
fn shown(requests: &[WriteRequest]) -> BTreeMap<String, Vec<(f64, i64)>> {
    let mut all = BTreeMap::new();
    for series in requests.iter().flat_map(|request| &request.timeseries) {
        let names: Vec<_> = series.labels.iter().map(|label| &label.name).collect();
        assert!(names.windows(2).all(|two| two[0] < two[1]), "{names:?}");
        assert!(series.labels.iter().all(|label| !label.value.is_empty()));
        let labels: Vec<_> = series
            .labels
            .iter()
            .map(|label| match label.name.as_str() {
                "__name__" => label.value.clone(),
                name => format!("{name}={}", label.value),
            })
            .collect();
        let samples: Vec<_> = series
            .samples
            .iter()
            .map(|sample| (sample.value, sample.timestamp))
            .collect();
        assert!(samples.windows(2).all(|two| two[0].1 < two[1].1));
        let before = all.insert(labels.join(" "), samples);
        assert!(before.is_none(), "{labels:?} twice");
    }
    all
}

fn batch_of(series: impl IntoIterator<Item = Series>, sketches: Vec<SketchSeries>) -> FlushBatch {
    FlushBatch {
        sketches,
        ..fixtures::flush(series)
    }
}

#[test]
fn totals_grow_gauges_stand_and_times_are_the_ends_of_buckets() {
    let mut rig = rig(|config| {
        config.own_host_label = true;
        config.external_labels = vec![("zone".into(), "a".into()), ("env".into(), "x".into())];
    });
    let flush = || {
        batch_of(
            [
                counter("page.views", "env:prod,canary", 3.0),
                gauge("room-temp", "", 21.5),
            ],
            Vec::new(),
        )
    };
    let (first, _) = rig.send(0, flush());
    let views = "page_views_total canary=true env=prod host=agent-host zone=a";
    let room = "room_temp env=x host=agent-host zone=a";
    let expect = |at: i64, total: f64| {
        BTreeMap::from([
            (views.to_owned(), vec![(total, END + at * MS)]),
            (room.to_owned(), vec![(21.5, END + at * MS)]),
        ])
    };
    assert_eq!(shown(&first), expect(0, 3.0));
    let (second, _) = rig.send(10, flush());
    assert_eq!(shown(&second), expect(10, 6.0));
    let types: Vec<_> = first
        .iter()
        .flat_map(|request| &request.metadata)
        .map(|told| (told.metric_family_name.as_str(), told.r#type))
        .collect();
    assert_eq!(types, [("page_views_total", 1), ("room_temp", 2)]);
    assert!(second.iter().all(|request| request.metadata.is_empty()));
}

#[test]
fn a_new_total_begins_with_zero_and_not_in_the_first_bucket() {
    let mut rig = rig(|_| ());
    let (first, _) = rig.send(0, fixtures::flush([counter("old", "", 1.0)]));
    assert_eq!(shown(&first)["old_total"], [(1.0, END)]);
    let (second, _) = rig.send(10, fixtures::flush([counter("new", "", 2.0)]));
    assert_eq!(
        shown(&second)["new_total"],
        [(0.0, END + 1), (2.0, END + 10 * MS)]
    );
}

#[test]
fn a_distribution_is_quantiles_of_its_bucket_and_running_totals() {
    let mut rig = rig(|_| ());
    let flush = |values: &[f64]| batch_of([], vec![distribution("spread", "a:1", values)]);
    let values: Vec<f64> = (1..=100).map(f64::from).collect();
    drop(rig.send(0, flush(&values)));
    let (requests, _) = rig.send(10, flush(&[7.0, 7.0]));
    let at = END + 10 * MS;
    let shown = shown(&requests);
    assert_eq!(shown["spread_count a=1"], [(102.0, at)]);
    assert_eq!(shown["spread_sum a=1"], [(5064.0, at)]);
    assert_eq!(shown["spread a=1 quantile=0.5"], [(7.0, at)]);
    assert_eq!(shown.len(), 4);
}

#[test]
fn a_native_histogram_holds_all_values_since_the_beginning() {
    let mut rig = rig(|config| config.native_histograms = true);
    let flush = |values: &[f64]| batch_of([], vec![distribution("spread", "", values)]);
    drop(rig.send(0, flush(&[1.0, 2.0, 2.0, 0.0])));
    let (requests, _) = rig.send(10, flush(&[1024.0, -3.0]));
    let all: Vec<_> = requests.iter().flat_map(|r| &r.timeseries).collect();
    let [series] = all[..] else {
        panic!("{} series", all.len());
    };
    let [native] = &series.histograms[..] else {
        panic!("{series:?}");
    };
    assert_eq!(native.count, Some(histogram::Count::CountInt(6)));
    assert_eq!(
        native.zero_count,
        Some(histogram::ZeroCount::ZeroCountInt(1))
    );
    assert_eq!((native.sum, native.schema), (1026.0, 5));
    assert_eq!(native.timestamp, END + 10 * MS);
    let spans = |spans: &[greyhound_proto::prometheus::BucketSpan]| -> Vec<(i32, u32)> {
        spans
            .iter()
            .map(|span| (span.offset, span.length))
            .collect()
    };
    // 1 and 1024 lie in buckets 0 and 320; the bin of 2 has its middle a little above 2, in bucket 33.
    assert_eq!(spans(&native.positive_spans), [(0, 1), (32, 1), (286, 1)]);
    assert_eq!(native.positive_deltas, [1, 1, -1]);
    assert_eq!(native.negative_deltas, [1]);
    // 3 = 2^(50.7/32)
    assert_eq!(spans(&native.negative_spans), [(51, 1)]);
}

#[test]
fn silence_ends_a_series_with_a_marker_and_it_begins_anew() {
    for is_native in [false, true] {
        let mut rig = rig(|config| config.native_histograms = is_native);
        let flush = || {
            batch_of(
                [counter("hits", "", 5.0)],
                vec![distribution("spread", "", &[1.0])],
            )
        };
        drop(rig.send(0, flush()));
        // An increment of zero keeps nothing alive.
        drop(rig.send(200, fixtures::flush([counter("hits", "", 0.0)])));
        rig.sink.attach(Arc::default());
        let (requests, _) = rig.send(310, fixtures::batch());
        let end = END + 310 * MS;
        let all: Vec<_> = requests.iter().flat_map(|r| &r.timeseries).collect();
        assert_eq!(all.len(), if is_native { 2 } else { 5 });
        for series in all {
            let marks = series.samples.iter().map(|s| (s.value, s.timestamp));
            let natives = series.histograms.iter().map(|h| (h.sum, h.timestamp));
            for (value, unix_ms) in marks.chain(natives) {
                assert_eq!((value.to_bits(), unix_ms), (0x7ff0_0000_0000_0002, end));
            }
        }
        let ledger = rig.sink.ledger.clone().expect("attached");
        assert_eq!(ledger.totals().flushed, 2);
        let (requests, _) = rig.send(320, fixtures::flush([counter("hits", "", 1.0)]));
        assert_eq!(
            shown(&requests)["hits_total"],
            [(0.0, end + 1), (1.0, end + 10 * MS)]
        );
    }
}

#[test]
fn the_same_labels_are_never_sent_twice() {
    let mut rig = rig(|_| ());
    let series = [
        gauge("a.b", "", 1.0),
        gauge("a_b", "", 2.0),
        counter("a.b", "", 3.0),
        counter("a_b.total", "", 4.0),
        gauge("x", "role:a", 1.0),
        gauge("x", "role.:a", 1.0),
    ];
    let (requests, receipt) = rig.send(0, fixtures::flush(series));
    let names: Vec<_> = shown(&requests).into_keys().collect();
    assert_eq!(names, ["a_b", "a_b_total", "x role=a", "x role_=a"]);
    assert_eq!(receipt.dropped(Reason::Collision), 2);
}

#[test]
fn the_newest_series_are_refused_at_the_limit() {
    let mut rig = rig(|config| config.series_max = 4);
    let (requests, receipt) = rig.send(
        0,
        batch_of(
            [gauge("a", "", 1.0), gauge("b", "", 1.0)],
            vec![distribution("d", "", &[1.0])],
        ),
    );
    assert_eq!(shown(&requests).len(), 2);
    assert_eq!(receipt.dropped(Reason::SeriesLimit), 1);
}

#[test]
fn own_times_of_samples_are_kept_and_never_step_back() {
    let mut rig = rig(|_| ());
    let timed = |kind: SeriesKind, times: &[i64]| {
        let mut series = fixtures::series(fixtures::context("m", ""), kind, 1.0);
        let points = times.iter().map(|&second| Point {
            unix_seconds: BUCKET + second,
            value: 1.0,
        });
        series.points = Points::Many(points.collect());
        FlushBatch {
            cause: FlushCause::Timestamped,
            ..fixtures::flush([series])
        }
    };
    let at = |second: i64| (BUCKET + second) * MS;
    let (requests, _) = rig.send(50, timed(SeriesKind::Rate, &[1, 5, 5]));
    assert_eq!(
        shown(&requests)["m_total"],
        [(1.0, at(1)), (2.0, at(5)), (3.0, at(5) + 1)]
    );
    let (requests, receipt) = rig.send(60, timed(SeriesKind::Gauge, &[3, 3, 9, 5]));
    assert_eq!(shown(&requests)["m"], [(1.0, at(3)), (1.0, at(9))]);
    assert_eq!(receipt.dropped(Reason::Invalid), 2);
    // The future is now.
    let (requests, _) = rig.send(70, timed(SeriesKind::Gauge, &[1_000_000]));
    assert_eq!(shown(&requests)["m"], [(1.0, at(80))]);
}

#[test]
fn a_histogram_is_its_aggregates() {
    let mut rig = rig(|_| ());
    let flush = || fixtures::flush(fixtures::aggregates("took", "", &[1.0, 4.0]));
    drop(rig.send(0, flush()));
    let (requests, _) = rig.send(10, flush());
    let at = END + 10 * MS;
    let shown = shown(&requests);
    assert_eq!(shown["took_max"], [(4.0, at)]);
    assert_eq!(shown["took_count"], [(4.0, at)]);
}

#[test]
fn a_total_that_falls_is_told_to_be_a_gauge_and_nan_is_no_marker() {
    let mut rig = rig(|_| ());
    drop(rig.send(0, fixtures::flush([counter("c", "", 5.0)])));
    let marker = f64::from_bits(0x7ff0_0000_0000_0002);
    let (requests, _) = rig.send(
        10,
        fixtures::flush([counter("c", "", -2.0), gauge("g", "", marker)]),
    );
    let told = requests.iter().flat_map(|request| &request.metadata);
    let told: BTreeMap<_, _> = told
        .map(|told| (&told.metric_family_name[..], told.r#type))
        .collect();
    assert_eq!(told, BTreeMap::from([("c_total", 2), ("g", 2)]));
    let shown = shown(&requests);
    assert_eq!(shown["c_total"][0].0, 3.0);
    assert_eq!(shown["g"][0].0.to_bits(), f64::NAN.to_bits());
}

#[test]
fn requests_keep_within_their_limit_and_their_order() {
    let mut rig = rig(|config| {
        config.limits.samples = 100;
        config.series_max = 100_000;
    });
    let series = |value: f64| (0..5000).map(move |n| gauge(&format!("g{n:04}"), "", value));
    let names = |requests: &[WriteRequest]| -> Vec<String> {
        let series = requests.iter().flat_map(|request| &request.timeseries);
        series
            .map(|series| series.labels[0].value.clone())
            .collect()
    };
    let (first, _) = rig.send(0, fixtures::flush(series(1.0)));
    assert!(first.iter().all(|request| request.timeseries.len() <= 100));
    // Another order of the flush changes nothing.
    let reversed: Vec<_> = series(2.0).collect();
    let (second, _) = rig.send(10, fixtures::flush(reversed.into_iter().rev()));
    assert_eq!(names(&first), names(&second));
    assert_eq!(names(&second).len(), 5000);
}

#[test]
fn a_request_that_is_too_large_is_halved_and_loses_nothing() {
    let mut rig = rig(|_| ());
    let series = (0..7).map(|n| gauge(&format!("g{n}"), "", f64::from(n)));
    let mut receipt = Receipt::default();
    let payloads = rig.sink.encode(&fixtures::flush(series), &mut receipt);
    let payload = payloads.last().expect("a request");
    let receiver = Receiver::new(&config()).expect("an address");
    let halves = receiver.split(payload).expect("more than one");
    assert_eq!(halves.iter().map(|half| half.points).sum::<u32>(), 7);
    let whole = shown(&[decode(payload)]);
    assert_eq!(shown(&halves.each_ref().map(decode)), whole);
    assert!(
        halves
            .iter()
            .all(|half| !decode(half).timeseries.is_empty())
    );
}

fn decode_two(payload: &Payload) -> v2::Request {
    assert_eq!(payload.encoding, 1);
    let raw = packer::unpack(&payload.body, 1 << 26).expect("snappy");
    v2::Request::decode(&raw[..]).expect("a request")
}

#[test]
fn the_second_version_says_the_same_and_can_be_written_as_the_first() {
    for is_native in [false, true] {
        let flush = || {
            batch_of(
                [
                    counter("hits", "a:1,b:hits_total", 3.0),
                    gauge("g", "a:1", 0.0),
                ],
                vec![distribution("spread", "a:1", &[1.0, 5.0])],
            )
        };
        let mut one = rig(|config| config.native_histograms = is_native);
        let mut two = rig(|config| config.native_histograms = is_native);
        two.sink.receiver.set_two(true);
        let mut receipt = Receipt::default();
        let first = one.sink.encode(&flush(), &mut receipt);
        let second = two.sink.encode(&flush(), &mut receipt);
        let [payload] = &second[..] else {
            panic!("{} requests", second.len());
        };
        let request = decode_two(payload);
        assert_eq!(request.symbols[0], "");
        let mut symbols = request.symbols.clone();
        symbols.sort();
        symbols.dedup();
        assert_eq!(symbols.len(), request.symbols.len(), "each text once");
        let types: Vec<_> = request
            .timeseries
            .iter()
            .map(|series| series.metadata.as_ref().map_or(0, |about| about.r#type))
            .collect();
        match is_native {
            true => assert_eq!(types, [1, 2, 3]),
            false => assert_eq!(types, [1, 2, 5, 5, 5, 5]),
        }
        let as_one = decode(&two.sink.receiver.rewrite(payload).expect("sound"));
        let plain = first
            .iter()
            .map(decode)
            .flat_map(|request| request.timeseries);
        assert_eq!(as_one.timeseries, plain.collect::<Vec<_>>());
        let halves = two.sink.receiver.split(payload).expect("more than one");
        let parts = halves.each_ref().map(decode_two);
        assert_eq!(
            parts
                .iter()
                .flat_map(|part| part.timeseries.clone())
                .collect::<Vec<_>>(),
            request.timeseries
        );
        assert_eq!(parts[0].symbols, request.symbols);
    }
}

#[test]
fn an_answer_that_does_not_confirm_the_second_version_is_none() {
    let receiver = Receiver::new(&config()).expect("an address");
    let answer = |status: u16, is_confirmed: bool| {
        let mut headers = hyper::header::HeaderMap::new();
        if is_confirmed {
            let name = "x-prometheus-remote-write-samples-written";
            headers.insert(name, "3".parse().expect("a value"));
        }
        crate::client::Whole {
            status,
            headers,
            ..Default::default()
        }
    };
    let rewrite = Some(crate::delivery::Judgement::Rewrite);
    receiver.set_two(true);
    assert_eq!(receiver.judge(1, &answer(204, true)), None);
    assert_eq!(receiver.version(), Version::Two);
    assert_eq!(receiver.judge(1, &answer(204, false)), rewrite);
    assert_eq!(receiver.version(), Version::One);
    assert_eq!(receiver.judge(1, &answer(415, false)), rewrite);
    assert_eq!(receiver.judge(1, &answer(500, false)), None);
    assert_eq!(receiver.judge(0, &answer(204, false)), None);
}

#[test]
fn the_bytes_are_known() {
    for (name, is_two, is_native) in [
        ("remote_write_1.hex", false, false),
        ("remote_write_1_native.hex", false, true),
        ("remote_write_2.hex", true, false),
        ("remote_write_2_native.hex", true, true),
    ] {
        let mut rig = rig(|config| config.native_histograms = is_native);
        rig.sink.receiver.set_two(is_two);
        let payloads = rig
            .sink
            .encode(&crate::golden::batch(), &mut Receipt::default());
        let last = payloads.last().expect("a request");
        let raw = packer::unpack(&last.body, 1 << 20).expect("snappy");
        crate::golden::check(name, &raw);
    }
}

#[test]
fn what_makes_no_sense_is_named() {
    let refused = |change: fn(&mut RemoteWriteConfig)| {
        let mut config = config();
        change(&mut config);
        Receiver::new(&config).expect_err("refused").to_string()
    };
    assert!(refused(|c| c.url = "ftp://x".into()).contains("greyhound.remote_write.url"));
    assert!(refused(|c| c.url = "http://u:pass@x/".into()).contains("greyhound.remote_write.url"));
    assert!(!refused(|c| c.url = "http://u:pass@x/".into()).contains("pass"));
    assert!(refused(|c| c.headers = vec![("a b".into(), "c".into())]).contains("headers"));
    assert!(refused(|c| c.authorization = "\n".into()).contains("bearer_token"));
}

#[test]
fn aggregates_of_other_hosts_carry_their_host() {
    let mut rig = rig(|config| config.own_host_label = true);
    let context = Context::new(b"m", Host::Named(b"web-1"), []);
    let mut series = fixtures::series(context, SeriesKind::Gauge, 1.0);
    series.suffix = Suffix::Percentile(95);
    let (requests, _) = rig.send(0, fixtures::flush([series]));
    assert_eq!(
        shown(&requests).into_keys().collect::<Vec<_>>(),
        ["m_95percentile host=web-1"]
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    // Whatever clients send, and however the clock goes: labels are sorted and unique, times grow, the last
    // value of a total is the sum of what was delivered.
    #[test]
    fn any_flushes_make_sound_requests(
        flushes in prop::collection::vec(
            (0i64..700, prop::collection::vec(
                ("[a-c._ü]{0,3}", "[a-c:,\\x00-\\x7f]{0,6}", -5i32..50, 0u8..3), 0..12)),
            1..12),
    ) {
        let mut rig = rig(|config| config.series_max = 40);
        rig.sink.attach(Arc::default());
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for (seconds, items) in flushes {
            let mut batch = fixtures::batch();
            for (name, tags, value, kind) in &items {
                let value = f64::from(*value);
                match kind {
                    0 => batch.series.push(counter(name, tags, value)),
                    1 => batch.series.push(gauge(name, tags, value)),
                    _ => batch.sketches.push(SketchSeries {
                        context: fixtures::context(name, tags),
                        points: vec![(BUCKET, sketch_of(&[value, 1.0]))],
                    }),
                }
            }
            let flushed_before = rig.sink.ledger.as_ref().map_or(0, |l| l.totals().flushed);
            let mut receipt = Receipt::default();
            rig.clock.set(Stamp::at_unix_seconds((BUCKET + seconds + 10) as f64));
            batch.unix_seconds = BUCKET + seconds + 10;
            let payloads = rig.sink.encode(&batch, &mut receipt);
            let ended = rig.sink.ledger.as_ref().map_or(0, |l| l.totals().flushed) - flushed_before;
            let points: u64 = payloads.iter().map(|payload| u64::from(payload.points)).sum();
            prop_assert_eq!(points + receipt.total(), batch.point_count() + ended);
            for series in payloads.iter().map(decode).flat_map(|request| request.timeseries) {
                let names: Vec<_> = series.labels.iter().map(|label| &label.name).collect();
                prop_assert!(names.windows(2).all(|two| two[0] < two[1]), "{:?}", names);
                let key = format!("{:?}", series.labels);
                for sample in &series.samples {
                    if sample.value.to_bits() == 0x7ff0_0000_0000_0002 {
                        last.remove(&key);
                        continue;
                    }
                    let before = last.insert(key.clone(), sample.timestamp);
                    prop_assert!(before.is_none_or(|before| before < sample.timestamp));
                }
            }
        }
    }
}
