//! The Agent's distribution sketch: how many values fell near which size.
//!
//! Bins grow by a constant factor of 1.015625, so any quantile is right to about 2 % whatever the
//! range, sketches of different threads, hosts and buckets merge without further loss, and a sketch
//! takes memory for the bins it uses and never more than 4096 of them.
//!
//! ```text
//!  insert ──▶ count, sum, avg, min, max          (exact, always up to date)
//!     └─────▶ key ──▶ unsorted tail ──fold──▶ sorted bins, one per key
//! ```
//!
//! The tail is folded into the bins when the memory at hand is full, so that an insert is a push
//! and not a search. Reading works at any time: on a sketch with a tail, [`Sketch::bins`] and
//! [`Sketch::quantile`] fold a copy. Whoever hands a sketch to readers calls [`Sketch::fold`] once.
//!
//! What is lost: nothing of count, sum, min and max; values inside a bin become one size; beyond
//! 4096 bins the lowest ones become one. Not counted at all are NaN and infinities, which the
//! caller is told of.
//!
//! Two bounds keep hostile sample rates harmless. The Agent has neither, and no honest client meets
//! them: one insert weighs at most [`Sketch::WEIGHT_MAX`], and inserts stop adding to count and bins
//! at [`Sketch::COUNT_MAX`]. The sum stops at the largest double instead of infinity, and the average
//! follows it.

mod bins;
pub mod key;

use bins::Bins;

/// A distribution of values. The default is empty.
///
/// 72 bytes, and 8 more for each bin and each value that waits in the tail (see
/// [`heap_bytes`](Self::heap_bytes)).
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    bins: Bins,
    count: u64,
    min: f64,
    max: f64,
    /// Values times their weights in full.
    sum: f64,
    /// Values times the whole part of their weights: what the average is made of.
    whole_sum: f64,
}

// === impl Sketch ===

impl Sketch {
    /// Most bins a sketch has; more are folded into the lowest one that stays.
    pub const BIN_COUNT_MAX: usize = 4096;

    /// Heaviest single insert: what one bin of a payload can hold. A sample rate below about
    /// 2.3e-10 weighs no more than this.
    pub const WEIGHT_MAX: u64 = u32::MAX as u64;

    /// Where inserts stop adding to the count: 2^48 − 1. Keeps the payload of one sketch below
    /// 4096 + 65536 entries of 32 bits.
    pub const COUNT_MAX: u64 = bins::COUNT_MAX;

    /// Adds one value that stands for `1 / sample_rate` values.
    ///
    /// Count and bins grow by the whole part of that, the sum by all of it. A rate of 0 or less,
    /// above 1 or NaN counts as 1. Returns whether the value was taken: NaN and infinities are not.
    ///
    /// Cost: about 15 ns with its share of the folding, a third of it for the key; allocates when the
    /// bins in use outgrow their memory.
    #[inline]
    pub fn insert(&mut self, value: f64, sample_rate: f64) -> bool {
        if sample_rate > 0.0 && sample_rate < 1.0 {
            let weight = (1.0 / sample_rate).min(Self::WEIGHT_MAX as f64);
            self.insert_as(value, weight as u64, weight)
        } else {
            self.insert_as(value, 1, 1.0)
        }
    }

    /// Adds `weight` equal values. A weight of 0 adds nothing. Returns whether the value was taken:
    /// NaN and infinities are not.
    #[inline]
    pub fn insert_weighted(&mut self, value: f64, weight: u64) -> bool {
        let weight = weight.min(Self::WEIGHT_MAX);
        weight > 0 && self.insert_as(value, weight, weight as f64)
    }

