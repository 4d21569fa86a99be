//! A sketch as a histogram of buckets that double every 32: what Prometheus calls a native histogram of
//! schema 5 and OTLP an exponential histogram of scale 5.
//!
//! A bin of the sketch goes whole into the bucket its middle lies in. A value is then told from its bucket's
//! edges with a factor of at most 1.0219 · 1.0078 < 1.030; told from the bucket's geometric middle, with at
//! most 1.019. Counts, sum, minimum and maximum are exact, and nothing is lost but where in a bucket a value lay.

use greyhound_model::sketch::{Sketch, key};

/// Buckets per doubling, as a power of two.
pub(crate) const SCALE: i32 = 5;

/// Empty buckets between two others that are written out rather than jumped over.
pub(crate) const GAP_MAX: i32 = 2;

/// Buckets of one sign, ascending by index, none empty. The bucket of index `i` holds sizes above
/// `2^((i-1)/32)` up to `2^(i/32)`.
pub(crate) type Buckets = Vec<(i32, u64)>;

/// What a sketch holds, by sign. Keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Exponential {
    /// Values so small that they have no bucket.
    pub(crate) zeros: u64,
    pub(crate) positive: Buckets,
    /// By size.
    pub(crate) negative: Buckets,
}

// === impl Exponential ===

impl Exponential {
    /// Reads a sketch.
    ///
    /// Cost: about 20 ns for each of its bins.
    pub(crate) fn fill(&mut self, sketch: &Sketch) {
        self.zeros = 0;
        self.positive.clear();
        self.negative.clear();
        for (key, n) in sketch.bins() {
            match key {
                0 => self.zeros += n,
                1.. => push(&mut self.positive, index_of(key), n),
                _ => {}
            }
        }
        // From the smallest size to the largest.
        for (key, n) in sketch.bins().rev() {
            if key < 0 {
                push(&mut self.negative, index_of(key), n);
            }
        }
    }
}

fn push(buckets: &mut Buckets, index: i32, n: u64) {
    match buckets.last_mut() {
        Some((last, count)) if *last == index => *count += n,
        _ => buckets.push((index, n)),
    }
}

/// The bucket of a bin.
fn index_of(key: i16) -> i32 {
    let size = key::value(key).abs();
    // Sizes reach from 1e-9 to 1e212, so this is a small number.
    (size.log2() * f64::from(1 << SCALE)).ceil() as i32
}

/// Sizes up to here count as zero: the upper edge of the bucket below the first one that can be used.
pub(crate) fn zero_threshold() -> f64 {
    2_f64.powf(f64::from(index_of(1) - 1) / f64::from(1 << SCALE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn edges(index: i32) -> (f64, f64) {
        let edge = |index: i32| 2_f64.powf(f64::from(index) / 32.0);
        (edge(index - 1), edge(index))
    }

    #[test]
    fn a_power_of_two_is_the_upper_edge_of_its_bucket() {
        let mut sketch = Sketch::default();
        sketch.insert(1.0, 1.0);
        let mut buckets = Exponential::default();
        buckets.fill(&sketch);
        assert_eq!(buckets.positive, [(0, 1)]);
        assert!(zero_threshold() < 9.95e-10 && zero_threshold() > 9.7e-10);
    }

    proptest! {
        #[test]
        fn no_value_is_lost_and_each_lies_within_the_stated_bound(
            values in prop::collection::vec(
                prop_oneof![Just(0.0), -1e9_f64..1e9, 1e-8_f64..1e-3, 1e100_f64..1e200], 1..60),
        ) {
            let mut sketch = Sketch::default();
            let mut buckets = Exponential::default();
            for &value in &values {
                sketch.clear();
                sketch.insert(value, 1.0);
                buckets.fill(&sketch);
                let side = if value > 0.0 { &buckets.positive } else { &buckets.negative };
                if value.abs() < 1e-9 {
                    prop_assert_eq!(buckets.zeros, 1);
                    continue;
                }
                prop_assert_eq!(side.len(), 1);
                let (low, high) = edges(side[0].0);
                let size = value.abs();
                prop_assert!(size <= high * 1.0079 && size >= low / 1.0079, "{} {} {}", size, low, high);
                let middle = low.sqrt() * high.sqrt();
                prop_assert!((size / middle).max(middle / size) < 1.019);
            }
            sketch.clear();
            for &value in &values {
                sketch.insert(value, 1.0);
            }
            buckets.fill(&sketch);
            let all: u64 = buckets.positive.iter().chain(&buckets.negative).map(|(_, n)| n).sum();
            prop_assert_eq!(all + buckets.zeros, sketch.count());
            for side in [&buckets.positive, &buckets.negative] {
                prop_assert!(side.windows(2).all(|two| two[0].0 < two[1].0));
            }
        }
    }
}
