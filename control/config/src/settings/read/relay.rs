//! Reads what belongs to the relay.

use super::Reader;
use crate::settings::relay::{Relay, Timestamps};

// === impl Reader ===

impl Reader<'_> {
    /// `None` without an address.
    pub(super) fn relay(&self) -> Option<Relay> {
        let relay = Relay {
            address: self.text("greyhound.relay.address"),
            packet_bytes: self.size("greyhound.relay.packet_bytes"),
            queue_bytes: self.size("greyhound.relay.queue_bytes"),
            timestamps: match self.text("greyhound.relay.timestamps").as_str() {
                "all" => Timestamps::All,
                "never" => Timestamps::Never,
                _ => Timestamps::Own,
            },
            histogram_samples: self.text("greyhound.relay.histograms") == "samples",
            own_host_tag: self.bool("greyhound.relay.own_host_tag"),
        };
        Some(relay).filter(|relay| !relay.address.is_empty())
    }
}
