//! Timed lines through the real lanes and the real flush, under a clock that is told the time.
//!
//! ```text
//!  case ─▶ steps ─▶ Processor(s) ─▶ close ─▶ Flusher ─▶ FlushBatch ─▶ JSON, or a table
//!                      no sockets, no threads, no waiting
//! ```
//!
//! Same input, same output, byte for byte: the hash seed is fixed and series are sorted. What a
//! running engine would lose at a socket cannot be lost here; all else is counted as there.

mod batch_json;
mod origins;
mod steps;

use std::sync::Arc;

use greyhound_config::settings::Settings;
use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::origin::Sender;
use greyhound_model::time::Stamp;
use greyhound_pipeline::config::Config;
use greyhound_pipeline::context::hash::Seed;
use greyhound_pipeline::context::limiter::SharedUsage;
use greyhound_pipeline::flush::Flusher;
use greyhound_pipeline::ledger::{Ledger, LedgerReading, ListenerId, ListenerInfo, Transport};
use greyhound_pipeline::process::close::CloseScope;
use greyhound_pipeline::process::{LaneFlush, Packet, Processor, ProcessorParts};
use greyhound_pipeline::rules::Rules;
use serde_json::{Map, Value, json};

use crate::wiring;

use origins::Origins;
use steps::Step;

/// The host name of simulated engines.
pub const HOSTNAME: &str = "agent-host";
/// More lanes than any machine's would only cost memory.
const LANES_MAX: u64 = 64;
const LISTENER: ListenerId = ListenerId(0);

/// An engine without threads.
#[derive(Debug)]
struct Simulation {
    lanes: Vec<Processor>,
    flusher: Flusher,
    ledger: Arc<Ledger>,
    origins: Origins,
    last_scope: CloseScope,
}

/// Answers a case of `aggregation.jsonl` in the shape of its `expect`: `flushes`, `no_aggregation`,
/// `events`, `service_checks`, `counters`. A case that cannot be read gives `{"invalid": reason}`.
///
/// Beyond the vectors, `"lanes": n` spreads the work over n lanes, and a step with `"lane": i` says
/// which takes it; the result is the same for any number.
pub fn run(case: &Value) -> Value {
    let answer = wiring::settings_from_json(case.get("config"))
        .and_then(|settings| run_with(&settings, case));
    answer.unwrap_or_else(|error| json!({ "invalid": format!("{error:#}") }))
}

/// The same under settings from elsewhere; the case's own `config` is not looked at.
///
/// # Errors
/// When a step or the tagger cannot be read.
pub fn run_with(settings: &Settings, case: &Value) -> anyhow::Result<Value> {
    let mut flushes = Vec::new();
    let mut no_aggregation = Vec::new();
    let mut events = Vec::new();
    let mut service_checks = Vec::new();
    let counters = each_batch(settings, case, |batch| match batch.cause {
        FlushCause::Timestamped => no_aggregation.extend(batch_json::series(batch)),
        FlushCause::Interval | FlushCause::Stop => {
            flushes.push(batch_json::flush(batch));
            events.extend(batch.events.iter().map(batch_json::event));
            service_checks.extend(batch.service_checks.iter().map(batch_json::service_check));
        }
    })?;
    let mut answer = Map::new();
    answer.insert("flushes".to_owned(), flushes.into());
    for (key, items) in [
        ("no_aggregation", no_aggregation),
        ("events", events),
        ("service_checks", service_checks),
    ] {
        if !items.is_empty() {
            answer.insert(key.to_owned(), items.into());
        }
    }
    answer.insert("counters".to_owned(), counters);
    Ok(Value::Object(answer))
}

/// Runs a case and hands out every batch as it is made; the counters that moved come back.
///
/// # Errors
/// When a step or the tagger cannot be read.
pub fn each_batch(
    settings: &Settings,
    case: &Value,
    mut on_batch: impl FnMut(&FlushBatch),
) -> anyhow::Result<Value> {
    let steps = steps::read(case)?;
    let origins = Origins::read(case.get("tagger"), &steps)?;
    let lanes = case
        .get("lanes")
        .and_then(Value::as_u64)
        .unwrap_or(1)
        .clamp(1, LANES_MAX);
    let config = wiring::pipeline::config(settings, HOSTNAME)?;
    let mut simulation = Simulation::new(&config, origins, lanes as usize);
    for step in &steps {
        simulation.step(step, &mut on_batch);
    }
    Ok(simulation.counters())
}

// === impl Simulation ===

