//! The sketch: after any inserts, merges and folds it tells what the values themselves tell.
//!
//! Input: a program for two sketches, see [`check`]. The model keeps every value.

use greyhound_model::sketch::{Sketch, key};
use std::collections::BTreeMap;

/// ln of the factor between two keys, and the smallest value with a key above 0, as the Agent
/// defines them.
const GAMMA_LN: f64 = 0.015504186535965254;
const SMALLEST: f64 = 9.941854089121368e-10;

/// Values a model keeps before merges stop: more add time, not paths.
const VALUE_COUNT_MAX: usize = 10_000;

#[derive(Clone, Debug, Default)]
struct Model {
    /// Values and how many times each counts.
    values: Vec<(f64, u64)>,
    count: u64,
    sum: f64,
    /// Sum of magnitudes: what rounding errors of sums are relative to.
    size: f64,
}

/// Panics if a sketch differs from its model. Each operation is a byte and its operands.
pub fn check(data: &[u8]) {
    let mut sketches = [Sketch::default(), Sketch::default()];
    let mut models = [Model::default(), Model::default()];
    let mut input = data;
    while let Some((&operation, rest)) = input.split_first() {
        input = rest;
        let side = usize::from(operation >> 7);
        let (sketch, model) = (&mut sketches[side], &mut models[side]);
        match operation & 7 {
            0 => insert(sketch, model, take_value(&mut input), 1.0),
            1 => {
                let value = f64::from(take_byte(&mut input)) - 64.0;
                let scale = 30_f64.powi(i32::from(operation >> 3 & 15));
                insert(sketch, model, value / 4.0 * scale, 1.0);
            }
            2 => {
                let rate = f64::from(take_byte(&mut input)) / 128.0;
                insert(sketch, model, f64::from(take_byte(&mut input)), rate);
            }
            3 => insert(
                sketch,
                model,
                take_value(&mut input),
                take_value(&mut input),
            ),
            4 => {
                let weight = u64::from(take_byte(&mut input)) << (operation >> 3 & 15);
                let value = take_value(&mut input);
                let taken = sketch.insert_weighted(value, weight);
                assert_eq!(taken, value.is_finite() && weight > 0);
                if taken {
                    model.add(value, weight, weight as f64);
                }
            }
            5 => {
                // Growth by doubling would soon leave what counts are kept exact for.
                let total: u64 = models.iter().map(|model| model.count).sum();
                let values: usize = models.iter().map(|model| model.values.len()).sum();
                if total < Sketch::COUNT_MAX && values < VALUE_COUNT_MAX {
                    let (other_sketch, other) =
                        (sketches[1 - side].clone(), models[1 - side].clone());
                    sketches[side].merge(&other_sketch);
                    models[side].merge(&other);
                }
            }
            6 => sketch.fold(),
            _ => {
                sketch.clear();
                *model = Model::default();
            }
        }
    }
    for (sketch, model) in sketches.iter().zip(&mut models) {
        let mut folded = sketch.clone();
        folded.fold();
        assert!(
            folded.bins().eq(sketch.bins()),
            "folding changes nothing to be seen"
        );
        assert_eq!(
            folded.quantile(0.5).to_bits(),
            sketch.quantile(0.5).to_bits()
        );
        model.check(&folded);
    }
}

fn take_byte(input: &mut &[u8]) -> u8 {
    let Some((&byte, rest)) = input.split_first() else {
        return 0;
    };
    *input = rest;
    byte
}

fn take_value(input: &mut &[u8]) -> f64 {
    let Some((bytes, rest)) = input.split_first_chunk::<8>() else {
        return 0.0;
    };
    *input = rest;
    f64::from_le_bytes(*bytes)
}

