//! What aggregates of numbers look like when they leave: points of one context.

use crate::context::Context;

/// One value at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Start of the bucket, or the time a client gave; Unix seconds.
    pub unix_seconds: i64,
    /// For [`SeriesKind::Rate`] the sum over the interval, not divided: sinks that speak of rates
    /// divide, sinks that keep totals add, and neither loses a bit.
    pub value: f64,
}

/// What the values of a series are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SeriesKind {
    /// The value as it stands.
    Gauge,
    /// Increments over one interval; the Agent sends them divided by its seconds.
    Rate,
}

/// What is put behind the context's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Suffix {
    /// Nothing.
    None,
    /// `.max` of a histogram.
    Max,
    /// `.min` of a histogram.
    Min,
    /// `.median` of a histogram.
    Median,
    /// `.avg` of a histogram.
    Avg,
    /// `.sum` of a histogram.
    Sum,
    /// `.count` of a histogram.
    Count,
    /// `.<P>percentile` of a histogram.
    Percentile(u8),
}

/// The unit a client implied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Not known.
    None,
    /// Timings (`ms`).
    Millisecond,
}

/// Points of one context, kind and suffix.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Name, host and tags.
    pub context: Context,
    /// Part of the final name.
    pub suffix: Suffix,
    /// Gauge or rate.
    pub kind: SeriesKind,
    /// Unit of the values.
    pub unit: Unit,
    /// At least one; in order of time within one flush.
    pub points: Points,
}

/// One point is the rule, so it costs no allocation.
#[derive(Clone, Debug, PartialEq)]
pub enum Points {
    /// Exactly one.
    One(Point),
    /// Any other number.
    Many(Vec<Point>),
}

// === impl Suffix ===

impl Suffix {
    /// Appends the suffix with its dot.
    pub fn append_to(self, name: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Max => name.extend_from_slice(b".max"),
            Self::Min => name.extend_from_slice(b".min"),
            Self::Median => name.extend_from_slice(b".median"),
            Self::Avg => name.extend_from_slice(b".avg"),
            Self::Sum => name.extend_from_slice(b".sum"),
            Self::Count => name.extend_from_slice(b".count"),
            Self::Percentile(p) => {
                name.push(b'.');
                name.extend_from_slice(p.to_string().as_bytes());
                name.extend_from_slice(b"percentile");
            }
        }
    }
}

// === impl Series ===

impl Series {
    /// Context name and suffix: the name the series goes out under.
    pub fn full_name(&self) -> Vec<u8> {
        let mut name = self.context.name().to_vec();
        self.suffix.append_to(&mut name);
        name
    }
}

// === impl Points ===

impl Points {
    /// The points as a slice.
    pub fn as_slice(&self) -> &[Point] {
        match self {
            Self::One(point) => std::slice::from_ref(point),
            Self::Many(points) => points,
        }
    }

    /// Adds a point.
    pub fn push(&mut self, point: Point) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, point]),
            Self::Many(points) => points.push(point),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::Host;

    #[test]
    fn a_percentile_is_part_of_the_name() {
        let series = Series {
            context: Context::new(b"rpc.time", Host::Own, []),
            suffix: Suffix::Percentile(95),
            kind: SeriesKind::Gauge,
            unit: Unit::None,
            points: Points::One(Point {
                unix_seconds: 10,
                value: 1.0,
            }),
        };
        assert_eq!(series.full_name(), b"rpc.time.95percentile");
    }

    #[test]
    fn a_second_point_keeps_the_first() {
        let mut points = Points::One(Point {
            unix_seconds: 10,
            value: 1.0,
        });
        points.push(Point {
            unix_seconds: 20,
            value: 2.0,
        });
        points.push(Point {
            unix_seconds: 30,
            value: 3.0,
        });
        let seconds: Vec<_> = points
            .as_slice()
            .iter()
            .map(|point| point.unix_seconds)
            .collect();
        assert_eq!(seconds, [10, 20, 30]);
    }
}
