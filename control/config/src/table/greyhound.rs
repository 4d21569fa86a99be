//! Our own keys, all under `greyhound:`.

use crate::kind::Kind;
use crate::table::Row;
use crate::value::duration::Bare;

/// A limit where 0 means none.
const LIMIT: Kind = Kind::Int {
    min: 0,
    max: u32::MAX as i64,
};

const POSITIVE_SECONDS: Kind = Kind::Duration {
    bare: Bare::Seconds,
    min_seconds: 1,
};

pub(super) const LANES: &[Row] = &[
    Row::new(
        "greyhound.lanes",
        Kind::Int { min: 0, max: 1024 },
        "0",
        "Threads that read sockets and aggregate; 0 = one per usable core",
    ),
    Row::new(
        "greyhound.worker_lanes",
        Kind::Int { min: 0, max: 1024 },
        "0",
        "Further threads that only help the others",
    ),
    Row::new(
        "greyhound.pin_lanes",
        Kind::Bool,
        "false",
        "Binds each lane to a core",
    ),
    Row::new(
        "greyhound.batch_packets",
        Kind::Int { min: 1, max: 1024 },
        "64",
        "Packets read by one call and handed on together; dogstatsd_packet_buffer_size wins when it is set",
    ),
    Row::new(
        "greyhound.coalesce_microseconds",
        Kind::Duration {
            bare: Bare::Microseconds,
            min_seconds: 0,
        },
        "200",
        "How long a lane that found little waits before it reads again; 0 = not at all",
    ),
    Row::new(
        "greyhound.bucket_seconds",
        Kind::Int { min: 1, max: 3600 },
        "10",
        "Length of an aggregation bucket, and so of the flush interval, in seconds",
    )
    .reloadable(),
    Row::new(
        "greyhound.flush_open_bucket_on_stop",
        Kind::Bool,
        "true",
        "Flushes the open bucket at stop instead of dropping it",
    )
    .reloadable(),
    Row::new(
        "greyhound.stop_timeout_seconds",
        POSITIVE_SECONDS,
        "30",
        "Bound of draining and flushing at stop",
    )
    .reloadable(),
    Row::new(
        "greyhound.log.format",
        Kind::Word(&["auto", "text", "json"]),
        "auto",
        "Form of log lines; auto = text, with colours on a terminal",
    ),
];

pub(super) const CONFIG: &[Row] = &[Row::new(
    "greyhound.config.watch",
    Kind::Bool,
    "true",
    "Reloads the settings file by itself when it changed",
)
.reloadable()];

pub(super) const LISTENERS: &[Row] = &[
    Row::new(
        "greyhound.udp.listeners",
        Kind::Addresses,
        "",
        "UDP addresses beside the one of dogstatsd_port, host:port or [v6]:port",
    )
    .reloadable(),
    Row::new(
        "greyhound.receive_buffer",
        Kind::BYTES,
        "16MiB",
        "Kernel receive buffer asked for UDP and Unix datagram sockets while dogstatsd_so_rcvbuf is 0; 0 = the system's default",
    ),
    Row::new(
        "greyhound.uds.sockets",
        Kind::Paths,
        "",
        "Unix datagram sockets beside dogstatsd_socket",
    )
    .reloadable(),
    Row::new(
        "greyhound.uds.stream_sockets",
        Kind::Paths,
        "",
        "Unix stream sockets beside dogstatsd_stream_socket",
    )
    .reloadable(),
    Row::new(
        "greyhound.uds.mode",
        Kind::Mode,
        "0722",
        "File mode of Unix sockets, in octal",
    ),
    Row::new(
        "greyhound.uds.allow_open_folder",
        Kind::Bool,
        "false",
        "Bind Unix sockets even where others could replace them: in a folder of another user, or one open to all",
    ),
    Row::new(
        "greyhound.uds.owner",
        Kind::Text,
        "",
        "User name or id that owns Unix sockets; empty = the process's",
    ),
    Row::new(
        "greyhound.uds.group",
        Kind::Text,
        "",
        "Group name or id that owns Unix sockets; empty = the process's",
    ),
    Row::new(
        "greyhound.stream.connections",
        Kind::Int {
            min: 1,
            max: 1 << 20,
        },
        "10000",
        "Open stream connections in all; the next is closed at once and counted",
    ),
    Row::new(
        "greyhound.stream.idle_seconds",
        Kind::SECONDS,
        "60",
        "Closes a connection that stays silent in the middle of a frame so long; 0 = never",
    ),
];

