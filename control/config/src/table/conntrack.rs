//! The kernel's connection table: who sent a datagram, stale flows, the table's health.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "greyhound.conntrack.mode",
        Kind::Word(&["off", "pull", "events"]),
        "off",
        "Reads the kernel's connection table: pull asks for single flows, events also listens and keeps a table; needs CAP_NET_ADMIN",
    ),
    Row::new(
        "greyhound.conntrack.namespaces",
        Kind::Texts,
        "self",
        "Network namespaces to look into: self, host, the path of a file, or a name in /run/netns; others than self need CAP_SYS_ADMIN",
    ),
    Row::new(
        "greyhound.conntrack.attribution",
        Kind::Bool,
        "true",
        "Names the real client behind UDP datagrams that were translated, while the mode is not off",
    ),
    Row::new(
        "greyhound.conntrack.attribution_rate",
        Kind::Int {
            min: 0,
            max: 1_000_000,
        },
        "2000",
        "Flows asked for in a second; senders beyond it stay unnamed until they are asked about again",
    ),
    Row::new(
        "greyhound.conntrack.attribution_tag",
        Kind::Text,
        "",
        "Key of a tag with the address of the client behind UDP; empty = no tag. One value per client",
    )
    .reloadable(),
    Row::new(
        "greyhound.conntrack.flows",
        Kind::Int {
            min: 1,
            max: 16_777_216,
        },
        "131072",
        "Flows in the table of each namespace at most, about 120 bytes each (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.keep",
        Kind::Word(&["nat", "all"]),
        "nat",
        "Listens to translated flows only, or to all (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.only_port",
        Kind::Int { min: 0, max: 65535 },
        "0",
        "Listens to UDP flows to this port only; 0 = to any (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.tcp_states",
        Kind::Bool,
        "false",
        "Counts TCP state changes too, three quarters of all events (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.receive_buffer",
        Kind::BYTES,
        "8MiB",
        "Receive buffer for events; 1280 bytes hold one (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.receive_buffer_max",
        Kind::BYTES,
        "64MiB",
        "Size to which that buffer is doubled after losses (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.rate_limit",
        Kind::COUNT,
        "100000",
        "Events per second above which flows are sampled; 0 = no limit (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.max_cpu_percent",
        Kind::Float {
            min: 1.0,
            max: 100.0,
        },
        "20",
        "Share of one core above which flows are sampled (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.orphan_ttl",
        Kind::SECONDS,
        "120s",
        "Time after which the kernel is asked about a flow that may have ended unseen (mode events)",
    ),
    Row::new(
        "greyhound.conntrack.stats_interval",
        Kind::SECONDS,
        "15s",
        "Time between two sets of system.net.conntrack.* metrics; 0 = none",
    ),
    Row::new(
        "greyhound.conntrack.allow_delete",
        Kind::Bool,
        "false",
        "Allows `greyhound conntrack purge-stale` to delete stale flows from the kernel's table",
    ),
];
