//! Remote agents: those that register with us, and ourselves as one.

use crate::kind::Kind;
use crate::table::Row;
use crate::value::duration::Bare;

const POSITIVE_SECONDS: Kind = Kind::Duration {
    bare: Bare::Seconds,
    min_seconds: 1,
};

pub(super) const ROWS: &[Row] = &[
    Row::new(
        "remote_agent.registry.enabled",
        Kind::Bool,
        "true",
        "Lets other agents of this host register at the control port and follow the settings",
    ),
    Row::new(
        "remote_agent.registry.idle_timeout",
        POSITIVE_SECONDS,
        "30",
        "Silence after which a remote agent is forgotten and its streams end",
    ),
    Row::new(
        "remote_agent.registry.recommended_refresh_interval",
        POSITIVE_SECONDS,
        "10",
        "What remote agents are told to refresh at",
    ),
    Row::new(
        "remote_agent.registry.query_timeout",
        POSITIVE_SECONDS,
        "3",
        "Bound of asking all remote agents for status, flare files or counters",
    ),
    Row::new(
        "remote_agent.configstream.sleep_interval",
        Kind::SECONDS,
        "10",
        "Pause after an event that could not be sent; such events are never lost here",
    )
    .no_effect(),
    Row::new(
        "greyhound.remote_agent.enabled",
        Kind::Bool,
        "false",
        "Registers with a core agent and takes its settings, above the own file and environment",
    ),
    Row::new(
        "greyhound.remote_agent.address",
        Kind::Text,
        "localhost:5001",
        "Control port of that core agent, host:port or unix:///path; it needs the same token and certificate files",
    ),
];
