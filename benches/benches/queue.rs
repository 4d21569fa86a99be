//! Handing a batch over: `queue/<kind>`, one thread, never empty and never full; beside it the empty
//! hand-off, a move through a `VecDeque` that nobody shares.

use std::collections::VecDeque;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_queue::ring::Ring;

const DEPTH: usize = 64;

/// As large as a batch's handle.
type Batch = [u64; 8];

fn queue(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue");
    group.throughput(Throughput::Elements(1));
    group.bench_function("plain", |bencher| {
        let mut queue: VecDeque<Batch> = (0..DEPTH / 2).map(|n| [n as u64; 8]).collect();
        bencher.iter(|| {
            queue.push_back(black_box([1; 8]));
            queue.pop_front()
        });
    });
    group.bench_function("ring", |bencher| {
        let ring: Ring<Batch> = Ring::new(DEPTH);
        bencher.iter(|| {
            let refused = ring.push(black_box([1; 8])).refused();
            (refused, ring.pop())
        });
    });
    group.bench_function("crossbeam_channel", |bencher| {
        let (sender, receiver) = crossbeam_channel::bounded::<Batch>(DEPTH);
        bencher.iter(|| {
            let refused = sender.try_send(black_box([1; 8])).is_err();
            (refused, receiver.try_recv().ok())
        });
    });
    group.finish();
}

criterion_group!(benches, queue);
criterion_main!(benches);
