//! The DogStatsD server under the Agent's names: sockets, processing, names, histograms.

use crate::kind::Kind;
use crate::table::Row;

/// Prefixes the namespace is not put before.
const NAMESPACE_EXEMPT: &str = "datadog.agent datadog.dogstatsd datadog.process \
     datadog.trace_agent datadog.tracer activemq activemq_58 airflow cassandra confluent hazelcast \
     hive ignite jboss jvm kafka presto sidekiq solr tomcat runtime";

/// The aggregates a histogram can be flushed as.
const AGGREGATES: &[&str] = &["max", "min", "median", "avg", "sum", "count"];

pub(super) const LISTENING: &[Row] = &[
    Row::new(
        "use_dogstatsd",
        Kind::Bool,
        "true",
        "Runs the DogStatsD listeners at all",
    ).reloadable(),
    Row::new(
        "dogstatsd_port",
        Kind::Port,
        "8125",
        "UDP port; 0 = no UDP, __random__ = any free one",
    ).reloadable(),
    Row::new(
        "bind_host",
        Kind::Text,
        "localhost",
        "Address or name the UDP listener binds",
    ).reloadable(),
    Row::new(
        "dogstatsd_non_local_traffic",
        Kind::Bool,
        "false",
        "Binds UDP to every address of the host instead of bind_host",
    ).reloadable(),
    Row::new(
        "dogstatsd_socket",
        Kind::Path,
        "/var/run/datadog/dsd.socket",
        "Unix datagram socket; empty = none. The default is skipped with a notice where its directory cannot be used",
    ).reloadable(),
    Row::new(
        "dogstatsd_stream_socket",
        Kind::Path,
        "",
        "Unix stream socket; empty = none",
    ).reloadable(),
    Row::new(
        "dogstatsd_stream_log_too_big",
        Kind::Bool,
        "false",
        "Logs the start of stream frames refused for their length",
    ),
    Row::new("dogstatsd_pipe_name", Kind::Text, "", "Windows named pipe").no_effect(),
    Row::new(
        "dogstatsd_windows_pipe_security_descriptor",
        Kind::Text,
        "D:AI(A;;GA;;;WD)",
        "Access rights of the Windows named pipe",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_host_socket_path",
        Kind::Path,
        "/var/run/datadog",
        "Directory an admission controller mounts into pods",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_so_rcvbuf",
        Kind::BYTES,
        "0",
        "Kernel receive buffer of UDP and Unix datagram sockets; 0 = greyhound.receive_buffer",
    ),
    Row::new(
        "dogstatsd_eol_required",
        Kind::Words(&["udp", "uds", "named_pipe"]),
        "",
        "Listeners on which a last line without a newline is dropped; other words are skipped with a warning",
    ),
    Row::new(
        "dogstatsd_buffer_size",
        Kind::Size {
            min: 1,
            max: 1 << 20,
        },
        "8192",
        "Longest datagram or stream frame kept whole",
    ),
    Row::new(
        "dogstatsd_packet_buffer_size",
        Kind::Int {
            min: 1,
            max: 1 << 20,
        },
        "32",
        "Packets in a batch, of which at most 1024 are taken; unless it is set greyhound.batch_packets decides",
    ),
    Row::new(
        "dogstatsd_packet_buffer_flush_timeout",
        Kind::SPAN,
        "100ms",
        "Longest wait of an unfilled batch; greyhound.coalesce_microseconds takes its place",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_queue_size",
        Kind::Int {
            min: 1,
            max: 1 << 20,
        },
        "1024",
        "Packet batches that may wait between listeners and lanes",
    ),
    Row::new(
        "dogstatsd_require_listener",
        Kind::Bool,
        "false",
        "Refuses to start when no listener could be made",
    ),
    Row::new(
        "dogstatsd_experimental_http.enabled",
        Kind::Bool,
        "false",
        "HTTP listener for columnar payloads",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_experimental_http.listen_address",
        Kind::Address,
        "127.0.0.1:8125",
        "Address of that listener",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_experimental_http.read_timeout",
        Kind::SPAN,
        "10s",
        "Read timeout of that listener",
    )
    .no_effect(),
    Row::new(
        "statsd_forward_host",
        Kind::Text,
        "",
        "Host every packet is copied to over UDP; needs statsd_forward_port too",
    ),
    Row::new(
        "statsd_forward_port",
        Kind::Int {
            min: 0,
            max: 65_535,
        },
        "0",
        "Port every packet is copied to; needs statsd_forward_host too",
    ),
];

