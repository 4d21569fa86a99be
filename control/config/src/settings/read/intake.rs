//! Reads what belongs to the intake.

use std::time::Duration;

use super::{Reader, mistyped};
use crate::secret::Secret;
use crate::settings::intake::{Compressor, Datadog, Delivery, Destination, Sync};
use crate::value::Value;

const DAY_SECONDS: u64 = 86_400;

// === impl Reader ===

impl Reader<'_> {
    /// `None` without a key: then nothing is sent anywhere.
    pub(super) fn datadog(&self) -> Option<Datadog> {
        let datadog = Datadog {
            destinations: self.destinations(),
            series_packed_bytes: self.size("serializer_max_series_payload_size"),
            series_raw_bytes: self.size("serializer_max_series_uncompressed_payload_size"),
            series_points: self.int("serializer_max_series_points_per_payload"),
            other_packed_bytes: self.size("serializer_max_payload_size"),
            other_raw_bytes: self.size("serializer_max_uncompressed_payload_size"),
            compressor: {
                let level = self.int("serializer_zstd_compressor_level");
                match self.text("serializer_compressor_kind").as_str() {
                    "zlib" => Compressor::Zlib,
                    "gzip" => Compressor::Gzip,
                    "none" => Compressor::Off,
                    _ => Compressor::Zstd(level),
                }
            },
            tags_max: self.int("greyhound.datadog.tags"),
            says_it_runs: self.bool("greyhound.datadog.running"),
            key_check_interval: Duration::from_secs(
                60 * self.int::<u64>("forwarder_apikey_validation_interval"),
            ),
            delivery: self.delivery(),
        };
        Some(datadog).filter(|datadog| !datadog.destinations.is_empty())
    }

    fn destinations(&self) -> Vec<Destination> {
        let site = self.text("site");
        let mut all: Vec<Destination> = Vec::new();
        let mut add = |url: Option<String>, api_key: &Secret| {
            let destination = Destination {
                url,
                site: site.clone(),
                api_key: api_key.clone(),
            };
            if !api_key.is_empty() && !all.contains(&destination) {
                all.push(destination);
            }
        };
        add(self.text_or_none("dd_url"), &self.secret("api_key"));
        match self.value("additional_endpoints") {
            Value::Endpoints(endpoints) => {
                for (url, keys) in endpoints {
                    for key in keys {
                        add(Some(url.clone()), key);
                    }
                }
            }
            other => mistyped("additional_endpoints", other),
        }
        all
    }

    pub(super) fn delivery(&self) -> Delivery {
        let old_memory = self.size("forwarder_retry_queue_max_size");
        let new_memory = self.size("forwarder_retry_queue_payloads_max_size");
        let seconds = |key: &str| Duration::from_secs_f64(self.float(key));
        let own_disk = self.size("greyhound.delivery.disk_bytes");
        let recovery = self.int("forwarder_recovery_interval");
        let days: u64 = self.int("forwarder_outdated_file_in_days");
        Delivery {
            timeout: self.span("forwarder_timeout"),
            requests: self.int("greyhound.delivery.requests"),
            memory_bytes: match old_memory {
                0 => new_memory,
                set => set,
            },
            backoff_base: seconds("forwarder_backoff_base"),
            backoff_factor: self.float("forwarder_backoff_factor"),
            backoff_max: seconds("forwarder_backoff_max"),
            recovery: match self.bool("forwarder_recovery_reset") {
                true => 0,
                false => recovery,
            },
            drop_on_auth_error: self.bool("greyhound.delivery.drop_on_auth_error"),
            age_max: Duration::from_secs(days.saturating_mul(DAY_SECONDS)),
            folder: self.text_or_none("forwarder_storage_path").map(Into::into),
            disk_bytes: self
                .explicit("forwarder_storage_max_size_in_bytes", Self::size)
                .unwrap_or(own_disk),
            disk_share: self.float("forwarder_storage_max_disk_ratio"),
            sync: match self.text("greyhound.delivery.sync").as_str() {
                "always" => Sync::Always,
                "never" => Sync::Never,
                _ => Sync::Interval,
            },
            ca_file: self
                .text_or_none("greyhound.delivery.ca_file")
                .map(Into::into),
            proxy_http: self.secret("proxy.http"),
            proxy_https: self.secret("proxy.https"),
            no_proxy: self.list("proxy.no_proxy"),
        }
    }

    pub(super) fn secret(&self, key: &str) -> Secret {
        match self.value(key) {
            Value::Secret(secret) => secret.clone(),
            other => mistyped(key, other),
        }
    }

    fn float(&self, key: &str) -> f64 {
        match self.value(key) {
            Value::Float(number) => *number,
            other => mistyped(key, other),
        }
    }
}
