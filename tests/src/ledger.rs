//! The last line of the daemon: what was received, and where every item of it went. An item is a sample, an
//! event, a service check, or a message that was refused.

use std::collections::BTreeMap;

/// The ledger of a run, in items; datagrams apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Items read.
    pub received: u64,
    /// Items that reached the aggregate.
    pub aggregated: u64,
    /// Messages refused by the parser, or not terminated where they have to be.
    pub rejected: u64,
    /// The same by class.
    pub rejected_by_class: BTreeMap<String, u64>,
    /// Items given up for a named reason.
    pub dropped: u64,
    /// The same by reason.
    pub dropped_by_reason: BTreeMap<String, u64>,
    /// Datagrams and frames that were never split into messages.
    pub datagrams_dropped: u64,
    /// The same by reason.
    pub datagrams_dropped_by_reason: BTreeMap<String, u64>,
    /// What is unaccounted for.
    pub remainder: i64,
}

// === impl Ledger ===

impl Ledger {
    /// Reads the ledger from what the daemon wrote to standard error; it has to be the last line.
    ///
    /// # Errors
    /// The last line is not a ledger, or one of its numbers is missing.
    pub fn from_log(log: &str) -> Result<Self, String> {
        let last = log.trim_end().lines().last().unwrap_or_default();
        Self::parse(last).ok_or_else(|| format!("the last line is not a ledger: {last:?}"))
    }

    /// Reads `ledger: received=3 aggregated=1 rejected=1 (metric_value=1) dropped=1 (filtered=1)
    /// datagrams_dropped=0 datagrams_dropped=0 remainder=0`.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, fields) = line.split_once("ledger: ")?;
        let mut totals = BTreeMap::new();
        let mut groups: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        let (mut owner, mut inside) = ("", false);
        for token in fields.split_whitespace() {
            inside |= token.starts_with('(');
            let (key, value) = token.trim_matches(['(', ')', ',']).split_once('=')?;
            if inside {
                let group = groups.entry(owner).or_default();
                group.insert(key.to_owned(), value.parse().ok()?);
            } else {
                totals.insert(key, value);
                owner = key;
            }
            inside &= !token.ends_with(')');
        }
        let total = |key: &str| totals.get(key)?.parse().ok();
        Some(Self {
            received: total("received")?,
            aggregated: total("aggregated")?,
            rejected: total("rejected")?,
            rejected_by_class: groups.remove("rejected").unwrap_or_default(),
            dropped: total("dropped")?,
            dropped_by_reason: groups.remove("dropped").unwrap_or_default(),
            datagrams_dropped: total("datagrams_dropped")?,
            datagrams_dropped_by_reason: groups.remove("datagrams_dropped").unwrap_or_default(),
            remainder: totals.get("remainder")?.parse().ok()?,
        })
    }

    /// How many datagrams or frames were given up for `reason`.
    pub fn datagrams_dropped_for(&self, reason: &str) -> u64 {
        self.datagrams_dropped_by_reason
            .get(reason)
            .copied()
            .unwrap_or_default()
    }

    /// How many items were given up for `reason`.
    pub fn dropped_for(&self, reason: &str) -> u64 {
        self.dropped_by_reason
            .get(reason)
            .copied()
            .unwrap_or_default()
    }

    /// How many messages were refused as `class`.
    pub fn rejected_as(&self, class: &str) -> u64 {
        self.rejected_by_class
            .get(class)
            .copied()
            .unwrap_or_default()
    }

    /// Fails when the line does not add up.
    ///
    /// # Panics
    /// A remainder, or parts that do not make their sum.
    pub fn check(&self) {
        assert_eq!(self.remainder, 0, "messages are unaccounted for: {self:?}");
        let out = self.aggregated + self.rejected + self.dropped;
        assert_eq!(self.received, out, "the ledger does not add up: {self:?}");
        for (sum, parts) in [
            (self.rejected, &self.rejected_by_class),
            (self.dropped, &self.dropped_by_reason),
            (self.datagrams_dropped, &self.datagrams_dropped_by_reason),
        ] {
            assert_eq!(
                sum,
                parts.values().sum::<u64>(),
                "a part is missing: {self:?}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_the_line_is_read() {
        let log = "listening\nledger: received=9 aggregated=4 rejected=3 (metric_value=1, metric_type=2) \
                   dropped=2 (filtered=2) datagrams_dropped=3 (truncated=3) remainder=0\n";
        let ledger = Ledger::from_log(log).unwrap();
        assert_eq!(
            (ledger.received, ledger.aggregated, ledger.rejected),
            (9, 4, 3)
        );
        assert_eq!(
            (
                ledger.rejected_as("metric_type"),
                ledger.dropped_for("filtered")
            ),
            (2, 2)
        );
        assert_eq!(ledger.datagrams_dropped_for("truncated"), 3);
        ledger.check();
    }

    #[test]
    fn a_line_without_details_is_read() {
        let line =
            "ledger: received=0 aggregated=0 rejected=0 dropped=0 datagrams_dropped=0 remainder=0";
        assert_eq!(Ledger::parse(line), Some(Ledger::default()));
    }

    #[test]
    fn a_ledger_has_to_be_the_last_line() {
        let log = "ledger: received=0 aggregated=0 rejected=0 dropped=0 datagrams_dropped=0 remainder=0\nthread panicked";
        assert!(Ledger::from_log(log).is_err());
    }
}
