//! OTLP metrics over HTTP or gRPC: flushes become export requests.
//!
//! ```text
//!  FlushBatch ─▶ items ─▶ sorted by resource, name ─▶ requests within limits ─▶ POST or Export, gzip
//! ```
//!
//! | DogStatsD | sent as |
//! |---|---|
//! | counter | Sum; delta with the bucket's start and end, or a running total since the series appeared |
//! | gauge, set | Gauge |
//! | histogram, timing | ExponentialHistogram; or its aggregates, each a Gauge and `.count` a Sum |
//! | distribution | ExponentialHistogram |
//! | sample with its own time | the same, start and end being that time |
//! | event, service check | nothing; counted as `unsupported` |
//!
//! **Exponential histograms** have scale 5. Count, sum, minimum and maximum are exact; see
//! [`exponential`](crate::exponential) for the bound of everything else: 3 % from a bucket's edges.
//!
//! **Resources.** Host, service, env, version, container and pod tags are attributes of the resource, under the
//! names OpenTelemetry has for them; all other tags are attributes of the point. A tag without a value is an
//! attribute with an empty text, a repeated key an attribute with a list.
//!
//! **Monotony.** A name that ever had a negative sum is not monotonic from then on.
//!
//! Lost here, and counted in points: `unsupported`, `series_limit` of running totals. What a collector rejects of
//! an accepted request is counted as `invalid`, and never sent again. The rest is the delivery's.

use std::sync::Arc;
use std::time::Instant;

use greyhound_model::flush::FlushBatch;
use greyhound_model::series::{SeriesKind, Suffix};
use greyhound_model::time::Clock;
use hashbrown::HashSet;

use crate::client::Client;
use crate::delivery::status::View;
use crate::delivery::{Delivery, DeliveryConfig, Payload};
use crate::egress::Egress;
use crate::sink::{Reason, Receipt, Sink, SinkLedger};

mod attributes;
mod collector;
mod encode;
mod grpc;
mod totals;

use attributes::Split;
use collector::Collector;
#[cfg(test)]
use collector::{FRAMED_GZIP, GZIP};
use encode::{Data, Encoder, Item};
use totals::Totals;

/// Names that were ever negative and are remembered.
const NEGATIVE_MAX: usize = 65_536;

/// How sums and histograms are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// What happened in the bucket.
    Delta,
    /// What happened since the series appeared.
    Cumulative,
}

/// One collector.
#[derive(Clone, PartialEq)]
pub struct OtlpConfig {
    /// Name of the sink.
    pub name: String,
    /// The whole address, path included; of gRPC without the path.
    pub url: String,
    /// Speak gRPC; the client has to be one of HTTP/2.
    pub is_grpc: bool,
    /// Value of `Authorization`; empty = none.
    pub authorization: String,
    /// Further headers, names and values.
    pub headers: Vec<(String, String)>,
    /// Version of the scope.
    pub version: String,
    /// Delta or cumulative.
    pub temporality: Temporality,
    /// Histograms and timings as their aggregates rather than as exponential histograms.
    pub aggregates: bool,
    /// Silence after which a running total is forgotten; 0 = never.
    pub expiry_seconds: u32,
    /// Running totals at most; the newest are refused.
    pub series_max: usize,
    /// Points of one request at most; a histogram counts for more.
    pub points_max: usize,
}

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum OtlpError {
    /// The address cannot be used.
    #[error(
        "`{url}`, set by `greyhound.otlp.url`, is not an http:// or https:// address without credentials"
    )]
    Url {
        /// The address, without what it may hold of credentials.
        url: String,
    },
    /// A header cannot be written.
    #[error("`{name}`, set by `greyhound.otlp.headers`, is not a header")]
    Header {
        /// Its name.
        name: String,
    },
    /// The credentials cannot be a header.
    #[error(
        "`greyhound.otlp.bearer_token`, `username` or `password` hold characters no header has"
    )]
    Authorization,
}

/// Exports flushes to one collector.
pub struct OtlpSink {
    config: OtlpConfig,
    clock: Arc<dyn Clock>,
    delivery: Delivery,
    totals: Totals,
    negative: HashSet<Box<[u8]>, foldhash::fast::RandomState>,
}

