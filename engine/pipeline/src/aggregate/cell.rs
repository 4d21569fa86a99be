//! What one context holds in one bucket.

use greyhound_model::flush::Members;
use greyhound_model::metric::MetricKind;
use greyhound_model::sketch::Sketch;

use super::bucket::Arrival;

/// Gauge, counter, set or histogram of one context in one bucket; sets and histograms keep theirs in
/// the bucket's own lists.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    /// Number of the context in its lane.
    pub context: u32,
    /// Second of the latest sample.
    pub last_seen: u32,
    /// Gauge, counter: when the latest gauge value came, in microseconds on the monotonic clock, wrapping
    /// every 71 minutes; orders the lanes. Set, histogram: place in the bucket's list.
    pub order_or_place: u32,
    /// What it is; decided by the first sample of the bucket.
    pub shape: Shape,
    /// A usable value has arrived; before that only the context is known.
    pub has_value: bool,
    /// Gauge: latest value. Counter: sum.
    pub value: f64,
}

// There is one for each context of the open bucket, and another while that bucket is flushed.
const _: () = assert!(size_of::<Cell>() == 24);

/// What a cell is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Shape {
    /// Keeps the latest value.
    Gauge,
    /// Adds up.
    Counter,
    /// Counts distinct members.
    Set,
    /// Keeps all values.
    Histogram,
}

/// Distinct members.
#[derive(Clone, Debug, Default)]
pub struct SetCell {
    /// Raw bytes, as sent.
    pub members: Members,
}

/// All values of a histogram or timing.
#[derive(Clone, Debug, Default)]
pub struct HistogramCell {
    /// Finite values, in order of arrival.
    pub values: Vec<f64>,
    /// Their truncated weights; empty while all are 1.
    pub weights: Vec<u64>,
    /// Sum of value × exact weight.
    pub sum: f64,
    /// Sum of truncated weights.
    pub count: u64,
    /// It began as a timing.
    pub is_timing: bool,
}

/// A distribution of one context in one bucket. Apart from [`Cell`]: the two never clash.
#[derive(Clone, Debug)]
pub struct SketchCell {
    /// Number of the context in its lane.
    pub context: u32,
    /// Second of the latest sample.
    pub last_seen: u32,
    /// It came before any other sample of its context in this bucket.
    pub is_first: bool,
    /// The values.
    pub sketch: Sketch,
}

// === impl Cell ===

impl Cell {
    /// Where a set or histogram stands in the bucket's list.
    #[inline]
    pub fn place(&self) -> usize {
        self.order_or_place as usize
    }

    /// Takes a finite value of a gauge, or of a counter that is not sampled; says no to all else.
    #[inline]
    pub fn is_scalar_added(
        &mut self,
        kind: MetricKind,
        value: f64,
        sample_rate: f64,
        arrival: Arrival,
    ) -> bool {
        match (kind, self.shape) {
            (MetricKind::Counter, Shape::Counter) if sample_rate == 1.0 && value.is_finite() => {
                self.value += value;
            }
            (MetricKind::Gauge, Shape::Gauge) if value.is_finite() => {
                self.value = value;
                self.order_or_place = arrival.order;
            }
            _ => return false,
        }
        self.has_value = true;
        self.last_seen = arrival.second;
        true
    }
}

// === impl Shape ===

impl Shape {
    /// What a first sample of this kind makes; distributions have no cell.
    pub const fn of(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Gauge => Self::Gauge,
            MetricKind::Counter => Self::Counter,
            MetricKind::Set => Self::Set,
            MetricKind::Histogram | MetricKind::Timing | MetricKind::Distribution => {
                Self::Histogram
            }
        }
    }
}

// === impl HistogramCell ===

impl HistogramCell {
    /// Adds a finite value.
    #[inline]
    pub fn insert(&mut self, value: f64, exact: f64, whole: u64) {
        if whole != 1 || !self.weights.is_empty() {
            // From the first unusual weight on, every value has one.
            self.weights.resize(self.values.len(), 1);
            self.weights.push(whole);
        }
        self.values.push(value);
        self.sum += value * exact;
        self.count = self.count.saturating_add(whole);
    }

    /// Puts the values of another lane behind these.
    pub fn append(&mut self, other: &Self) {
        if !self.weights.is_empty() || !other.weights.is_empty() {
            self.weights.resize(self.values.len(), 1);
            self.weights.extend_from_slice(&other.weights);
            self.weights
                .resize(self.values.len() + other.values.len(), 1);
        }
        self.values.extend_from_slice(&other.values);
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
    }

    /// Values with their weights, ascending by value.
    pub fn sorted(&self) -> Vec<(f64, u64)> {
        let weights = self.weights.iter().copied().chain(std::iter::repeat(1));
        let mut sorted: Vec<_> = self.values.iter().copied().zip(weights).collect();
        sorted.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        sorted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_appear_with_the_first_unusual_one() {
        let mut cell = HistogramCell::default();
        cell.insert(3.0, 1.0, 1);
        cell.insert(1.0, 1.0, 1);
        assert!(cell.weights.is_empty());
        cell.insert(2.0, 2.5, 2);
        cell.insert(0.0, 1.0, 1);
        assert_eq!(cell.sorted(), [(0.0, 1), (1.0, 1), (2.0, 2), (3.0, 1)]);
        assert_eq!((cell.sum, cell.count), (9.0, 5));
    }

    #[test]
    fn appending_keeps_each_value_with_its_weight() {
        let cell = |values: &[(f64, u64)]| {
            let mut cell = HistogramCell::default();
            for &(value, weight) in values {
                cell.insert(value, 1.0, weight);
            }
            cell
        };
        for (a, b) in [
            (vec![(1.0, 1)], vec![(2.0, 1)]),
            (vec![(1.0, 3)], vec![(2.0, 1)]),
            (vec![(1.0, 1), (5.0, 1)], vec![(2.0, 4), (3.0, 1)]),
            (vec![], vec![(2.0, 4)]),
        ] {
            let mut joined = cell(&a);
            joined.append(&cell(&b));
            let mut expected = [a, b].concat();
            expected.sort_by(|x, y| x.0.total_cmp(&y.0));
            assert_eq!(joined.sorted(), expected);
        }
    }
}
