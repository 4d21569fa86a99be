//! Remote agents, typed.

use std::time::Duration;

/// Agents that register with us, and ourselves as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteAgents {
    /// `remote_agent.registry.enabled`.
    pub enabled: bool,
    /// `remote_agent.registry.idle_timeout`.
    pub idle_timeout: Duration,
    /// `remote_agent.registry.recommended_refresh_interval`.
    pub recommended_refresh_interval: Duration,
    /// `remote_agent.registry.query_timeout`.
    pub query_timeout: Duration,
    /// `greyhound.remote_agent.address` of the core agent; `None` = we are nobody's remote agent.
    pub core_agent: Option<String>,
}
