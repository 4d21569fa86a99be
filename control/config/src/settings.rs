//! The typed read-out: the one place where keys become fields.
//!
//! The binary translates these structs to the configurations of the engine's crates; nobody looks
//! a setting up by its name after this.

pub mod conntrack;
pub mod control;
pub mod intake;
pub mod otlp;
mod read;
pub mod relay;
pub mod remote_agent;
pub mod remote_write;
pub mod routing;

use std::path::PathBuf;
use std::time::Duration;

use crate::secret::Secret;

pub use crate::mapper::{MapperProfile, Mapping, MatchType};
pub use crate::tag_filter::{TagFilterAction, TagFilterRule};
pub use crate::value::Port;

/// Everything this version acts on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `hostname`; `None` = ask the system.
    pub hostname: Option<String>,
    /// Logs.
    pub log: Log,
    /// Sockets.
    pub listen: Listen,
    /// Threads.
    pub lanes: Lanes,
    /// What happens to a message.
    pub rules: Rules,
    /// Buckets and stopping.
    pub flush: Flush,
    /// Bounds.
    pub limits: Limits,
    /// Where flushes go.
    pub outputs: Outputs,
    /// Which of them gets what.
    pub routing: routing::Routing,
    /// The kernel's connection table.
    pub conntrack: conntrack::Conntrack,
    /// The control port.
    pub control: control::Control,
    /// Other agents of this host.
    pub remote_agents: remote_agent::RemoteAgents,
    /// `api_key`; empty = none.
    pub api_key: Secret,
    /// `greyhound.datadog.require_key`: do not start without one.
    pub requires_key: bool,
    /// `dogstatsd_metrics_stats_enable`: count samples by context.
    pub metrics_stats: bool,
    /// `greyhound.config.watch`: look after the settings file and reload it when it changed.
    pub watch_file: bool,
    /// What `ENC[handle]` values are looked up with.
    pub secrets: SecretBackend,
}

/// The program that knows secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretBackend {
    /// `secret_backend_command`; empty = none.
    pub command: PathBuf,
    /// `secret_backend_arguments`.
    pub arguments: Vec<String>,
    /// `secret_backend_timeout`; 0 = its default.
    pub timeout: Duration,
    /// `secret_backend_output_max_size`.
    pub output_bytes_max: u64,
    /// `secret_backend_command_allow_group_exec_perm`.
    pub allow_group_exec: bool,
    /// `secret_backend_remove_trailing_line_break`.
    pub remove_trailing_line_break: bool,
    /// `secret_refresh_interval`; 0 = never by itself.
    pub refresh_interval: Duration,
}

/// Logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Least severe level.
    pub level: LogLevel,
    /// Form of a line.
    pub format: LogFormat,
    /// `log_to_console`: write to standard error.
    pub console: bool,
    /// The file; `None` = none.
    pub file: Option<LogFile>,
}

/// A log file that rolls over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// `log_file`.
    pub path: PathBuf,
    /// `log_file_max_size`, in bytes; 0 = it never rolls.
    pub bytes_max: u64,
    /// `log_file_max_rolls`: files before it that are kept.
    pub rolls: u32,
}

/// The Agent's levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// `error`, and `critical`.
    Error,
    /// `warn`.
    Warn,
    /// `info`.
    Info,
    /// `debug`.
    Debug,
    /// `trace`.
    Trace,
}

/// Form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text, with colours on a terminal.
    Auto,
    /// Text.
    Text,
    /// One JSON object per line.
    Json,
}

/// Sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// `use_dogstatsd`.
    pub enabled: bool,
    /// The UDP listener of `dogstatsd_port`; `None` = off.
    pub udp: Option<Udp>,
    /// `greyhound.udp.listeners`, each `host:port` or `[v6]:port`.
    pub udp_more: Vec<String>,
    /// Datagram sockets: `dogstatsd_socket` first, then `greyhound.uds.sockets`.
    pub datagram_sockets: Vec<Socket>,
    /// Stream sockets: `dogstatsd_stream_socket` first, then `greyhound.uds.stream_sockets`.
    pub stream_sockets: Vec<Socket>,
    /// File mode of Unix sockets.
    pub socket_mode: u32,
    /// Bind Unix sockets even in a folder that is not ours, or open to all.
    pub socket_allow_open_folder: bool,
    /// User name or id to own them.
    pub socket_owner: Option<String>,
    /// Group name or id to own them.
    pub socket_group: Option<String>,
    /// Receive buffer to ask for UDP and Unix datagram sockets, in bytes; 0 = the system's default.
    pub udp_receive_buffer_bytes: u64,
    /// `dogstatsd_buffer_size`: longest datagram or frame, in bytes.
    pub packet_len_bytes_max: usize,
    /// `dogstatsd_eol_required` holds `udp`.
    pub eol_required_udp: bool,
    /// `dogstatsd_eol_required` holds `uds`.
    pub eol_required_uds: bool,
    /// `dogstatsd_stream_log_too_big`.
    pub stream_log_too_big: bool,
    /// Stream connections in all.
    pub stream_connections_max: usize,
    /// `None` = never closed for silence.
    pub stream_idle: Option<Duration>,
    /// `dogstatsd_require_listener`.
    pub require_listener: bool,
    /// `dogstatsd_origin_detection`: read sender credentials.
    pub origin_detection: bool,
    /// Host and port every packet is copied to.
    pub forward: Option<(String, u16)>,
}

/// The UDP listener of the Agent's settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// `bind_host`: a name or an address.
    pub host: String,
    /// `dogstatsd_port`, never [`Port::Number`] of 0.
    pub port: Port,
    /// Bind every address of the host instead.
    pub non_local_traffic: bool,
}

/// A Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Socket {
    /// Where it appears.
    pub path: PathBuf,
    /// Nobody asked for it: where it cannot be made, a notice is enough.
    pub is_default: bool,
}

/// Threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lanes {
    /// Lanes with sockets; `None` = one per usable core.
    pub lanes: Option<usize>,
    /// Lanes that only help.
    pub workers: usize,
    /// Bind lanes to cores.
    pub pin: bool,
    /// Packets of a batch, from 1 to 1024.
    pub batch_packets: usize,
    /// `dogstatsd_queue_size`.
    pub queue_batches: usize,
    /// Wait after a short read; zero = none.
    pub coalesce: Duration,
}

/// What happens to a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// `dogstatsd_no_aggregation_pipeline`: honour `T`.
    pub timestamps: bool,
    /// `dogstatsd_expiry_seconds`.
    pub counter_expiry_seconds: u32,
    /// `dogstatsd_context_expiry_seconds`.
    pub context_expiry_seconds: u32,
    /// Not `dogstatsd_disable_verbose_logs`: warn of refused messages.
    pub tells_refused: bool,
    /// `dogstatsd_tags`.
    pub tags: Vec<String>,
    /// `dogstatsd_mapper_profiles`.
    pub mapper_profiles: Vec<MapperProfile>,
    /// `dogstatsd_mapper_cache_size`.
    pub mapper_cache_entries: usize,
    /// `statsd_metric_namespace` as written; empty = none.
    pub namespace: String,
    /// `statsd_metric_namespace_blacklist`.
    pub namespace_exempt: Vec<String>,
    /// `metric_filterlist`, or `statsd_metric_blocklist` when that is empty.
    pub filter_names: Vec<String>,
    /// The `_match_prefix` of the list taken.
    pub filter_match_prefix: bool,
    /// `metric_tag_filterlist`.
    pub tag_filter: Vec<TagFilterRule>,
    /// Histograms and timings.
    pub histogram: Histogram,
    /// Origins.
    pub origin: Origin,
}

