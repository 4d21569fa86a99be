//! What remote agents are asked: status, files for a flare, counters.
//!
//! All agents that offer a service are asked at once, under one deadline. Whoever cannot be reached yet is
//! tried again until then. The headers of an answer must carry exactly one `session_id`, the agent's own;
//! another one means that somebody else lives at that address, so the answer is thrown away and the
//! session ends at the next sweep. A failed call ends nothing: refreshes tell who is alive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use greyhound_proto::datadog::remoteagent::flare::v1::{
    GetFlareFilesRequest, GetFlareFilesResponse,
};
use greyhound_proto::datadog::remoteagent::status::v1::{
    GetStatusDetailsRequest, GetStatusDetailsResponse,
};
use greyhound_proto::datadog::remoteagent::telemetry::v1::get_telemetry_response::Payload;
use greyhound_proto::datadog::remoteagent::telemetry::v1::{
    GetTelemetryRequest, GetTelemetryResponse,
};
use hyper::http::uri::PathAndQuery;
use prost::Message;
use tokio::task::JoinSet;
use tonic::client::Grpc;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::session::Session;
use super::{AgentRegistry, channel::Connector, exposition};

/// Service of status pages.
pub const STATUS: &str = "datadog.remoteagent.status.v1.StatusProvider";
/// Service of files for flares.
pub const FLARE: &str = "datadog.remoteagent.flare.v1.FlareProvider";
/// Service of counters.
pub const TELEMETRY: &str = "datadog.remoteagent.telemetry.v1.TelemetryProvider";

/// Bytes of one answer.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Agents asked at the same moment: each may answer [`ANSWER_BYTES_MAX`].
const ASKED_MAX: usize = 32;
/// Pause before an agent that cannot be reached is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// What one agent answered.
#[derive(Debug)]
pub struct Reply<T> {
    /// Who.
    pub agent: Arc<Session>,
    /// What, or why not.
    pub answer: Result<T, CallbackError>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// It is not where it said.
    #[error(transparent)]
    Address(#[from] super::channel::AddressError),
    /// It answered, but for another session.
    #[error("the answer carries another session id")]
    SessionIdMismatch,
    /// The call failed.
    #[error("{}: {}", .0, crate::shown::shown(.1))]
    Failed(Code, String),
    /// Not in time.
    #[error("no answer within {}", humantime::format_duration(*.0))]
    TimedOut(Duration),
}

// === impl AgentRegistry ===

impl AgentRegistry {
    /// Status of every agent that offers it. Takes `query_timeout` at most.
    pub async fn statuses(&self) -> Vec<Reply<GetStatusDetailsResponse>> {
        let path = "/datadog.remoteagent.status.v1.StatusProvider/GetStatusDetails";
        self.ask(STATUS, path, GetStatusDetailsRequest {}).await
    }

    /// Files of every agent that offers some.
    pub async fn flares(&self) -> Vec<Reply<GetFlareFilesResponse>> {
        let path = "/datadog.remoteagent.flare.v1.FlareProvider/GetFlareFiles";
        self.ask(FLARE, path, GetFlareFilesRequest {}).await
    }

    /// Counters of every agent that offers some, as one Prometheus text: each series with the agent's name
    /// in a label `remote_agent`. Agents that fail are left out, and counted.
    pub async fn exposition(&self) -> String {
        let path = "/datadog.remoteagent.telemetry.v1.TelemetryProvider/GetTelemetry";
        let replies: Vec<Reply<GetTelemetryResponse>> =
            self.ask(TELEMETRY, path, GetTelemetryRequest {}).await;
        let texts = replies.iter().filter_map(|reply| {
            let Payload::PromText(text) = reply.answer.as_ref().ok()?.payload.as_ref()?;
            Some((reply.agent.label(), text.as_str()))
        });
        exposition::merge(texts)
    }

