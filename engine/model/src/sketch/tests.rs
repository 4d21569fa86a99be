//! The sketch against the conformance vectors, sorted samples and exact bins.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;

fn sketch_of(values: &[(f64, f64)]) -> Sketch {
    let mut sketch = Sketch::default();
    for &(value, rate) in values {
        sketch.insert(value, rate);
    }
    sketch
}

fn bins(sketch: &Sketch) -> Vec<(i16, u64)> {
    sketch.bins().collect()
}

fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-9 * a.abs().max(b.abs())
}

/// Values close together, far apart, negative, tiny and huge.
fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => -1e3..1e3f64,
        2 => (-700.0..700.0f64).prop_map(f64::exp),
        1 => (-700.0..700.0f64).prop_map(|x| -x.exp()),
        1 => Just(0.0),
        1 => prop_oneof![Just(f64::MAX), Just(f64::MIN), Just(1e-12), Just(-1e-12)],
    ]
}

fn any_rate() -> impl Strategy<Value = f64> {
    prop_oneof![4 => Just(1.0), 2 => 0.01..1.0f64, 1 => Just(0.0), 1 => Just(3.0)]
}

// What the vectors say.

/// Parses the distribution lines of one case: `name:v:v|d|@rate`.
fn insert_line(sketches: &mut BTreeMap<String, Sketch>, line: &str) {
    let mut fields = line.split('|');
    let mut values = fields.next().expect("a first field").split(':');
    let name = values.next().expect("a name").to_owned();
    if fields.next() != Some("d") {
        return;
    }
    let rate = fields
        .find_map(|field| field.strip_prefix('@'))
        .map_or(1.0, |r| {
            r.parse().expect("a rate in the vectors is a number")
        });
    let sketch = sketches.entry(name).or_default();
    for value in values {
        sketch.insert(value.parse().expect("so is a value"), rate);
    }
}

fn check_point(case: &str, sketch: &Sketch, point: &Value) {
    let number = |key: &str| point[key].as_f64().expect("a number");
    assert_eq!(
        sketch.count(),
        point["cnt"].as_u64().expect("a count"),
        "{case}"
    );
    assert_eq!(sketch.min(), number("min"), "{case} min");
    assert_eq!(sketch.max(), number("max"), "{case} max");
    assert!(
        close(sketch.sum(), number("sum")),
        "{case} sum {}",
        sketch.sum()
    );
    assert!(
        close(sketch.avg(), number("avg")),
        "{case} avg {}",
        sketch.avg()
    );
    let mut expected = BTreeMap::<i64, u64>::new();
    let keys = point["k"].as_array().expect("keys").iter();
    for (key, n) in keys.zip(point["n"].as_array().expect("counts")) {
        *expected.entry(key.as_i64().expect("a key")).or_default() += n.as_u64().expect("a count");
    }
    let ours: Vec<_> = sketch.bins().map(|(key, n)| (i64::from(key), n)).collect();
    assert_eq!(
        ours,
        expected.into_iter().collect::<Vec<_>>(),
        "{case} bins"
    );
    for (q, value) in point["quantiles"].as_object().into_iter().flatten() {
        let ours = sketch.quantile(q.parse().expect("a quantile"));
        let theirs = value.as_f64().expect("a value");
        assert!(
            close(ours, theirs),
            "{case} quantile {q}: {ours}, not {theirs}"
        );
    }
}

#[test]
fn the_vectors_hold() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/parity/aggregation.jsonl"
    );
    let text = std::fs::read_to_string(path).expect("the vectors stand in the repository");
    let mut points_checked = 0;
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("a vector is one JSON object");
        let id = case["id"].as_str().expect("an id");
        // The cases that need nothing but the sketch: no settings, no special tags.
        if !id.starts_with("dist-") || case.get("config").is_some() {
            continue;
        }
        let mut buckets = BTreeMap::<i64, BTreeMap<String, Sketch>>::new();
        for step in case["steps"].as_array().expect("steps") {
            let Some(at) = step["at"].as_i64() else {
                continue;
            };
            for line in step["lines"].as_array().into_iter().flatten() {
                let sketches = buckets.entry(at - at % 10).or_default();
                insert_line(sketches, line.as_str().expect("a line"));
            }
        }
        for flush in case["expect"]["flushes"].as_array().expect("flushes") {
            for series in flush["sketches"].as_array().expect("sketches") {
                let name = series["name"].as_str().expect("a name");
                for point in series["points"].as_array().expect("points") {
                    let bucket = &buckets[&point["ts"].as_i64().expect("a time")];
                    check_point(id, &bucket[name], point);
                    points_checked += 1;
                }
            }
        }
    }
    assert!(
        points_checked >= 8,
        "only {points_checked} points in the vectors"
    );
}

// Weights.

#[test]
fn a_sampled_value_counts_whole_and_sums_in_full() {
    let sketch = sketch_of(&[(10.0, 0.4)]);
    assert_eq!(sketch.count(), 2);
    assert_eq!(sketch.sum(), 25.0);
    assert_eq!(sketch.avg(), 10.0);
    assert_eq!(bins(&sketch), [(1487, 2)]);
}

