//! Handing a batch over: `queue/<kind>`, one thread, never empty and never full; `queue_threads/<kind>`,
//! from one thread to another. Floor of the first: the empty hand-off, a move through a `VecDeque` that
//! nobody shares.

use std::collections::VecDeque;
use std::hint::black_box;
use std::thread;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use crossbeam_queue::ArrayQueue;
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
    group.bench_function("array_queue", |bencher| {
        let queue: ArrayQueue<Batch> = ArrayQueue::new(DEPTH);
        bencher.iter(|| {
            let refused = queue.push(black_box([1; 8])).is_err();
            (refused, queue.pop())
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

/// A queue as two threads see it.
trait Shared: Sync {
    fn push(&self, batch: Batch) -> Result<(), Batch>;
    fn pop(&self) -> Option<Batch>;
}

impl Shared for Ring<Batch> {
    fn push(&self, batch: Batch) -> Result<(), Batch> {
        self.push(batch).refused().map_or(Ok(()), Err)
    }

    fn pop(&self) -> Option<Batch> {
        self.pop()
    }
}

impl Shared for ArrayQueue<Batch> {
    fn push(&self, batch: Batch) -> Result<(), Batch> {
        self.push(batch)
    }

    fn pop(&self) -> Option<Batch> {
        self.pop()
    }
}

impl Shared for (Sender<Batch>, Receiver<Batch>) {
    fn push(&self, batch: Batch) -> Result<(), Batch> {
        self.0.try_send(batch).map_err(TrySendError::into_inner)
    }

    fn pop(&self) -> Option<Batch> {
        self.1.try_recv().ok()
    }
}

/// So many batches through a queue, pushed by one thread and popped by another, neither sleeping.
fn carry(queue: &impl Shared, batches: u64) {
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..batches {
                let mut batch = [number; 8];
                while let Err(refused) = queue.push(batch) {
                    batch = refused;
                    std::hint::spin_loop();
                }
            }
        });
        let mut popped = 0;
        while popped < batches {
            match queue.pop() {
                Some(batch) => {
                    black_box(batch);
                    popped += 1;
                }
                None => std::hint::spin_loop(),
            }
        }
    });
}

fn threads(criterion: &mut Criterion) {
    const BATCHES: u64 = 100_000;
    let mut group = criterion.benchmark_group("queue_threads");
    group.throughput(Throughput::Elements(BATCHES));
    group.sample_size(10);
    let ring: Ring<Batch> = Ring::new(DEPTH);
    group.bench_function("ring", |bencher| bencher.iter(|| carry(&ring, BATCHES)));
    let array: ArrayQueue<Batch> = ArrayQueue::new(DEPTH);
    group.bench_function("array_queue", |bencher| {
        bencher.iter(|| carry(&array, BATCHES));
    });
    let channel = crossbeam_channel::bounded::<Batch>(DEPTH);
    group.bench_function("crossbeam_channel", |bencher| {
        bencher.iter(|| carry(&channel, BATCHES));
    });
    group.finish();
}

criterion_group!(benches, queue, threads);
criterion_main!(benches);
