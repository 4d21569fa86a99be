//! The six kinds of metric a message can carry.

/// What a metric message says its values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum MetricKind {
    /// `g`: the last value of a bucket counts.
    Gauge = 0,
    /// `c`: values add up, weighted by their sample rate.
    Counter = 1,
    /// `h`: values are summarised by the configured aggregates and percentiles.
    Histogram = 2,
    /// `ms`: a histogram whose unit is the millisecond.
    Timing = 3,
    /// `s`: distinct members are counted.
    Set = 4,
    /// `d`: values go into a sketch that can be merged.
    Distribution = 5,
}

// === impl MetricKind ===

impl MetricKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Gauge,
        Self::Counter,
        Self::Histogram,
        Self::Timing,
        Self::Set,
        Self::Distribution,
    ];

    /// The symbol on the wire.
    pub const fn symbol(self) -> &'static str {
        match self {
            Self::Gauge => "g",
            Self::Counter => "c",
            Self::Histogram => "h",
            Self::Timing => "ms",
            Self::Set => "s",
            Self::Distribution => "d",
        }
    }

    /// The word the Agent's own telemetry uses (`dogstatsd.metric_type_count`).
    pub const fn telemetry_name(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
            Self::Timing => "timing",
            Self::Set => "set",
            Self::Distribution => "distribution",
        }
    }

    /// The kind with this number, if there is one.
    pub const fn from_index(index: u8) -> Option<Self> {
        if (index as usize) < Self::ALL.len() {
            Some(Self::ALL[index as usize])
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_kinds_agree() {
        for (index, kind) in MetricKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
            assert_eq!(MetricKind::from_index(kind as u8), Some(kind));
        }
        assert_eq!(MetricKind::from_index(6), None);
    }
}
