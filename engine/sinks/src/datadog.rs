//! Aggregates to Datadog's intake, or to anything that speaks like it.
//!
//! ```text
//!  FlushBatch ─▶ series          ─▶ packer ─▶ POST /api/v2/series        protobuf
//!             ├▶ sketches        ─▶ packer ─▶ POST /api/beta/sketches    protobuf
//!             ├▶ events          ─▶ packer ─▶ POST /intake/              JSON
//!             └▶ service checks  ─▶ packer ─▶ POST /api/v1/check_run     JSON
//! ```
//!
//! One sink is one destination: one address, one key, one queue. An item is encoded once, straight into
//! the compressor; a payload is closed before the item that would break a limit. With every flush go
//! `datadog.agent.running` and the check `datadog.agent.up`, whose absence says that nobody sends.
//!
//! Lost here, and counted: what the intake's own rules refuse (`invalid`), and single items above the
//! limits of a payload (`too_large`). What happens later is the delivery's.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greyhound_model::context::{Context, Host};
use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::series::{Point, Points, Series, SeriesKind, Suffix, Unit};
use greyhound_model::service_check::{ServiceCheck, Status};
use hyper::Uri;

use crate::client::Client;
use crate::delivery::status::View;
use crate::delivery::{Delivery, DeliveryConfig, Payload};
use crate::egress::Egress;
use crate::sink::{Receipt, Sink, SinkLedger};

use intake::Intake;
use packer::Packer;
pub use packer::{Compression, Limits};

mod encode;
mod events;
mod intake;
mod key;
mod packer;
pub(crate) mod proto;
mod series;
mod service_checks;
mod sketches;

/// Classes of payloads; their numbers are on disk.
const CLASSES: &[&str] = &["series", "sketches", "events", "service_checks"];
const SERIES: u8 = 0;
const SKETCHES: u8 = 1;
const EVENTS: u8 = 2;
const SERVICE_CHECKS: u8 = 3;

/// One destination.
#[derive(Clone, PartialEq)]
pub struct DatadogConfig {
    /// Name of the sink.
    pub name: String,
    /// Scheme, host and what paths are put behind.
    pub url: String,
    /// Where keys are checked, as `url`; `None` = they are not.
    pub key_check_url: Option<String>,
    /// Time between checks of the key.
    pub key_check_interval: Duration,
    /// The key.
    pub api_key: String,
    /// Our version, for headers and tags.
    pub version: String,
    /// Bounds of payloads of series.
    pub series_limits: Limits,
    /// Bounds of all other payloads; points are not bounded there.
    pub other_limits: Limits,
    /// How payloads are compressed.
    pub compression: Compression,
    /// Tags of one series; more are cut off and counted. The intake does the same.
    pub tags_max: usize,
    /// Whether each flush says that we run.
    pub says_it_runs: bool,
    /// `Allow-Arbitrary-Tag-Value`.
    pub arbitrary_tag_values: bool,
}

/// Why there is no sink.
#[derive(Debug, thiserror::Error)]
pub enum DatadogError {
    /// The address cannot be used.
    #[error("`{url}` is not an http:// or https:// address")]
    Url {
        /// The address, without what it may hold of credentials.
        url: String,
    },
    /// The key cannot be a header.
    #[error("the API key holds characters no key has")]
    Key,
}

/// Sends flushes to one destination.
#[derive(Debug)]
pub struct DatadogSink {
    config: DatadogConfig,
    intake: Arc<Intake>,
    client: Client,
    delivery: Delivery,
    ledger: Option<Arc<SinkLedger>>,
    /// The second of the last flush that said that we run: two flushes in one second say it once.
    said_at: Option<i64>,
}

/// Changes the key of a running destination.
#[derive(Clone, Debug)]
pub struct KeyHandle {
    intake: Arc<Intake>,
    view: View,
}

// === impl DatadogSink ===

impl DatadogSink {
    /// A sink nothing is sent from yet.
    ///
    /// # Errors
    /// When the address or the key is none.
    pub fn new(
        config: DatadogConfig,
        delivery: DeliveryConfig,
        client: Client,
        egress: Egress,
    ) -> Result<Self, DatadogError> {
        let intake = Arc::new(Intake::new(&config)?);
        let target = Arc::clone(&intake);
        Ok(Self {
            config,
            intake,
            delivery: Delivery::new(delivery, target, client.clone(), egress),
            client,
            ledger: None,
            said_at: None,
        })
    }

    /// Through which the key is changed later.
    pub fn key_handle(&self) -> KeyHandle {
        KeyHandle {
            intake: Arc::clone(&self.intake),
            view: self.delivery.view(),
        }
    }

