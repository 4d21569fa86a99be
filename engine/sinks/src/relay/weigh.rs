//! A sketch as values with sample rates, such that whoever inserts them gets the sketch back.

use greyhound_model::sketch::{Sketch, key};

/// Equal weights together, ascending.
pub(super) type Weighed = Vec<(u64, Vec<f64>)>;

/// How far a value may be moved within its bin: half a bin, less what rounding could carry over its edge.
const SHIFT_MAX: f64 = 0.0077;

/// Rounds in which values are moved; those that meet the edge of their bin leave the rest to the others.
const ROUNDS: usize = 8;

/// Values and how many each stands for. The smallest and the largest are as they were; the others stand in the
/// middle of their bins, moved together so that the sum is `sum` where they all have one sign.
pub(super) fn weigh(sketch: &Sketch, sum: f64) -> Weighed {
    let (min, max) = (sketch.min(), sketch.max());
    let mut bins: Vec<(f64, u64)> = sketch
        .bins()
        .map(|(key, n)| (centre(key, min, max), n))
        .collect();
    let mut ends = Vec::with_capacity(2);
    take(&mut bins, false, min, &mut ends);
    take(&mut bins, true, max, &mut ends);
    bins.retain(|(_, n)| *n > 0);
    let wanted = sum - ends.iter().sum::<f64>();
    let mut rest: Vec<(u64, f64)> = match min >= 0.0 || max <= 0.0 {
        true => moved(&bins, wanted, min, max),
        false => bins.iter().map(|&(value, n)| (n, value)).collect(),
    };
    rest.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let mut weighed: Weighed = Vec::new();
    if !ends.is_empty() {
        weighed.push((1, ends));
    }
    for (n, value) in rest {
        match weighed.last_mut() {
            Some((weight, values)) if *weight == n => values.push(value),
            _ => weighed.push((n, vec![value])),
        }
    }
    weighed
}

/// A sample rate that stands for `n` values: whose inverse has just that whole part.
pub(super) fn rate(n: u64) -> f64 {
    let rate = 1.0 / n as f64;
    match (1.0 / rate) as u64 >= n {
        true => rate,
        // One step down makes the inverse a little more than n.
        false => rate.next_down(),
    }
}

/// Takes the outermost value out of its bin.
fn take(bins: &mut [(f64, u64)], last: bool, value: f64, ends: &mut Vec<f64>) {
    let bin = match last {
        false => bins.first_mut(),
        true => bins.last_mut(),
    };
    if let Some((_, n)) = bin
        && *n > 0
    {
        *n -= 1;
        ends.push(value);
    }
}

fn centre(key: i16, min: f64, max: f64) -> f64 {
    match key {
        0 => 0.0,
        key::MAX => max,
        key::MIN => min,
        key => key::value(key),
    }
}

/// Values whose sum is `wanted`, as near as their bins and the outermost values let them.
fn moved(bins: &[(f64, u64)], wanted: f64, min: f64, max: f64) -> Vec<(u64, f64)> {
    let mut values: Vec<(u64, f64)> = bins
        .iter()
        .map(|&(centre, n)| (n, centre.max(min).min(max)))
        .collect();
    for _ in 0..ROUNDS {
        let sum: f64 = values.iter().map(|(n, value)| value * *n as f64).sum();
        let factor = wanted / sum;
        if !factor.is_finite() || factor <= 0.0 {
            break;
        }
        for ((_, value), &(centre, _)) in values.iter_mut().zip(bins) {
            let (low, high) = (centre * (-SHIFT_MAX).exp(), centre * SHIFT_MAX.exp());
            // Of negative bins the edges are the other way round.
            let within = (*value * factor).max(low.min(high)).min(low.max(high));
            *value = within.max(min).min(max);
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn again(sketch: &Sketch) -> Sketch {
        let mut again = Sketch::default();
        for (n, values) in weigh(sketch, sketch.sum()) {
            for value in values {
                again.insert(value, if n == 1 { 1.0 } else { rate(n) });
            }
        }
        again
    }

    #[test]
    fn a_rate_stands_for_just_so_many() {
        for n in (1..100_000).chain([1 << 20, (1 << 31) + 7, Sketch::WEIGHT_MAX]) {
            assert_eq!((1.0 / rate(n)) as u64, n);
        }
    }

    proptest! {
        #[test]
        fn what_comes_back_is_what_went_out(
            values in proptest::collection::vec((0.001f64..1e6, 1u64..50), 1..200),
            negative in any::<bool>(),
        ) {
            let mut sketch = Sketch::default();
            for &(value, weight) in &values {
                sketch.insert_weighted(if negative { -value } else { value }, weight);
            }
            sketch.fold();
            let again = again(&sketch);
            prop_assert_eq!(again.count(), sketch.count());
            prop_assert_eq!(again.min(), sketch.min());
            prop_assert_eq!(again.max(), sketch.max());
            prop_assert!(again.bins().eq(sketch.bins()));
            let off = (again.sum() - sketch.sum()).abs() / sketch.sum().abs();
            prop_assert!(off < 1e-3, "{}", off);
        }

        #[test]
        fn signs_may_meet(values in proptest::collection::vec(-1e3f64..1e3, 1..100)) {
            let mut sketch = Sketch::default();
            for value in &values {
                sketch.insert(*value, 1.0);
            }
            sketch.fold();
            let again = again(&sketch);
            prop_assert!(again.bins().eq(sketch.bins()));
            let size: f64 = values.iter().map(|value| value.abs()).sum();
            prop_assert!((again.sum() - sketch.sum()).abs() <= 0.0085 * size.max(1e-9));
        }
    }
}
