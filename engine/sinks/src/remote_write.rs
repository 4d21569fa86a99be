//! Prometheus remote write: flushes become samples, pushed.
//!
//! ```text
//!  FlushBatch ─▶ table: series, totals ─▶ in order of first appearance ─▶ packer ─▶ POST, snappy
//! ```
//!
//! | DogStatsD | sent as |
//! |---|---|
//! | counter `page.views` | counter `page_views_total`: the sum of all increments since the series appeared |
//! | gauge, set | gauge |
//! | histogram, timing | its aggregates: `took_avg`, `took_max`, … as gauges, `took_count` as a running total |
//! | distribution | `spread{quantile="0.99"}` of the bucket, `spread_sum` and `spread_count` as running totals; or one native histogram, cumulative |
//! | sample with its own time | at that time, or a millisecond after the last sample of its series |
//! | event, service check | nothing; counted as `unsupported` |
//!
//! **Time.** A bucket's sample carries the end of the bucket, or the time of the flush when that is earlier.
//! Times of a series only grow: a total that would step back goes out a millisecond after the last one, for it
//! holds increments that must not be lost; a gauge that would is dropped as `invalid`. So no receiver sees two
//! values of one time. Requests of one series go one after the other, oldest first, also after an outage.
//!
//! **Beginning.** A new total is preceded by a zero at the start of its bucket, so that `increase()` counts its
//! first increments; not in the first bucket after our start, which an earlier process may have sent part of.
//!
//! **End.** `expiry_seconds` after its last sample a series gets a staleness marker and is forgotten; should it
//! come back it counts from zero. An increment of zero is no sample in that sense.
//!
//! **Version.** The first, unless the receiver confirms the second (`version`).
//!
//! **Identity.** Series are known by the labels that are sent. Two contexts that would send the same ones
//! (`a.b` and `a_b`) are a `collision`: the first stays, the other is refused until the first expires.
//!
//! Lost here, and counted in points: `series_limit`, `collision`, `unsupported`, `invalid`. The rest is the
//! delivery's.

use std::sync::Arc;
use std::time::Instant;

use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::series::SeriesKind;
use greyhound_model::series::Unit;
use greyhound_model::time::Clock;
use tracing::warn;

use crate::client::Client;
use crate::delivery::status::View;
use crate::delivery::{Delivery, DeliveryConfig, Payload};
use crate::egress::Egress;
use crate::escape;
use crate::sink::{Reason, Receipt, Sink, SinkLedger};

mod families;
mod labels;
mod native;
mod packer;
mod receiver;
mod samples;
mod series;
mod version;

pub use packer::Limits;
use packer::{Packer, Version};
use receiver::Receiver;
use samples::Writer;
use series::{Plan, Role, Table};

/// Lines of requests, each in order; series are dealt out in blocks, so that few need one line only.
const SHARDS: [&str; 4] = ["series-1", "series-2", "series-3", "series-4"];
const SHARD_BLOCK: u32 = 2048;

/// Types and units are told anew this often.
const METADATA_SECONDS: u32 = 600;

/// Refusals are logged at most this often.
const LOG_SECONDS: u32 = 60;

/// One receiver.
#[derive(Clone, PartialEq)]
pub struct RemoteWriteConfig {
    /// Name of the sink.
    pub name: String,
    /// The whole address, path included.
    pub url: String,
    /// Value of `Authorization`; empty = none.
    pub authorization: String,
    /// Further headers, names and values.
    pub headers: Vec<(String, String)>,
    /// Labels every series gets that has none of that name.
    pub external_labels: Vec<(String, String)>,
    /// Whether series of the engine's own host carry a `host` label too.
    pub own_host_label: bool,
    /// Silence after which a series ends; never sooner than two flush intervals. 0 = never.
    pub expiry_seconds: u32,
    /// Series at most, as the receiver counts them; the newest are refused.
    pub series_max: u64,
    /// Quantiles of distributions, each from 0 to 1.
    pub quantiles: Vec<f64>,
    /// Send distributions as native histograms instead.
    pub native_histograms: bool,
    /// Whether the receiver is asked for the second version of the protocol.
    pub ask_for_two: bool,
    /// Bounds of a request.
    pub limits: Limits,
}

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum RemoteWriteError {
    /// The address cannot be used.
    #[error(
        "`{url}`, set by `greyhound.remote_write.url`, is not an http:// or https:// address without credentials"
    )]
    Url {
        /// The address, without what it may hold of credentials.
        url: String,
    },
    /// A header cannot be written.
    #[error("`{name}`, set by `greyhound.remote_write.headers`, is not a header")]
    Header {
        /// Its name.
        name: String,
    },
    /// The credentials cannot be a header.
    #[error(
        "`greyhound.remote_write.bearer_token`, `username` or `password` hold characters no header has"
    )]
    Authorization,
    /// Outside of 0 to 1.
    #[error("`greyhound.remote_write.quantiles` holds {value}, a quantile is from 0 to 1")]
    Quantile {
        /// The offender.
        value: f64,
    },
}

