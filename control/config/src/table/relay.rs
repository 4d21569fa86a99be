//! Aggregates for another aggregator.

use crate::kind::Kind;
use crate::table::Row;

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "greyhound.relay.address",
        Kind::Text,
        "",
        "Where aggregates are sent as DogStatsD messages: udp://host:port, tcp://host:port, unixgram:///path or unix:///path; empty = nowhere",
    ),
    Row::new(
        "greyhound.relay.packet_bytes",
        Kind::Size {
            min: 0,
            max: 65_507,
        },
        "0",
        "Longest packet; 0 = 1432 for UDP, else 8192",
    ),
    Row::new(
        "greyhound.relay.queue_bytes",
        Kind::Size {
            min: 65_536,
            max: 1 << 40,
        },
        "16MiB",
        "Bytes of packets that may wait; then the oldest are dropped and counted",
    ),
    Row::new(
        "greyhound.relay.timestamps",
        Kind::Word(&["own", "all", "never"]),
        "own",
        "Points sent with their time: those that came with one, all, or none; what has a time is not added up by the receiver",
    ),
    Row::new(
        "greyhound.relay.histograms",
        Kind::Word(&["samples", "aggregates"]),
        "samples",
        "Sends histograms and timings as values the receiver makes aggregates of, or as aggregates",
    ),
    Row::new(
        "greyhound.relay.own_host_tag",
        Kind::Bool,
        "true",
        "Names this host in what it sends; otherwise the receiver takes it for its own",
    ),
];
