//! What the Agent has no word for on the way to an intake, and proxies.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "proxy.https",
        Kind::Secret,
        "",
        "Proxy for https:// destinations; empty = HTTPS_PROXY of the environment",
    ),
    Row::new(
        "proxy.http",
        Kind::Secret,
        "",
        "Proxy for http:// destinations; empty = HTTP_PROXY of the environment",
    ),
    Row::new(
        "proxy.no_proxy",
        Kind::Texts,
        "",
        "Hosts reached without proxy, with all names below them; empty = NO_PROXY of the environment",
    ),
    Row::new(
        "greyhound.delivery.requests",
        Kind::Int { min: 1, max: 1024 },
        "10",
        "Requests to one destination at once, at most; how many are tried adapts",
    ),
    Row::new(
        "greyhound.delivery.disk_bytes",
        Kind::BYTES,
        "512MiB",
        "Bytes of the disk queue of one destination, unless forwarder_storage_max_size_in_bytes is set; 0 = memory only",
    ),
    Row::new(
        "greyhound.delivery.sync",
        Kind::Word(&["always", "interval", "never"]),
        "interval",
        "When the disk queue is forced to the medium: after each payload, after each flush, or never",
    ),
    Row::new(
        "greyhound.delivery.drop_on_auth_error",
        Kind::Bool,
        "false",
        "Drops what is answered 401 or 403, as the Agent does, instead of asking again every minute",
    ),
    Row::new(
        "greyhound.delivery.ca_file",
        Kind::Path,
        "",
        "Certificates trusted beside the system's, PEM",
    ),
    Row::new(
        "greyhound.datadog.tags",
        Kind::Int {
            min: 1,
            max: 10_000,
        },
        "100",
        "Tags of one series; more are cut off and counted, as the intake does",
    ),
    Row::new(
        "greyhound.datadog.running",
        Kind::Bool,
        "true",
        "Sends datadog.agent.running and the check datadog.agent.up with each flush",
    ),
    Row::new(
        "greyhound.datadog.require_key",
        Kind::Bool,
        "false",
        "Ends the start with exit code 64 when there is no api_key, instead of going on without Datadog output",
    ),
];
