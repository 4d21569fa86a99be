//! Statistics, traffic capture and the Agent's own telemetry.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "dogstatsd_metrics_stats_enable",
        Kind::Bool,
        "false",
        "Counts samples by metric and tags, for greyhound dogstatsd-stats; dogstatsd_stats as a runtime setting",
    )
    .reloadable(),
    Row::new(
        "dogstatsd_stats_enable",
        Kind::Bool,
        "false",
        "Counts packets per second",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_stats_buffer",
        Kind::COUNT,
        "10",
        "Seconds that count remembers",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_stats_port",
        Kind::Port,
        "5000",
        "Where that count is served",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_logging_enabled",
        Kind::Bool,
        "true",
        "Writes the per-metric counts to a log",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_log_file",
        Kind::Path,
        "",
        "File of the log of those counts",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_log_file_max_rolls",
        Kind::COUNT,
        "3",
        "Old files of that log to keep",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_log_file_max_size",
        Kind::BYTES,
        "10Mb",
        "Size at which that log is rolled",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_capture_path",
        Kind::Path,
        "",
        "Directory of traffic captures",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_capture_depth",
        Kind::COUNT,
        "0",
        "Packets that may wait to be captured",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_telemetry_enabled_listener_id",
        Kind::Bool,
        "false",
        "One telemetry label per Unix stream connection",
    )
    .no_effect(),
    Row::new(
        "telemetry.enabled",
        Kind::Bool,
        "false",
        "Exposes the Agent's telemetry; ours is always served at /telemetry",
    )
    .no_effect(),
    Row::new(
        "telemetry.dogstatsd_origin",
        Kind::Bool,
        "false",
        "Labels processed messages by origin",
    )
    .no_effect(),
    Row::new(
        "telemetry.dogstatsd.aggregator_channel_latency_buckets",
        Kind::Numbers {
            min: 0.0,
            max: f64::MAX,
        },
        "",
        "Histogram buckets in nanoseconds; empty = built in",
    )
    .no_effect(),
    Row::new(
        "telemetry.dogstatsd.listeners_latency_buckets",
        Kind::Numbers {
            min: 0.0,
            max: f64::MAX,
        },
        "",
        "Histogram buckets in nanoseconds; empty = built in",
    )
    .no_effect(),
    Row::new(
        "telemetry.dogstatsd.listeners_channel_latency_buckets",
        Kind::Numbers {
            min: 0.0,
            max: f64::MAX,
        },
        "",
        "Histogram buckets in nanoseconds; empty = built in",
    )
    .no_effect(),
];
