//! The distribution sketch: `sketch/<operation>/<values>`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::Random;
use greyhound_model::sketch::Sketch;

fn values(count: usize) -> Vec<f64> {
    let mut random = Random::new(1);
    (0..count)
        .map(|_| (random.below(1_000_000) as f64) / 16.0)
        .collect()
}

fn filled(count: usize) -> Sketch {
    let mut sketch = Sketch::default();
    for value in values(count) {
        sketch.insert(value, 1.0);
    }
    sketch
}

fn sketch(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sketch");
    for count in [10, 1_000, 100_000] {
        let values = values(count);
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(format!("insert/{count}"), |bencher| {
            bencher.iter(|| {
                let mut sketch = Sketch::default();
                for &value in &values {
                    sketch.insert(value, 1.0);
                }
                sketch
            });
        });
    }
    for count in [10, 100_000] {
        let (one, other) = (filled(count), filled(count));
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("merge/{count}"), |bencher| {
            bencher.iter(|| {
                let mut sum = one.clone();
                sum.merge(&other);
                sum
            });
        });
        group.bench_function(format!("quantile/{count}"), |bencher| {
            bencher.iter(|| one.quantile(0.99));
        });
    }
    group.finish();
}

criterion_group!(benches, sketch);
criterion_main!(benches);
