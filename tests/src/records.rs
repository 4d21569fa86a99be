//! What the NDJSON sink wrote, one object per line, and questions a test has about it.

use std::collections::BTreeSet;

use serde_json::Value;

/// All lines of a run.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// In the order of the file.
    pub lines: Vec<Value>,
}

/// A distribution over all its points.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SketchTotals {
    /// Samples, weighted by their rates.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

// === impl Records ===

impl Records {
    /// Reads the text of a file.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub fn parse(text: &str) -> Self {
        let read = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        };
        Self {
            lines: text.lines().map(read).collect(),
        }
    }

    /// The lines of the gauge, rate or count `name`: one per context and flush.
    pub fn series(&self, name: &str) -> Vec<&Value> {
        self.named("series", "name", name)
    }

    /// The sum of all points of `name`, over contexts and flushes. Rates are turned back into the increments
    /// they were made of.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn total(&self, name: &str) -> f64 {
        let series = self.series(name);
        assert!(!series.is_empty(), "there is no series {name}");
        let total = |line: &&Value| {
            let interval = match line["type"].as_str() {
                Some("rate") => line["interval"].as_f64().expect("a rate has an interval"),
                _ => 1.0,
            };
            let values = points(line).into_iter().map(|(_, value)| value * interval);
            values.sum::<f64>()
        };
        series.iter().map(total).sum()
    }

    /// The last point of `name`.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn last(&self, name: &str) -> f64 {
        let (_, value) = self.points(name).pop().expect("a series has points");
        value
    }

    /// Second and value of every point of `name`, in the order of the file.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn points(&self, name: &str) -> Vec<(i64, f64)> {
        let series = self.series(name);
        assert!(!series.is_empty(), "there is no series {name}");
        series.into_iter().flat_map(points).collect()
    }

    /// Seconds of the points of `name`.
    ///
    /// # Panics
    /// When there is no such series.
    pub fn times(&self, name: &str) -> Vec<i64> {
        let times = self.points(name).into_iter();
        times.map(|(seconds, _)| seconds).collect()
    }

    /// The sorted tags of the one context with this name.
    ///
    /// # Panics
    /// When there is none, or more than one.
    pub fn tags(&self, name: &str) -> Vec<String> {
        let contexts: BTreeSet<Vec<String>> = self.series(name).into_iter().map(tags_of).collect();
        assert_eq!(contexts.len(), 1, "contexts of {name}: {contexts:?}");
        contexts.into_iter().next().unwrap_or_default()
    }

    /// The distribution `name`, over contexts and flushes.
    ///
    /// # Panics
    /// When there is none.
    pub fn sketch(&self, name: &str) -> SketchTotals {
        let sketches = self.named("sketch", "name", name);
        assert!(!sketches.is_empty(), "there is no sketch {name}");
        let mut totals = SketchTotals {
            count: 0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        };
        for point in sketches.iter().flat_map(|line| list(&line["points"])) {
            let number = |key: &str| point[key].as_f64().expect("a sketch point has numbers");
            totals.count += point["cnt"].as_u64().expect("a sketch point has a count");
            totals.sum += number("sum");
            totals.min = totals.min.min(number("min"));
            totals.max = totals.max.max(number("max"));
        }
        totals
    }

    /// The event with this title.
    ///
    /// # Panics
    /// When there is none.
    pub fn event(&self, title: &str) -> &Value {
        let found = self.named("event", "title", title);
        found
            .first()
            .unwrap_or_else(|| panic!("there is no event {title}"))
    }

    /// The service check with this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn service_check(&self, name: &str) -> &Value {
        let found = self.named("service_check", "name", name);
        found
            .first()
            .unwrap_or_else(|| panic!("there is no check {name}"))
    }

    fn named(&self, kind: &str, key: &str, name: &str) -> Vec<&Value> {
        let lines = self.lines.iter();
        lines
            .filter(|line| line["kind"] == kind && line[key] == name)
            .collect()
    }
}

/// The sorted tags of a line.
pub fn tags_of(line: &Value) -> Vec<String> {
    let tag = |tag: &Value| tag.as_str().unwrap_or_default().to_owned();
    let mut tags: Vec<String> = list(&line["tags"]).iter().map(tag).collect();
    tags.sort();
    tags
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn points(line: &Value) -> Vec<(i64, f64)> {
    let point = |point: &Value| Some((point[0].as_i64()?, point[1].as_f64()?));
    list(&line["points"]).iter().filter_map(point).collect()
}
