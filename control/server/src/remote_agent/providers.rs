//! What a core agent asks us: status, files for its flare, counters. Every answer carries the session we are
//! registered under, so that the core agent knows it is us.

use std::collections::HashMap;
use std::sync::Arc;

use greyhound_proto::datadog::remoteagent::flare::v1 as flare;
use greyhound_proto::datadog::remoteagent::flare::v1::flare_provider_server::{
    FlareProvider, FlareProviderServer,
};
use greyhound_proto::datadog::remoteagent::status::v1 as status;
use greyhound_proto::datadog::remoteagent::status::v1::status_provider_server::{
    StatusProvider, StatusProviderServer,
};
use greyhound_proto::datadog::remoteagent::telemetry::v1 as telemetry;
use greyhound_proto::datadog::remoteagent::telemetry::v1::get_telemetry_response::Payload;
use greyhound_proto::datadog::remoteagent::telemetry::v1::telemetry_provider_server::{
    TelemetryProvider, TelemetryProviderServer,
};
use serde_json::Value;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::RemoteAgent;
use crate::grpc::outcome::Outcome;

/// What we are asked for. Called on a blocking thread.
pub trait Answers: Send + Sync {
    /// Sections of the status page by name, each an object.
    fn status(&self) -> Vec<(String, Value)>;
    /// Files by name, already scrubbed.
    fn flare(&self) -> Vec<(String, Vec<u8>)>;
    /// All counters as Prometheus text.
    fn telemetry(&self) -> String;
}

/// Bytes of all files of one answer; the core agent takes 64 MiB.
const FLARE_BYTES_MAX: usize = 48 << 20;

/// The three services.
#[derive(Clone)]
pub struct Providers {
    agent: Arc<RemoteAgent>,
    answers: Arc<dyn Answers>,
}

// === impl Providers ===

impl Providers {
    /// Answers for `agent`.
    pub fn new(agent: Arc<RemoteAgent>, answers: Arc<dyn Answers>) -> Self {
        Self { agent, answers }
    }

    /// Adds the services to those of the control port.
    pub fn add_to(self, routes: Routes) -> Routes {
        routes
            .add_service(StatusProviderServer::new(self.clone()))
            .add_service(FlareProviderServer::new(self.clone()))
            .add_service(TelemetryProviderServer::new(self))
    }

    async fn answer<T: Send + 'static>(
        &self,
        make: impl FnOnce(&dyn Answers) -> T + Send + 'static,
    ) -> Result<Response<T>, Status> {
        let session = self.agent.session().ok_or(Outcome::NotRegistered)?;
        let answers = Arc::clone(&self.answers);
        let answer = tokio::task::spawn_blocking(move || make(&*answers))
            .await
            .map_err(|_| Outcome::Stopping)?;
        let mut response = Response::new(answer);
        let session = session.parse().map_err(|_| Outcome::NotRegistered)?;
        response.metadata_mut().insert("session_id", session);
        Ok(response)
    }
}

#[tonic::async_trait]
impl StatusProvider for Providers {
    async fn get_status_details(
        &self,
        _: Request<status::GetStatusDetailsRequest>,
    ) -> Result<Response<status::GetStatusDetailsResponse>, Status> {
        self.answer(|answers| {
            let section = |value: &Value| {
                let mut fields = HashMap::new();
                flatten("", value, &mut fields);
                status::StatusSection { fields }
            };
            let mut sections = answers.status().into_iter();
            let main = sections.next().map(|(_, value)| section(&value));
            status::GetStatusDetailsResponse {
                main_section: main,
                named_sections: sections
                    .map(|(name, value)| (name, section(&value)))
                    .collect(),
            }
        })
        .await
    }
}

#[tonic::async_trait]
impl FlareProvider for Providers {
    async fn get_flare_files(
        &self,
        _: Request<flare::GetFlareFilesRequest>,
    ) -> Result<Response<flare::GetFlareFilesResponse>, Status> {
        self.answer(|answers| {
            let mut left = FLARE_BYTES_MAX;
            let mut files = HashMap::new();
            for (name, mut bytes) in answers.flare() {
                bytes.drain(..bytes.len().saturating_sub(left));
                left -= bytes.len();
                // The core agent makes a folder for us; a name is one file in it.
                files.insert(name.replace('/', "_"), bytes);
            }
            flare::GetFlareFilesResponse { files }
        })
        .await
    }
}

#[tonic::async_trait]
impl TelemetryProvider for Providers {
    async fn get_telemetry(
        &self,
        _: Request<telemetry::GetTelemetryRequest>,
    ) -> Result<Response<telemetry::GetTelemetryResponse>, Status> {
        self.answer(|answers| telemetry::GetTelemetryResponse {
            payload: Some(Payload::PromText(answers.telemetry())),
        })
        .await
    }
}

/// Leaves of a tree as text, by dotted name: a status section carries strings only.
fn flatten(name: &str, value: &Value, fields: &mut HashMap<String, String>) {
    let below = |part: &str| match name {
        "" => part.to_owned(),
        name => format!("{name}.{part}"),
    };
    match value {
        Value::Object(object) => {
            for (part, value) in object {
                flatten(&below(part), value, fields);
            }
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                flatten(&below(&at.to_string()), value, fields);
            }
        }
        Value::String(text) => drop(fields.insert(name.to_owned(), text.clone())),
        Value::Null => {}
        other => drop(fields.insert(name.to_owned(), other.to_string())),
    }
}
