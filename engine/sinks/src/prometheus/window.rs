//! The sketches of a sliding window, packed: a summary of a million must not cost a kilobyte.
//!
//! ```text
//!  | slot | 2 × bins | min | max | key n | key n | … |  slot | …        oldest first
//!  | slot | 1 | value |                                   of a single value
//!    numbers of 7 bits a byte; keys as steps from the one before; min and max in full
//! ```
//!
//! A sketch of five values takes some 35 bytes here and 200 unpacked. What comes out again has the same
//! bins, minimum, maximum and count, so the same quantiles; sums are not kept.

use greyhound_model::sketch::{Sketch, key};

use super::plan::Window;

/// Stands where twice the number of bins does.
const ONE_VALUE: u64 = 1;

/// At most one sketch per slot of the window; none is empty.
#[derive(Debug, Default)]
pub(super) struct Packed {
    bytes: Vec<u8>,
    /// Where the newest begins.
    newest: u32,
}

/// Reads what was packed.
#[derive(Clone, Copy, Debug)]
struct Reader<'a>(&'a [u8]);

// === impl Packed ===

impl Packed {
    /// Adds what a bucket held to the newest slot, and forgets slots the window has left behind.
    ///
    /// Cost: about 10 ns a bin.
    pub(super) fn add(&mut self, window: Window, slot: u32, sketch: &Sketch) {
        self.prune(window, slot);
        if sketch.is_empty() {
            return;
        }
        let mut reader = Reader(&self.bytes[self.newest as usize..]);
        let merged = match reader.number() {
            Some(newest) if newest == u64::from(slot) => reader.sketch().map(|mut merged| {
                merged.merge(sketch);
                merged
            }),
            _ => None,
        };
        match merged {
            Some(merged) => {
                self.bytes.truncate(self.newest as usize);
                self.push(slot, &merged);
            }
            None => {
                // A summary has a few slots of at most 4096 bins, far below 4 GiB.
                self.newest = self.bytes.len() as u32;
                self.push(slot, sketch);
            }
        }
    }

    /// Everything still inside the window, in one sketch without sums.
    pub(super) fn merged(&self, window: Window, now_slot: u32) -> Option<Sketch> {
        let mut all: Option<Sketch> = None;
        let mut reader = Reader(&self.bytes);
        while let Some(slot) = reader.number() {
            let sketch = reader.sketch()?;
            if window.covers(slot as u32, now_slot) {
                match &mut all {
                    Some(all) => all.merge(&sketch),
                    None => all = Some(sketch),
                }
            }
        }
        all
    }

    /// Bytes on the heap.
    #[cfg(test)]
    pub(super) fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    fn prune(&mut self, window: Window, now_slot: u32) {
        let mut reader = Reader(&self.bytes);
        let mut gone = 0;
        while let Some(slot) = reader.number()
            && !window.covers(slot as u32, now_slot)
        {
            if reader.sketch().is_none() {
                break;
            }
            gone = self.bytes.len() - reader.0.len();
        }
        self.bytes.drain(..gone);
        self.newest = self.newest.saturating_sub(gone as u32);
    }

    fn push(&mut self, slot: u32, sketch: &Sketch) {
        let bins = sketch.bins();
        // Keys and counts seldom take more than three bytes together.
        self.bytes.reserve_exact(24 + 3 * bins.len());
        self.push_number(slot.into());
        if sketch.count() == 1 {
            self.push_number(ONE_VALUE);
            self.bytes.extend_from_slice(&sketch.min().to_le_bytes());
        } else {
            self.push_number(2 * bins.len() as u64);
            self.bytes.extend_from_slice(&sketch.min().to_le_bytes());
            self.bytes.extend_from_slice(&sketch.max().to_le_bytes());
            let mut before = i16::MIN;
            for (key, n) in bins {
                self.push_number(u64::from(key.abs_diff(before)));
                self.push_number(n);
                before = key;
            }
        }
        self.bytes.shrink_to_fit();
    }

    fn push_number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.bytes.push(number as u8);
    }
}

// === impl Reader ===

