//! The Agent's aggregator and serializer: known, checked, and without effect here so far.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "aggregator_stop_timeout",
        Kind::SECONDS,
        "2",
        "Bound of the last flush; greyhound.stop_timeout_seconds takes its place",
    )
    .no_effect(),
    Row::new(
        "aggregator_buffer_size",
        Kind::COUNT,
        "100",
        "Batches that may wait at a sampler",
    )
    .no_effect(),
    Row::new(
        "aggregator_use_tags_store",
        Kind::Bool,
        "true",
        "Shares tag sets between contexts",
    )
    .no_effect(),
    Row::new(
        "aggregator_flush_metrics_and_serialize_in_parallel_chan_size",
        Kind::COUNT,
        "200",
        "Hand-over to serialisation",
    )
    .no_effect(),
    Row::new(
        "aggregator_flush_metrics_and_serialize_in_parallel_buffer_size",
        Kind::COUNT,
        "4000",
        "Hand-over to serialisation",
    )
    .no_effect(),
    Row::new(
        "basic_telemetry_add_container_tags",
        Kind::Bool,
        "false",
        "Container tags on the Agent's own metrics",
    )
    .no_effect(),
    Row::new(
        "expected_tags_duration",
        Kind::SPAN,
        "0",
        "How long after start host tags are added",
    )
    .no_effect(),
    Row::new(
        "log_payloads",
        Kind::Bool,
        "false",
        "Logs everything flushed",
    )
    .reloadable()
    .no_effect(),
    Row::new("enable_payloads.series", Kind::Bool, "true", "Sends series").no_effect(),
    Row::new("enable_payloads.events", Kind::Bool, "true", "Sends events").no_effect(),
    Row::new(
        "enable_payloads.service_checks",
        Kind::Bool,
        "true",
        "Sends service checks",
    )
    .no_effect(),
    Row::new(
        "enable_payloads.sketches",
        Kind::Bool,
        "true",
        "Sends sketches",
    )
    .no_effect(),
    Row::new(
        "enable_payloads.json_to_v1_intake",
        Kind::Bool,
        "true",
        "Sends to the old intake",
    )
    .no_effect(),
    Row::new(
        "use_v2_api.series",
        Kind::Bool,
        "true",
        "Sends series in their second form",
    )
    .no_effect(),
    Row::new(
        "serializer_max_payload_size",
        Kind::BYTES,
        "2621440",
        "Compressed bytes of a payload",
    ),
    Row::new(
        "serializer_max_uncompressed_payload_size",
        Kind::BYTES,
        "4194304",
        "Bytes of a payload",
    ),
    Row::new(
        "serializer_max_series_points_per_payload",
        Kind::COUNT,
        "10000",
        "Points of a payload of series",
    ),
    Row::new(
        "serializer_max_series_payload_size",
        Kind::BYTES,
        "512000",
        "Compressed bytes of a payload of series",
    ),
    Row::new(
        "serializer_max_series_uncompressed_payload_size",
        Kind::BYTES,
        "5242880",
        "Bytes of a payload of series",
    ),
    Row::new(
        "serializer_compressor_kind",
        Kind::Word(&["zlib", "zstd", "gzip", "none"]),
        "zstd",
        "Compression of payloads",
    ),
    Row::new(
        "serializer_zstd_compressor_level",
        Kind::Int { min: 1, max: 22 },
        "1",
        "Effort of that compression",
    ),
    Row::new(
        "enable_stream_payload_serialization",
        Kind::Bool,
        "true",
        "Builds payloads piece by piece",
    )
    .no_effect(),
    Row::new(
        "enable_service_checks_stream_payload_serialization",
        Kind::Bool,
        "true",
        "The same for service checks",
    )
    .no_effect(),
    Row::new(
        "enable_events_stream_payload_serialization",
        Kind::Bool,
        "true",
        "The same for events",
    )
    .no_effect(),
    Row::new(
        "enable_sketch_stream_payload_serialization",
        Kind::Bool,
        "true",
        "The same for sketches",
    )
    .no_effect(),
];
