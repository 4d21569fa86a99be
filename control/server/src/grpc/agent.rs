//! `datadog.api.v1.Agent`: the one service without a token.

use std::sync::Arc;

use greyhound_proto::datadog::api::v1::agent_server;
use greyhound_proto::datadog::model::v1::{HostnameReply, HostnameRequest};
use tonic::{Request, Response, Status};

use crate::register::Commands;

/// Answers who we are.
pub(super) struct Agent {
    commands: Arc<dyn Commands>,
}

// === impl Agent ===

impl Agent {
    pub(super) fn new(commands: Arc<dyn Commands>) -> Self {
        Self { commands }
    }
}

#[tonic::async_trait]
impl agent_server::Agent for Agent {
    async fn get_hostname(
        &self,
        _: Request<HostnameRequest>,
    ) -> Result<Response<HostnameReply>, Status> {
        Ok(Response::new(HostnameReply {
            hostname: self.commands.hostname(),
        }))
    }
}
