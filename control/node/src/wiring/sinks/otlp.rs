//! Settings to an OTLP collector.

use std::sync::Arc;

use anyhow::Context;
use greyhound_config::settings::otlp::Otlp;
use greyhound_model::time::Clock;
use greyhound_sinks::client::Client;
use greyhound_sinks::egress::Egress;
use greyhound_sinks::otlp::{OtlpConfig, OtlpSink, Temporality};

use super::datadog;
use super::remote_write::authorization;
use crate::cli::VERSION;

/// Makes the sink; nothing is sent yet.
///
/// # Errors
/// When an address, a header, a proxy or a file of certificates cannot be used.
pub(super) fn open(settings: &Otlp, clock: Arc<dyn Clock>) -> anyhow::Result<OtlpSink> {
    let client = datadog::client(&settings.delivery);
    let client = match settings.is_grpc {
        true => Client::new_http2(&client)?,
        false => Client::new(&client)?,
    };
    let egress = Egress::start().context("cannot start the threads that send")?;
    let config = config(settings);
    let folder = datadog::queue_folder(&settings.delivery)
        .map(|root| root.join(datadog::folder_name(&config.name, &config.url)));
    let delivery = datadog::delivery(&settings.delivery, folder);
    OtlpSink::new(config, delivery, client, egress, clock).context("cannot export by OTLP")
}

fn config(settings: &Otlp) -> OtlpConfig {
    OtlpConfig {
        name: "otlp".to_owned(),
        url: settings.url.clone(),
        is_grpc: settings.is_grpc,
        authorization: authorization(
            settings.bearer_token.reveal(),
            &settings.username,
            settings.password.reveal(),
        ),
        headers: settings.headers.clone(),
        version: VERSION.to_owned(),
        temporality: match settings.is_cumulative {
            true => Temporality::Cumulative,
            false => Temporality::Delta,
        },
        aggregates: settings.aggregates,
        expiry_seconds: settings.expiry_seconds,
        series_max: settings.series_max,
        points_max: settings.points_per_request,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::json;

    #[test]
    fn words_become_choices() {
        let settings = settings_from_json(Some(&json!({ "greyhound": { "otlp": {
            "url": "http://host:4318/v1/metrics",
            "temporality": "cumulative",
            "histograms": "aggregates",
        } } })))
        .expect("settings");
        let config = config(&settings.outputs.otlp.expect("an address"));
        assert_eq!(config.temporality, Temporality::Cumulative);
        assert!(config.aggregates);
        let settings = settings_from_json(None).expect("defaults");
        assert_eq!(settings.outputs.otlp, None);
    }
}
