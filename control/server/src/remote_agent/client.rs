//! The calls a remote agent makes to its core agent, a real one or another Greyhound.

use std::sync::{Arc, OnceLock};

use greyhound_proto::datadog::api::v1::agent_secure_client::AgentSecureClient;
use greyhound_proto::datadog::model::v1::{ConfigEvent, ConfigStreamRequest};
use greyhound_proto::datadog::remoteagent::v1 as remote;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

use crate::registry::channel::{self, Address, Connector};

/// Bytes of one event: a snapshot holds all settings of an Agent.
const EVENT_BYTES_MAX: usize = 128 << 20;

/// A core agent. Connects at the first call, and again when the connection broke.
#[derive(Clone)]
pub struct CoreAgent {
    address: Address,
    connector: Arc<dyn Connector>,
    /// Made by the first call: a channel needs a runtime around it.
    client: Arc<OnceLock<AgentSecureClient<Channel>>>,
}

// === impl CoreAgent ===

impl CoreAgent {
    /// The one at `address`.
    pub fn new(address: Address, connector: Arc<dyn Connector>) -> Self {
        Self {
            address,
            connector,
            client: Arc::default(),
        }
    }

    /// Where it is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Registers.
    ///
    /// # Errors
    /// As the core agent answers, or when it cannot be reached.
    pub async fn register(
        &self,
        request: remote::RegisterRemoteAgentRequest,
    ) -> Result<remote::RegisterRemoteAgentResponse, Status> {
        let request = self.with_token(request);
        let answer = self.client().register_remote_agent(request).await?;
        Ok(answer.into_inner())
    }

    /// Keeps a session alive.
    ///
    /// # Errors
    /// NOT_FOUND when there is no such session, else as above.
    pub async fn refresh(&self, session: &str) -> Result<(), Status> {
        let request = self.with_token(remote::RefreshRemoteAgentRequest {
            session_id: session.to_owned(),
        });
        self.client().refresh_remote_agent(request).await?;
        Ok(())
    }

    /// Opens the settings stream of a session.
    ///
    /// # Errors
    /// As above.
    pub async fn stream(
        &self,
        session: &str,
        name: &str,
    ) -> Result<Streaming<ConfigEvent>, Status> {
        let mut request = self.with_token(ConfigStreamRequest {
            name: name.to_owned(),
        });
        let session = session
            .parse()
            .map_err(|_| Status::internal("the session id is not plain text"))?;
        request.metadata_mut().insert("session_id", session);
        let answer = self.client().stream_config_events(request).await?;
        Ok(answer.into_inner())
    }

    fn client(&self) -> AgentSecureClient<Channel> {
        let made = self.client.get_or_init(|| {
            let channel = channel::to(self.address.clone(), &self.connector);
            AgentSecureClient::new(channel).max_decoding_message_size(EVENT_BYTES_MAX)
        });
        made.clone()
    }

    fn with_token<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        // Without one the other end says so, in its own words.
        if let Some(token) = self.connector.token()
            && let Ok(value) = format!("Bearer {token}").parse()
        {
            request.metadata_mut().insert("authorization", value);
        }
        request
    }
}
