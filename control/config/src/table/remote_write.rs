//! Prometheus remote write.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "greyhound.remote_write.url",
        Kind::Text,
        "",
        "Where samples are pushed to, http://host:port/api/v1/write for example; empty = nowhere",
    ),
    Row::new(
        "greyhound.remote_write.bearer_token",
        Kind::Secret,
        "",
        "Token sent with each request",
    ),
    Row::new(
        "greyhound.remote_write.username",
        Kind::Text,
        "",
        "User name sent with each request, unless there is a token",
    ),
    Row::new(
        "greyhound.remote_write.password",
        Kind::Secret,
        "",
        "Password of that user",
    ),
    Row::new(
        "greyhound.remote_write.headers",
        Kind::Texts,
        "",
        "Further headers, each as name:value",
    ),
    Row::new(
        "greyhound.remote_write.external_labels",
        Kind::Texts,
        "",
        "Labels of all series that have none of that name, each as name:value",
    ),
    Row::new(
        "greyhound.remote_write.own_host_label",
        Kind::Bool,
        "true",
        "Gives series of this host a host label too; without it two hosts send the same series",
    ),
    Row::new(
        "greyhound.remote_write.expiry_seconds",
        Kind::SECONDS,
        "300",
        "Silence after which a series is ended with a staleness marker; 0 = never",
    ),
    Row::new(
        "greyhound.remote_write.series_max",
        Kind::Int {
            min: 1,
            max: 1 << 31,
        },
        "1000000",
        "Series kept at most; the newest are refused and counted",
    ),
    Row::new(
        "greyhound.remote_write.quantiles",
        Kind::Numbers { min: 0.0, max: 1.0 },
        "0.5 0.9 0.95 0.99",
        "Quantiles of distributions",
    ),
    Row::new(
        "greyhound.remote_write.native_histograms",
        Kind::Bool,
        "false",
        "Sends distributions as native histograms instead of quantiles",
    ),
    Row::new(
        "greyhound.remote_write.version",
        Kind::Word(&["auto", "1"]),
        "auto",
        "Version of the protocol: auto = 2.0 where the receiver confirms it, else 1",
    ),
    Row::new(
        "greyhound.remote_write.samples_per_request",
        Kind::Int {
            min: 100,
            max: 1_000_000,
        },
        "10000",
        "Samples of one request at most",
    ),
];
