//! Reads the settings of remote agents.

use super::Reader;
use crate::settings::remote_agent::RemoteAgents;

// === impl Reader ===

impl Reader<'_> {
    pub(super) fn remote_agents(&self) -> RemoteAgents {
        let is_on = self.bool("greyhound.remote_agent.enabled");
        let address = self.text_or_none("greyhound.remote_agent.address");
        RemoteAgents {
            enabled: self.bool("remote_agent.registry.enabled"),
            idle_timeout: self.span("remote_agent.registry.idle_timeout"),
            recommended_refresh_interval: self
                .span("remote_agent.registry.recommended_refresh_interval"),
            query_timeout: self.span("remote_agent.registry.query_timeout"),
            core_agent: address.filter(|_| is_on),
        }
    }
}
