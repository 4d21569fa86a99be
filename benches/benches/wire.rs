//! The grammar by itself: `wire/parse/<corpus>`, beside its floor, the search for newlines.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::{Corpus, Shape};
use greyhound_wire::{Message, Options, frame};

const MESSAGES: usize = 10_000;

fn parse(criterion: &mut Criterion) {
    for shape in Shape::ALL {
        let packets = Corpus::new(shape, 1000, 1).packets(8192, MESSAGES, 2);
        let mut group = criterion.benchmark_group("wire");
        group.throughput(Throughput::Elements(MESSAGES as u64));
        group.bench_function(format!("newlines/{}", shape.as_str()), |bencher| {
            bencher.iter(|| {
                let lines = packets
                    .iter()
                    .map(|packet| memchr::memchr_iter(b'\n', packet).count());
                black_box(lines.sum::<usize>())
            });
        });
        group.bench_function(format!("parse/{}", shape.as_str()), |bencher| {
            bencher.iter(|| {
                let mut values = 0;
                for packet in &packets {
                    for line in frame::lines(packet, false) {
                        if let Ok(Message::Metric(metric)) =
                            greyhound_wire::parse(black_box(line), Options::default())
                        {
                            values += black_box(&metric).values.len();
                        }
                    }
                }
                values
            });
        });
        group.finish();
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
