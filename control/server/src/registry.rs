//! Remote agents: other processes of this host that made themselves known.
//!
//! ```text
//!  RegisterRemoteAgent ─▶ session ──RefreshRemoteAgent──▶ lives ──idle, or answers for another──▶ closed
//!                            │                                                                     │
//!                            ├──▶ config stream: open while the session lives ◀────────────────────┘
//!                            └──▶ callbacks: status, flare, telemetry
//! ```
//!
//! Every registration is a new session, whoever it comes from; the older one runs out by itself. Nothing
//! a client says is checked or believed, it is only shown, so a long registration is refused and their
//! number is bounded. Time is an argument: a ticker calls [`AgentRegistry::sweep`] every second.

pub mod callback;
pub mod channel;
pub mod exposition;
pub mod pinned;
pub mod session;
pub mod telemetry;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greyhound_proto::datadog::remoteagent::v1::{Event, RegisterRemoteAgentRequest, event};
use prost::Message;
use tracing::{info, warn};

use crate::grpc::outcome::Outcome;
use crate::shown::shown;
use channel::Connector;
use session::Session;
use telemetry::RegistryTelemetry;

/// Sessions alive at once.
pub const SESSIONS_MAX: usize = 1024;
/// Bytes of one registration.
const REGISTRATION_BYTES_MAX: usize = 16 << 10;
/// Events of one report that are logged; the rest is counted.
const EVENTS_LOGGED_MAX: usize = 16;

/// How the registry behaves (`remote_agent.registry.*`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Off: every call is answered UNIMPLEMENTED.
    pub enabled: bool,
    /// Silence after which a session ends.
    pub idle_timeout: Duration,
    /// What clients are told to refresh at; sent in whole seconds.
    pub recommended_refresh_interval: Duration,
    /// Bound of one round of callbacks, over all agents.
    pub query_timeout: Duration,
}

/// The sessions.
pub struct AgentRegistry {
    config: Config,
    sessions: Mutex<HashMap<Arc<str>, Entry>>,
    connector: Arc<dyn Connector>,
    telemetry: Arc<RegistryTelemetry>,
}

struct Entry {
    session: Arc<Session>,
    last_seen: Instant,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            enabled: true,
            idle_timeout: Duration::from_secs(30),
            recommended_refresh_interval: Duration::from_secs(10),
            query_timeout: Duration::from_secs(3),
        }
    }
}

// === impl AgentRegistry ===

impl AgentRegistry {
    /// Without sessions. Callbacks go through `connector`.
    pub fn new(config: Config, connector: Arc<dyn Connector>) -> Self {
        Self {
            config,
            sessions: Mutex::new(HashMap::new()),
            connector,
            telemetry: Arc::default(),
        }
    }

    /// How it behaves.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A new session.
    ///
    /// # Errors
    /// The registry is off or full, the registration too long, or there is no randomness.
    pub fn register(
        &self,
        request: RegisterRemoteAgentRequest,
        now: Instant,
    ) -> Result<Arc<Session>, Outcome> {
        self.check_enabled()?;
        let label = session::label(&request.display_name);
        let len = request.encoded_len();
        let registered = if len > REGISTRATION_BYTES_MAX {
            Err(Outcome::RegistrationTooLong {
                len,
                max: REGISTRATION_BYTES_MAX,
            })
        } else {
            Session::new(request).map_err(|_| Outcome::NoRandomness)
        };
        let registered = registered.and_then(|session| {
            let mut sessions = self.sessions();
            if sessions.len() >= SESSIONS_MAX {
                return Err(Outcome::TooManySessions(SESSIONS_MAX));
            }
            let session = Arc::new(session);
            let entry = Entry {
                session: Arc::clone(&session),
                last_seen: now,
            };
            sessions.insert(session.id_shared(), entry);
            Ok(session)
        });
        match &registered {
            Ok(session) => info!(
                agent = session.label(),
                flavor = %shown(session.flavor()),
                pid = %shown(session.pid()),
                endpoint = %shown(session.endpoint()),
                "remote agent registered"
            ),
            Err(outcome) => {
                self.telemetry.registered_error(&label);
                warn!(agent = label, %outcome, "remote agent not registered");
            }
        }
        registered
    }

