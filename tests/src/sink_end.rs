//! The line each sink leaves in the log at its end: every point it was given went somewhere.

use crate::daemon::Stopped;

/// The points of one sink over a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkEnd {
    /// Made for it, by it, or found by it on disk.
    pub points: u64,
    /// Accepted by the other side.
    pub delivered: u64,
    /// Given up for a named reason.
    pub dropped: u64,
    /// Left on disk for the next start.
    pub kept: u64,
}

// === impl SinkEnd ===

impl SinkEnd {
    /// The end of the sink `name`.
    ///
    /// # Panics
    /// When it left no line, or the line does not add up.
    pub fn of(stopped: &Stopped, name: &str) -> Self {
        let end = Self::parse(&stopped.log, name)
            .unwrap_or_else(|| panic!("sink {name} left no line:\n{}", stopped.log));
        assert_eq!(
            end.points,
            end.delivered + end.dropped + end.kept,
            "points of sink {name} are unaccounted for: {end:?}\n{}",
            stopped.log
        );
        end
    }

    fn parse(log: &str, name: &str) -> Option<Self> {
        let sink = format!("sink={name}");
        let is_end = |line: &&str| {
            let says_so = line.contains("sink ended") || line.contains("sink did not finish");
            says_so && line.split_whitespace().any(|word| word == sink)
        };
        let line = log.lines().rev().find(is_end)?;
        let number = |key: &str| {
            let mut words = line.split_whitespace();
            let value = words.find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
            value.parse().ok()
        };
        Some(Self {
            points: number("points")?,
            delivered: number("delivered")?,
            dropped: number("dropped")?,
            kept: number("kept")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_right_sink_is_read() {
        let log = "INFO sink ended sink=datadog points=9 delivered=5 dropped=3 kept=1\n\
                   INFO sink ended sink=datadog-2 points=1 delivered=1 dropped=0 kept=0\n";
        let end = SinkEnd::parse(log, "datadog").unwrap();
        assert_eq!(
            (end.points, end.delivered, end.dropped, end.kept),
            (9, 5, 3, 1)
        );
        assert_eq!(SinkEnd::parse(log, "datadog-2").unwrap().points, 1);
        assert_eq!(SinkEnd::parse(log, "ndjson"), None);
    }
}
