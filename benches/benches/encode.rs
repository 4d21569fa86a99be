//! A flush to Datadog's payloads: `encode/<what>/<contexts>`. Beside each stands the straightforward encoding in
//! the same run: messages built as generated types, written whole, compressed whole, in payloads of 10,000 series.
//!
//! Bytes after compression are printed before the times, for both.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::{Corpus, Shape};
use greyhound_benches::lane::Lane;
use greyhound_model::flush::FlushBatch;
use greyhound_model::series::SeriesKind;
use greyhound_pipeline::config::RulesConfig;
use greyhound_proto::datadog::agentpayload::metric_payload::{MetricPoint, MetricSeries, Resource};
use greyhound_proto::datadog::agentpayload::sketch_payload::Sketch;
use greyhound_proto::datadog::agentpayload::sketch_payload::sketch::Dogsketch;
use greyhound_proto::datadog::agentpayload::{MetricPayload, SketchPayload};
use greyhound_sinks::client::{Client, ClientConfig};
use greyhound_sinks::datadog::{Compression, DatadogConfig, DatadogSink, Limits};
use greyhound_sinks::delivery::{BackoffConfig, DeliveryConfig, Payload};
use greyhound_sinks::egress::Egress;
use greyhound_sinks::sink::Receipt;
use prost::Message;

const SERIES_PER_PAYLOAD: usize = 10_000;
const ZSTD_LEVEL: i32 = 1;

