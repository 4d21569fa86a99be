//! From raw bytes to the context: `context/<step>/<contexts>`, in the order contexts are drawn in life.
//!
//! Floor in the same run: the plain hash of the same bytes, `context/hash`. Beside it the hashes that were
//! to choose from, `hash/<name>`, over the same keys.

use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use greyhound_benches::corpus::{Corpus, Random, Shape};
use greyhound_model::context::{Context, Host};
use greyhound_model::metric::MetricKind;
use greyhound_pipeline::context::hash::Seed;
use greyhound_pipeline::context::table::{ContextTable, RawKey};
use greyhound_wire::{Message, Options, OriginFields};

const NO_FIELDS: OriginFields<'static> = OriginFields {
    local_data: b"",
    external_data: b"",
    cardinality: b"",
};
/// Look-ups of one round.
const DRAWS: usize = 100_000;

/// Name and tags of a line, as sent.
struct Raw {
    kind: MetricKind,
    name: Vec<u8>,
    tags: Vec<u8>,
}

// === impl Raw ===

impl Raw {
    fn key(&self) -> RawKey<'_> {
        RawKey {
            kind: self.kind,
            origin: 0,
            name: &self.name,
            tags: &self.tags,
            fields: &NO_FIELDS,
        }
    }
}

fn raws(shape: Shape, contexts: usize) -> Vec<Raw> {
    let corpus = Corpus::new(shape, contexts, 1);
    let raw = |line: &String| match greyhound_wire::parse(line.as_bytes(), Options::default()) {
        Ok(Message::Metric(metric)) => Some(Raw {
            kind: metric.kind,
            name: metric.name.to_vec(),
            // Behind the last `#` of a line of the corpus stand its tags and nothing else.
            tags: line
                .rsplit_once("|#")
                .map_or(Vec::new(), |(_, tags)| tags.into()),
        }),
        _ => None,
    };
    corpus.lines.iter().filter_map(raw).collect()
}

fn filled(raws: &[Raw]) -> ContextTable {
    let mut table = ContextTable::new(Seed::fixed(3, 5));
    for raw in raws {
        let tags = raw.tags.split(|&byte| byte == b',');
        let context = Context::new(&raw.name, Host::Own, tags);
        let number = table.add_context(context, 0, 0);
        let hash = table.hash(&raw.key());
        table.add_spelling(hash, &raw.key(), number);
    }
    table
}

fn draws(contexts: usize) -> Vec<usize> {
    let mut random = Random::new(2);
    (0..DRAWS).map(|_| random.below(contexts)).collect()
}

fn context(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("context");
    group.throughput(Throughput::Elements(DRAWS as u64));
    group.sample_size(10);
    for contexts in [1_000, 10_000, 100_000, 1_000_000] {
        let raws = raws(Shape::Standard, contexts);
        let draws = draws(raws.len());
        let table = filled(&raws);
        group.bench_function(format!("hash/{contexts}"), |bencher| {
            bencher.iter(|| {
                let hashes = draws.iter().map(|&draw| table.hash(&raws[draw].key()));
                hashes.fold(0, |all, hash| all ^ hash)
            });
        });
        group.bench_function(format!("find/{contexts}"), |bencher| {
            bencher.iter(|| {
                let found = draws.iter().filter_map(|&draw| {
                    let key = raws[draw].key();
                    table.find(table.hash(&key), &key)
                });
                found.fold(0, |all, entry| all ^ entry)
            });
        });
    }
    group.finish();
}

/// Hashes to choose from, seeded each, over name and tags as the table does.
fn hashes(criterion: &mut Criterion) {
    for shape in Shape::ALL {
        let raws = raws(shape, 1_000);
        let mut group = criterion.benchmark_group("hash");
        group.throughput(Throughput::Elements(raws.len() as u64));
        let mut bench = |name: &str, hash: &dyn Fn(&Raw) -> u64| {
            group.bench_function(format!("{name}/{}", shape.as_str()), |bencher| {
                bencher.iter(|| {
                    let hashes = raws.iter().map(|raw| hash(black_box(raw)));
                    hashes.fold(0, |all, hash| all ^ hash)
                });
            });
        };
        let seed = Seed::fixed(3, 5);
        bench("own", &|raw| {
            seed.write(seed.write(seed.start(0), &raw.name), &raw.tags)
        });
        let foldhash = foldhash::fast::FixedState::with_seed(3);
        bench("foldhash", &|raw| by(foldhash.build_hasher(), raw));
        let rapid = rapidhash::fast::SeedableState::fixed();
        bench("rapidhash", &|raw| by(rapid.build_hasher(), raw));
        bench("xxh3", &|raw| {
            let hash = xxhash_rust::xxh3::xxh3_64_with_seed(&raw.name, 3);
            xxhash_rust::xxh3::xxh3_64_with_seed(&raw.tags, hash)
        });
        let sip = std::hash::RandomState::new();
        bench("siphash", &|raw| by(sip.build_hasher(), raw));
        group.finish();
    }
}

fn by(mut hasher: impl Hasher, raw: &Raw) -> u64 {
    hasher.write(&raw.name);
    hasher.write(&raw.tags);
    hasher.finish()
}

criterion_group!(benches, context, hashes);
criterion_main!(benches);