// === impl OtlpSink ===

impl OtlpSink {
    /// A sink nothing is sent from yet.
    ///
    /// # Errors
    /// When the address or a header makes no sense; the message names the setting.
    pub fn new(
        config: OtlpConfig,
        delivery: DeliveryConfig,
        client: Client,
        egress: Egress,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OtlpError> {
        let collector = Arc::new(Collector::new(&config)?);
        Ok(Self {
            totals: Totals::new(config.series_max, config.expiry_seconds),
            config,
            clock,
            delivery: Delivery::new(delivery, collector, client, egress),
            negative: HashSet::default(),
        })
    }

    /// Requests of one flush.
    fn encode(&mut self, batch: &FlushBatch, receipt: &mut Receipt) -> Vec<Payload> {
        let nanos = self.clock.now().monotonic_nanos;
        let now = u32::try_from(nanos / 1_000_000_000).unwrap_or(u32::MAX);
        let mut split = Split::new(batch);
        let mut items = self.series(batch, &mut split, receipt);
        for sketch in &batch.sketches {
            items.push(Item {
                split: split.of(&sketch.context),
                context: &sketch.context,
                suffix: Suffix::None,
                data: Data::Distribution(&sketch.points),
                points: sketch.points.len() as u32,
            });
        }
        let unshown = batch.events.len() + batch.service_checks.len();
        receipt.drop_points(Reason::Unsupported, unshown as u64);
        self.delivery.count_texts(split.repaired, 0);
        if self.config.temporality == Temporality::Cumulative {
            self.totals.expire(now, batch.interval_seconds);
        }
        let mut encoder = Encoder::new(&self.config, batch, split, &self.negative);
        encoder.encode(items, &mut self.totals, now, receipt)
    }

    /// Counters, gauges, and histograms in the form that is wanted.
    fn series<'b>(
        &mut self,
        batch: &'b FlushBatch,
        split: &mut Split<'b>,
        receipt: &mut Receipt,
    ) -> Vec<Item<'b>> {
        let mut items = Vec::with_capacity(batch.series.len() + batch.sketches.len());
        let mut aggregates = 0;
        for series in &batch.series {
            let points = series.points.as_slice();
            if series.suffix != Suffix::None && !self.config.aggregates {
                aggregates += points.len();
                continue;
            }
            let data = match series.kind {
                SeriesKind::Gauge => Data::Gauge(points, series.unit),
                SeriesKind::Rate => {
                    self.note_negative(series.context.name(), points.iter().map(|p| p.value));
                    Data::Sum(points)
                }
            };
            items.push(Item {
                split: split.of(&series.context),
                context: &series.context,
                suffix: series.suffix,
                data,
                points: points.len() as u32,
            });
        }
        if self.config.aggregates {
            return items;
        }
        // The aggregates are what the ledger counts and the histograms are what is sent, so each histogram
        // answers for its share of them.
        let mut left = batch.histograms.len();
        if left == 0 {
            receipt.drop_points(Reason::Unsupported, aggregates as u64);
        }
        for histogram in &batch.histograms {
            let share = aggregates / left;
            aggregates -= share;
            left -= 1;
            items.push(Item {
                split: split.of(&histogram.context),
                context: &histogram.context,
                suffix: Suffix::None,
                data: Data::Histogram(&histogram.points, histogram.unit),
                points: share as u32,
            });
        }
        items
    }

    fn note_negative(&mut self, name: &[u8], mut values: impl Iterator<Item = f64>) {
        let is_news = values.any(|value| value < 0.0) && !self.negative.contains(name);
        if is_news && self.negative.len() < NEGATIVE_MAX {
            self.negative.insert(name.into());
        }
    }
}

impl Sink for OtlpSink {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn attach(&mut self, ledger: Arc<SinkLedger>) {
        self.delivery.start(ledger);
    }

    fn delivery(&self) -> Option<View> {
        Some(self.delivery.view())
    }

    fn wants_histograms(&self) -> bool {
        !self.config.aggregates
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

impl std::fmt::Debug for OtlpSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpSink")
            .field("name", &self.config.name)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OtlpConfig")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
