//! Who may set a value, lowest first; the highest layer that has one wins.
//!
//! The words and their order are the Agent's, so that a settings stream can carry them unchanged.

use std::fmt;

/// A source of settings. `Ord` is the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Layer {
    /// The default in the table.
    Default,
    /// A source another program named that we do not know.
    Unknown,
    /// Defaults that come with a kind of host.
    InfraMode,
    /// The settings file.
    File,
    /// Environment variables.
    Environment,
    /// Policies a fleet controller put on this host.
    FleetPolicies,
    /// Values worked out at start from the others.
    ConfigPostInit,
    /// Secrets fetched for references in the file.
    Secret,
    /// Another local process.
    LocalConfigProcess,
    /// Set while running, by this process.
    AgentRuntime,
    /// Set from far away, while running.
    RemoteConfig,
    /// A flag, or an operator's command to the running process.
    Cli,
}

// === impl Layer ===

impl Layer {
    /// Every layer, lowest first.
    pub const ALL: [Self; 12] = [
        Self::Default,
        Self::Unknown,
        Self::InfraMode,
        Self::File,
        Self::Environment,
        Self::FleetPolicies,
        Self::ConfigPostInit,
        Self::Secret,
        Self::LocalConfigProcess,
        Self::AgentRuntime,
        Self::RemoteConfig,
        Self::Cli,
    ];

    /// The Agent's word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Unknown => "unknown",
            Self::InfraMode => "infra-mode",
            Self::File => "file",
            Self::Environment => "environment-variable",
            Self::FleetPolicies => "fleet-policies",
            Self::ConfigPostInit => "config-post-init",
            Self::Secret => "secret",
            Self::LocalConfigProcess => "local-config-process",
            Self::AgentRuntime => "agent-runtime",
            Self::RemoteConfig => "remote-config",
            Self::Cli => "cli",
        }
    }

    /// The layer behind the Agent's word.
    pub fn from_text(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == text)
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_stand_in_the_agents_order_under_its_words() {
        assert!(Layer::ALL.is_sorted());
        for layer in Layer::ALL {
            assert_eq!(Layer::from_text(layer.as_str()), Some(layer));
        }
        assert!(Layer::File < Layer::Environment);
        assert!(Layer::AgentRuntime < Layer::RemoteConfig && Layer::RemoteConfig < Layer::Cli);
        assert_eq!(Layer::from_text("schema"), None);
    }
}
