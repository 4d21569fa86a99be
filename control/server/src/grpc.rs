//! The gRPC side of the control port, as clients of the Agent expect it.
//!
//! ```text
//!  datadog.api.v1.Agent              host name, for anybody
//!  datadog.api.v1.AgentSecure        registry ▪ config stream ▪ tagger and workloads, honestly empty
//!  datadog.remoteagent.v1.RemoteAgent registry, where the newest clients look
//!  datadog.remoteagent.*             our own status, flare and counters, for a core agent that knows us
//!  grpc.health.v1, grpc.reflection   for tools
//! ```
//!
//! Who may call is decided before a request gets here. Every refusal of ours is in [`outcome`].

mod agent;
mod config_stream;
pub mod outcome;
mod remote_agent;
mod secure;
mod silent;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use greyhound_config::live::Live;
use greyhound_proto::DESCRIPTORS;
use greyhound_proto::datadog::api::v1::agent_secure_server::{self, AgentSecureServer};
use greyhound_proto::datadog::api::v1::agent_server::{self, AgentServer};
use greyhound_proto::datadog::remoteagent::v1::remote_agent_server::{self, RemoteAgentServer};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::server::{HealthReporter, HealthService};

use crate::configstream::ConfigStream;
use crate::register::Commands;
use crate::registry::AgentRegistry;
use crate::remote_agent::providers::Providers;

/// How often sessions are looked at.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Bytes of one message to us; longer ones are refused before they are read.
pub(crate) const MESSAGE_BYTES_MAX: usize = 4 << 20;

/// What the services are made of. Clones share everything.
#[derive(Clone)]
pub struct GrpcParts {
    /// The running settings.
    pub live: Live,
    /// What the process can be asked.
    pub commands: Arc<dyn Commands>,
    /// Remote agents.
    pub registry: Arc<AgentRegistry>,
    /// Subscribers of settings.
    pub streams: Arc<ConfigStream>,
    /// Our own answers, where we are the remote agent of somebody.
    pub providers: Option<Providers>,
    /// Holds the deadline when the port closes: streams end at once, with OK.
    pub stopping: watch::Receiver<Option<Instant>>,
}

/// All services, behind one router.
pub fn services(parts: &GrpcParts) -> Routes {
    let secure = AgentSecureServer::new(secure::Secure::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let remote = RemoteAgentServer::new(remote_agent::RemoteAgents::new(parts.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX);
    let routes = Routes::new(AgentServer::new(agent::Agent::new(Arc::clone(
        &parts.commands,
    ))))
    .add_service(config_stream::WithStream::new(secure, parts.clone()))
    .add_service(remote)
    .add_service(health())
    .add_service(reflection().build_v1().expect(DESCRIPTORS_ARE_OURS))
    .add_service(reflection().build_v1alpha().expect(DESCRIPTORS_ARE_OURS));
    let routes = match &parts.providers {
        Some(providers) => providers.clone().add_to(routes),
        None => routes,
    };
    routes.prepare()
}

const DESCRIPTORS_ARE_OURS: &str = "the build wrote the descriptors, and a test reads them";

// === impl GrpcParts ===

impl GrpcParts {
    /// Ends sessions that have run out, and with them their streams, until the port closes.
    pub async fn run(mut self) {
        let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {
                    if !self.registry.sweep(Instant::now()).is_empty() {
                        self.streams.wake_all();
                    }
                }
                // An error says that the sender is gone: the port is as good as closed.
                _ = self.stopping.wait_for(Option::is_some) => {
                    self.streams.stop();
                    return;
                }
            }
        }
    }
}

fn health() -> tonic_health::pb::health_server::HealthServer<HealthService> {
    let reporter = HealthReporter::new();
    for service in [
        agent_server::SERVICE_NAME,
        agent_secure_server::SERVICE_NAME,
        remote_agent_server::SERVICE_NAME,
    ] {
        // Nobody else has the reporter yet, so its lock is free and one poll is all it takes.
        let set = pin!(reporter.set_service_status(service, ServingStatus::Serving));
        let done = set.poll(&mut Context::from_waker(Waker::noop()));
        debug_assert!(done.is_ready(), "nobody else has the reporter yet");
    }
    tonic_health::pb::health_server::HealthServer::new(HealthService::from_health_reporter(
        reporter,
    ))
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

#[cfg(test)]
pub(crate) mod tests;
