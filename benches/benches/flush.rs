//! A closed bucket to a batch: `flush/<step>/<contexts>`. Floor in the same run: `flush/hand_off`, the same
//! bucket with nothing done to it.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::{Corpus, Shape};
use greyhound_benches::lane::Lane;
use greyhound_pipeline::config::RulesConfig;

fn flush(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("flush");
    group.sample_size(10);
    for contexts in [1_000, 10_000, 100_000, 1_000_000] {
        let packets = Corpus::new(Shape::Standard, contexts, 1).packets(1432, contexts * 3, 2);
        group.throughput(Throughput::Elements(contexts as u64));
        // Each round fills a bucket anew; only the named step is timed.
        let rig = || {
            let mut lane = Lane::new(&RulesConfig::default());
            lane.process(5.0, &packets);
            lane
        };
        group.bench_function(format!("hand_off/{contexts}"), |bencher| {
            bencher.iter_batched(|| rig().close(10.0), black_box, BatchSize::LargeInput);
        });
        group.bench_function(format!("close/{contexts}"), |bencher| {
            bencher.iter_batched(
                rig,
                |mut lane| (lane.close(10.0), lane),
                BatchSize::LargeInput,
            );
        });
        group.bench_function(format!("merge/{contexts}"), |bencher| {
            bencher.iter_batched(
                || {
                    let mut lane = rig();
                    (lane.close(10.0), lane)
                },
                |(flush, mut lane)| (lane.flush(10.0, flush), lane),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, flush);
criterion_main!(benches);