    /// Adds everything `other` holds. Bins come out the same in whatever order sketches are merged;
    /// sum and average differ in their last bits.
    pub fn merge(&mut self, other: &Self) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            (self.min, self.max) = (other.min, other.max);
        }
        self.count = self.count.saturating_add(other.count);
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum = finite(self.sum + other.sum);
        self.whole_sum = finite(self.whole_sum + other.whole_sum);
        self.bins.append(&other.bins);
        self.bins.fold();
    }

    /// Sorts what was inserted since the last time into the bins. Call it once before a sketch is
    /// shared: readers are then free of work and of allocations.
    pub fn fold(&mut self) {
        self.bins.fold();
    }

    /// Back to empty, keeping the memory.
    pub fn clear(&mut self) {
        let mut bins = std::mem::take(&mut self.bins);
        bins.clear();
        *self = Self {
            bins,
            ..Self::default()
        };
    }

    /// An estimate of the value that a share `q` of all values stay below, 0.5 being the median.
    /// `q` of 0 or less is the minimum, of 1 or more the maximum; NaN when the sketch is empty or
    /// `q` is NaN.
    ///
    /// The result lies within −0.8 % and +2.4 % of the value at that rank, unless the bin was
    /// folded for want of space. Like the Agent's, it may lie above the maximum by that much.
    ///
    /// Cost: a walk over the bins; a copy of them when not folded.
    pub fn quantile(&self, q: f64) -> f64 {
        if self.is_empty() || q.is_nan() {
            return f64::NAN;
        }
        if q <= 0.0 {
            return self.min;
        }
        if q >= 1.0 {
            return self.max;
        }
        let rank = key::round_half_even(q * (self.count - 1) as f64);
        let mut seen = 0.0;
        for (index, (key, n)) in self.bins().enumerate() {
            let n = n as f64;
            seen += n;
            if seen <= rank {
                continue;
            }
            // The outermost bins have no upper edge; the Agent answers infinity there.
            match key {
                key::MAX => return self.max,
                key::MIN => return self.min,
                _ => {}
            }
            let base = key::value(key);
            let low = if index == 0 { self.min } else { base };
            let share_of_low = (seen - rank) / n;
            return low * share_of_low + base * key::GAMMA * (1.0 - share_of_low);
        }
        self.max
    }

    /// How many values were inserted, sampled ones counted by the whole part of their weight.
    #[inline]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Sum of the values times their weights, not truncated; 0 when empty.
    #[inline]
    pub fn sum(&self) -> f64 {
        self.sum
    }

    /// The smallest value; 0 when empty.
    #[inline]
    pub fn min(&self) -> f64 {
        self.min
    }

    /// The largest value; 0 when empty.
    #[inline]
    pub fn max(&self) -> f64 {
        self.max
    }

    /// The average, sampled values weighted by the whole part of their weight; 0 when empty. The
    /// Agent keeps a running average, so its last bits may differ from these.
    #[inline]
    pub fn avg(&self) -> f64 {
        if self.count == 0 {
            0.0
        } else {
            self.whole_sum / self.count as f64
        }
    }

    /// Whether nothing was inserted.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keys ascending, each once, with how many values have it (1 to 2^48 − 1; a payload with
    /// 32-bit counts repeats the key). See [`key`] for what a key means.
    pub fn bins(&self) -> impl DoubleEndedIterator<Item = (i16, u64)> + ExactSizeIterator {
        self.bins.iter()
    }

    /// Bytes on the heap, reserved ones included.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        self.bins.heap_bytes()
    }

    /// `whole` goes to count, bins and average, `weight` to the sum.
    #[inline]
    fn insert_as(&mut self, value: f64, whole: u64, weight: f64) -> bool {
        if !value.is_finite() {
            return false;
        }
        if self.count == 0 {
            (self.min, self.max) = (value, value);
        } else {
            self.min = if value < self.min { value } else { self.min };
            self.max = if value > self.max { value } else { self.max };
        }
        self.sum = finite(self.sum + value * weight);
        let whole = whole.min(Self::COUNT_MAX.saturating_sub(self.count));
        if whole > 0 {
            self.count += whole;
            self.whole_sum = finite(self.whole_sum + value * whole as f64);
            self.bins.add(key::of(value), whole);
        }
        true
    }
}

/// An overflow stays at the largest double, so that no sum goes out as infinite or NaN.
#[inline]
fn finite(value: f64) -> f64 {
    if value.is_finite() {
        value
    } else {
        value.clamp(f64::MIN, f64::MAX)
    }
}

#[cfg(test)]
mod tests;
