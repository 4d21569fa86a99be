//! Aggregates for another aggregator.

/// A relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// `greyhound.relay.address`, as written; never empty.
    pub address: String,
    /// `greyhound.relay.packet_bytes`; 0 = by address.
    pub packet_bytes: u64,
    /// `greyhound.relay.queue_bytes`.
    pub queue_bytes: u64,
    /// `greyhound.relay.timestamps`.
    pub timestamps: Timestamps,
    /// `greyhound.relay.histograms` is `samples`.
    pub histogram_samples: bool,
    /// `greyhound.relay.own_host_tag`.
    pub own_host_tag: bool,
}

/// Which points are sent with their time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timestamps {
    /// Those that came with one.
    Own,
    /// All.
    All,
    /// None.
    Never,
}