pub(super) const LIMITS: &[Row] = &[
    Row::new(
        "greyhound.limits.contexts",
        LIMIT,
        "1000000",
        "Contexts in all; new ones above are refused and counted; 0 = no limit",
    ).reloadable(),
    Row::new(
        "greyhound.limits.contexts_per_origin",
        LIMIT,
        "0",
        "Contexts of one origin in one lane; new ones above are refused and counted; 0 = no limit",
    ).reloadable(),
    Row::new(
        "greyhound.limits.tags_per_metric",
        LIMIT,
        "0",
        "Tags of one message; messages with more are refused and counted; 0 = no limit",
    ).reloadable(),
    Row::new(
        "greyhound.limits.set_members",
        LIMIT,
        "1000000",
        "Members of one set in one bucket; new ones above are refused and counted; 0 = no limit",
    ).reloadable(),
    Row::new(
        "greyhound.limits.histogram_values",
        LIMIT,
        "1000000",
        "Values of one histogram in one bucket; more are refused and counted; 0 = no limit",
    ).reloadable(),
    Row::new(
        "greyhound.limits.memory",
        Kind::BYTES,
        "0",
        "Bytes of contexts and open buckets in all; what needs more is refused and counted; 0 = half of the memory the process may use",
    ).reloadable(),
    Row::new(
        "greyhound.limits.events",
        LIMIT,
        "10000",
        "Events and service checks that wait for a flush in one lane; more are refused and counted; 0 = no limit",
    ).reloadable(),
];

pub(super) const OUTPUTS: &[Row] = &[
    Row::new(
        "greyhound.prometheus.listen",
        Kind::Address,
        "127.0.0.1:9125",
        "Where /metrics and /telemetry are served; empty or off = nowhere",
    ),
    Row::new(
        "greyhound.prometheus.namespace",
        Kind::Text,
        "",
        "Put before every exposed name, with an underscore between",
    )
    .no_effect(),
    Row::new(
        "greyhound.prometheus.expiry_seconds",
        Kind::SECONDS,
        "300",
        "Silence after which a series is no longer exposed; 0 = never",
    ),
    Row::new(
        "greyhound.prometheus.window_seconds",
        POSITIVE_SECONDS,
        "60",
        "Span the quantiles of summaries look back over",
    ),
    Row::new(
        "greyhound.prometheus.quantiles",
        Kind::Numbers { min: 0.0, max: 1.0 },
        "0.5 0.9 0.95 0.99",
        "Quantiles of summaries",
    ),
    Row::new(
        "greyhound.prometheus.classic_buckets",
        Kind::Numbers {
            min: f64::MIN,
            max: f64::MAX,
        },
        "",
        "Upper bounds; when set, histograms with these buckets are exposed instead of summaries",
    ),
    Row::new(
        "greyhound.prometheus.series_max",
        Kind::Int {
            min: 1,
            max: 1 << 40,
        },
        "1000000",
        "Series exposed at most; the newest are refused and counted",
    ),
    Row::new(
        "greyhound.prometheus.own_host_label",
        Kind::Bool,
        "false",
        "Gives series of this host a host label too",
    ),
    Row::new(
        "greyhound.prometheus.created_lines",
        Kind::Bool,
        "false",
        "Adds _created lines to OpenMetrics answers",
    ),
    Row::new(
        "greyhound.print",
        Kind::Bool,
        "false",
        "Prints each flush to standard output",
    ),
    Row::new(
        "greyhound.ndjson.path",
        Kind::Path,
        "",
        "File each flush is appended to, one JSON object per line; - = standard output, empty = none",
    ),
    Row::new(
        "greyhound.ndjson.rotate_bytes",
        Kind::BYTES,
        "0",
        "Length at which the file is moved to its name with .1 and a new one begun; 0 = never",
    ),
    Row::new(
        "greyhound.ndjson.rotate_seconds",
        Kind::SECONDS,
        "0",
        "The same for its age, from its first line on; 0 = never",
    ),
    Row::new(
        "greyhound.ndjson.rotate_keep",
        Kind::Int { min: 0, max: 1000 },
        "7",
        "Files moved away that are kept; the oldest is removed; 0 = none",
    ),
    Row::new(
        "greyhound.outputs.queue_flushes",
        Kind::Int { min: 1, max: 1024 },
        "8",
        "Flushes that may wait for one output",
    ),
    Row::new(
        "greyhound.outputs.queue_points",
        Kind::Int {
            min: 1,
            max: 1 << 40,
        },
        "4000000",
        "Points that may wait for one output; more are dropped and counted",
    ),
];
