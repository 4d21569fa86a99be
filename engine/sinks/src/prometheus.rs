//! Prometheus: flushes become state, and a scrape reads it.
//!
//! ```text
//!  FlushBatch ──▶ PrometheusSink ──▶ State (mutex) ◀── Exposition ──▶ Scrape, chunk by chunk
//!                  sink thread         1   2   3          HTTP thread
//! ```
//!
//! What a scrape shows:
//!
//! | DogStatsD | exposed as |
//! |---|---|
//! | counter `page.views` | counter `page_views_total`: the sum of all increments since the series appeared |
//! | gauge, set | gauge: the last value |
//! | histogram, timing, distribution | summary: `_sum` and `_count` since it appeared, quantiles over a sliding window; or a classic histogram when buckets are set |
//! | sample with its own time | counter: added; gauge: taken unless a later one is known |
//! | event, service check | nothing; counted as `unsupported` |
//!
//! **Negative increments.** The total stays exact and goes down. From then on the whole family says
//! `gauge` instead of `counter`, under the same name, because a counter that falls would be read as
//! a restart. Counted.
//!
//! **Silence.** A series disappears `expiry_seconds` after its last sample, and comes back from
//! zero, which Prometheus reads as a counter reset. An increment of zero (the pipeline fills gaps
//! with them) creates a series but does not prolong its life.
//!
//! **Collisions.** Two contexts may sanitise to one series (`a.b` and `a_b`), two metrics to one
//! family of different types, a gauge `x.sum` stand where the summary `x` puts its sum. Whoever is
//! there first stays until it expires; the newcomer is refused whole and counted. So no page ever
//! shows a series or a `# TYPE` twice.
//!
//! A counter `x.count` beside a summary `x` is no collision: their samples are `x_count_total` and
//! `x_count`, which Prometheus keeps apart. Readers stricter than Prometheus may warn.
//!
//! **Memory.** A plain series costs about 75 bytes beside its context, a summary about 150, and 20 to 50
//! more for each sixth of the window in which it had a handful of samples.
//!
//! Lost here, and counted in points: 1 `series_limit` 2 `collision` 3 `unsupported`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use greyhound_model::context::Context;
use greyhound_model::flush::{FlushBatch, HistogramSeries, SketchSeries};
use greyhound_model::series::{Series, SeriesKind, Suffix};
use greyhound_model::time::Clock;
use greyhound_telemetry::Source;
use tracing::warn;

use crate::config::PrometheusConfig;
use crate::escape;
use crate::sink::{Reason, Receipt, Sink};

mod expose;
pub(crate) mod names;
mod plan;
mod state;
mod summary;
pub(crate) mod telemetry;
mod window;

pub use expose::Scrape;
pub use plan::ConfigError;

use plan::Plan;
use state::{Now, State};
use summary::{Observation, SummaryKind};

/// Series applied under one hold of the lock, so that a scrape never waits for a whole flush.
const SERIES_PER_LOCK: usize = 4096;

/// The same for summaries, which cost more.
const SUMMARIES_PER_LOCK: usize = 512;

/// How often refusals are logged at most.
const REFUSAL_LOG_INTERVAL_SECONDS: u32 = 60;

/// Takes flushes in. One per process; lives behind the fan-out.
#[derive(Debug)]
pub struct PrometheusSink {
    shared: Arc<Shared>,
    refusal_logged_at: Option<u32>,
}

/// Gives pages out. Cheap to clone, used by the HTTP server.
#[derive(Clone, Debug)]
pub struct Exposition {
    shared: Arc<Shared>,
}

/// What both ends hold.
struct Shared {
    plan: Plan,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Contexts of this flush whose histogram was refused: their aggregates go the same way.
type Refused = HashMap<Context, Reason, foldhash::fast::RandomState>;

/// What happened to the histograms that suffixed series belong to.
struct Aggregates {
    shown: bool,
    refused: Refused,
}

/// Builds both ends of the exposition.
///
/// # Errors
/// When a quantile, bucket or window makes no sense; the message names the setting.
pub fn build(
    config: &PrometheusConfig,
    clock: Arc<dyn Clock>,
) -> Result<(PrometheusSink, Exposition), ConfigError> {
    let shared = Arc::new(Shared {
        plan: Plan::try_new(config)?,
        clock,
        state: Mutex::new(State::default()),
    });
    let sink = PrometheusSink {
        shared: Arc::clone(&shared),
        refusal_logged_at: None,
    };
    Ok((sink, Exposition { shared }))
}

// === impl PrometheusSink ===

impl Sink for PrometheusSink {
    fn name(&self) -> &str {
        "prometheus"
    }