pub(super) const PROCESSING: &[Row] = &[
    Row::new(
        "dogstatsd_workers_count",
        Kind::Int {
            min: i64::MIN,
            max: i64::MAX,
        },
        "0",
        "Parsing workers; greyhound.lanes takes its place",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_pipeline_count",
        Kind::Int {
            min: i64::MIN,
            max: i64::MAX,
        },
        "1",
        "Time samplers; greyhound.lanes takes its place and results do not depend on it",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_pipeline_autoadjust",
        Kind::Bool,
        "false",
        "Works out workers and samplers from the number of cores",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_pipeline_autoadjust_strategy",
        Kind::Word(&["max_throughput", "per_origin"]),
        "max_throughput",
        "How that is done",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_string_interner_size",
        Kind::COUNT,
        "4096",
        "Entries of the string cache of a worker",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_no_aggregation_pipeline",
        Kind::Bool,
        "true",
        "Honours timestamps: a sample with |T passes without aggregation",
    ).reloadable(),
    Row::new(
        "dogstatsd_no_aggregation_pipeline_batch_size",
        Kind::Int {
            min: 1,
            max: 1 << 20,
        },
        "2048",
        "Timestamped samples in one payload",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_expiry_seconds",
        Kind::SECONDS,
        "300",
        "How long a silent counter is still flushed as 0",
    ).reloadable(),
    Row::new(
        "dogstatsd_context_expiry_seconds",
        Kind::SECONDS,
        "20",
        "How long a context without samples is remembered",
    ).reloadable(),
    Row::new(
        "dogstatsd_flush_incomplete_buckets",
        Kind::Bool,
        "false",
        "Flushes open buckets at stop; when set it wins over greyhound.flush_open_bucket_on_stop",
    ).reloadable(),
    Row::new(
        "dogstatsd_tags",
        Kind::Texts,
        "",
        "Tags added to everything received",
    ).reloadable(),
    Row::new(
        "dogstatsd_disable_verbose_logs",
        Kind::Bool,
        "false",
        "Tells of refused messages at debug only; else one warning for each lane and 10 seconds, with an example",
    )
    .reloadable(),
    Row::new(
        "dogstatsd_mapper_profiles",
        Kind::MapperProfiles,
        "[]",
        "Rewrites names and adds tags by pattern; a wrong shape switches mapping off with a warning",
    ).reloadable(),
    Row::new(
        "dogstatsd_mapper_cache_size",
        Kind::Int {
            min: 0,
            max: 1 << 24,
        },
        "1000",
        "Names whose mapping is remembered",
    ).reloadable(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.enabled",
        Kind::Bool,
        "false",
        "Slows Unix sockets down under memory pressure; greyhound.limits take its place",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.low_soft_limit",
        Kind::SHARE,
        "0.7",
        "Share of memory where slowing down ends",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.high_soft_limit",
        Kind::SHARE,
        "0.8",
        "Share of memory where slowing down begins",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.go_gc",
        Kind::Int {
            min: i64::MIN,
            max: i64::MAX,
        },
        "1",
        "A knob of the Go runtime",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.memory_ballast",
        Kind::BYTES,
        "8GiB",
        "A knob of the Go runtime",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.rate_check.min",
        Kind::POSITIVE,
        "0.01",
        "Shortest interval of that check",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.rate_check.max",
        Kind::POSITIVE,
        "1",
        "Longest interval of that check",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.rate_check.factor",
        Kind::POSITIVE,
        "2",
        "Growth of that interval",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.soft_limit_freeos_check.min",
        Kind::POSITIVE,
        "0.01",
        "Shortest interval of freeing memory",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.soft_limit_freeos_check.max",
        Kind::POSITIVE,
        "0.1",
        "Longest interval of freeing memory",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_mem_based_rate_limiter.soft_limit_freeos_check.factor",
        Kind::POSITIVE,
        "1.5",
        "Growth of that interval",
    )
    .no_effect(),
    Row::new(
        "dogstatsd_workload_filter_drop_unresolved",
        Kind::Bool,
        "false",
        "Drops data whose container is not found",
    )
    .no_effect(),
];

pub(super) const NAMES: &[Row] = &[
    Row::new(
        "statsd_metric_namespace",
        Kind::Text,
        "",
        "Put before every metric name, with a dot between",
    )
    .reloadable(),
    Row::new(
        "statsd_metric_namespace_blacklist",
        Kind::Texts,
        NAMESPACE_EXEMPT,
        "Names that begin so stay without the namespace",
    )
    .reloadable(),
    Row::new(
        "statsd_metric_blocklist",
        Kind::Texts,
        "",
        "Names to drop; read only while metric_filterlist is empty",
    )
    .reloadable(),
    Row::new(
        "statsd_metric_blocklist_match_prefix",
        Kind::Bool,
        "false",
        "Takes the entries of statsd_metric_blocklist as prefixes",
    )
    .reloadable(),
    Row::new(
        "metric_filterlist",
        Kind::Texts,
        "",
        "Names to drop; x* drops all that begin with x",
    )
    .reloadable(),
    Row::new(
        "metric_filterlist_match_prefix",
        Kind::Bool,
        "false",
        "Takes the entries of metric_filterlist as prefixes",
    )
    .reloadable(),
    Row::new(
        "metric_tag_filterlist",
        Kind::TagFilters,
        "[]",
        "Tags to keep or drop, per distribution",
    )
    .reloadable(),
    Row::new(
        "histogram_aggregates",
        Kind::Words(AGGREGATES),
        "max median avg count",
        "What a histogram or timing is flushed as; other words are skipped with a warning",
    )
    .reloadable(),
    Row::new(
        "histogram_percentiles",
        Kind::Percentiles,
        "0.95",
        "Percentiles a histogram or timing is flushed as; others are skipped with a warning",
    )
    .reloadable(),
    Row::new(
        "histogram_copy_to_distribution",
        Kind::Bool,
        "false",
        "Also takes histogram and timing samples as a distribution",
    )
    .reloadable(),
    Row::new(
        "histogram_copy_to_distribution_prefix",
        Kind::Text,
        "",
        "Put before the names of those distributions",
    )
    .reloadable(),
];
