//! What the pipeline wants to know, as plain data. Settings are translated to it once, by the binary.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use greyhound_model::origin::Cardinality;
use greyhound_model::time::BucketWidth;

use crate::admit::mapper::MapperProfile;
use crate::admit::tag_filter::TagFilterEntry;

/// The whole pipeline.
#[derive(Clone, Debug)]
pub struct Config {
    /// What contexts without an own host belong to.
    pub hostname: Arc<[u8]>,
    /// Where packets come from.
    pub listen: ListenConfig,
    /// Threads and the queue between them.
    pub lanes: LanesConfig,
    /// What happens to a message.
    pub rules: RulesConfig,
    /// Buckets and their flush.
    pub flush: FlushConfig,
}

/// Listeners.
#[derive(Clone, Debug)]
pub struct ListenConfig {
    /// UDP addresses; port 0 takes any free one.
    pub udp: Vec<SocketAddr>,
    /// Unix datagram sockets.
    pub unixgram: Vec<UnixSocketConfig>,
    /// Unix stream sockets.
    pub unix_stream: Vec<UnixSocketConfig>,
    /// Longest datagram or frame kept whole, in bytes (`dogstatsd_buffer_size`).
    pub packet_len_bytes_max: usize,
    /// Kernel receive buffer asked for, in bytes; 0 leaves the system's default.
    pub receive_buffer_bytes: usize,
    /// An unterminated last line over UDP is dropped.
    pub eol_required_udp: bool,
    /// The same over Unix sockets.
    pub eol_required_unix: bool,
    /// Read from where to where UDP datagrams went, for [`Clients`](crate::client::Clients).
    pub udp_peers: bool,
    /// Read sender credentials on Unix sockets.
    pub origin_detection: bool,
    /// Log the start of refused oversized frames.
    pub stream_log_too_big: bool,
    /// Stream connections in all; more are closed at once.
    pub stream_connections_max: usize,
    /// A connection with half a frame and no news for so long is closed.
    pub stream_idle: Duration,
    /// Wait after a short UDP read under load, so that batches grow; zero = never wait.
    pub coalesce: Duration,
    /// Copy every packet to this UDP host and port.
    pub forward: Option<(String, u16)>,
    /// Fail to start when no listener could be made.
    pub require_listener: bool,
}

/// One Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSocketConfig {
    /// Where it appears.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// Owner, by name or number; `None` leaves it.
    pub owner: Option<String>,
    /// Group, by name or number; `None` leaves it.
    pub group: Option<String>,
    /// Bind even where others may replace the socket: in a folder that is not ours, or open to all.
    pub allow_open_folder: bool,
}

/// Threads.
#[derive(Clone, Debug)]
pub struct LanesConfig {
    /// Lanes with sockets, at least one.
    pub lanes: usize,
    /// Lanes without sockets: they only help.
    pub workers: usize,
    /// Pin lanes to cores.
    pub pin: bool,
    /// Batches the shared queue holds.
    pub queue_depth_batches: usize,
    /// Datagrams read by one call.
    pub batch_packets: usize,
}

/// What happens to a message between parser and bucket.
#[derive(Clone, Debug)]
pub struct RulesConfig {
    /// Honour `T` (`dogstatsd_no_aggregation_pipeline`).
    pub timestamps: bool,
    /// Honour `c:`, `e:` and `card:` (`dogstatsd_origin_detection_client`).
    pub client_origin: bool,
    /// Mapper profiles, in order.
    pub mapper_profiles: Vec<MapperProfile>,
    /// Names a lane's mapper cache holds.
    pub mapper_cache_entries: usize,
    /// Prefix of all names; empty = none.
    pub namespace: Vec<u8>,
    /// Prefixes of names without namespace.
    pub namespace_exempt: Vec<Vec<u8>>,
    /// Name filter list.
    pub filter_names: Vec<Vec<u8>>,
    /// Every entry of it is a prefix.
    pub filter_match_prefix: bool,
    /// Tags to keep or drop per metric (distributions only).
    pub tag_filter: Vec<TagFilterEntry>,
    /// Tags of everything.
    pub tags: Vec<Vec<u8>>,
    /// Key of a tag with the address of the client behind a UDP datagram; `None` = no tag.
    pub client_tag: Option<Vec<u8>>,
    /// Histograms.
    pub histogram: HistogramConfig,
    /// Which tags an origin adds.
    pub origin: OriginConfig,
    /// Warn of refused messages; without it they are told at debug.
    pub tells_refused: bool,
    /// Bounds.
    pub limits: LimitsConfig,
    /// Seconds a silent counter goes on sending zero.
    pub counter_expiry_seconds: u32,
    /// Seconds a silent context is remembered; counters add the above.
    pub context_expiry_seconds: u32,
}

