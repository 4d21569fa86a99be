//! The connection table, typed.

use std::time::Duration;

/// `greyhound.conntrack.*`.
#[derive(Clone, Debug, PartialEq)]
pub struct Conntrack {
    /// `mode`.
    pub mode: ConntrackMode,
    /// `namespaces`.
    pub namespaces: Vec<String>,
    /// `attribution`.
    pub attribution: bool,
    /// `attribution_rate`.
    pub attribution_rate: u32,
    /// `attribution_tag`; `None` = no tag.
    pub attribution_tag: Option<String>,
    /// `flows`.
    pub flows: usize,
    /// `keep`: all flows, not only translated ones.
    pub keep_all: bool,
    /// `only_port`.
    pub only_port: u16,
    /// `tcp_states`.
    pub tcp_states: bool,
    /// `receive_buffer`.
    pub receive_buffer_bytes: u64,
    /// `receive_buffer_max`.
    pub receive_buffer_bytes_max: u64,
    /// `rate_limit`; `None` = no limit.
    pub events_per_second: Option<u32>,
    /// `max_cpu_percent` of one core, as a share.
    pub cpu_share_max: f64,
    /// `orphan_ttl`.
    pub orphan: Duration,
    /// `stats_interval`; `None` = no metrics.
    pub stats_interval: Option<Duration>,
    /// `allow_delete`.
    pub allow_delete: bool,
}

/// How the connection table is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConntrackMode {
    /// Not at all.
    Off,
    /// Flow by flow.
    Pull,
    /// By listening, and flow by flow.
    Events,
}

// === impl Conntrack ===

impl Conntrack {
    /// Whether clients behind UDP datagrams are named.
    pub fn names_clients(&self) -> bool {
        self.mode != ConntrackMode::Off && self.attribution
    }
}