    /// The payloads of a flush, without sending them. What the intake would refuse goes into the receipt.
    ///
    /// Cost: one pass over the flush; every item is compressed once.
    pub fn encode(&self, batch: &FlushBatch, receipt: &mut Receipt) -> Vec<Payload> {
        let config = &self.config;
        let mut text = encode::Text::new(config.tags_max);
        let mut payloads = Vec::new();
        let own = self.own_series(batch);
        let mut packer = Packer::new(SERIES, config.compression, config.series_limits, b"");
        for series in batch.series.iter().chain(&own) {
            series::add(batch, series, &mut packer, &mut text, receipt);
        }
        payloads.extend(packer.finish());
        let mut packer = Packer::new(
            SKETCHES,
            config.compression,
            config.other_limits,
            sketches::END,
        );
        for sketch in &batch.sketches {
            sketches::add(batch, sketch, &mut packer, &mut text, receipt);
        }
        payloads.extend(packer.finish());
        if !batch.events.is_empty() {
            payloads.extend(events::pack(batch, config, &mut text, receipt));
        }
        let mut packer = Packer::new(
            SERVICE_CHECKS,
            config.compression,
            config.other_limits,
            service_checks::END,
        );
        for check in batch.service_checks.iter().chain(&self.own_check(batch)) {
            service_checks::add(check, &mut packer, &mut text, receipt);
        }
        payloads.extend(packer.finish());
        self.delivery.count_texts(text.repaired, text.tags_cut);
        payloads
    }

    /// That we run, as the Agent says it.
    fn own_series(&self, batch: &FlushBatch) -> Vec<Series> {
        if !self.says_it_runs(batch) {
            return Vec::new();
        }
        let tag = format!("version:{}", self.config.version);
        vec![Series {
            context: Context::new(b"datadog.agent.running", Host::Own, [tag.as_bytes()]),
            suffix: Suffix::None,
            kind: SeriesKind::Gauge,
            unit: Unit::None,
            points: Points::One(Point {
                unix_seconds: batch.unix_seconds,
                value: 1.0,
            }),
        }]
    }

    fn own_check(&self, batch: &FlushBatch) -> Option<ServiceCheck> {
        self.says_it_runs(batch).then(|| ServiceCheck {
            name: b"datadog.agent.up".to_vec(),
            status: Status::Ok,
            unix_seconds: batch.unix_seconds,
            host: batch.hostname.to_vec(),
            message: Vec::new(),
            tags: Vec::new(),
        })
    }

    fn says_it_runs(&self, batch: &FlushBatch) -> bool {
        self.config.says_it_runs
            && batch.cause != FlushCause::Timestamped
            && self.said_at != Some(batch.unix_seconds)
    }
}

impl Sink for DatadogSink {
    fn name(&self) -> &str {
        &self.config.name
    }

    fn attach(&mut self, ledger: Arc<SinkLedger>) {
        self.ledger = Some(Arc::clone(&ledger));
        self.delivery.start(ledger);
        if let Some(url) = &self.config.key_check_url {
            self.delivery.spawn(key::check(
                Arc::downgrade(&self.intake),
                self.client.clone(),
                url.clone(),
                self.config.key_check_interval,
            ));
        }
    }

    fn delivery(&self) -> Option<View> {
        Some(self.delivery.view())
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let mut receipt = Receipt::default();
        let says_it_runs = self.says_it_runs(batch);
        if let Some(ledger) = &self.ledger
            && says_it_runs
        {
            // The series and the check of our own.
            ledger.add(2);
        }
        let payloads = self.encode(batch, &mut receipt);
        if says_it_runs {
            self.said_at = Some(batch.unix_seconds);
        }
        self.delivery.push(payloads, batch.unix_seconds);
        receipt
    }

    fn finish(&mut self, deadline: Instant) {
        self.delivery.stop(deadline);
    }
}

// === impl DatadogConfig ===

impl std::fmt::Debug for DatadogConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DatadogConfig")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

// === impl KeyHandle ===

impl KeyHandle {
    /// Takes another key, for payloads that wait too, and tries it at once.
    ///
    /// # Errors
    /// When it cannot be a header.
    pub fn set(&self, api_key: &str) -> Result<(), DatadogError> {
        self.intake.set_key(api_key)?;
        self.view.try_now();
        Ok(())
    }
}

/// Address and path; `None` when together they are none.
fn join(url: &str, path: &str) -> Option<Uri> {
    let base = url.trim_end_matches('/');
    let uri: Uri = format!("{base}{path}").parse().ok()?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    (is_http && uri.host().is_some_and(|host| !host.is_empty())).then_some(uri)
}

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
