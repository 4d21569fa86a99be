//! Reads the settings of the connection table.

use super::Reader;
use crate::settings::conntrack::{Conntrack, ConntrackMode};

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn conntrack(&self) -> Conntrack {
        let percent = self.number("greyhound.conntrack.max_cpu_percent");
        let events: u32 = self.int("greyhound.conntrack.rate_limit");
        let interval = self.span("greyhound.conntrack.stats_interval");
        Conntrack {
            mode: match self.text("greyhound.conntrack.mode").as_str() {
                "pull" => ConntrackMode::Pull,
                "events" => ConntrackMode::Events,
                _ => ConntrackMode::Off,
            },
            namespaces: self.list("greyhound.conntrack.namespaces"),
            attribution: self.bool("greyhound.conntrack.attribution"),
            attribution_rate: self.int("greyhound.conntrack.attribution_rate"),
            attribution_tag: self.text_or_none("greyhound.conntrack.attribution_tag"),
            flows: self.int("greyhound.conntrack.flows"),
            keep_all: self.text("greyhound.conntrack.keep") == "all",
            only_port: self.int("greyhound.conntrack.only_port"),
            tcp_states: self.bool("greyhound.conntrack.tcp_states"),
            receive_buffer_bytes: self.size("greyhound.conntrack.receive_buffer"),
            receive_buffer_bytes_max: self.size("greyhound.conntrack.receive_buffer_max"),
            events_per_second: Some(events).filter(|&limit| limit > 0),
            cpu_share_max: percent / 100.0,
            orphan: self.span("greyhound.conntrack.orphan_ttl"),
            stats_interval: Some(interval).filter(|interval| !interval.is_zero()),
            allow_delete: self.bool("greyhound.conntrack.allow_delete"),
        }
    }
}
