//! `datadog.remoteagent.v1.RemoteAgent`, and the same calls for the older place.

use std::time::Instant;

use greyhound_proto::datadog::remoteagent::v1 as remote;
use greyhound_proto::datadog::remoteagent::v1::remote_agent_server::RemoteAgent;
use tonic::{Request, Response, Status};

use super::GrpcParts;

/// The service.
pub(super) struct RemoteAgents {
    parts: GrpcParts,
}

type Answer<T> = Result<Response<T>, Status>;

pub(super) fn register(
    parts: &GrpcParts,
    request: remote::RegisterRemoteAgentRequest,
) -> Answer<remote::RegisterRemoteAgentResponse> {
    let session = parts.registry.register(request, Instant::now())?;
    let interval = parts.registry.config().recommended_refresh_interval;
    Ok(Response::new(remote::RegisterRemoteAgentResponse {
        session_id: session.id().to_owned(),
        recommended_refresh_interval_secs: u32::try_from(interval.as_secs()).unwrap_or(u32::MAX),
    }))
}

pub(super) fn refresh(
    parts: &GrpcParts,
    request: &remote::RefreshRemoteAgentRequest,
) -> Answer<remote::RefreshRemoteAgentResponse> {
    parts
        .registry
        .refresh(&request.session_id, Instant::now())?;
    Ok(Response::new(remote::RefreshRemoteAgentResponse {}))
}

// === impl RemoteAgents ===

impl RemoteAgents {
    pub(super) fn new(parts: GrpcParts) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl RemoteAgent for RemoteAgents {
    async fn register_remote_agent(
        &self,
        request: Request<remote::RegisterRemoteAgentRequest>,
    ) -> Answer<remote::RegisterRemoteAgentResponse> {
        register(&self.parts, request.into_inner())
    }

    async fn refresh_remote_agent(
        &self,
        request: Request<remote::RefreshRemoteAgentRequest>,
    ) -> Answer<remote::RefreshRemoteAgentResponse> {
        refresh(&self.parts, &request.into_inner())
    }

    async fn report_remote_agent_event(
        &self,
        request: Request<remote::ReportRemoteAgentEventRequest>,
    ) -> Answer<remote::ReportRemoteAgentEventResponse> {
        let report = request.into_inner();
        self.parts
            .registry
            .report(&report.session_id, &report.events, Instant::now())?;
        Ok(Response::new(remote::ReportRemoteAgentEventResponse {}))
    }
}
