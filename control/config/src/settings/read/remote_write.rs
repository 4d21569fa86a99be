//! Reads the settings of remote write.

use super::Reader;
use crate::settings::remote_write::RemoteWrite;

// === impl Reader ===

impl Reader<'_> {
    /// `None` without an address.
    pub(super) fn remote_write(&self) -> Option<RemoteWrite> {
        let remote_write = RemoteWrite {
            url: self.text("greyhound.remote_write.url"),
            bearer_token: self.secret("greyhound.remote_write.bearer_token"),
            username: self.text("greyhound.remote_write.username"),
            password: self.secret("greyhound.remote_write.password"),
            headers: self.pairs("greyhound.remote_write.headers"),
            external_labels: self.pairs("greyhound.remote_write.external_labels"),
            own_host_label: self.bool("greyhound.remote_write.own_host_label"),
            expiry_seconds: self.seconds("greyhound.remote_write.expiry_seconds"),
            series_max: self.int("greyhound.remote_write.series_max"),
            quantiles: self.numbers("greyhound.remote_write.quantiles"),
            native_histograms: self.bool("greyhound.remote_write.native_histograms"),
            ask_for_two: self.text("greyhound.remote_write.version") == "auto",
            samples_per_request: self.int("greyhound.remote_write.samples_per_request"),
            delivery: self.delivery(),
        };
        Some(remote_write).filter(|remote_write| !remote_write.url.is_empty())
    }

    /// Texts of the form `name:value`; one without a value has an empty one.
    pub(super) fn pairs(&self, key: &str) -> Vec<(String, String)> {
        let texts = self.list(key).into_iter();
        texts
            .map(|text| match text.split_once(':') {
                Some((name, value)) => (name.trim().to_owned(), value.trim().to_owned()),
                None => (text.trim().to_owned(), String::new()),
            })
            .collect()
    }
}
