//! One read of everything, for exposition, status and tests.
//!
//! Series are kept sorted by name and label values. Several lanes may push the same series: numbers
//! add up, histograms merge, so a source need not sum by itself and no series can appear twice.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use crate::desc::Desc;
use crate::histogram::Latency;

/// Values by metric and labels.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    series: BTreeMap<Key, Value>,
}

/// One series of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// What it is.
    pub desc: &'static Desc,
    /// The values of `desc.labels`, in that order.
    pub label_values: &'a [Box<str>],
    /// What it stands at.
    pub value: &'a Value,
}

/// What a series stands at.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A counter or gauge.
    Number(f64),
    /// A histogram.
    Histogram(HistogramValue),
}

/// Observations by size.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramValue {
    /// Upper bound and how many observations are at or below it, ascending.
    pub buckets: Vec<(f64, u64)>,
    /// All observations, those above the last bound among them.
    pub count: u64,
    /// Their sum, in the unit of the metric.
    pub sum: f64,
}

#[derive(Clone, Debug)]
struct Key {
    desc: &'static Desc,
    labels: Box<[Box<str>]>,
}

// === impl Snapshot ===

impl Snapshot {
    /// Sets a series, or adds to it if it is there already.
    ///
    /// A missing label value reads as empty, one too many is ignored: both are mistakes of the
    /// caller that must not cost the scrape.
    pub fn push(&mut self, desc: &'static Desc, label_values: &[&str], value: f64) {
        self.merge(desc, label_values, Value::Number(value));
    }

    /// The same for a histogram. Bucket bounds come with the reading.
    pub fn push_histogram(
        &mut self,
        desc: &'static Desc,
        label_values: &[&str],
        latency: &Latency,
    ) {
        self.merge(desc, label_values, Value::Histogram(latency.to_value()));
    }

    /// Adds a histogram whose buckets the caller counted itself.
    pub fn push_value(
        &mut self,
        desc: &'static Desc,
        label_values: &[&str],
        value: HistogramValue,
    ) {
        self.merge(desc, label_values, Value::Histogram(value));
    }

    /// The sum of all series of `name` that carry the given labels; `None` when there are none. A
    /// histogram counts as its number of observations.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        self.iter()
            .filter(|sample| sample.desc.name == name)
            .filter(|sample| labels.iter().all(|label| sample.has(*label)))
            .map(|sample| sample.value.as_f64())
            .reduce(|sum, value| sum + value)
    }

    /// The sum of all series of `name`; 0 when there are none.
    pub fn sum(&self, name: &str) -> f64 {
        self.get(name, &[]).unwrap_or(0.0)
    }

    /// All series, sorted by name, then by label values.
    pub fn iter(&self) -> impl Iterator<Item = Sample<'_>> {
        self.series.iter().map(|(key, value)| Sample {
            desc: key.desc,
            label_values: &key.labels,
            value,
        })
    }

    fn merge(&mut self, desc: &'static Desc, label_values: &[&str], value: Value) {
        debug_assert_eq!(desc.labels.len(), label_values.len(), "{}", desc.name);
        let given = label_values.iter().copied().chain(std::iter::repeat(""));
        let labels = given.take(desc.labels.len()).map(Box::from).collect();
        self.series
            .entry(Key { desc, labels })
            .and_modify(|there| there.add(&value))
            .or_insert(value);
    }
}

// === impl Sample ===

impl<'a> Sample<'a> {
    /// Label names with their values.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &'a str)> + Clone + use<'a> {
        let names = self.desc.labels.iter().copied();
        names.zip(self.label_values.iter().map(|value| &**value))
    }

    fn has(&self, label: (&str, &str)) -> bool {
        self.labels().any(|own| own == label)
    }
}

// === impl Value ===

impl Value {
    /// The number; of a histogram how many observations it has.
    pub fn as_f64(&self) -> f64 {
        match self {
            Self::Number(number) => *number,
            Self::Histogram(histogram) => histogram.count as f64,
        }
    }

