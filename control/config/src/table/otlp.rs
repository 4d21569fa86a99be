//! OTLP metrics.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "greyhound.otlp.url",
        Kind::Text,
        "",
        "Where metrics are exported to by OTLP: http://host:4318/v1/metrics, or http://host:4317 by gRPC; empty = nowhere",
    ),
    Row::new(
        "greyhound.otlp.protocol",
        Kind::Word(&["http", "grpc"]),
        "http",
        "How the collector is spoken to",
    ),
    Row::new(
        "greyhound.otlp.bearer_token",
        Kind::Secret,
        "",
        "Token sent with each request",
    ),
    Row::new(
        "greyhound.otlp.username",
        Kind::Text,
        "",
        "User name sent with each request, unless there is a token",
    ),
    Row::new(
        "greyhound.otlp.password",
        Kind::Secret,
        "",
        "Password of that user",
    ),
    Row::new(
        "greyhound.otlp.headers",
        Kind::Texts,
        "",
        "Further headers, each as name:value",
    ),
    Row::new(
        "greyhound.otlp.temporality",
        Kind::Word(&["delta", "cumulative"]),
        "delta",
        "Whether sums and histograms say what happened in a bucket, or since the series appeared",
    ),
    Row::new(
        "greyhound.otlp.histograms",
        Kind::Word(&["exponential", "aggregates"]),
        "exponential",
        "Histograms and timings as exponential histograms, or as the aggregates of histogram_aggregates",
    ),
    Row::new(
        "greyhound.otlp.expiry_seconds",
        Kind::SECONDS,
        "300",
        "Silence after which a running total is forgotten; 0 = never",
    ),
    Row::new(
        "greyhound.otlp.series_max",
        Kind::Int {
            min: 1,
            max: 1 << 31,
        },
        "1000000",
        "Running totals kept at most; the newest are refused and counted",
    ),
    Row::new(
        "greyhound.otlp.points_per_request",
        Kind::Int {
            min: 100,
            max: 1_000_000,
        },
        "8000",
        "Points of one request at most; a histogram counts as one more for each 16 bins",
    ),
];