#[test]
fn rates_out_of_range_count_as_one() {
    for rate in [0.0, -0.5, 1.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let sketch = sketch_of(&[(4.0, rate)]);
        assert_eq!((sketch.count(), sketch.sum()), (1, 4.0), "{rate}");
    }
}

#[test]
fn a_tiny_rate_weighs_no_more_than_a_bin_can_hold() {
    for rate in [1e-10, 1e-300, f64::MIN_POSITIVE, 5e-324] {
        let sketch = sketch_of(&[(2.0, rate)]);
        assert_eq!(sketch.count(), Sketch::WEIGHT_MAX, "{rate}");
        assert_eq!(sketch.sum(), 2.0 * Sketch::WEIGHT_MAX as f64);
        assert_eq!(bins(&sketch), [(1383, Sketch::WEIGHT_MAX)]);
    }
}

#[test]
fn a_flood_of_tiny_rates_fills_the_count_and_no_more() {
    let mut sketch = Sketch::default();
    for _ in 0..70_000 {
        sketch.insert(1.0, 1e-300);
    }
    sketch.insert(7.0, 1.0);
    assert_eq!(sketch.count(), Sketch::COUNT_MAX);
    assert_eq!(
        sketch.bins().map(|bin| bin.1).sum::<u64>(),
        Sketch::COUNT_MAX
    );
    assert_eq!(sketch.max(), 7.0, "minimum and maximum still move");
    for _ in 0..17 {
        let copy = sketch.clone();
        sketch.merge(&copy);
    }
    assert_eq!(sketch.count(), u64::MAX, "merging saturates");
    assert!(sketch.quantile(0.5).is_finite());
}

#[test]
fn weights_are_the_same_as_repetition() {
    let (mut weighted, mut repeated) = (Sketch::default(), Sketch::default());
    for (value, weight) in [(1.0, 3), (2.0, 0), (7.5, 2)] {
        weighted.insert_weighted(value, weight);
        (0..weight).for_each(|_| assert!(repeated.insert(value, 1.0)));
    }
    assert_eq!(bins(&weighted), bins(&repeated));
    assert_eq!(weighted.count(), 5);
    assert_eq!(weighted.sum(), repeated.sum());
    assert!(close(weighted.avg(), repeated.avg()));
}

// Values.

#[test]
fn what_is_not_a_finite_number_is_refused() {
    let mut sketch = Sketch::default();
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(!sketch.insert(value, 1.0));
        assert!(!sketch.insert_weighted(value, 2));
    }
    assert!(sketch.is_empty());
    assert_eq!((sketch.count(), sketch.sum()), (0, 0.0));
    assert_eq!(sketch.bins().len(), 0);
    assert!(sketch.quantile(0.5).is_nan());
}

#[test]
fn the_ends_of_the_range_of_doubles_stay_finite() {
    let mut sketch = Sketch::default();
    for value in [
        f64::MAX,
        f64::MAX,
        f64::MIN,
        f64::MAX,
        f64::MIN,
        f64::MIN,
        f64::MIN,
    ] {
        assert!(sketch.insert(value, 0.1));
        assert!(sketch.sum().is_finite() && sketch.avg().is_finite());
    }
    let mut other = sketch_of(&[(f64::MAX, 1.0)]);
    other.merge(&sketch);
    assert!(other.sum().is_finite() && other.avg().is_finite());
    for q in [0.1, 0.5, 0.9, 0.99] {
        assert!(sketch.quantile(q).is_finite(), "{q}");
    }
}

#[test]
fn a_sketch_is_small() {
    assert!(size_of::<Sketch>() <= 72);
    assert_eq!(Sketch::default().heap_bytes(), 0);
    assert_eq!(sketch_of(&[(3.0, 1.0), (4.0, 1.0)]).heap_bytes(), 32);
}

#[test]
fn a_cleared_sketch_is_a_new_one_with_its_memory() {
    let mut sketch = sketch_of(&[(-3.0, 1.0), (4.0, 1.0)]);
    sketch.clear();
    assert!(sketch.is_empty());
    assert_eq!(sketch.heap_bytes(), 32);
    sketch.insert(9.0, 1.0);
    assert_eq!((sketch.min(), sketch.max(), sketch.avg()), (9.0, 9.0, 9.0));
    assert_eq!(sketch.bins().len(), 1);
}

#[test]
fn merging_with_nothing_changes_nothing() {
    let full = sketch_of(&[(-3.0, 1.0), (4.0, 0.5)]);
    let mut left = full.clone();
    left.merge(&Sketch::default());
    let mut right = Sketch::default();
    right.merge(&full);
    for merged in [left, right] {
        assert_eq!(bins(&merged), bins(&full));
        assert_eq!((merged.count(), merged.sum()), (full.count(), full.sum()));
        assert_eq!((merged.min(), merged.max()), (full.min(), full.max()));
        assert_eq!(merged.avg(), full.avg());
    }
}

// Against oracles.