    async fn ask<Q, A>(
        &self,
        service: &'static str,
        path: &'static str,
        question: Q,
    ) -> Vec<Reply<A>>
    where
        Q: Message + Clone + 'static,
        A: Message + Default + 'static,
    {
        let started = Instant::now();
        let timeout = self.config.query_timeout;
        let deadline = tokio::time::Instant::from_std(started + timeout);
        let offering = self.agents(started).into_iter().map(|(agent, _)| agent);
        let mut waiting = offering.filter(|agent| agent.offers(service));
        let mut asked = JoinSet::new();
        let mut replies = Vec::new();
        loop {
            while asked.len() < ASKED_MAX
                && let Some(agent) = waiting.next()
            {
                let connector = Arc::clone(&self.connector);
                let question = question.clone();
                asked.spawn(async move {
                    let call = call(&agent, &connector, path, question);
                    let answer = tokio::time::timeout_at(deadline, call)
                        .await
                        .unwrap_or(Err(CallbackError::TimedOut(timeout)));
                    Reply { agent, answer }
                });
            }
            match asked.join_next().await {
                Some(Ok(reply)) => {
                    self.note(&reply, service, started.elapsed());
                    replies.push(reply);
                }
                // Panicked or aborted with the runtime: as if it had not been asked.
                Some(Err(_)) => {}
                None => break,
            }
        }
        replies
            .sort_by(|a, b| (a.agent.label(), a.agent.id()).cmp(&(b.agent.label(), b.agent.id())));
        replies
    }

    fn note<T>(&self, reply: &Reply<T>, service: &'static str, took: Duration) {
        let label = reply.agent.label();
        match &reply.answer {
            Ok(_) => self.telemetry.answered(label, service, took),
            Err(error) => {
                self.telemetry.failed(label, service, error.as_str());
                tracing::debug!(agent = label, service, %error, "callback failed");
            }
        }
        match &reply.answer {
            Err(CallbackError::TimedOut(_)) => self.telemetry.timed_out(service),
            Err(CallbackError::SessionIdMismatch) => reply.agent.mark_unhealthy(),
            _ => {}
        }
    }
}

/// One call, tried again while nobody is there.
async fn call<Q, A>(
    agent: &Session,
    connector: &Arc<dyn Connector>,
    path: &'static str,
    question: Q,
) -> Result<A, CallbackError>
where
    Q: Message + Clone + 'static,
    A: Message + Default + 'static,
{
    let channel = agent.channel(connector)?;
    let mut client = Grpc::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX);
    loop {
        client
            .ready()
            .await
            .map_err(|error| CallbackError::Failed(Code::Unavailable, error.to_string()))?;
        let mut request = Request::new(question.clone());
        if let Some(token) = connector.token()
            && let Ok(value) = format!("Bearer {token}").parse()
        {
            request.metadata_mut().insert("authorization", value);
        }
        let path = PathAndQuery::from_static(path);
        let codec = ProstCodec::<Q, A>::default();
        // As a stream: only so the headers are seen apart from the trailers.
        match client.server_streaming(request, path, codec).await {
            Ok(response) => {
                let has_own_id = is_only(response.metadata(), agent.id());
                let mut messages = response.into_inner();
                let answer = messages.message().await?;
                if !has_own_id {
                    return Err(CallbackError::SessionIdMismatch);
                }
                return answer.ok_or_else(|| Status::internal("no message").into());
            }
            Err(status) if status.code() == Code::Unavailable => {
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            Err(status) => return Err(status.into()),
        }
    }
}

/// Whether `session_id` is there exactly once, and is `id`.
fn is_only(metadata: &MetadataMap, id: &str) -> bool {
    let mut ids = metadata.get_all("session_id").iter();
    let first = ids.next().and_then(|value| value.to_str().ok());
    first == Some(id) && ids.next().is_none()
}

// === impl CallbackError ===

impl CallbackError {
    /// The word in telemetry: a gRPC code as Go writes it, or what the Agent adds to them.
    fn as_str(&self) -> &'static str {
        match self {
            Self::Address(_) => "InvalidArgument",
            Self::SessionIdMismatch => "SESSION_ID_MISMATCH",
            Self::TimedOut(_) => "DeadlineExceeded",
            Self::Failed(code, _) => match code {
                Code::Ok => "OK",
                Code::Cancelled => "Canceled",
                Code::Unknown => "Unknown",
                Code::InvalidArgument => "InvalidArgument",
                Code::DeadlineExceeded => "DeadlineExceeded",
                Code::NotFound => "NotFound",
                Code::AlreadyExists => "AlreadyExists",
                Code::PermissionDenied => "PermissionDenied",
                Code::ResourceExhausted => "ResourceExhausted",
                Code::FailedPrecondition => "FailedPrecondition",
                Code::Aborted => "Aborted",
                Code::OutOfRange => "OutOfRange",
                Code::Unimplemented => "Unimplemented",
                Code::Internal => "Internal",
                Code::Unavailable => "Unavailable",
                Code::DataLoss => "DataLoss",
                Code::Unauthenticated => "Unauthenticated",
            },
        }
    }
}

impl From<Status> for CallbackError {
    fn from(status: Status) -> Self {
        Self::Failed(status.code(), status.message().to_owned())
    }
}