/// Pushes flushes to one receiver.
pub struct RemoteWriteSink {
    config: RemoteWriteConfig,
    plan: Plan,
    table: Table,
    clock: Arc<dyn Clock>,
    /// Milliseconds of the wall clock when it was made.
    started_ms: i64,
    receiver: Arc<Receiver>,
    client: Client,
    delivery: Delivery,
    ledger: Option<Arc<SinkLedger>>,
    refusal_logged_at: Option<u32>,
}

/// Where in a flush the points of an entry stand.
#[derive(Clone, Copy, Debug)]
enum Source {
    Series(usize),
    Sketch(usize),
}

// === impl RemoteWriteSink ===

impl RemoteWriteSink {
    /// A sink nothing is sent from yet.
    ///
    /// # Errors
    /// When the address, a header or a quantile makes no sense; the message names the setting.
    pub fn new(
        config: RemoteWriteConfig,
        delivery: DeliveryConfig,
        client: Client,
        egress: Egress,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, RemoteWriteError> {
        let mut quantiles = config.quantiles.clone();
        if let Some(&value) = quantiles.iter().find(|q| !(0.0..=1.0).contains(*q)) {
            return Err(RemoteWriteError::Quantile { value });
        }
        quantiles.sort_unstable_by(f64::total_cmp);
        quantiles.dedup();
        let receiver = Arc::new(Receiver::new(&config)?);
        let plan = Plan {
            quantiles,
            is_native: config.native_histograms,
            series_max: config.series_max.min(u64::from(u32::MAX)),
            external_labels: labels::external(&config.external_labels),
            own_host_label: config.own_host_label,
        };
        let started_ms = clock.now().unix_seconds().saturating_mul(1000);
        Ok(Self {
            config,
            plan,
            table: Table::default(),
            clock,
            started_ms,
            delivery: Delivery::new(delivery, receiver.clone(), client.clone(), egress),
            receiver,
            client,
            ledger: None,
            refusal_logged_at: None,
        })
    }

    /// Requests of one flush, those of a class in order.
    fn encode(&mut self, batch: &FlushBatch, receipt: &mut Receipt) -> Vec<Payload> {
        let now = monotonic_seconds(&*self.clock);
        let version = self.receiver.version();
        let mut packers = self.packers(version);
        self.expire(batch, now, &mut packers);
        let found = self.locate(batch, now, receipt);
        let mut writer = Writer::new(batch, now, self.started_ms, &self.plan);
        for (id, source) in found {
            let Some(entry) = self.table.entries[id as usize].as_mut() else {
                continue;
            };
            let packer = &mut packers[shard_of(id)];
            let families = &mut self.table.families;
            match source {
                Source::Series(index) => {
                    let points = batch.series[index].points.as_slice();
                    writer.scalar(entry, families, points, packer, receipt);
                }
                Source::Sketch(index) => {
                    let points = &batch.sketches[index].points;
                    writer.distribution(entry, families, points, packer);
                }
            }
        }
        let unshown = batch.events.len() + batch.service_checks.len();
        receipt.drop_points(Reason::Unsupported, unshown as u64);
        self.delivery
            .count_texts(std::mem::take(&mut self.table.repaired), 0);
        let mut told = Packer::new(0, Version::One, self.config.limits);
        if version == Version::One {
            self.table.families.tell(now, METADATA_SECONDS, |message| {
                told.reserve(1);
                told.metadata(message);
            });
        }
        let payloads = packers.into_iter().flat_map(Packer::finish);
        told.finish().into_iter().chain(payloads).collect()
    }

    /// Finds the entries of a flush, in the order in which they first appeared.
    fn locate(
        &mut self,
        batch: &FlushBatch,
        now: u32,
        receipt: &mut Receipt,
    ) -> Vec<(u32, Source)> {
        let mut found = Vec::with_capacity(batch.series.len() + batch.sketches.len());
        for (index, series) in batch.series.iter().enumerate() {
            let role = match series.kind {
                SeriesKind::Rate => Role::Total(series.suffix),
                SeriesKind::Gauge => Role::Last(series.suffix),
            };
            let (plan, host) = (&self.plan, &batch.hostname);
            match self
                .table
                .locate(plan, &series.context, role, series.unit, host, now)
            {
                Ok(id) => found.push((id, Source::Series(index))),
                Err(reason) => {
                    receipt.drop_points(reason, series.points.as_slice().len() as u64);
                    self.log_refusal(series.context.name(), reason, now);
                }
            }
        }
        for (index, sketch) in batch.sketches.iter().enumerate() {
            let (plan, host, role) = (&self.plan, &batch.hostname, Role::Distribution);
            match self
                .table
                .locate(plan, &sketch.context, role, Unit::None, host, now)
            {
                Ok(id) => found.push((id, Source::Sketch(index))),
                Err(reason) => {
                    receipt.drop_points(reason, sketch.points.len() as u64);
                    self.log_refusal(sketch.context.name(), reason, now);
                }
            }
        }
        found.sort_by_key(|(id, _)| *id);
        found
    }

    fn packers(&self, version: Version) -> [Packer; SHARDS.len()] {
        std::array::from_fn(|shard| Packer::new(shard as u8, version, self.config.limits))
    }

    /// Takes out what fell silent, with a last sample that says so.
    fn expire(&mut self, batch: &FlushBatch, now: u32, packers: &mut [Packer]) {
        if self.config.expiry_seconds == 0 || batch.cause == FlushCause::Timestamped {
            return;
        }
        let quiet_seconds = batch.interval_seconds.saturating_mul(2);
        let mut ended = 0;
        for id in 0..self.table.entries.len() as u32 {
            let is_over = self.table.entry(id).is_some_and(|entry| {
                now.saturating_sub(entry.seen) > self.config.expiry_seconds
                    && now.saturating_sub(entry.touched) > quiet_seconds
            });
            if !is_over {
                continue;
            }
            let Some(family) = self.table.entry(id).map(|entry| entry.family) else {
                continue;
            };
            let about = self.table.families.get(family).about();
            if let Some(entry) = self.table.remove(id)
                && !entry.is_new
            {
                samples::write_end(batch, &entry, about, &mut packers[shard_of(id)]);
                ended += 1;
            }
        }
        if let Some(ledger) = &self.ledger {
            ledger.add(ended);
        }
    }

    fn log_refusal(&mut self, name: &[u8], reason: Reason, now: u32) {
        let is_quiet = self
            .refusal_logged_at
            .is_some_and(|at| now.saturating_sub(at) < LOG_SECONDS);
        if is_quiet {
            return;
        }
        self.refusal_logged_at = Some(now);
        let mut metric = String::new();
        escape::push_shown(name, &mut metric);
        match reason {
            Reason::SeriesLimit => warn!(
                %metric,
                setting = "greyhound.remote_write.series_max",
                "series limit reached, new series are not sent"
            ),
            _ => warn!(%metric, "its labels are those of another metric, this one is not sent"),
        }
    }
}

impl Sink for RemoteWriteSink {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn attach(&mut self, ledger: Arc<SinkLedger>) {
        self.ledger = Some(Arc::clone(&ledger));
        self.delivery.start(ledger);
        if self.config.ask_for_two {
            let receiver = Arc::downgrade(&self.receiver);
            self.delivery
                .spawn(version::ask(receiver, self.client.clone()));
        }
    }

    fn delivery(&self) -> Option<View> {
        Some(self.delivery.view())
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let mut receipt = Receipt::default();
        let payloads = self.encode(batch, &mut receipt);
        self.delivery.push(payloads, batch.unix_seconds);
        receipt
    }

    fn finish(&mut self, deadline: Instant) {
        self.delivery.stop(deadline);
    }
}

fn shard_of(id: u32) -> usize {
    (id / SHARD_BLOCK) as usize % SHARDS.len()
}

fn monotonic_seconds(clock: &dyn Clock) -> u32 {
    u32::try_from(clock.now().monotonic_nanos / 1_000_000_000).unwrap_or(u32::MAX)
}

impl std::fmt::Debug for RemoteWriteSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWriteSink")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for RemoteWriteConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteWriteConfig")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
