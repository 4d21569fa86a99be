//! What a counter is called and what it means, said once beside the code that counts.

/// How a value behaves over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Only grows, from 0 at start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts of observations by size.
    Histogram,
}

/// One metric of our own. Lives in a `static` or `const` table beside the code it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Desc {
    /// `subsystem.name`, the Agent's name where the Agent counts the same thing.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// What one unit is: `datagrams`, `bytes`, `ns`; empty for a bare number.
    pub unit: &'static str,
    /// One sentence for the operator who finds it on a dashboard. Never empty.
    pub help: &'static str,
    /// Names of its labels, in the order values are pushed.
    pub labels: &'static [&'static str],
}

// === impl Kind ===

impl Kind {
    /// The word in documents and in the Prometheus text form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

// === impl Desc ===

impl Desc {
    /// The name as Prometheus sees it: every dot becomes two underscores, as the Agent does it.
    pub fn exposition_name(&self) -> String {
        self.name.replace('.', "__")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dot_becomes_two_underscores() {
        let desc = Desc {
            name: "dogstatsd.udp_packets",
            kind: Kind::Counter,
            unit: "datagrams",
            help: "Datagrams read.",
            labels: &["state"],
        };
        assert_eq!(desc.exposition_name(), "dogstatsd__udp_packets");
        assert_eq!(desc.kind.as_str(), "counter");
    }
}
