//! Aggregates as DogStatsD messages, for another aggregator to add up.
//!
//! ```text
//!  FlushBatch ─▶ line ─▶ pack ─▶ queue of packets ─▶ thread "gh-relay-send" ─▶ UDP, Unix socket, TCP
//!               (the sink's thread)     bounded, the oldest goes
//! ```
//!
//! | what | is sent as | adds up downstream to |
//! |---|---|---|
//! | counter | its sum, `c` | the same sum |
//! | gauge | `g` | the last |
//! | set | every member, `s` | the distinct members of all senders |
//! | distribution | one value per bin, weighted by sample rate, smallest and largest as they were, `d` | the same bins, count, minimum and maximum; the sum as below |
//! | histogram, timing | likewise, `h` or `ms`; or its aggregates | aggregates of all values, to the width of a bin |
//! | event, service check | as it came | |
//!
//! The values of bins are moved within their bins so that the sum comes out right, to 0.1 % at worst; where
//! values of both signs meet, or sample rates made sum and count disagree, to 0.8 %.
//!
//! A point with a time of its own keeps it (`|T`); one of a bucket does not, because messages with a time are
//! not added up by whoever receives them. [`Timestamps`] has the other choices.
//!
//! Lost here, and counted: the oldest packets of a full queue (`memory_full`), lines no packet can hold
//! (`too_large`), names that would break the line (`invalid`), what is left at the stop (`deadline`). What the
//! network or a receiver loses of datagrams nobody is told.

use std::sync::Arc;
use std::time::Instant;

use greyhound_model::context::Context;
use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::series::{Series, SeriesKind, Suffix};
use greyhound_telemetry::Source;
use hashbrown::{HashMap, HashSet};

use crate::sink::{Receipt, Sink, SinkLedger};

use line::Lines;
use pack::Packer;
use send::Sender;
pub use socket::{Address, AddressError};
use telemetry::RelayTelemetry;

mod line;
mod notice;
mod pack;
mod send;
mod socket;
pub(crate) mod telemetry;
mod weigh;

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayConfig {
    /// Whom to send to.
    pub address: Address,
    /// Longest packet, in bytes.
    pub packet_len_bytes_max: usize,
    /// Bytes of packets that may wait; the oldest go first.
    pub queue_bytes_max: usize,
    /// Which points keep their time.
    pub timestamps: Timestamps,
    /// What histograms and timings are sent as.
    pub histograms: Histograms,
    /// Whether series of the engine's own host carry its name. Without it the receiver takes them for its own.
    pub own_host_tag: bool,
}

/// Which points are sent with their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Those that came with one, or are late.
    Own,
    /// All gauges and counters: nothing adds them up any more, so no context may come from two senders.
    All,
    /// None: they count when they arrive.
    Never,
}

/// What histograms and timings are sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Histograms {
    /// Values, for the receiver to make aggregates of.
    Samples,
    /// Aggregates, which nothing can add up rightly.
    Aggregates,
}

/// Sends flushes on.
#[derive(Debug)]
pub struct RelaySink {
    config: RelayConfig,
    sender: Sender,
    lines: Lines,
}

// === impl RelaySink ===

impl RelaySink {
    /// A relay that sends nothing yet.
    pub fn new(config: RelayConfig) -> Self {
        Self {
            sender: Sender::new(config.address.clone(), config.queue_bytes_max),
            lines: Lines::new(config.own_host_tag),
            config,
        }
    }

    /// `greyhound.relay.*` for the registry.
    pub fn telemetry(&self) -> Arc<dyn Source> {
        Arc::new(RelayTelemetry(self.sender.cells()))
    }

    fn encode(&mut self, batch: &FlushBatch, packer: &mut Packer<'_>) {
        let sampled = match self.config.histograms {
            Histograms::Samples => batch.histograms.as_slice(),
            Histograms::Aggregates => &[],
        };
        // Points of series that go out in another form are counted with that form.
        let mut of_sampled: HashMap<&Context, u64, foldhash::fast::RandomState> =
            sampled.iter().map(|one| (&one.context, 0)).collect();
        let mut members: HashSet<(&Context, i64), foldhash::fast::RandomState> = HashSet::default();
        for set in &batch.sets {
            members.extend(set.points.iter().map(|(second, _)| (&set.context, *second)));
        }
        let lines = &mut self.lines;
        for series in &batch.series {
            if series.suffix != Suffix::None
                && let Some(points) = of_sampled.get_mut(&series.context)
            {
                *points += series.points.as_slice().len() as u64;
                continue;
            }
            for point in series.points.as_slice() {
                let is_set = series.kind == SeriesKind::Gauge && series.suffix == Suffix::None;
                if is_set && members.contains(&(&series.context, point.unix_seconds)) {
                    continue;
                }
                let timestamps = self.config.timestamps;
                let keeps_time = keeps_time(timestamps, batch, point.unix_seconds);
                lines.series(batch, series, point, keeps_time, packer);
            }
        }
        // A set among the points above is one point: it goes with its last member.
        let mut sets: HashSet<&Context, foldhash::fast::RandomState> = HashSet::default();
        sets.extend(
            batch
                .series
                .iter()
                .filter(|series| is_plain_gauge(series))
                .map(|s| &s.context),
        );
        for set in &batch.sets {
            let points = u64::from(sets.contains(&set.context));
            for (_, members) in &set.points {
                lines.set(batch, &set.context, members, points, packer);
            }
        }
        for one in sampled {
            let points = of_sampled.remove(&one.context).unwrap_or(0);
            lines.histogram(batch, one, points, packer);
        }
        for sketch in &batch.sketches {
            lines.distribution(batch, sketch, packer);
        }
        for event in &batch.events {
            notice::event(event, packer);
        }
        for check in &batch.service_checks {
            notice::service_check(check, packer);
        }
    }
}

impl Sink for RelaySink {
    fn name(&self) -> &str {
        "relay"
    }

    fn attach(&mut self, ledger: Arc<SinkLedger>) {
        self.sender.start(ledger);
    }

    fn wants_histograms(&self) -> bool {
        self.config.histograms == Histograms::Samples
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let mut receipt = Receipt::default();
        let sender = self.sender.clone();
        let mut push = |packet| sender.push(packet);
        let mut packer = Packer::new(self.config.packet_len_bytes_max, &mut receipt, &mut push);
        self.encode(batch, &mut packer);
        packer.finish();
        receipt
    }

    fn finish(&mut self, deadline: Instant) {
        self.sender.stop(deadline);
    }
}

fn is_plain_gauge(series: &Series) -> bool {
    series.kind == SeriesKind::Gauge && series.suffix == Suffix::None
}

/// Whether a point goes out with its time.
fn keeps_time(timestamps: Timestamps, batch: &FlushBatch, unix_seconds: i64) -> bool {
    match timestamps {
        Timestamps::All => true,
        Timestamps::Never => false,
        Timestamps::Own => {
            // Batches of the grid hold points with a time of their own too. What fits the bucket just closed
            // is taken for one of it; a bucket that comes late keeps its time rather than count as now.
            let interval = i64::from(batch.interval_seconds.max(1));
            let age = batch.unix_seconds.saturating_sub(unix_seconds);
            let is_of_the_grid =
                unix_seconds.rem_euclid(interval) == 0 && (0..=3 * interval).contains(&age);
            batch.cause == FlushCause::Timestamped || !is_of_the_grid
        }
    }
}

#[cfg(test)]
mod tests;