    fn add(&mut self, other: &Self) {
        match (self, other) {
            (Self::Number(sum), Self::Number(more)) => *sum += more,
            (Self::Histogram(sum), Self::Histogram(more)) => sum.add(more),
            // One metric is pushed by one source and one call; a mixture keeps what came first.
            _ => debug_assert!(false, "one series pushed as number and as histogram"),
        }
    }
}

// === impl HistogramValue ===

impl HistogramValue {
    fn add(&mut self, other: &Self) {
        let same_bounds = self.buckets.len() == other.buckets.len()
            && (self.buckets.iter())
                .zip(&other.buckets)
                .all(|(a, b)| a.0 == b.0);
        debug_assert!(same_bounds, "one metric, two sets of buckets");
        if same_bounds {
            for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
                bucket.1 = bucket.1.saturating_add(more.1);
            }
            self.count = self.count.saturating_add(other.count);
            self.sum += other.sum;
        }
    }
}

// === impl Key ===

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.desc.name, &self.labels).cmp(&(other.desc.name, &other.labels))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desc::Kind;
    use crate::histogram::LatencyHistogram;

    static PACKETS: Desc = Desc {
        name: "t.packets",
        kind: Kind::Counter,
        unit: "",
        help: "Packets.",
        labels: &["listener", "state"],
    };
    static DELAY: Desc = Desc {
        name: "t.delay",
        kind: Kind::Histogram,
        unit: "ns",
        help: "Delay.",
        labels: &[],
    };

    #[test]
    fn lanes_add_up_in_one_series() {
        let mut snapshot = Snapshot::default();
        snapshot.push(&PACKETS, &["udp", "ok"], 2.0);
        snapshot.push(&PACKETS, &["udp", "ok"], 3.0);
        snapshot.push(&PACKETS, &["uds", "ok"], 10.0);
        snapshot.push(&PACKETS, &["uds", "error"], 1.0);
        assert_eq!(snapshot.iter().count(), 3);
        let udp = snapshot.get("t.packets", &[("listener", "udp"), ("state", "ok")]);
        assert_eq!(udp, Some(5.0));
        assert_eq!(snapshot.get("t.packets", &[("state", "ok")]), Some(15.0));
        assert_eq!(snapshot.get("t.packets", &[("state", "late")]), None);
        assert_eq!(snapshot.sum("t.packets"), 16.0);
        assert_eq!(snapshot.sum("t.nothing"), 0.0);
    }

    #[test]
    fn series_come_sorted_with_their_labels() {
        let mut snapshot = Snapshot::default();
        snapshot.push(&PACKETS, &["uds", "ok"], 1.0);
        snapshot.push(&PACKETS, &["udp", "ok"], 1.0);
        let labels: Vec<Vec<_>> = snapshot.iter().map(|s| s.labels().collect()).collect();
        assert_eq!(
            labels,
            [
                [("listener", "udp"), ("state", "ok")],
                [("listener", "uds"), ("state", "ok")]
            ]
        );
    }

    #[test]
    fn histograms_of_two_lanes_merge() {
        let histogram = LatencyHistogram::new(&[100, 1000]);
        let mut recorder = histogram.recorder();
        recorder.record(50);
        recorder.record(500);
        recorder.publish();
        let reading = histogram.read();
        let mut snapshot = Snapshot::default();
        snapshot.push_histogram(&DELAY, &[], &reading);
        snapshot.push_histogram(&DELAY, &[], &reading);
        let series = snapshot.iter().next().expect("one series");
        let Value::Histogram(value) = series.value else {
            unreachable!("pushed as a histogram");
        };
        assert_eq!(value.buckets, [(100.0, 2), (1000.0, 4)]);
        assert_eq!((value.count, value.sum), (4, 1100.0));
        assert_eq!(snapshot.get("t.delay", &[]), Some(4.0));
    }
}
