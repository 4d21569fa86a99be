//! Why a call of ours was refused: one list, each with its status and its words, which clients compare.

use tonic::{Code, Status};

/// A refused call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Outcome {
    /// Remote agents are switched off.
    #[error("remote agent registry not enabled")]
    RegistryOff,
    /// A refresh of a session nobody knows.
    #[error("no remote agent found with session ID")]
    NoAgent,
    /// The same for a report of events, which names it.
    #[error("no remote agent found with session ID {0:?}")]
    NoAgentWithSession(String),
    /// A config stream without `session_id`.
    #[error(
        "session_id required in metadata: remote agent must register with RAR before subscribing to config stream"
    )]
    SessionMissing,
    /// A config stream with an empty one.
    #[error(
        "session_id cannot be empty: remote agent must register with RAR before subscribing to config stream"
    )]
    SessionEmpty,
    /// A config stream of a session nobody knows, or of one that ended while it was open.
    #[error(
        "session_id '{0}' not found: remote agent must register with RAR before subscribing to config stream"
    )]
    SessionUnknown(String),
    /// More sessions than are kept.
    #[error("there are {0} remote agents already")]
    TooManySessions(usize),
    /// More streams than are kept.
    #[error("there are {0} config streams already")]
    TooManyStreams(usize),
    /// A registration nobody needs.
    #[error("the registration is {len} bytes long, at most {max} are taken")]
    RegistrationTooLong {
        /// Its bytes.
        len: usize,
        /// The bound.
        max: usize,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a session id")]
    NoRandomness,
    /// An entity without an id.
    #[error("missing \"id\" parameter")]
    EntityIdMissing,
    /// A sender that cannot be told a container.
    #[error("unable to resolve container ID from origin info")]
    NoContainer,
    /// Remote configuration is not there.
    #[error("remote configuration service not initialized")]
    NoRemoteConfig,
    /// The same of the second region.
    #[error("MRF remote configuration service not initialized")]
    NoRemoteConfigHa,
    /// Captures are not there.
    #[error("packet capture is not part of this version")]
    NoCapture,
    /// A callback of the core agent before we are registered with it.
    #[error("not registered with a core agent")]
    NotRegistered,
    /// Settings could not be read again.
    #[error("{0}")]
    ReloadFailed(String),
    /// Something of ours ended before it could answer.
    #[error("stopping")]
    Stopping,
}

// === impl Outcome ===

impl Outcome {
    /// The gRPC code.
    pub fn code(&self) -> Code {
        match self {
            Self::RegistryOff | Self::NoRemoteConfig | Self::NoRemoteConfigHa | Self::NoCapture => {
                Code::Unimplemented
            }
            Self::NoAgent | Self::NoAgentWithSession(_) => Code::NotFound,
            Self::SessionMissing | Self::SessionEmpty => Code::Unauthenticated,
            Self::SessionUnknown(_) => Code::PermissionDenied,
            Self::TooManySessions(_) | Self::TooManyStreams(_) => Code::ResourceExhausted,
            Self::RegistrationTooLong { .. } | Self::EntityIdMissing | Self::NoContainer => {
                Code::InvalidArgument
            }
            Self::NotRegistered | Self::ReloadFailed(_) => Code::FailedPrecondition,
            Self::NoRandomness | Self::Stopping => Code::Unavailable,
        }
    }
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        Self::new(outcome.code(), outcome.to_string())
    }
}