impl Reader<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn float(&mut self) -> Option<f64> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(f64::from_le_bytes(*bytes))
    }

    /// What stands behind a slot's number.
    fn sketch(&mut self) -> Option<Sketch> {
        let mut sketch = Sketch::default();
        let bins = self.number()?;
        let min = self.float()?;
        if bins == ONE_VALUE {
            sketch.insert_weighted(min, 1);
            return Some(sketch);
        }
        let (bins, max) = (bins / 2, self.float()?);
        let mut key = i16::MIN;
        for bin in 0..bins {
            // Steps lead from one 16-bit key to another.
            key = key.wrapping_add_unsigned(self.number()? as u16);
            let mut n = self.number()?;
            // Any value with the right key will do, but the outermost two have to be met.
            if bins == 1 {
                sketch.insert_weighted(min, 1);
                n = n.saturating_sub(1);
            }
            let value = match bin {
                last if last + 1 == bins => max,
                0 => min,
                _ => key::value(key),
            };
            while n > 0 {
                let weight = n.min(Sketch::WEIGHT_MAX);
                sketch.insert_weighted(value, weight);
                n -= weight;
            }
        }
        sketch.fold();
        Some(sketch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PrometheusConfig;
    use crate::prometheus::plan::Plan;
    use proptest::prelude::*;

    fn window() -> Window {
        let config = PrometheusConfig {
            quantile_window_seconds: 60,
            ..PrometheusConfig::default()
        };
        Plan::try_new(&config).expect("defaults make sense").window
    }

    fn sketch(values: &[(f64, u64)]) -> Sketch {
        let mut sketch = Sketch::default();
        for &(value, weight) in values {
            sketch.insert_weighted(value, weight);
        }
        sketch
    }

    fn assert_same(one: &Sketch, other: &Sketch) {
        assert!(one.bins().eq(other.bins()), "{one:?} {other:?}");
        assert_eq!((one.min(), one.max()), (other.min(), other.max()));
        assert_eq!(one.count(), other.count());
        for q in [0.0, 0.01, 0.5, 0.9, 0.99, 1.0] {
            assert_eq!(one.quantile(q), other.quantile(q), "{q}");
        }
    }

    #[test]
    fn a_slot_is_forgotten_when_the_window_has_left_it() {
        let (window, mut packed) = (window(), Packed::default());
        for slot in 0..100 {
            packed.add(window, slot, &sketch(&[(f64::from(slot), 1)]));
        }
        let merged = packed.merged(window, 99).expect("six slots");
        assert_eq!(
            (merged.min(), merged.max(), merged.count()),
            (94.0, 99.0, 6)
        );
        assert!(packed.merged(window, 200).is_none());
        assert!(packed.heap_bytes() <= 6 * 11, "{}", packed.heap_bytes());
    }

    #[test]
    fn nothing_stays_nothing() {
        let (window, mut packed) = (window(), Packed::default());
        packed.add(window, 7, &Sketch::default());
        assert!(packed.merged(window, 7).is_none());
        assert_eq!(packed.heap_bytes(), 0);
    }

    #[test]
    fn heavy_bins_and_ends_of_the_range_survive() {
        for values in [
            vec![(1e300, 3), (-1e300, 2), (0.0, 1)],
            vec![
                (5.0, Sketch::WEIGHT_MAX),
                (5.01, Sketch::WEIGHT_MAX),
                (6.0, 1),
            ],
            vec![(5.0, Sketch::WEIGHT_MAX), (5.0, Sketch::WEIGHT_MAX)],
            vec![(-0.0, 2)],
        ] {
            let (window, mut packed) = (window(), Packed::default());
            let whole = sketch(&values);
            packed.add(window, 1, &whole);
            assert_same(&packed.merged(window, 1).expect("one slot"), &whole);
        }
    }

    proptest! {
        #[test]
        fn what_was_packed_comes_out_as_if_it_never_was(
            buckets in prop::collection::vec(
                (0u32..9, prop::collection::vec((-1e6f64..1e6, 1u64..100_000), 1..40)), 1..20),
        ) {
            let window = window();
            let mut packed = Packed::default();
            let mut plain: Vec<(u32, Sketch)> = Vec::new();
            let mut slot = 0;
            for (step, values) in buckets {
                slot += step / 4;
                let bucket = sketch(&values);
                packed.add(window, slot, &bucket);
                plain.push((slot, bucket));
            }
            let mut expected = Sketch::default();
            for (_, bucket) in plain.iter().filter(|(at, _)| window.covers(*at, slot)) {
                expected.merge(bucket);
            }
            assert_same(&packed.merged(window, slot).expect("the last is inside"), &expected);
        }
    }
}