    fn wants_histograms(&self) -> bool {
        true
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let now = self.shared.now();
        {
            let mut state = self.shared.lock();
            state.begin(batch, now);
            // First, so that what has expired gives up its names and its room to this flush.
            state.expire(&self.shared.plan, now);
        }
        let mut receipt = Receipt::default();
        let mut refused = Refused::default();
        for chunk in batch.histograms.chunks(SUMMARIES_PER_LOCK) {
            self.take_histograms(chunk, now, &mut refused);
        }
        for chunk in batch.sketches.chunks(SUMMARIES_PER_LOCK) {
            self.take_sketches(chunk, now, &mut receipt);
        }
        let aggregates = Aggregates {
            shown: !batch.histograms.is_empty(),
            refused,
        };
        for chunk in batch.series.chunks(SERIES_PER_LOCK) {
            self.take_series(chunk, now, &aggregates, &mut receipt);
        }
        let unshown = batch.events.len() + batch.service_checks.len();
        receipt.drop_points(Reason::Unsupported, unshown as u64);
        receipt
    }
}

impl PrometheusSink {
    fn take_histograms(&mut self, chunk: &[HistogramSeries], now: Now, refused: &mut Refused) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        for series in chunk {
            let observations = series.points.iter().map(|point| Observation {
                unix_seconds: point.unix_seconds,
                sum: point.sum,
                count: point.count,
                sketch: &point.sketch,
            });
            let kind = SummaryKind::Histogram(series.unit);
            let taken = state.observe(&shared.plan, &series.context, kind, observations, now);
            if let Err(reason) = taken {
                self.log_refusal(&series.context, reason, now);
                refused.insert(series.context.clone(), reason);
            }
        }
    }

    fn take_sketches(&mut self, chunk: &[SketchSeries], now: Now, receipt: &mut Receipt) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        for series in chunk {
            let observations = series.points.iter().map(Observation::of_sketch);
            let kind = SummaryKind::Distribution;
            let taken = state.observe(&shared.plan, &series.context, kind, observations, now);
            self.settle(
                taken,
                &series.context,
                series.points.len() as u64,
                now,
                receipt,
            );
        }
    }

    fn take_series(
        &mut self,
        chunk: &[Series],
        now: Now,
        aggregates: &Aggregates,
        receipt: &mut Receipt,
    ) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.lock();
        for series in chunk {
            let points = series.points.as_slice();
            if series.suffix != Suffix::None {
                aggregates.settle(&series.context, points.len() as u64, receipt);
                continue;
            }
            let taken = match series.kind {
                SeriesKind::Rate => state.increment(&shared.plan, &series.context, points, now),
                SeriesKind::Gauge => state.set(&shared.plan, &series.context, points, now),
            };
            self.settle(taken, &series.context, points.len() as u64, now, receipt);
        }
    }

    fn settle(
        &mut self,
        taken: Result<(), Reason>,
        context: &Context,
        points: u64,
        now: Now,
        receipt: &mut Receipt,
    ) {
        match taken {
            Ok(()) => receipt.deliver(points),
            Err(reason) => {
                receipt.drop_points(reason, points);
                self.log_refusal(context, reason, now);
            }
        }
    }

    /// Logs the first refusal of a minute; telemetry has them all.
    fn log_refusal(&mut self, context: &Context, reason: Reason, now: Now) {
        let quiet = self
            .refusal_logged_at
            .is_some_and(|at| now.seconds.saturating_sub(at) < REFUSAL_LOG_INTERVAL_SECONDS);
        if quiet {
            return;
        }
        self.refusal_logged_at = Some(now.seconds);
        let mut metric = String::new();
        escape::push_shown(context.name(), &mut metric);
        match reason {
            Reason::SeriesLimit => warn!(
                %metric,
                setting = "greyhound.prometheus.series_max",
                "series limit reached, new series are not exposed"
            ),
            _ => warn!(
                %metric,
                "exposed name is already taken by another metric, this one is not exposed"
            ),
        }
    }
}

// === impl Aggregates ===

impl Aggregates {
    /// Aggregates of a histogram are shown by its summary, so they share its fate.
    fn settle(&self, context: &Context, points: u64, receipt: &mut Receipt) {
        if !self.shown {
            receipt.drop_points(Reason::Unsupported, points);
        } else if self.refused.is_empty() {
            receipt.deliver(points);
        } else {
            match self.refused.get(context) {
                None => receipt.deliver(points),
                Some(&reason) => receipt.drop_points(reason, points),
            }
        }
    }
}

// === impl Exposition ===

impl Exposition {
    /// Starts a page. Drops what has expired first, so that series disappear even when no flush
    /// comes any more.
    pub fn scrape(&self, format: greyhound_telemetry::text::Format) -> Scrape {
        let now = self.shared.now();
        self.shared.lock().expire(&self.shared.plan, now);
        Scrape::new(Arc::clone(&self.shared), format, now)
    }

    /// A whole page at once, for tests and small states.
    pub fn page(&self, format: greyhound_telemetry::text::Format) -> Vec<u8> {
        let mut page = Vec::new();
        let mut scrape = self.scrape(format);
        while scrape.next_chunk(&mut page) {}
        page
    }

    /// `greyhound.prometheus.*` for the registry.
    pub fn telemetry(&self) -> Arc<dyn Source> {
        Arc::new(telemetry::PrometheusTelemetry::new(Arc::clone(
            &self.shared,
        )))
    }
}

// === impl Shared ===

impl Shared {
    fn now(&self) -> Now {
        Now::from(self.clock.now())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside leaves at worst one series half made: shown late or not, never twice.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("plan", &self.plan)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