impl Simulation {
    fn new(config: &Config, origins: Origins, lanes: usize) -> Self {
        let (rules, _warnings) = Rules::compile(&config.rules);
        let rules = Arc::new(rules);
        let listener = ListenerInfo {
            id: "simulated".to_owned(),
            address: String::new(),
            transport: Transport::Udp,
            eol_required: config.listen.eol_required_udp,
        };
        let ledger = Arc::new(Ledger::new(vec![listener], lanes));
        // Not secret on purpose: equal input gives equal output.
        let seed = Seed::fixed(1, 2);
        let width = config.flush.bucket_width;
        let usage = Arc::new(SharedUsage::default());
        let processor = |lane| {
            Processor::new(ProcessorParts {
                lane,
                ledger: Arc::clone(&ledger),
                rules: Arc::clone(&rules),
                origins: origins.table(),
                width,
                usage: Arc::clone(&usage),
                seed,
                hostname: Arc::clone(&config.hostname),
            })
        };
        let hostname = Arc::clone(&config.hostname);
        Self {
            lanes: (0..lanes).map(processor).collect(),
            flusher: Flusher::new(Arc::clone(&rules), width, hostname, false, lanes),
            ledger,
            origins,
            last_scope: if config.flush.open_buckets_on_stop {
                CloseScope::All
            } else {
                CloseScope::OverDropOpen
            },
        }
    }

    fn step(&mut self, step: &Step, on_batch: &mut impl FnMut(&FlushBatch)) {
        match step {
            Step::Packets {
                at,
                packets,
                origin,
                lane,
            } => {
                let stamp = Stamp::at_unix_seconds(*at);
                let sender = Sender {
                    pid: self.origins.pid_of(origin.as_deref()),
                };
                let packets = packets.iter().map(|bytes| Packet { bytes, sender });
                let lane = lane % self.lanes.len();
                let processor = &mut self.lanes[lane];
                processor.process(LISTENER, stamp, packets);
                let timestamped = processor.take_timestamped();
                if !timestamped.is_empty() {
                    on_batch(&self.flusher.timestamped(stamp, timestamped));
                }
            }
            Step::Flush { at } => self.flush(*at, FlushCause::Interval, on_batch),
            Step::Stop { at } => self.flush(*at, FlushCause::Stop, on_batch),
        }
    }

    fn flush(&mut self, at: i64, cause: FlushCause, on_batch: &mut impl FnMut(&FlushBatch)) {
        // Whole seconds up to the year 9999 are exact in a double.
        let stamp = Stamp::at_unix_seconds(at as f64);
        let scope = match cause {
            FlushCause::Stop => self.last_scope,
            FlushCause::Interval | FlushCause::Timestamped => CloseScope::Over,
        };
        let closed: Vec<LaneFlush> = self
            .lanes
            .iter_mut()
            .map(|lane| lane.close(stamp, scope))
            .collect();
        on_batch(&self.flusher.flush(stamp, cause, closed));
    }

    /// The counters of the vectors that moved.
    fn counters(mut self) -> Value {
        for lane in &mut self.lanes {
            lane.publish();
        }
        let LedgerReading { total, .. } = self.ledger.read();
        let flush = self.flusher.cells().load();
        let metrics_error = total.rejected_metric_format
            + total.rejected_metric_name_value
            + total.rejected_metric_type
            + total.rejected_metric_value
            + total.rejected_metric_sample_rate
            + total.rejected_metric_timestamp;
        let events_error = total.rejected_event_format
            + total.rejected_event_header
            + total.rejected_event_empty_title
            + total.rejected_event_length;
        let checks_error = total.rejected_service_check_format
            + total.rejected_service_check_name
            + total.rejected_service_check_status;
        let counters = [
            ("metrics.ok", total.samples - total.filtered),
            ("metrics.error", metrics_error),
            ("events.ok", total.events),
            ("events.error", events_error),
            ("service_checks.ok", total.service_checks),
            ("service_checks.error", checks_error),
            ("unterminated", total.unterminated),
            ("filtered", total.filtered_messages),
            ("flush_filtered", flush.filtered_points),
            (
                "no_aggregation.unsupported_type",
                total.timestamped_unsupported,
            ),
        ];
        counters
            .into_iter()
            .filter(|(_, count)| *count > 0)
            .map(|(name, count)| (name.to_owned(), Value::from(count)))
            .collect::<Map<_, _>>()
            .into()
    }
}

#[cfg(test)]
mod tests;
