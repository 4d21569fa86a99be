//! Runs one scenario: starts what it needs, measures, and gives rows.
//!
//! Server and baseline are measured in turn (A B A B …) with the same load, so that whatever else the
//! machine does hits both. Middle values are reported, the least beside them.

mod limits;
mod rates;
mod still;

use std::path::PathBuf;

use anyhow::{Result, bail};

use super::bisect::Search;
use super::measure::{Load, Pace, Run, Sender};
use super::place::{self, Class, Place};
use super::report::Row;
use super::scenario::{Scenario, Work};
use super::server::{Kind, Server, Transport};

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Runs of each kind.
    pub runs: usize,
    /// Seconds of a run whose processor time counts.
    pub run_seconds: f64,
    /// Seconds of a probe for the largest rate.
    pub probe_seconds: f64,
    /// Seconds of a run that has flushes in it.
    pub flush_seconds: f64,
    /// Seconds of flood and churn.
    pub long_seconds: f64,
    /// How exactly to look for the largest rate.
    pub search: Search,
}

/// Everything a scenario needs.
#[derive(Clone, Debug)]
pub struct Runner {
    /// Server under test.
    pub kind: Kind,
    /// Binary that sends.
    pub sender: String,
    /// The binary under test, when it is ours.
    pub binary: Option<PathBuf>,
    /// Cores and scheduling.
    pub place: Place,
    /// How long.
    pub effort: Effort,
}

// === impl Effort ===

impl Effort {
    /// Minutes a scenario.
    pub const FULL: Self = Self {
        runs: 5,
        run_seconds: 3.0,
        probe_seconds: 2.0,
        flush_seconds: 22.0,
        long_seconds: 100.0,
        search: Search {
            precision: 0.03,
            tries: 3,
        },
    };

    /// Seconds a scenario.
    pub const QUICK: Self = Self {
        runs: 3,
        run_seconds: 1.0,
        probe_seconds: 0.7,
        flush_seconds: 12.0,
        long_seconds: 40.0,
        search: Search {
            precision: 0.06,
            tries: 2,
        },
    };
}

// === impl Runner ===

impl Runner {
    /// Runs a scenario.
    ///
    /// # Errors
    ///
    /// When something cannot be started or measured, or the server under test cannot take part.
    pub fn run(&self, scenario: &Scenario) -> Result<Vec<Row>> {
        let ours = matches!(self.kind, Kind::Greyhound { .. });
        if !ours && scenario.transport != Transport::Udp {
            bail!("another server is reached by UDP only");
        }
        if scenario.transport == Transport::Unixgram {
            place::set_unix_queue(scenario.unix_queue)?;
        }
        match scenario.work {
            Work::Rates { fixed, top } => self.rates(scenario, fixed, top),
            Work::Share(pace) => self.share(scenario, pace),
            Work::Bursts(bursts) => self.bursts(scenario, bursts),
            Work::Noisy(rate) => self.noisy(scenario, rate),
            Work::Idle(contexts) => self.idle(scenario, contexts),
            Work::Resident(pace) => self.resident(scenario, pace),
            Work::Flood => self.flood(scenario),
            Work::Churn { rate, new } => self.churn(scenario, rate, new),
            Work::Flush => self.flush(scenario),
            Work::TwoLanes => self.two_lanes(scenario),
            Work::Start => self.start(scenario),
        }
    }

    fn sender(&self, class: Class) -> Sender {
        Sender {
            binary: self.sender.clone(),
            place: self.place.clone(),
            class,
        }
    }

    /// The server under test, with every context sent once.
    fn warm_server(&self, scenario: &Scenario, class: Class) -> Result<(Server, Sender)> {
        let server = self.kind.start(scenario.transport, &self.place, class)?;
        let sender = self.sender(class);
        sender.warm(&server, &scenario.arguments())?;
        Ok((server, sender))
    }

