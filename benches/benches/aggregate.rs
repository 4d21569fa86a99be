//! A sample into its cell: `aggregate/<kind>/<contexts>`, contexts drawn evenly.
//!
//! Floor in the same run: `aggregate/plain/<contexts>`, an addition at the same places of a plain array.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::Random;
use greyhound_model::metric::MetricKind;
use greyhound_pipeline::aggregate::bucket::{Arrival, Bucket};
use greyhound_pipeline::aggregate::weight::Weight;

/// Samples of one round.
const DRAWS: usize = 100_000;

fn aggregate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregate");
    group.throughput(Throughput::Elements(DRAWS as u64));
    group.sample_size(10);
    let arrival = Arrival {
        second: 5,
        order: 5,
    };
    for contexts in [1_000, 10_000, 100_000, 1_000_000] {
        let mut random = Random::new(2);
        let draws: Vec<u32> = (0..DRAWS).map(|_| random.below(contexts) as u32).collect();
        group.bench_function(format!("plain/{contexts}"), |bencher| {
            let mut sums = vec![0.0f64; contexts];
            bencher.iter(|| {
                for &draw in &draws {
                    sums[draw as usize] += 1.5;
                }
                sums[0]
            });
        });
        for (name, kind) in [
            ("counter", MetricKind::Counter),
            ("gauge", MetricKind::Gauge),
        ] {
            group.bench_function(format!("{name}/{contexts}"), |bencher| {
                let mut bucket = Bucket::default();
                for context in 0..contexts {
                    bucket.add_cell(context as u32, kind);
                }
                bencher.iter(|| {
                    for &draw in &draws {
                        bucket.apply_number(draw, 1.5, Weight::ONE, arrival);
                    }
                    bucket.cells[0].value
                });
            });
        }
        // A round fills a bucket from empty: growing lists are what histograms cost.
        group.bench_function(format!("histogram/{contexts}"), |bencher| {
            let empty = || {
                let mut bucket = Bucket::default();
                for context in 0..contexts {
                    bucket.add_cell(context as u32, MetricKind::Histogram);
                }
                bucket
            };
            bencher.iter_batched(
                empty,
                |mut bucket| {
                    for &draw in &draws {
                        bucket.apply_number(draw, 1.5, Weight::ONE, arrival);
                    }
                    bucket
                },
                criterion::BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, aggregate);
criterion_main!(benches);
