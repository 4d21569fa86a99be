//! The gRPC side of the control port: remote agents, the config stream, and ourselves as a remote agent.

use std::sync::Arc;
use std::time::Instant;

use greyhound_config::live::Live;
use greyhound_config::settings::remote_agent::RemoteAgents;
use greyhound_server::config::Files;
use greyhound_server::configstream::ConfigStream;
use greyhound_server::grpc::{self, GrpcParts};
use greyhound_server::register::{Commands, StatusSection};
use greyhound_server::registry::channel::{Address, Connector};
use greyhound_server::registry::pinned::PinnedTls;
use greyhound_server::registry::{self, AgentRegistry};
use greyhound_server::remote_agent::RemoteAgent;
use greyhound_server::remote_agent::client::CoreAgent;
use greyhound_server::remote_agent::providers::{Answers, Providers};
use greyhound_server::server::GrpcMaker;
use greyhound_telemetry::text::{negotiate, write_snapshot};
use greyhound_telemetry::{DuplicateName, Registry};
use serde_json::{Value, json};
use tracing::error;

/// What the rest of the program sees of it.
#[derive(Clone)]
pub struct Grpc {
    /// Remote agents that registered with us.
    pub agents: Arc<AgentRegistry>,
    /// Who follows our settings.
    pub streams: Arc<ConfigStream>,
    /// Our link to a core agent, where we have one.
    pub core_agent: Option<Arc<RemoteAgent>>,
    parts: Parts,
}

/// What the services ask of the program.
#[derive(Clone)]
struct Parts {
    live: Live,
    commands: Arc<dyn Commands>,
    telemetry: Arc<Registry>,
}

/// What a core agent is told about us.
struct Told {
    parts: Parts,
    link: Arc<RemoteAgent>,
    agents: Arc<AgentRegistry>,
}

// === impl Grpc ===

impl Grpc {
    /// Prepares the services and registers their counters. `files` hold the token and certificate we share
    /// with other agents.
    ///
    /// # Errors
    /// When the name of a counter is taken.
    pub fn new(
        live: &Live,
        commands: Arc<dyn Commands>,
        telemetry: Arc<Registry>,
        files: Files,
    ) -> Result<Self, DuplicateName> {
        let settings = live.settings();
        let connector: Arc<dyn Connector> = Arc::new(PinnedTls::new(files));
        let agents = Arc::new(AgentRegistry::new(
            config(&settings.remote_agents),
            Arc::clone(&connector),
        ));
        let streams = Arc::new(ConfigStream::new(live.feed(), &origin(live)));
        telemetry.register(agents.telemetry())?;
        telemetry.register(streams.telemetry())?;
        let core = settings.remote_agents.core_agent.as_deref();
        let core_agent = core.and_then(|text| match Address::parse(text) {
            Ok(address) => {
                let core = CoreAgent::new(address, connector);
                Some(Arc::new(RemoteAgent::new(core, live.clone())))
            }
            Err(error) => {
                error!(%error, setting = "greyhound.remote_agent.address", "not a remote agent");
                None
            }
        });
        Ok(Self {
            agents,
            streams,
            core_agent,
            parts: Parts {
                live: live.clone(),
                commands,
                telemetry,
            },
        })
    }

    /// What the server calls inside its runtime.
    pub fn maker(&self) -> GrpcMaker {
        let this = self.clone();
        Box::new(move |inside| {
            let providers = this.core_agent.as_ref().map(|link| {
                let running = Arc::clone(link).run(inside.bound, inside.stopping.clone());
                inside.handle.spawn(running);
                let told = Told {
                    parts: this.parts.clone(),
                    link: Arc::clone(link),
                    agents: Arc::clone(&this.agents),
                };
                Providers::new(Arc::clone(link), Arc::new(told))
            });
            let parts = GrpcParts {
                live: this.parts.live,
                commands: this.parts.commands,
                registry: this.agents,
                streams: this.streams,
                providers,
                stopping: inside.stopping,
            };
            inside.handle.spawn(parts.clone().run());
            grpc::services(&parts)
        })
    }
}

fn config(settings: &RemoteAgents) -> registry::Config {
    registry::Config {
        enabled: settings.enabled,
        idle_timeout: settings.idle_timeout,
        recommended_refresh_interval: settings.recommended_refresh_interval,
        query_timeout: settings.query_timeout,
    }
}

/// What the stream says its settings come from: the name of the file, or the Agent's word for none.
fn origin(live: &Live) -> String {
    let name = live.file().and_then(|file| file.file_name());
    name.map_or_else(
        || "core-agent".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

// === impl Told ===

impl Told {
    fn version(&self) -> String {
        let version = self.parts.commands.version();
        format!("{}.{}.{}", version.major, version.minor, version.patch)
    }

    fn settings(&self) -> Vec<u8> {
        // `effective` masks credentials.
        let lines = self.parts.live.store().effective().into_iter();
        lines
            .map(|line| format!("{} = {} # {}\n", line.key, line.value, line.layer))
            .collect::<String>()
            .into_bytes()
    }
}

impl Answers for Told {
    fn status(&self) -> Vec<(String, Value)> {
        let main = json!({
            "version": self.version(),
            "hostname": self.parts.commands.hostname(),
            "generation": self.parts.live.generation().number,
            "remote_agents": self.agents.agents(Instant::now()).len(),
        });
        vec![
            ("main".to_owned(), main),
            (self.link.name().to_owned(), self.link.json(false)),
        ]
    }

    fn flare(&self) -> Vec<(String, Vec<u8>)> {
        let status: serde_json::Map<_, _> = self.status().into_iter().collect();
        vec![
            ("telemetry.txt".to_owned(), self.telemetry().into_bytes()),
            ("settings.txt".to_owned(), self.settings()),
            (
                "status.json".to_owned(),
                Value::from(status).to_string().into_bytes(),
            ),
        ]
    }

    fn telemetry(&self) -> String {
        let mut page = Vec::new();
        let snapshot = self.parts.telemetry.snapshot();
        write_snapshot(&snapshot, negotiate("text/plain"), &mut page);
        String::from_utf8_lossy(&page).into_owned()
    }
}
