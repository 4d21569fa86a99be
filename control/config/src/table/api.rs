//! The host, logs, and what a later version needs to send.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "hostname",
        Kind::Text,
        "",
        "Host of everything flushed; empty = ask the system",
    ),
    Row::new(
        "log_level",
        Kind::Word(&["trace", "debug", "info", "warn", "error", "critical", "off"]),
        "info",
        "Least severe level that is logged",
    )
    .reloadable(),
    Row::new(
        "log_file",
        Kind::Path,
        "",
        "File the log is written to as well; empty = none",
    ),
    Row::new(
        "log_file_max_size",
        Kind::BYTES,
        "10Mb",
        "Size at which that file is moved to its name with .1 and a new one begun; 0 = never",
    ),
    Row::new(
        "log_file_max_rolls",
        Kind::Int { min: 0, max: 1000 },
        "1",
        "Files moved away that are kept",
    ),
    Row::new(
        "disable_file_logging",
        Kind::Bool,
        "false",
        "Writes no file, whatever log_file says",
    ),
    Row::new(
        "log_to_console",
        Kind::Bool,
        "true",
        "Writes the log to standard error",
    ),
    Row::new(
        "log_format_json",
        Kind::Bool,
        "false",
        "Logs as JSON; greyhound.log.format wins when it is set",
    ),
    Row::new("tags", Kind::Texts, "", "Tags of the host").no_effect(),
    Row::new("extra_tags", Kind::Texts, "", "More tags of the host").no_effect(),
    Row::new(
        "api_key",
        Kind::Secret,
        "",
        "Key of the intake; when set at start, flushes are sent there, and another key is taken while running",
    )
    .reloadable(),
    Row::new("site", Kind::Text, "datadoghq.com", "Site of the intake"),
    Row::new(
        "dd_url",
        Kind::Text,
        "",
        "Address of the intake, when it is not the site's",
    )
    .env(&["DD_URL"]),
    Row::new(
        "additional_endpoints",
        Kind::Endpoints,
        "{}",
        "More intakes and their keys",
    ),
    Row::new(
        "forwarder_timeout",
        Kind::SECONDS,
        "20",
        "Timeout of one request",
    ),
    Row::new(
        "forwarder_num_workers",
        Kind::Int { min: 1, max: 1024 },
        "1",
        "Requests in flight",
    )
    .no_effect(),
    Row::new(
        "forwarder_stop_timeout",
        Kind::SECONDS,
        "2",
        "Bound of sending at stop",
    )
    .no_effect(),
    Row::new(
        "forwarder_high_prio_buffer_size",
        Kind::COUNT,
        "100",
        "Waiting payloads",
    )
    .no_effect(),
    Row::new(
        "forwarder_low_prio_buffer_size",
        Kind::COUNT,
        "100",
        "Waiting payloads",
    )
    .no_effect(),
    Row::new(
        "forwarder_requeue_buffer_size",
        Kind::COUNT,
        "100",
        "Waiting payloads",
    )
    .no_effect(),
    Row::new(
        "forwarder_retry_queue_payloads_max_size",
        Kind::BYTES,
        "15MiB",
        "Bytes of payloads kept for another try",
    ),
    Row::new(
        "forwarder_retry_queue_max_size",
        Kind::BYTES,
        "0",
        "Old name of forwarder_retry_queue_payloads_max_size; 0 = not set",
    ),
    Row::new(
        "forwarder_retry_queue_capacity_time_interval_sec",
        Kind::SECONDS,
        "900",
        "Span the capacity of the retry queue is worked out over",
    )
    .no_effect(),
    Row::new(
        "forwarder_backoff_factor",
        Kind::POSITIVE,
        "2",
        "Growth of the wait after an error",
    ),
    Row::new(
        "forwarder_backoff_base",
        Kind::POSITIVE,
        "2",
        "First wait in seconds",
    ),
    Row::new(
        "forwarder_backoff_max",
        Kind::POSITIVE,
        "64",
        "Longest wait in seconds",
    ),
    Row::new(
        "forwarder_recovery_interval",
        Kind::COUNT,
        "2",
        "Errors one success makes good",
    ),
    Row::new(
        "forwarder_recovery_reset",
        Kind::Bool,
        "false",
        "One success makes all good",
    ),
    Row::new(
        "forwarder_connection_reset_interval",
        Kind::SECONDS,
        "0",
        "Age at which connections are renewed; 0 = never",
    )
    .no_effect(),
    Row::new(
        "forwarder_apikey_validation_interval",
        Kind::COUNT,
        "60",
        "Minutes between checks of the key",
    ),
    Row::new(
        "forwarder_storage_path",
        Kind::Path,
        "",
        "Directory of the retry queue on disk",
    ),
    Row::new(
        "forwarder_storage_max_size_in_bytes",
        Kind::BYTES,
        "0",
        "Bytes of the retry queue on disk; 0 = off",
    ),
    Row::new(
        "forwarder_storage_max_disk_ratio",
        Kind::SHARE,
        "0.80",
        "Share of the disk that may be full",
    ),
    Row::new(
        "forwarder_flush_to_disk_mem_ratio",
        Kind::SHARE,
        "0.5",
        "Share of the retry queue moved to disk at once",
    )
    .no_effect(),
    Row::new(
        "forwarder_outdated_file_in_days",
        Kind::COUNT,
        "10",
        "Age at which files on disk are dropped",
    ),
    Row::new(
        "flare_stripped_keys",
        Kind::Texts,
        "",
        "More names whose values a flare leaves out",
    )
    .reloadable(),
];