/// Every value as often as it counts, sorted.
fn sorted(values: &[(f64, f64)]) -> Vec<f64> {
    let weight = |rate: f64| {
        if rate > 0.0 && rate < 1.0 {
            (1.0 / rate) as usize
        } else {
            1
        }
    };
    let mut all: Vec<_> = values
        .iter()
        .flat_map(|&(value, rate)| std::iter::repeat_n(value, weight(rate)))
        .collect();
    all.sort_unstable_by(f64::total_cmp);
    all
}

proptest! {
    #[test]
    fn statistics_match_a_plain_list(values in vec((any_value(), any_rate()), 1..200)) {
        let sketch = sketch_of(&values);
        let all = sorted(&values);
        prop_assert_eq!(sketch.count(), all.len() as u64);
        prop_assert_eq!(sketch.min(), all[0]);
        prop_assert_eq!(sketch.max(), all[all.len() - 1]);
        let mut exact = BTreeMap::<i16, u64>::new();
        for value in &all {
            *exact.entry(key::of(*value)).or_default() += 1;
        }
        prop_assert_eq!(bins(&sketch), exact.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn average_and_sum_match_a_plain_list(values in vec((-1e6..1e6f64, any_rate()), 1..200)) {
        let sketch = sketch_of(&values);
        let all = sorted(&values);
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        prop_assert!((sketch.avg() - mean).abs() <= 1e-6, "{} {}", sketch.avg(), mean);
        let weight = |rate: f64| if rate > 0.0 && rate < 1.0 { 1.0 / rate } else { 1.0 };
        let sum: f64 = values.iter().map(|&(value, rate)| value * weight(rate)).sum();
        prop_assert!((sketch.sum() - sum).abs() <= 1e-3, "{} {}", sketch.sum(), sum);
    }

    #[test]
    fn quantiles_are_near_the_sorted_value(
        values in vec((prop_oneof![1e-6..1e6f64, -1e6..-1e-6f64], any_rate()), 1..300),
        q in 0.0..=1.0f64,
    ) {
        let sketch = sketch_of(&values);
        let all = sorted(&values);
        let exact = match q {
            0.0 => all[0],
            1.0 => all[all.len() - 1],
            _ => all[(q * (all.len() - 1) as f64).round_ties_even() as usize],
        };
        let ratio = sketch.quantile(q) / exact;
        let (low, high) = (key::GAMMA.powf(-0.5) - 1e-9, key::GAMMA.powf(1.5) + 1e-9);
        prop_assert!((low..=high).contains(&ratio), "{ratio} {exact}");
    }

    #[test]
    fn quantiles_do_not_fall(values in vec((1e-3..1e3f64, any_rate()), 1..100)) {
        let sketch = sketch_of(&values);
        let steps: Vec<_> = (1..100).map(|p| sketch.quantile(f64::from(p) / 100.0)).collect();
        prop_assert!(steps.is_sorted(), "{steps:?}");
    }

    #[test]
    fn merging_is_inserting_everything(
        parts in vec(vec((any_value(), any_rate()), 0..80), 1..5),
        fold in any::<bool>(),
    ) {
        let mut merged = Sketch::default();
        for part in &parts {
            let mut sketch = sketch_of(part);
            if fold {
                sketch.fold();
            }
            merged.merge(&sketch);
        }
        let whole = sketch_of(&parts.concat());
        prop_assert_eq!(bins(&merged), bins(&whole));
        prop_assert_eq!(merged.count(), whole.count());
        prop_assert_eq!((merged.min(), merged.max()), (whole.min(), whole.max()));
    }

    #[test]
    fn the_order_of_merges_does_not_matter(
        parts in proptest::array::uniform3(vec((-1e4..1e4f64, any_rate()), 0..60)),
    ) {
        let [a, b, c] = parts.map(|part| sketch_of(&part));
        let merged = |order: [&Sketch; 3]| {
            let mut sketch = order[0].clone();
            sketch.merge(order[1]);
            sketch.merge(order[2]);
            sketch
        };
        let left = merged([&a, &b, &c]);
        let mut right = a.clone();
        right.merge(&merged([&b, &c, &Sketch::default()]));
        for other in [merged([&c, &b, &a]), right] {
            prop_assert_eq!(bins(&left), bins(&other));
            prop_assert_eq!(left.count(), other.count());
            prop_assert_eq!((left.min(), left.max()), (other.min(), other.max()));
            prop_assert!((left.avg() - other.avg()).abs() <= 1e-6);
            prop_assert!((left.sum() - other.sum()).abs() <= 1e-3);
        }
    }

    #[test]
    fn nothing_a_client_sends_breaks_it(
        values in vec((any::<f64>(), any::<f64>()), 0..100),
        q in any::<f64>(),
    ) {
        let sketch = sketch_of(&values);
        let total: u64 = sketch.bins().map(|bin| bin.1).sum();
        prop_assert_eq!(total, sketch.count());
        prop_assert!(sketch.sum().is_finite() && sketch.avg().is_finite());
        prop_assert!(sketch.is_empty() || q.is_nan() || sketch.quantile(q).is_finite());
    }
}