    /// Notes that a session is alive.
    ///
    /// # Errors
    /// The registry is off, or there is no such session.
    pub fn refresh(&self, id: &str, now: Instant) -> Result<(), Outcome> {
        self.check_enabled()?;
        match self.touch(id, now) {
            Some(session) => {
                self.telemetry.updated(session.label());
                Ok(())
            }
            None => {
                self.telemetry.updated_error(UNKNOWN);
                Err(Outcome::NoAgent)
            }
        }
    }

    /// The session that wants to open a config stream. It counts as a refresh.
    ///
    /// # Errors
    /// The registry is off, or there is no such session.
    pub fn authorize(&self, id: &str, now: Instant) -> Result<Arc<Session>, Outcome> {
        self.check_enabled()?;
        self.touch(id, now)
            .ok_or_else(|| Outcome::SessionUnknown(id.to_owned()))
    }

    /// Takes what an agent tells its operator.
    ///
    /// # Errors
    /// The registry is off, or there is no such session.
    pub fn report(&self, id: &str, events: &[Event], now: Instant) -> Result<(), Outcome> {
        self.check_enabled()?;
        let Some(session) = self.touch(id, now) else {
            return Err(Outcome::NoAgentWithSession(id.to_owned()));
        };
        self.telemetry.events(session.label(), events.len());
        for event in events.iter().take(EVENTS_LOGGED_MAX) {
            let kind = match event.details {
                Some(event::Details::InvalidApiKey(_)) => "invalid_api_key",
                None => "unknown",
            };
            warn!(
                agent = session.label(),
                kind,
                message = %shown(&event.message),
                "remote agent reports an event"
            );
        }
        Ok(())
    }

    /// Closes the sessions that were silent for too long, and those that answered for another session.
    /// Called every second. What it closed.
    pub fn sweep(&self, now: Instant) -> Vec<Arc<Session>> {
        let mut closed = Vec::new();
        self.sessions().retain(|_, entry| {
            let idle = now.saturating_duration_since(entry.last_seen);
            let why = if entry.session.is_unhealthy() {
                "it answered with another session id"
            } else if idle > self.config.idle_timeout {
                "it was not refreshed in time (remote_agent.registry.idle_timeout)"
            } else {
                return true;
            };
            entry.session.close();
            warn!(
                agent = entry.session.label(),
                idle_ms = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX),
                why,
                "remote agent removed"
            );
            closed.push(Arc::clone(&entry.session));
            false
        });
        closed
    }

    /// Live sessions with the time since they were last heard of, by name.
    pub fn agents(&self, now: Instant) -> Vec<(Arc<Session>, Duration)> {
        let mut agents: Vec<_> = self
            .sessions()
            .values()
            .map(|entry| {
                let idle = now.saturating_duration_since(entry.last_seen);
                (Arc::clone(&entry.session), idle)
            })
            .collect();
        agents.sort_by(|(a, _), (b, _)| (a.label(), a.id()).cmp(&(b.label(), b.id())));
        agents
    }

    /// Its counters.
    pub fn telemetry(self: &Arc<Self>) -> Arc<telemetry::RegistrySource> {
        Arc::new(telemetry::RegistrySource::new(Arc::clone(self)))
    }

    fn check_enabled(&self) -> Result<(), Outcome> {
        if self.config.enabled {
            Ok(())
        } else {
            Err(Outcome::RegistryOff)
        }
    }

    fn touch(&self, id: &str, now: Instant) -> Option<Arc<Session>> {
        let mut sessions = self.sessions();
        let entry = sessions.get_mut(id)?;
        entry.last_seen = entry.last_seen.max(now);
        Some(Arc::clone(&entry.session))
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        // Inserted and removed whole: nothing is half done after a panic.
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// In the place of a name nobody knows.
const UNKNOWN: &str = "unknown";

impl std::fmt::Debug for AgentRegistry {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("AgentRegistry")
            .field("config", &self.config)
            .field("sessions", &self.sessions().len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
