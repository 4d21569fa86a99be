//! Datadog's intake, and how payloads get there.

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

/// Destinations and what they have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Datadog {
    /// `api_key` with `site` or `dd_url` first, then `additional_endpoints`; never empty.
    pub destinations: Vec<Destination>,
    /// Bytes of a payload of series, as sent.
    pub series_packed_bytes: u64,
    /// Bytes of a payload of series, before compression.
    pub series_raw_bytes: u64,
    /// Points of a payload of series.
    pub series_points: u64,
    /// Bytes of any other payload, as sent.
    pub other_packed_bytes: u64,
    /// Bytes of any other payload, before compression.
    pub other_raw_bytes: u64,
    /// How payloads are compressed.
    pub compressor: Compressor,
    /// Tags of one series at most.
    pub tags_max: usize,
    /// Say with each flush that we run.
    pub says_it_runs: bool,
    /// Time between checks of the keys.
    pub key_check_interval: Duration,
    /// The way there.
    pub delivery: Delivery,
}

/// An address and a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `None` = the site's own address.
    pub url: Option<String>,
    /// Its site; means something only without an address.
    pub site: String,
    /// The key.
    pub api_key: Secret,
}

/// Compression of payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compressor {
    /// Zstandard of this level.
    Zstd(i32),
    /// Zlib.
    Zlib,
    /// Gzip.
    Gzip,
    /// None.
    Off,
}

/// When the disk queue is forced to the medium.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    /// After each payload.
    Always,
    /// After each flush.
    Interval,
    /// When the system pleases.
    Never,
}

/// How payloads get to a destination.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Bound of one request.
    pub timeout: Duration,
    /// Requests at once.
    pub requests: u32,
    /// Bytes of payloads in memory.
    pub memory_bytes: u64,
    /// First wait after an error.
    pub backoff_base: Duration,
    /// Growth of the wait.
    pub backoff_factor: f64,
    /// Longest wait.
    pub backoff_max: Duration,
    /// Errors one success makes good; 0 = all.
    pub recovery: u32,
    /// Drop what is answered 401 or 403.
    pub drop_on_auth_error: bool,
    /// Older payloads are dropped.
    pub age_max: Duration,
    /// Folder of the disk queue; `None` = the first that can be written.
    pub folder: Option<PathBuf>,
    /// Bytes of the disk queue; 0 = none.
    pub disk_bytes: u64,
    /// Share of the disk that may be full.
    pub disk_share: f64,
    /// When it is forced to the medium.
    pub sync: Sync,
    /// More certificates to trust.
    pub ca_file: Option<PathBuf>,
    /// Proxy for `http://`; empty = the environment's.
    pub proxy_http: Secret,
    /// Proxy for `https://`; empty = the environment's.
    pub proxy_https: Secret,
    /// Hosts reached without; empty = the environment's.
    pub no_proxy: Vec<String>,
}
