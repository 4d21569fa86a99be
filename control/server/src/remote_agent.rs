//! Greyhound as the remote agent of a core agent: it registers there, stays registered, takes its settings
//! from that stream, and answers when the core agent asks.
//!
//! ```text
//!  core agent ◀─register, refresh── link ──session id──▶ providers ◀─status, flare, counters── core agent
//!      └──settings stream──▶ mirror ──▶ layer `remote-config` of our settings
//! ```
//!
//! The core agent's settings stand above our own file and environment, and below what an operator sets
//! while running. Settings that say who and where this process is are left alone. While the core agent is
//! gone, the last settings it sent stay in force.

pub mod client;
pub mod events;
pub(crate) mod mirror;
pub mod providers;
pub mod values;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use greyhound_config::live::Live;
use greyhound_proto::datadog::remoteagent::v1::RegisterRemoteAgentRequest;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::{Code, Status};
use tracing::{info, warn};

use crate::register::{Problem, Severity, StatusSection};
use crate::registry::callback;
use client::CoreAgent;
use events::Sequence;
use mirror::Mirror;

/// Pause after the first failed registration; it doubles up to the second.
const REGISTER_PAUSE: Duration = Duration::from_millis(500);
const REGISTER_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Pause before a stream is opened again.
const STREAM_PAUSE: Duration = Duration::from_secs(5);
/// Bound of one call.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What we are called at the other end.
const FLAVOR: &str = "greyhound";
const DISPLAY_NAME: &str = "Greyhound";

/// Our side of the link to a core agent.
pub struct RemoteAgent {
    core: CoreAgent,
    live: Live,
    state: Mutex<State>,
}

/// How it goes.
#[derive(Clone, Debug, Default)]
struct State {
    /// While we are registered.
    session: Option<Arc<str>>,
    registrations: u64,
    snapshots: u64,
    updates: u64,
    /// Settings in force that come from the core agent.
    settings: usize,
    last_error: Option<String>,
}

// === impl RemoteAgent ===

impl RemoteAgent {
    /// Of the core agent at `core`.
    pub fn new(core: CoreAgent, live: Live) -> Self {
        Self {
            core,
            live,
            state: Mutex::default(),
        }
    }

    /// Waits for our control port, where the core agent reaches us; then registers, refreshes and follows,
    /// until the port closes.
    pub async fn run(
        self: Arc<Self>,
        mut bound: watch::Receiver<Option<SocketAddr>>,
        mut stopping: watch::Receiver<Option<Instant>>,
    ) {
        let Ok(own) = bound.wait_for(Option::is_some).await.map(|own| *own) else {
            let status = Status::unavailable("our own control port is shut");
            return self.failed("cannot be a remote agent", &status);
        };
        let endpoint = own.map(|own| format!("https://{own}")).unwrap_or_default();
        tokio::select! {
            () = self.link(&endpoint) => {}
            // An error says that the sender is gone: the port is as good as closed.
            _ = stopping.wait_for(Option::is_some) => {}
        }
        self.state().session = None;
    }

    /// The session we are registered under, for the headers of our answers.
    pub fn session(&self) -> Option<Arc<str>> {
        self.state().session.clone()
    }

    async fn link(&self, endpoint: &str) {
        let mut mirror = Mirror::new(self.core.address().to_string());
        let mut pause = REGISTER_PAUSE;
        loop {
            match self.register(endpoint).await {
                Ok((session, interval)) => {
                    pause = REGISTER_PAUSE;
                    let ended = tokio::select! {
                        status = self.refresh(&session, interval) => status,
                        status = self.follow(&session, &mut mirror) => status,
                    };
                    self.state().session = None;
                    self.failed("the session ended", &ended);
                    sleep(REGISTER_PAUSE).await;
                }
                Err(status) => {
                    self.failed("cannot register with the core agent", &status);
                    sleep(pause).await;
                    pause = (2 * pause).min(REGISTER_PAUSE_MAX);
                }
            }
        }
    }