fn sink() -> DatadogSink {
    let config = DatadogConfig {
        name: "datadog".to_owned(),
        url: "http://127.0.0.1:9".to_owned(),
        key_check_url: None,
        key_check_interval: Duration::from_secs(60),
        api_key: "0123456789abcdef".to_owned(),
        version: "1.2.3".to_owned(),
        series_limits: Limits {
            packed_bytes: 512_000,
            raw_bytes: 5_242_880,
            points: 10_000,
        },
        other_limits: Limits {
            packed_bytes: 2_621_440,
            raw_bytes: 4_194_304,
            points: usize::MAX,
        },
        compression: Compression::Zstd(ZSTD_LEVEL),
        tags_max: 100,
        says_it_runs: true,
        arbitrary_tag_values: false,
    };
    let delivery = DeliveryConfig {
        memory_bytes_max: 1 << 20,
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

/// A bucket of so many contexts, each met about three times.
fn packets(contexts: usize) -> Vec<Vec<u8>> {
    Corpus::new(Shape::Standard, contexts, 1).packets(1432, contexts * 3, 2)
}

fn flush_of(packets: &[Vec<u8>]) -> FlushBatch {
    let mut lane = Lane::new(&RulesConfig::default());
    lane.process(5.0, packets);
    let closed = lane.close(10.0);
    lane.flush(10.0, closed)
}

fn encode(sink: &DatadogSink, batch: &FlushBatch) -> Vec<Payload> {
    let mut receipt = Receipt::default();
    let payloads = sink.encode(batch, &mut receipt);
    assert_eq!(receipt.total(), 0, "nothing is refused");
    payloads
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn straightforward_series(batch: &FlushBatch) -> Vec<Vec<u8>> {
    let to_message = |series: &greyhound_model::series::Series| {
        let is_rate = series.kind == SeriesKind::Rate;
        let divisor = if is_rate {
            f64::from(batch.interval_seconds)
        } else {
            1.0
        };
        let points = series.points.as_slice().iter();
        MetricSeries {
            resources: vec![Resource {
                r#type: "host".to_owned(),
                name: text(series.context.host_or(&batch.hostname)),
            }],
            metric: text(&series.full_name()),
            tags: series.context.tags().map(text).collect(),
            points: points
                .map(|point| MetricPoint {
                    value: point.value / divisor,
                    timestamp: point.unix_seconds,
                })
                .collect(),
            r#type: if is_rate { 2 } else { 3 },
            interval: i64::from(batch.interval_seconds),
            ..MetricSeries::default()
        }
    };
    let chunks = batch.series.chunks(SERIES_PER_PAYLOAD);
    chunks
        .map(|chunk| {
            let series = chunk.iter().map(to_message).collect();
            packed(&MetricPayload { series }.encode_to_vec())
        })
        .collect()
}

fn straightforward_sketches(batch: &FlushBatch) -> Vec<Vec<u8>> {
    let chunks = batch.sketches.chunks(SERIES_PER_PAYLOAD);
    chunks
        .map(|chunk| {
            let to_message = |series: &greyhound_model::flush::SketchSeries| Sketch {
                metric: text(series.context.name()),
                host: text(series.context.host_or(&batch.hostname)),
                tags: series.context.tags().map(text).collect(),
                dogsketches: series
                    .points
                    .iter()
                    .map(|(ts, sketch)| Dogsketch {
                        ts: *ts,
                        cnt: sketch.count().cast_signed(),
                        min: sketch.min(),
                        max: sketch.max(),
                        avg: sketch.avg(),
                        sum: sketch.sum(),
                        k: sketch.bins().map(|(key, _)| i32::from(key)).collect(),
                        n: sketch.bins().map(|(_, n)| n as u32).collect(),
                    })
                    .collect(),
                ..Sketch::default()
            };
            let sketches = chunk.iter().map(to_message).collect();
            let payload = SketchPayload {
                sketches,
                metadata: Some(greyhound_proto::datadog::agentpayload::CommonMetadata::default()),
            };
            packed(&payload.encode_to_vec())
        })
        .collect()
}

fn packed(raw: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(raw, ZSTD_LEVEL).expect("memory can be compressed")
}

fn only_series(batch: &FlushBatch) -> FlushBatch {
    FlushBatch {
        sketches: Vec::new(),
        ..batch.clone()
    }
}

fn only_sketches(batch: &FlushBatch) -> FlushBatch {
    FlushBatch {
        series: Vec::new(),
        ..batch.clone()
    }
}

fn sizes(what: &str, items: usize, ours: &[Payload], theirs: &[Vec<u8>]) {
    let ours: usize = ours.iter().map(|payload| payload.body.len()).sum();
    let theirs: usize = theirs.iter().map(Vec::len).sum();
    eprintln!(
        "{what}: {items}, {:.1} bytes each; straightforward {:.1}",
        ours as f64 / items as f64,
        theirs as f64 / items as f64
    );
}

fn encode_benches(criterion: &mut Criterion) {
    let sink = sink();
    let mut group = criterion.benchmark_group("encode");
    group.sample_size(10);
    for contexts in [1_000, 10_000, 100_000] {
        let packets = packets(contexts);
        let batch = flush_of(&packets);
        let (series, sketches) = (only_series(&batch), only_sketches(&batch));
        sizes(
            "series",
            series.series.len(),
            &encode(&sink, &series),
            &straightforward_series(&series),
        );
        sizes(
            "sketch points",
            sketches.sketches.len(),
            &encode(&sink, &sketches),
            &straightforward_sketches(&sketches),
        );
        group.throughput(Throughput::Elements(series.series.len() as u64));
        group.bench_function(format!("series/{contexts}"), |bencher| {
            bencher.iter(|| black_box(encode(&sink, &series)));
        });
        group.bench_function(format!("series_straightforward/{contexts}"), |bencher| {
            bencher.iter(|| black_box(straightforward_series(&series)));
        });
        group.throughput(Throughput::Elements(sketches.sketches.len() as u64));
        group.bench_function(format!("sketches/{contexts}"), |bencher| {
            bencher.iter(|| black_box(encode(&sink, &sketches)));
        });
        group.bench_function(format!("sketches_straightforward/{contexts}"), |bencher| {
            bencher.iter(|| black_box(straightforward_sketches(&sketches)));
        });
        group.throughput(Throughput::Elements(contexts as u64));
        group.bench_function(format!("merge_and_encode/{contexts}"), |bencher| {
            bencher.iter_batched(
                || {
                    let mut lane = Lane::new(&RulesConfig::default());
                    lane.process(5.0, &packets);
                    (lane.close(10.0), lane)
                },
                |(closed, mut lane)| {
                    let batch = lane.flush(10.0, closed);
                    (encode(&sink, &batch), batch, lane)
                },
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, encode_benches);
criterion_main!(benches);