    fn load(scenario: &Scenario, pace: Pace, seconds: f64) -> Load {
        Load {
            arguments: scenario.arguments(),
            pace,
            seconds,
        }
    }

    /// As [`load`](Self::load); the sender waits where a queue is full, as clients that must not lose do.
    fn waiting_load(scenario: &Scenario, pace: Pace, seconds: f64) -> Load {
        let mut load = Self::load(scenario, pace, seconds);
        if scenario.transport != Transport::UnixStream {
            load.arguments
                .extend(["--when-full", "wait"].map(str::to_owned));
        }
        load
    }
}

/// What runs have in common: sums of what went where, middle values of what it cost.
fn counted(row: &mut Row, runs: &[Run]) {
    let sum = |value: fn(&Run) -> f64| runs.iter().map(value).sum::<f64>();
    let middle = |value: fn(&Run) -> f64| median(runs.iter().map(value).collect());
    row.set(
        "offered_per_second",
        middle(|run| run.offered / run.seconds),
    );
    row.set("offered", sum(|run| run.offered));
    row.set("received", sum(|run| run.received));
    row.set("kernel_dropped_packets", sum(|run| run.kernel_drops));
    row.set("refused", sum(|run| run.refused));
    row.set("ledger_drops", sum(|run| run.ledger_drops));
    row.set("unaccounted_packets", sum(|run| run.unaccounted));
    let taken = sum(Run::taken);
    row.set(
        "lost_share",
        (1.0 - taken / sum(|run| run.offered).max(1.0)).max(0.0),
    );
    row.set("cpu_ns", middle(Run::cpu_nanos));
    row.set(
        "cpu_ns_least",
        runs.iter()
            .map(Run::cpu_nanos)
            .fold(f64::INFINITY, f64::min),
    );
    row.set("lost_share_middle", middle(Run::lost_share));
    // Ticks are coarse: their proportion is taken from all runs together.
    let user_share =
        sum(|run| run.cpu.user as f64) / sum(|run| (run.cpu.user + run.cpu.system) as f64).max(1.0);
    let cpu = middle(Run::cpu_nanos);
    row.set("user_ns", cpu * user_share);
    row.set("system_ns", cpu * (1.0 - user_share));
    row.set(
        "core_share",
        middle(|run| run.cpu.total as f64 / 1e9 / run.seconds),
    );
    row.set(
        "resident_mb",
        megabytes(runs.last().map_or(0, |run| run.memory.resident)),
    );
    row.set(
        "peak_mb",
        megabytes(runs.last().map_or(0, |run| run.memory.peak)),
    );
    row.set(
        "sender_lag_max_ms",
        runs.iter().map(|run| run.lag_max / 1e6).fold(0.0, f64::max),
    );
    row.set("runs", runs.len() as f64);
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// The value in the middle, the lower of two; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len().saturating_sub(1) / 2;
    values.get(middle).copied().unwrap_or(0.0)
}

/// A rate the way people write it: `500k/s`, `2M/s`.
fn rate_name(rate: f64) -> String {
    match rate {
        rate if rate >= 1e6 => format!("{}M/s", rate / 1e6),
        rate if rate >= 1e3 => format!("{}k/s", rate / 1e3),
        rate => format!("{rate}/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_one_of_the_values() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert_eq!(median(vec![]), 0.0);
    }

    #[test]
    fn rates_have_short_names() {
        assert_eq!(rate_name(100e3), "100k/s");
        assert_eq!(rate_name(1.5e6), "1.5M/s");
        assert_eq!(rate_name(20.0), "20/s");
    }

    #[test]
    fn what_was_lost_is_added_up() {
        let run = |offered, received| Run {
            seconds: 1.0,
            offered,
            received,
            ..Run::default()
        };
        let mut row = Row::new("s", "x");
        counted(&mut row, &[run(100.0, 100.0), run(100.0, 50.0)]);
        assert_eq!(row.get("lost_share"), Some(0.25));
        assert_eq!(row.get("offered"), Some(200.0));
    }
}
