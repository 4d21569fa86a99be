//! Reads the settings of OTLP.

use super::Reader;
use crate::settings::otlp::Otlp;

// === impl Reader ===

impl Reader<'_> {
    /// `None` without an address.
    pub(super) fn otlp(&self) -> Option<Otlp> {
        let otlp = Otlp {
            url: self.text("greyhound.otlp.url"),
            is_grpc: self.text("greyhound.otlp.protocol") == "grpc",
            bearer_token: self.secret("greyhound.otlp.bearer_token"),
            username: self.text("greyhound.otlp.username"),
            password: self.secret("greyhound.otlp.password"),
            headers: self.pairs("greyhound.otlp.headers"),
            is_cumulative: self.text("greyhound.otlp.temporality") == "cumulative",
            aggregates: self.text("greyhound.otlp.histograms") == "aggregates",
            expiry_seconds: self.seconds("greyhound.otlp.expiry_seconds"),
            series_max: self.int("greyhound.otlp.series_max"),
            points_per_request: self.int("greyhound.otlp.points_per_request"),
            delivery: self.delivery(),
        };
        Some(otlp).filter(|otlp| !otlp.url.is_empty())
    }
}
