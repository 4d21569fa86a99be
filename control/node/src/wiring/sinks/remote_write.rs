//! Settings to a receiver of remote write.

use std::sync::Arc;

use anyhow::Context;
use greyhound_config::settings::remote_write::RemoteWrite;
use greyhound_model::time::Clock;
use greyhound_sinks::client::Client;
use greyhound_sinks::egress::Egress;
use greyhound_sinks::remote_write::{Limits, RemoteWriteConfig, RemoteWriteSink};

use super::datadog;

/// Bytes of a request before compression: a sample weighs some hundred.
const BYTES_PER_SAMPLE: usize = 512;

/// Makes the sink; nothing is sent yet.
///
/// # Errors
/// When an address, a header, a proxy or a file of certificates cannot be used.
pub(super) fn open(
    settings: &RemoteWrite,
    clock: Arc<dyn Clock>,
) -> anyhow::Result<RemoteWriteSink> {
    let client = Client::new(&datadog::client(&settings.delivery))?;
    let egress = Egress::start().context("cannot start the threads that send")?;
    let config = config(settings);
    let folder = datadog::queue_folder(&settings.delivery)
        .map(|root| root.join(datadog::folder_name(&config.name, &config.url)));
    let delivery = datadog::delivery(&settings.delivery, folder);
    RemoteWriteSink::new(config, delivery, client, egress, clock)
        .context("cannot push to a remote-write receiver")
}

fn config(settings: &RemoteWrite) -> RemoteWriteConfig {
    RemoteWriteConfig {
        name: "remote_write".to_owned(),
        url: settings.url.clone(),
        authorization: authorization(
            settings.bearer_token.reveal(),
            &settings.username,
            settings.password.reveal(),
        ),
        headers: settings.headers.clone(),
        external_labels: settings.external_labels.clone(),
        own_host_label: settings.own_host_label,
        expiry_seconds: settings.expiry_seconds,
        series_max: settings.series_max,
        quantiles: settings.quantiles.clone(),
        native_histograms: settings.native_histograms,
        ask_for_two: settings.ask_for_two,
        limits: Limits {
            samples: settings.samples_per_request,
            raw_bytes: settings
                .samples_per_request
                .saturating_mul(BYTES_PER_SAMPLE),
        },
    }
}

/// The value of `Authorization`; empty = none.
pub(super) fn authorization(token: &str, user: &str, password: &str) -> String {
    match (token, user) {
        ("", "") => String::new(),
        ("", user) => format!("Basic {}", base64(format!("{user}:{password}").as_bytes())),
        (token, _) => format!("Bearer {token}"),
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let number = three
            .iter()
            .fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for digit in 0..4 {
            let index = (number >> (18 - 6 * digit)) as usize & 63;
            text.push(match digit <= three.len() {
                true => char::from(DIGITS[index]),
                false => '=',
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use greyhound_model::time::SimulatedClock;
    use serde_json::json;

    #[test]
    fn credentials_become_a_header() {
        assert_eq!(authorization("", "", ""), "");
        assert_eq!(authorization("t", "u", "p"), "Bearer t");
        // The example of RFC 7617.
        assert_eq!(
            authorization("", "Aladdin", "open sesame"),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert_eq!(authorization("", "a", ""), "Basic YTo=");
        assert_eq!(authorization("", "a", "b"), "Basic YTpi");
    }

    #[test]
    fn without_an_address_there_is_none_and_a_wrong_one_is_named() {
        let settings = settings_from_json(None).expect("defaults");
        assert_eq!(settings.outputs.remote_write, None);
        let settings = settings_from_json(Some(&json!({ "greyhound": {
            "remote_write": { "url": "http://me:hidden@host/api", "headers": ["a: b"] },
            "delivery": { "disk_bytes": 0 },
        } })))
        .expect("settings");
        let settings = settings.outputs.remote_write.expect("an address");
        assert_eq!(settings.headers, [("a".to_owned(), "b".to_owned())]);
        let error = open(&settings, Arc::new(SimulatedClock::default())).expect_err("credentials");
        let text = format!("{error:#}");
        assert!(
            text.contains("http://host/api") && !text.contains("hidden"),
            "{text}"
        );
    }
}