    async fn register(&self, endpoint: &str) -> Result<(Arc<str>, Duration), Status> {
        let request = RegisterRemoteAgentRequest {
            pid: std::process::id().to_string(),
            flavor: FLAVOR.to_owned(),
            display_name: DISPLAY_NAME.to_owned(),
            api_endpoint_uri: endpoint.to_owned(),
            services: [callback::STATUS, callback::FLARE, callback::TELEMETRY]
                .map(str::to_owned)
                .into(),
        };
        let answer = bounded(self.core.register(request)).await?;
        let session: Arc<str> = answer.session_id.into();
        let mut state = self.state();
        state.session = Some(Arc::clone(&session));
        state.registrations += 1;
        state.last_error = None;
        drop(state);
        info!(core_agent = %self.core.address(), "registered as a remote agent");
        let interval = Duration::from_secs(answer.recommended_refresh_interval_secs.into());
        Ok((session, interval.max(Duration::from_secs(1))))
    }

    /// Ends when the session is gone.
    async fn refresh(&self, session: &str, interval: Duration) -> Status {
        loop {
            sleep(interval).await;
            match bounded(self.core.refresh(session)).await {
                Ok(()) => {}
                Err(status) if is_gone(&status) => return status,
                Err(status) => self.failed("cannot refresh", &status),
            }
        }
    }

    /// Ends when the session is gone.
    async fn follow(&self, session: &str, mirror: &mut Mirror) -> Status {
        loop {
            match self.follow_once(session, mirror).await {
                Ok(()) => {}
                Err(status) if is_gone(&status) => return status,
                Err(status) => self.failed("the settings stream broke", &status),
            }
            sleep(STREAM_PAUSE).await;
        }
    }

    async fn follow_once(&self, session: &str, mirror: &mut Mirror) -> Result<(), Status> {
        let mut events = bounded(self.core.stream(session, FLAVOR)).await?;
        let mut sequence = Sequence::default();
        while let Some(event) = events.message().await? {
            match sequence.take(&event) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(gap) => return Err(Status::data_loss(gap.to_string())),
            }
            let is_snapshot = mirror.take(event);
            // Parts of the process prepare for the change, which may take a moment.
            let in_force = tokio::task::block_in_place(|| mirror.apply(&self.live));
            let mut state = self.state();
            state.settings = in_force;
            state.snapshots += u64::from(is_snapshot);
            state.updates += u64::from(!is_snapshot);
        }
        Ok(())
    }

    fn failed(&self, what: &'static str, status: &Status) {
        let message = crate::shown::shown(status.message()).to_string();
        warn!(core_agent = %self.core.address(), code = ?status.code(), message, "{what}");
        self.state().last_error = Some(format!("{what}: {message}"));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Fields are set one by one: nothing is half done after a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bounded<T>(call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    timeout(CALL_TIMEOUT, call)
        .await
        .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
}

/// Whether a new registration is needed.
fn is_gone(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::NotFound | Code::PermissionDenied | Code::Unauthenticated
    )
}

impl StatusSection for RemoteAgent {
    fn name(&self) -> &str {
        "core_agent"
    }

    fn json(&self, _: bool) -> Value {
        let state = self.state().clone();
        json!({
            "address": self.core.address().to_string(),
            "registered": state.session.is_some(),
            "registrations": state.registrations,
            "snapshots": state.snapshots,
            "updates": state.updates,
            "settings": state.settings,
            "last_error": state.last_error,
        })
    }

    fn text(&self, _: bool) -> String {
        let state = self.state().clone();
        let mut text = format!(
            "{} at {}\n{} settings come from it; {} snapshots, {} updates\n",
            if state.session.is_some() {
                "registered with the core agent"
            } else {
                "not registered with the core agent"
            },
            self.core.address(),
            state.settings,
            state.snapshots,
            state.updates,
        );
        if let Some(error) = state.last_error {
            text.extend(["last error: ", &error, "\n"]);
        }
        text
    }

    fn problems(&self) -> Vec<Problem> {
        let state = self.state();
        if state.session.is_some() {
            return Vec::new();
        }
        let why = state.last_error.clone().unwrap_or_default();
        vec![Problem {
            severity: Severity::Warning,
            what: format!(
                "not registered with the core agent at {}: {why}",
                self.core.address()
            ),
            cure: "greyhound.remote_agent.address, auth_token_file_path, ipc_cert_file_path"
                .to_owned(),
        }]
    }
}

impl std::fmt::Debug for RemoteAgent {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("RemoteAgent")
            .field("core", self.core.address())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
