//! `datadog.api.v1.AgentSecure`, without its config stream.
//!
//! What this process does not have is answered as an Agent answers that has it and found nothing: no tags,
//! no workloads, no check configurations. Clients ask for them at start and would not run otherwise.

use greyhound_config::live::change::Cause;
use greyhound_config::store::Store;
use greyhound_proto::datadog::api::v1::agent_secure_server::AgentSecure;
use greyhound_proto::datadog::autodiscovery::AutodiscoveryStreamResponse;
use greyhound_proto::datadog::config as remote_config;
use greyhound_proto::datadog::model::v1 as model;
use greyhound_proto::datadog::remoteagent::v1 as remote;
use greyhound_proto::datadog::workloadmeta::{
    WorkloadmetaStreamRequest, WorkloadmetaStreamResponse,
};
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::GrpcParts;
use super::outcome::Outcome;
use super::silent::Silent;

/// The service.
pub(super) struct Secure {
    parts: GrpcParts,
}

type Answer<T> = Result<Response<T>, Status>;

// === impl Secure ===

impl Secure {
    pub(super) fn new(parts: GrpcParts) -> Self {
        Self { parts }
    }
}

#[tonic::async_trait]
impl AgentSecure for Secure {
    async fn tagger_stream_entities(
        &self,
        _: Request<model::StreamTagsRequest>,
    ) -> Answer<BoxStream<model::StreamTagsResponse>> {
        Ok(Silent::with_keep_alive(self.parts.stopping.clone()).answer())
    }

    async fn tagger_fetch_entity(
        &self,
        request: Request<model::FetchEntityRequest>,
    ) -> Answer<model::FetchEntityResponse> {
        let request = request.into_inner();
        let Some(id) = request.id else {
            return Err(Outcome::EntityIdMissing.into());
        };
        Ok(Response::new(model::FetchEntityResponse {
            id: Some(id),
            cardinality: request.cardinality,
            tags: Vec::new(),
        }))
    }

    async fn tagger_generate_container_id_from_origin_info(
        &self,
        request: Request<model::GenerateContainerIdFromOriginInfoRequest>,
    ) -> Answer<model::GenerateContainerIdFromOriginInfoResponse> {
        // Only what the sender says itself can be told; every field may be missing.
        let local = request.into_inner().local_data.unwrap_or_default();
        let container_id = local.container_id.filter(|id| !id.is_empty());
        let container_id = container_id.ok_or(Outcome::NoContainer)?;
        Ok(Response::new(
            model::GenerateContainerIdFromOriginInfoResponse { container_id },
        ))
    }

    async fn dogstatsd_capture_trigger(
        &self,
        _: Request<model::CaptureTriggerRequest>,
    ) -> Answer<model::CaptureTriggerResponse> {
        Err(Outcome::NoCapture.into())
    }

    async fn dogstatsd_set_tagger_state(
        &self,
        _: Request<model::TaggerState>,
    ) -> Answer<model::TaggerStateResponse> {
        Err(Outcome::NoCapture.into())
    }

    async fn client_get_configs(
        &self,
        _: Request<remote_config::ClientGetConfigsRequest>,
    ) -> Answer<remote_config::ClientGetConfigsResponse> {
        Err(Outcome::NoRemoteConfig.into())
    }

    async fn get_config_state(
        &self,
        _: Request<()>,
    ) -> Answer<remote_config::GetStateConfigResponse> {
        Err(Outcome::NoRemoteConfig.into())
    }

    async fn reset_config_state(
        &self,
        _: Request<()>,
    ) -> Answer<remote_config::ResetStateConfigResponse> {
        Err(Outcome::NoRemoteConfig.into())
    }

    async fn create_config_subscription(
        &self,
        _: Request<Streaming<remote_config::ConfigSubscriptionRequest>>,
    ) -> Answer<BoxStream<remote_config::ConfigSubscriptionResponse>> {
        Err(Outcome::NoRemoteConfig.into())
    }

    async fn client_get_configs_ha(
        &self,
        _: Request<remote_config::ClientGetConfigsRequest>,
    ) -> Answer<remote_config::ClientGetConfigsResponse> {
        Err(Outcome::NoRemoteConfigHa.into())
    }

    async fn get_config_state_ha(
        &self,
        _: Request<()>,
    ) -> Answer<remote_config::GetStateConfigResponse> {
        Err(Outcome::NoRemoteConfigHa.into())
    }

    async fn workloadmeta_stream_entities(
        &self,
        _: Request<WorkloadmetaStreamRequest>,
    ) -> Answer<BoxStream<WorkloadmetaStreamResponse>> {
        // All there is has been sent: nothing.
        let first = WorkloadmetaStreamResponse {
            events: Vec::new(),
            initial_snapshot_complete: true,
        };
        Ok(Silent::after(first, self.parts.stopping.clone()).answer())
    }

    async fn register_remote_agent(
        &self,
        request: Request<remote::RegisterRemoteAgentRequest>,
    ) -> Answer<remote::RegisterRemoteAgentResponse> {
        super::remote_agent::register(&self.parts, request.into_inner())
    }

    async fn refresh_remote_agent(
        &self,
        request: Request<remote::RefreshRemoteAgentRequest>,
    ) -> Answer<remote::RefreshRemoteAgentResponse> {
        super::remote_agent::refresh(&self.parts, &request.into_inner())
    }

    async fn request_config_updates(
        &self,
        _: Request<remote::RequestConfigUpdatesRequest>,
    ) -> Answer<remote::RequestConfigUpdatesResponse> {
        let live = self.parts.live.clone();
        tokio::task::spawn_blocking(move || live.reload(Cause::Api))
            .await
            .map_err(|_| Outcome::Stopping)?
            .map_err(|error| Outcome::ReloadFailed(error.to_string()))?;
        Ok(Response::new(remote::RequestConfigUpdatesResponse {}))
    }

    async fn autodiscovery_stream_config(
        &self,
        _: Request<()>,
    ) -> Answer<BoxStream<AutodiscoveryStreamResponse>> {
        Ok(Silent::new(self.parts.stopping.clone()).answer())
    }

    async fn get_host_tags(
        &self,
        _: Request<model::HostTagRequest>,
    ) -> Answer<model::HostTagReply> {
        Ok(Response::new(model::HostTagReply {
            system: host_tags(&self.parts.live.store()),
            google_cloud_platform: Vec::new(),
        }))
    }
}

/// Tags an operator gave this host.
fn host_tags(store: &Store) -> Vec<String> {
    ["tags", "extra_tags"]
        .into_iter()
        .filter_map(|key| store.get(key))
        .filter_map(|resolved| resolved.value.json().as_array().cloned())
        .flatten()
        .filter_map(|tag| tag.as_str().map(str::to_owned))
        .collect()
}