/// Histograms and timings.
#[derive(Clone, Debug)]
pub struct HistogramConfig {
    /// Names of aggregates, in order; unknown ones are skipped.
    pub aggregates: Vec<String>,
    /// Percentiles as text, each in 0..=1; others are skipped.
    pub percentiles: Vec<String>,
    /// Also feed each value to a distribution.
    pub copy_to_distribution: bool,
    /// Put before the copy's name.
    pub copy_prefix: Vec<u8>,
}

/// Enrichment by origin.
#[derive(Clone, Copy, Debug)]
pub struct OriginConfig {
    /// First match wins, external data count.
    pub unified: bool,
    /// Cardinality `none` switches enrichment off in the older mode.
    pub optout: bool,
    /// A pod uid sent by the client beats the socket.
    pub entity_id_precedence: bool,
    /// For messages that do not say.
    pub cardinality: Cardinality,
}

/// Bounds; 0 = none.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitsConfig {
    /// Contexts alive, over all lanes.
    pub contexts: u64,
    /// Contexts alive of one origin, per lane.
    pub contexts_per_origin: u32,
    /// Tags a client may put on one metric.
    pub tags_per_metric: u32,
    /// Members of one set in one bucket.
    pub set_members: u32,
    /// Values of one histogram in one bucket.
    pub histogram_values: u32,
    /// Events and service checks waiting for a flush, per lane.
    pub events: u32,
    /// Bytes of contexts and open buckets, over all lanes.
    pub memory_bytes: u64,
}

/// When buckets close, and what is made of them.
#[derive(Clone, Copy, Debug)]
pub struct FlushConfig {
    /// Length of a bucket.
    pub bucket_width: BucketWidth,
    /// Send the open bucket at stop instead of dropping it.
    pub open_buckets_on_stop: bool,
    /// Make [`FlushBatch::histograms`](greyhound_model::flush::FlushBatch::histograms).
    pub histogram_summaries: bool,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            hostname: Arc::from(&b"localhost"[..]),
            listen: ListenConfig::default(),
            lanes: LanesConfig::default(),
            rules: RulesConfig::default(),
            flush: FlushConfig::default(),
        }
    }
}

impl Default for ListenConfig {
    fn default() -> Self {
        Self {
            udp: Vec::new(),
            unixgram: Vec::new(),
            unix_stream: Vec::new(),
            packet_len_bytes_max: 8192,
            receive_buffer_bytes: 16 << 20,
            eol_required_udp: false,
            eol_required_unix: false,
            udp_peers: false,
            origin_detection: false,
            stream_log_too_big: false,
            stream_connections_max: 10_000,
            stream_idle: Duration::from_secs(60),
            coalesce: Duration::from_micros(200),
            forward: None,
            require_listener: false,
        }
    }
}

impl Default for LanesConfig {
    fn default() -> Self {
        Self {
            lanes: 1,
            workers: 0,
            pin: false,
            queue_depth_batches: 1024,
            batch_packets: 64,
        }
    }
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            timestamps: true,
            client_origin: false,
            mapper_profiles: Vec::new(),
            mapper_cache_entries: 1000,
            namespace: Vec::new(),
            namespace_exempt: Vec::new(),
            filter_names: Vec::new(),
            filter_match_prefix: false,
            tag_filter: Vec::new(),
            tags: Vec::new(),
            client_tag: None,
            histogram: HistogramConfig::default(),
            origin: OriginConfig::default(),
            tells_refused: false,
            limits: LimitsConfig {
                events: 10_000,
                ..LimitsConfig::default()
            },
            counter_expiry_seconds: 300,
            context_expiry_seconds: 20,
        }
    }
}

impl Default for HistogramConfig {
    fn default() -> Self {
        Self {
            aggregates: ["max", "median", "avg", "count"].map(String::from).to_vec(),
            percentiles: vec!["0.95".into()],
            copy_to_distribution: false,
            copy_prefix: Vec::new(),
        }
    }
}

impl Default for OriginConfig {
    fn default() -> Self {
        Self {
            unified: false,
            optout: true,
            entity_id_precedence: false,
            cardinality: Cardinality::Low,
        }
    }
}

impl Default for FlushConfig {
    fn default() -> Self {
        Self {
            bucket_width: BucketWidth::AGENT,
            open_buckets_on_stop: true,
            histogram_summaries: true,
        }
    }
}
