//! Settings to sinks, and the adapter through which the pipeline reaches them.

use std::io::{self, IsTerminal};
use std::sync::Arc;

use anyhow::Context;
use greyhound_config::settings::{NdjsonTarget, Outputs, Settings};
use greyhound_model::flush::FlushBatch;
use greyhound_model::time::Clock;
use greyhound_pipeline::engine::Output;
use greyhound_sinks::config::{self, FanoutConfig, HttpConfig, PrintConfig, PrometheusConfig};
use greyhound_sinks::datadog::KeyHandle;
use greyhound_sinks::fanout::Fanout;
use greyhound_sinks::ndjson;
use greyhound_sinks::print::PrintSink;
use greyhound_sinks::prometheus::{self, Exposition};
use greyhound_sinks::sink::Sink;
use greyhound_telemetry::Source;

use super::pipeline::pick;
use crate::cli::colours_wanted;

pub(crate) mod datadog;
mod otlp;
mod relay;
mod remote_write;
pub mod routing;

/// Sinks that are not started yet.
pub struct Sinks {
    /// One per output.
    pub sinks: Vec<Box<dyn Sink>>,
    /// What `/metrics` shows, when Prometheus is on.
    pub exposition: Option<Exposition>,
    /// Through which `api_key` is changed while running, when there is such a sink.
    pub api_key: Option<KeyHandle>,
    /// What outputs count beside their points.
    pub telemetry: Vec<Arc<dyn Source>>,
}

/// Hands flushes from the pipeline to the fan-out.
#[derive(Debug)]
pub struct FanoutOutput(pub Arc<Fanout>);

// === impl Sinks ===

impl Sinks {
    /// Opens what the settings name: files, standard output.
    ///
    /// # Errors
    /// When a file cannot be opened.
    pub fn open(outputs: &Outputs, clock: Arc<dyn Clock>) -> anyhow::Result<Self> {
        let mut sinks: Vec<Box<dyn Sink>> = Vec::new();
        let mut exposition = None;
        let mut telemetry = Vec::new();
        if let Some(settings) = &outputs.prometheus {
            let config = PrometheusConfig {
                expiry_seconds: settings.expiry_seconds,
                series_max: match settings.series_max {
                    0 => u64::MAX,
                    bound => bound,
                },
                quantiles: settings.quantiles.clone(),
                quantile_window_seconds: settings.window_seconds,
                classic_buckets: settings.classic_buckets.clone(),
                own_host_label: settings.own_host_label,
                created_lines: settings.created_lines,
            };
            let (sink, pages) = prometheus::build(&config, clock.clone())?;
            sinks.push(Box::new(sink));
            exposition = Some(pages);
        }
        if outputs.print {
            let color = colours_wanted(io::stdout().is_terminal());
            sinks.push(Box::new(PrintSink::new(
                io::stdout(),
                PrintConfig { color },
            )));
        }
        if let Some(target) = &outputs.ndjson {
            let target = match target {
                NdjsonTarget::Stdout => config::NdjsonTarget::Stdout,
                NdjsonTarget::File(path, rotation) => config::NdjsonTarget::File(
                    path.clone(),
                    config::Rotation {
                        bytes: rotation.bytes,
                        seconds: rotation.seconds,
                        keep: rotation.keep,
                    },
                ),
            };
            let sink = ndjson::open(&target)?;
            telemetry.extend(sink.telemetry());
            sinks.push(Box::new(sink));
        }
        let mut api_key = None;
        if let Some(settings) = &outputs.datadog {
            for sink in datadog::open(settings)? {
                // The first one is that of `api_key`.
                api_key.get_or_insert_with(|| sink.key_handle());
                sinks.push(Box::new(sink));
            }
        }
        if let Some(settings) = &outputs.relay {
            let sink = relay::open(settings)?;
            telemetry.push(sink.telemetry());
            sinks.push(Box::new(sink));
        }
        if let Some(settings) = &outputs.remote_write {
            sinks.push(Box::new(remote_write::open(settings, clock.clone())?));
        }
        if let Some(settings) = &outputs.otlp {
            sinks.push(Box::new(otlp::open(settings, clock)?));
        }
        Ok(Self {
            sinks,
            exposition,
            api_key,
            telemetry,
        })
    }
}

// === impl FanoutOutput ===

impl Output for FanoutOutput {
    fn deliver(&mut self, batch: Arc<FlushBatch>) {
        self.0.deliver(&batch);
    }
}

/// The queues before the sinks.
pub fn fanout(settings: &Settings) -> FanoutConfig {
    FanoutConfig {
        queue_flushes: settings.outputs.queue_flushes,
        queue_points_max: settings.outputs.queue_points,
    }
}

/// The HTTP server; `None` when it is off. Blocks for a name look-up.
///
/// # Errors
/// When the name has no address.
pub fn http(settings: &Settings) -> anyhow::Result<Option<HttpConfig>> {
    let Some(prometheus) = &settings.outputs.prometheus else {
        return Ok(None);
    };
    let listen =
        pick(&prometheus.listen, "greyhound.prometheus.listen").context("cannot serve /metrics")?;
    Ok(Some(HttpConfig {
        listen,
        ..HttpConfig::default()
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use greyhound_model::time::SimulatedClock;
    use serde_json::{Value, json};

    fn sinks(config: Value) -> Vec<String> {
        let settings = settings_from_json(Some(&config)).expect("settings");
        let clock = Arc::new(SimulatedClock::default());
        let sinks = Sinks::open(&settings.outputs, clock).expect("sinks");
        assert_eq!(
            sinks.exposition.is_some(),
            settings.outputs.prometheus.is_some()
        );
        sinks
            .sinks
            .iter()
            .map(|sink| sink.name().to_owned())
            .collect()
    }

    #[test]
    fn prometheus_is_on_unless_it_is_switched_off() {
        assert_eq!(sinks(json!({})), ["prometheus"]);
        assert_eq!(
            sinks(json!({ "greyhound": { "prometheus": { "listen": "off" }, "print": true } })),
            ["print"]
        );
        let settings = settings_from_json(None).expect("defaults");
        let config = http(&settings).expect("an address").expect("on");
        assert_eq!(config, HttpConfig::default());
    }

    #[test]
    fn defaults_of_both_sides_agree() {
        let settings = settings_from_json(None).expect("defaults");
        assert_eq!(fanout(&settings), FanoutConfig::default());
        let ours = settings.outputs.prometheus.expect("on");
        let theirs = PrometheusConfig::default();
        assert_eq!(ours.expiry_seconds, theirs.expiry_seconds);
        assert_eq!(ours.quantiles, theirs.quantiles);
        assert_eq!(ours.window_seconds, theirs.quantile_window_seconds);
        assert_eq!(ours.series_max, theirs.series_max);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let config = json!({ "greyhound": { "ndjson": { "path": "/nonexistent/out" } } });
        let settings = settings_from_json(Some(&config)).expect("settings");
        let clock = Arc::new(SimulatedClock::default());
        let error = Sinks::open(&settings.outputs, clock)
            .err()
            .expect("no such folder");
        assert!(error.to_string().contains("/nonexistent/out"), "{error}");
    }
}
