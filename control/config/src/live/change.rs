//! What a change of the running settings came to, key by key, and why one was refused.

use std::fmt;
use std::time::SystemTime;

use crate::error::{SetError, SettingsError};

/// One generation, or an attempt that changed nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The generation it made; the present one when nothing changed.
    pub generation: u64,
    /// The feed's number after it.
    pub sequence: u64,
    /// When.
    pub at: SystemTime,
    /// What set it off.
    pub cause: Cause,
    /// Every key some layer changed, in the order of the table.
    pub keys: Vec<KeyResult>,
}

/// What came of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyResult {
    /// Dotted key.
    pub key: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The running process follows it.
    Applied,
    /// A layer changed, what counts did not; or the value was there already.
    Unchanged,
    /// Stored; the running process goes on as before until it is started again.
    NeedsRestart,
    /// Stored; this version does nothing with this setting.
    NoEffect,
    /// Not stored, and why.
    Refused(String),
}

/// What set a change off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The start of the process.
    Start,
    /// SIGHUP.
    Signal,
    /// A command to the control port.
    Api,
    /// The settings file changed.
    FileChanged,
    /// Secrets were fetched again.
    SecretRefresh,
    /// Another program's settings stream.
    Stream,
    /// Back to the settings of this generation.
    Rollback(u64),
}

/// Why one key was not changed. Nothing changed then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// The store does not take it.
    #[error(transparent)]
    Set(#[from] SetError),
    /// The running process cannot follow it.
    #[error("{}", refusals(.0))]
    Refused(Vec<KeyResult>),
}

/// Why a reload changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The sources hold wrong values.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The running process cannot follow them.
    #[error("{}", refusals(.0))]
    Refused(Vec<KeyResult>),
    /// There is no such generation any more.
    #[error("generation {0} is not in the history")]
    NoGeneration(u64),
}

fn refusals(keys: &[KeyResult]) -> String {
    let lines: Vec<String> = keys
        .iter()
        .filter_map(|result| match &result.outcome {
            Outcome::Refused(why) => Some(format!("`{}`: {why}", result.key)),
            _ => None,
        })
        .collect();
    lines.join("\n")
}

// === impl Change ===

impl Change {
    /// Whether it made a generation.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Results of one kind.
    pub fn count(&self, is_wanted: impl Fn(&Outcome) -> bool) -> usize {
        self.keys
            .iter()
            .filter(|result| is_wanted(&result.outcome))
            .count()
    }
}

// === impl Outcome ===

impl Outcome {
    /// The word for listings.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Unchanged => "unchanged",
            Self::NeedsRestart => "needs_restart",
            Self::NoEffect => "no_effect",
            Self::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Applied => formatter.write_str("applied"),
            Self::Unchanged => formatter.write_str("unchanged"),
            Self::NeedsRestart => formatter.write_str("needs a restart"),
            Self::NoEffect => formatter.write_str("no effect in this version"),
            Self::Refused(why) => write!(formatter, "refused: {why}"),
        }
    }
}

// === impl Cause ===

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => formatter.write_str("start"),
            Self::Signal => formatter.write_str("SIGHUP"),
            Self::Api => formatter.write_str("api"),
            Self::FileChanged => formatter.write_str("file changed"),
            Self::SecretRefresh => formatter.write_str("secret refresh"),
            Self::Stream => formatter.write_str("stream"),
            Self::Rollback(generation) => write!(formatter, "rollback to {generation}"),
        }
    }
}