/// Histograms and timings.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// `histogram_aggregates`: words of max, min, median, avg, sum, count.
    pub aggregates: Vec<String>,
    /// `histogram_percentiles`, each from 0 to 1.
    pub percentiles: Vec<f64>,
    /// `histogram_copy_to_distribution`.
    pub copy_to_distribution: bool,
    /// `histogram_copy_to_distribution_prefix`.
    pub copy_prefix: String,
}

/// Origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `dogstatsd_origin_detection_client`: honour `c:`, `e:`, `card:`.
    pub client: bool,
    /// `dogstatsd_origin_optout_enabled`.
    pub optout: bool,
    /// `dogstatsd_entity_id_precedence`.
    pub entity_id_precedence: bool,
    /// `dogstatsd_tag_cardinality`.
    pub cardinality: TagCardinality,
    /// `origin_detection_unified`.
    pub unified: bool,
}

/// How many tags an origin adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagCardinality {
    /// None.
    None,
    /// Tags with few values.
    Low,
    /// One value per pod or task as well.
    Orchestrator,
    /// One value per container as well.
    High,
}

/// Buckets and stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flush {
    /// Length of a bucket; at least 1.
    pub bucket_seconds: u32,
    /// Send the open bucket at stop. `dogstatsd_flush_incomplete_buckets` when somebody set it.
    pub open_buckets_on_stop: bool,
    /// Bound of stopping; at least a second.
    pub stop_timeout: Duration,
}

/// Bounds; 0 = none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Contexts in all.
    pub contexts: u32,
    /// Contexts of one origin.
    pub contexts_per_origin: u32,
    /// Tags of one message.
    pub tags_per_metric: u32,
    /// Members of one set in one bucket.
    pub set_members: u32,
    /// Values of one histogram in one bucket.
    pub histogram_values: u32,
    /// Events and service checks that wait for a flush.
    pub events: u32,
    /// Bytes of contexts and buckets.
    pub memory_bytes: u64,
}

/// Where flushes go.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// Flushes that may wait for one output; at least 1.
    pub queue_flushes: usize,
    /// Points that may wait for one output; at least 1.
    pub queue_points: u64,
    /// Prometheus; `None` = off.
    pub prometheus: Option<Prometheus>,
    /// Print each flush.
    pub print: bool,
    /// Newline-delimited JSON; `None` = off.
    pub ndjson: Option<NdjsonTarget>,
    /// Datadog's intake; `None` = no key, nothing is sent.
    pub datadog: Option<intake::Datadog>,
    /// Prometheus remote write; `None` = no address.
    pub remote_write: Option<remote_write::RemoteWrite>,
    /// OTLP; `None` = no address.
    pub otlp: Option<otlp::Otlp>,
    /// Another aggregator; `None` = no address.
    pub relay: Option<relay::Relay>,
}

/// Where newline-delimited JSON goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NdjsonTarget {
    /// Standard output.
    Stdout,
    /// Appended to.
    File(PathBuf, Rotation),
}

/// When a file is moved away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// Length in bytes; 0 = never.
    pub bytes: u64,
    /// Age in seconds; 0 = never.
    pub seconds: u32,
    /// How many stay.
    pub keep: u32,
}

/// Prometheus exposition.
#[derive(Clone, Debug, PartialEq)]
pub struct Prometheus {
    /// `host:port` to serve at.
    pub listen: String,
    /// Silence after which a series goes; 0 = never.
    pub expiry_seconds: u32,
    /// What quantiles look back over; at least 1.
    pub window_seconds: u32,
    /// Each from 0 to 1.
    pub quantiles: Vec<f64>,
    /// Upper bounds, ascending and without repetition; empty = summaries.
    pub classic_buckets: Vec<f64>,
    /// Series at most; at least 1.
    pub series_max: u64,
    /// A host label on series of this host too.
    pub own_host_label: bool,
    /// `_created` lines.
    pub created_lines: bool,
}
