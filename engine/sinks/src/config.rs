//! What can be set, with the defaults beside the fields. Plain data: the binary fills it from the
//! table of settings, and checks happen where a value is put to use.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The queues between the flusher and the sinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FanoutConfig {
    /// Flushes that may wait for one sink. At least 1.
    pub queue_flushes: usize,
    /// Points that may wait for one sink. A flush larger than this still fits into an empty queue.
    pub queue_points_max: u64,
}

/// The Prometheus exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct PrometheusConfig {
    /// Seconds after its last sample that a series disappears; never sooner than two flush
    /// intervals. 0 keeps series for ever.
    pub expiry_seconds: u32,
    /// Series kept at most, counted as Prometheus does: a summary is one per quantile and two for
    /// sum and count. The newest are refused.
    pub series_max: u64,
    /// Quantiles of summaries, each from 0 to 1.
    pub quantiles: Vec<f64>,
    /// Seconds the quantiles of a summary look back.
    pub quantile_window_seconds: u32,
    /// Upper bounds of classic histogram buckets, ascending, without +Inf. When not empty,
    /// histograms, timings and distributions become classic histograms instead of summaries.
    pub classic_buckets: Vec<f64>,
    /// Whether series of the engine's own host carry a `host` label too.
    pub own_host_label: bool,
    /// Whether OpenMetrics answers carry `_created` lines. Prometheus before version 3 stores them
    /// as series of their own.
    pub created_lines: bool,
}

/// The loopback HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where to listen. Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Connections at once; more wait in the kernel's backlog.
    pub connections_max: usize,
    /// Time from the start of waiting for a request to the end of its head.
    pub head_timeout: Duration,
    /// Time a connection may pass without a byte in either direction.
    pub stall_timeout: Duration,
    /// Longest request head, in bytes. At least 8192.
    pub head_len_bytes_max: usize,
    /// Headers of one request.
    pub headers_max: usize,
}

/// The table on the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrintConfig {
    /// Whether to use colours. The caller knows whether there is a terminal.
    pub color: bool,
}

/// When a file is moved away, and how many such files stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Length in bytes beyond which the next lines go into a new file; 0 = never for its length.
    pub bytes: u64,
    /// Seconds after its first line; 0 = never for its age.
    pub seconds: u32,
    /// Files moved away that stay, `.1` being the newest; 0 = none.
    pub keep: u32,
}

/// The NDJSON sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdjsonTarget {
    /// Appended to; made with mode 0600 when missing.
    File(PathBuf, Rotation),
    /// Standard output.
    Stdout,
}

// === impl FanoutConfig ===

impl Default for FanoutConfig {
    fn default() -> Self {
        Self {
            queue_flushes: 8,
            queue_points_max: 4_000_000,
        }
    }
}

// === impl PrometheusConfig ===

impl Default for PrometheusConfig {
    fn default() -> Self {
        Self {
            expiry_seconds: 300,
            series_max: 1_000_000,
            quantiles: vec![0.5, 0.9, 0.95, 0.99],
            quantile_window_seconds: 60,
            classic_buckets: Vec::new(),
            own_host_label: false,
            created_lines: false,
        }
    }
}

// === impl HttpConfig ===

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 9125)),
            connections_max: 256,
            head_timeout: Duration::from_secs(10),
            stall_timeout: Duration::from_secs(75),
            head_len_bytes_max: 16 * 1024,
            headers_max: 64,
        }
    }
}