fn insert(sketch: &mut Sketch, model: &mut Model, value: f64, rate: f64) {
    assert_eq!(sketch.insert(value, rate), value.is_finite());
    if !value.is_finite() {
        return;
    }
    let weight = if rate > 0.0 && rate < 1.0 {
        1.0 / rate
    } else {
        1.0
    };
    let weight = weight.min(Sketch::WEIGHT_MAX as f64);
    model.add(value, weight as u64, weight);
}

/// The definition of a key.
fn slow_key(value: f64) -> i16 {
    let size = value.abs();
    if size < SMALLEST {
        return 0;
    }
    let key = ((size.ln() / GAMMA_LN).round_ties_even() + 1338.0).clamp(1.0, 32767.0) as i16;
    if value < 0.0 { -key } else { key }
}

// === impl Model ===

impl Model {
    fn add(&mut self, value: f64, whole: u64, weight: f64) {
        self.values.push((value, whole));
        self.count += whole;
        self.sum += value * weight;
        self.size += (value * weight).abs();
    }

    fn merge(&mut self, other: &Self) {
        self.values.extend_from_slice(&other.values);
        self.count += other.count;
        self.sum += other.sum;
        self.size += other.size;
    }

    fn check(&mut self, sketch: &Sketch) {
        assert_eq!(sketch.is_empty(), self.count == 0);
        if self.count > Sketch::COUNT_MAX {
            return;
        }
        assert_eq!(sketch.count(), self.count);
        assert_eq!(
            sketch.bins().map(|(_, n)| n).sum::<u64>(),
            self.count,
            "every value is in a bin"
        );
        assert!(sketch.sum().is_finite() && sketch.avg().is_finite());
        if self.count == 0 {
            return;
        }
        self.values.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(sketch.min(), self.values[0].0);
        assert_eq!(sketch.max(), self.values[self.values.len() - 1].0);
        if self.size < 1e300 {
            let error = (sketch.sum() - self.sum).abs();
            assert!(
                error <= 1e-9 * self.size,
                "sum {} for {}",
                sketch.sum(),
                self.sum
            );
        }
        let bins = self.bins();
        assert!(
            sketch.bins().eq(bins.iter().map(|(key, n)| (*key, *n))),
            "bins {bins:?}"
        );
        if bins.len() < Sketch::BIN_COUNT_MAX {
            for q in [0.0, 0.001, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0] {
                self.check_quantile(sketch, q);
            }
        }
    }

    fn bins(&self) -> BTreeMap<i16, u64> {
        let mut bins = BTreeMap::new();
        for (value, n) in &self.values {
            *bins.entry(slow_key(*value)).or_default() += n;
        }
        while bins.len() > Sketch::BIN_COUNT_MAX {
            let (_, n) = bins.pop_first().expect("more than the limit");
            *bins.first_entry().expect("one stays").get_mut() += n;
        }
        bins
    }

    /// The estimate lies no further from the value at its rank than the sketch promises.
    fn check_quantile(&self, sketch: &Sketch, q: f64) {
        let estimate = sketch.quantile(q);
        let exact = match q {
            0.0 => self.values[0].0,
            1.0 => self.values[self.values.len() - 1].0,
            _ => self.at_rank((q * (self.count - 1) as f64).round_ties_even() as u64),
        };
        let key = slow_key(exact);
        if key == 0 {
            assert!(estimate.abs() <= SMALLEST, "{q}: {estimate} for {exact}");
        } else if key.abs() == key::MAX {
            assert!(estimate.is_finite());
        } else {
            let high = if exact < 0.0 { 2.0 } else { 1.5 };
            let range = key::GAMMA.powf(-0.5) - 1e-9..=key::GAMMA.powf(high) + 1e-9;
            assert!(
                range.contains(&(estimate / exact)),
                "{q}: {estimate} for {exact}"
            );
        }
    }

    fn at_rank(&self, rank: u64) -> f64 {
        let mut seen = 0;
        for (value, n) in &self.values {
            seen += n;
            if seen > rank {
                return *value;
            }
        }
        self.values[self.values.len() - 1].0
    }
}
