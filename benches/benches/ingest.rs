//! Packets in memory to open bucket: `ingest/<packing>/<corpus>/<contexts>`. Receiving is not in it. Floor in
//! the same run: `ingest/newlines/…`, the search for the ends of the same lines.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::{Corpus, Shape};
use greyhound_benches::lane::Lane;
use greyhound_pipeline::config::RulesConfig;

const MESSAGES: usize = 200_000;

fn ingest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("ingest");
    group.throughput(Throughput::Elements(MESSAGES as u64));
    group.sample_size(10);
    for (shape, contexts) in [
        (Shape::Lean, 10_000),
        (Shape::Standard, 1_000),
        (Shape::Standard, 10_000),
        (Shape::Standard, 100_000),
        (Shape::Standard, 1_000_000),
        (Shape::Long, 10_000),
    ] {
        let corpus = Corpus::new(shape, contexts, 1);
        let packets = corpus.packets(1432, MESSAGES, 2);
        let name = format!("newlines/{}/{contexts}", shape.as_str());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let lines = packets
                    .iter()
                    .map(|packet| memchr::memchr_iter(b'\n', packet).count());
                lines.sum::<usize>()
            });
        });
        let name = format!("packed/{}/{contexts}", shape.as_str());
        group.bench_function(name, |bencher| {
            let mut lane = Lane::new(&RulesConfig::default());
            let all: Vec<Vec<u8>> = corpus
                .lines
                .iter()
                .map(|line| line.clone().into())
                .collect();
            lane.process(1.0, &all);
            let mut at = 2.0;
            bencher.iter(|| {
                // A bucket holds five rounds, so that lists of values stay as long as in life.
                at += 2.0;
                let flush = lane.close(at);
                for batch in packets.chunks(64) {
                    lane.process(at, batch);
                }
                flush
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ingest);
criterion_main!(benches);
