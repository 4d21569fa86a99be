//! Sessions by the clock, and callbacks to agents at the other end of a pipe.

use std::collections::HashMap;
use std::io;

use greyhound_proto::datadog::remoteagent::status::v1::status_provider_server::{
    StatusProvider, StatusProviderServer,
};
use greyhound_proto::datadog::remoteagent::status::v1::{
    GetStatusDetailsRequest, GetStatusDetailsResponse, StatusSection,
};
use greyhound_proto::datadog::remoteagent::telemetry::v1::get_telemetry_response::Payload;
use greyhound_proto::datadog::remoteagent::telemetry::v1::telemetry_provider_server::{
    TelemetryProvider, TelemetryProviderServer,
};
use greyhound_proto::datadog::remoteagent::telemetry::v1::{
    GetTelemetryRequest, GetTelemetryResponse,
};
use greyhound_telemetry::Registry;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

use super::callback::CallbackError;
use super::channel::{Address, Connecting, Io};
use super::*;

/// Agents by host name, behind pipes.
#[derive(Default)]
struct Pipes(HashMap<String, Routes>);

impl Connector for Pipes {
    fn connect(&self, address: Address) -> Connecting {
        let routes = match &address {
            Address::Tcp(host, _) => self.0.get(host).cloned(),
            Address::Unix(_) => None,
        };
        Box::pin(async move {
            let Some(routes) = routes else {
                return Err(io::Error::from(io::ErrorKind::ConnectionRefused));
            };
            let (near, far) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                let service = TowerToHyperService::new(routes);
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(far), service)
                    .await
                    .ok();
            });
            Ok(Box::new(near) as Box<dyn Io>)
        })
    }

    fn token(&self) -> Option<String> {
        Some("the-token".to_owned())
    }
}

/// Answers with these session ids in its headers, or with an error, or never.
#[derive(Clone, Default)]
struct Agent {
    ids: Arc<Mutex<Vec<String>>>,
    fails: bool,
    hangs: bool,
}

impl Agent {
    fn routes(&self) -> Routes {
        Routes::new(StatusProviderServer::new(self.clone()))
            .add_service(TelemetryProviderServer::new(self.clone()))
    }

    async fn answer<Q, A>(&self, request: &Request<Q>, answer: A) -> Result<Response<A>, Status> {
        let token = request.metadata().get("authorization");
        assert_eq!(token.expect("a token"), "Bearer the-token");
        if self.hangs {
            std::future::pending::<()>().await;
        }
        if self.fails {
            return Err(Status::failed_precondition("not yet"));
        }
        let mut response = Response::new(answer);
        for id in self.ids.lock().expect("no panic").iter() {
            let id = id.parse().expect("plain letters");
            response.metadata_mut().append("session_id", id);
        }
        Ok(response)
    }
}

#[tonic::async_trait]
impl StatusProvider for Agent {
    async fn get_status_details(
        &self,
        request: Request<GetStatusDetailsRequest>,
    ) -> Result<Response<GetStatusDetailsResponse>, Status> {
        let main_section = Some(StatusSection {
            fields: [("a".to_owned(), "b".to_owned())].into(),
        });
        let answer = GetStatusDetailsResponse {
            main_section,
            named_sections: HashMap::new(),
        };
        self.answer(&request, answer).await
    }
}

#[tonic::async_trait]
impl TelemetryProvider for Agent {
    async fn get_telemetry(
        &self,
        request: Request<GetTelemetryRequest>,
    ) -> Result<Response<GetTelemetryResponse>, Status> {
        let payload = Payload::PromText("x 1\n".to_owned());
        let answer = GetTelemetryResponse {
            payload: Some(payload),
        };
        self.answer(&request, answer).await
    }
}

fn request(name: &str, host: &str) -> RegisterRemoteAgentRequest {
    RegisterRemoteAgentRequest {
        pid: "1".to_owned(),
        flavor: "test".to_owned(),
        display_name: name.to_owned(),
        api_endpoint_uri: format!("https://{host}:1"),
        services: vec![callback::STATUS.to_owned(), callback::TELEMETRY.to_owned()],
    }
}

fn registry(config: Config) -> AgentRegistry {
    AgentRegistry::new(config, Arc::new(Pipes::default()))
}

#[test]
fn every_registration_is_a_session_of_its_own() {
    let registry = registry(Config::default());
    let now = Instant::now();
    let a = registry.register(request("A", "a"), now).expect("room");
    let b = registry.register(request("A", "a"), now).expect("room");
    assert_ne!(a.id(), b.id());
    assert_eq!(registry.agents(now).len(), 2);
    // Nothing but the size is checked.
    let empty = RegisterRemoteAgentRequest::default();
    assert!(registry.register(empty, now).is_ok());
    let long = request(&"x".repeat(REGISTRATION_BYTES_MAX), "a");
    assert!(matches!(
        registry.register(long, now),
        Err(Outcome::RegistrationTooLong { .. })
    ));
}

#[test]
fn silence_ends_a_session_and_a_refresh_prolongs_it() {
    let config = Config::default();
    let registry = registry(config);
    let start = Instant::now();
    let silent = registry.register(request("A", "a"), start).expect("room");
    let alive = registry.register(request("B", "b"), start).expect("room");
    let later = start + config.idle_timeout;
    registry.refresh(alive.id(), later).expect("alive");
    assert!(
        registry.sweep(later).is_empty(),
        "exactly the timeout is in time"
    );

    let closed = registry.sweep(later + Duration::from_secs(1));
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0].id(), silent.id());
    assert!(silent.is_closed() && !alive.is_closed());
    let now = later + Duration::from_secs(1);
    assert_eq!(registry.refresh(silent.id(), now), Err(Outcome::NoAgent));
    assert_eq!(
        registry.authorize(silent.id(), now).map(|_| ()),
        Err(Outcome::SessionUnknown(silent.id().to_owned()))
    );
    assert!(registry.authorize(alive.id(), now).is_ok());
}

#[test]
fn the_number_of_sessions_is_bounded() {
    let registry = registry(Config::default());
    let now = Instant::now();
    for _ in 0..SESSIONS_MAX {
        registry.register(request("A", "a"), now).expect("room");
    }
    assert_eq!(
        registry.register(request("A", "a"), now).map(|_| ()),
        Err(Outcome::TooManySessions(SESSIONS_MAX))
    );
}

#[test]
fn switched_off_it_refuses_every_call() {
    let registry = registry(Config {
        enabled: false,
        ..Config::default()
    });
    let now = Instant::now();
    let off = Err(Outcome::RegistryOff);
    assert_eq!(registry.register(request("A", "a"), now).map(|_| ()), off);
    assert_eq!(registry.refresh("x", now), off);
    assert_eq!(registry.authorize("x", now).map(|_| ()), off);
    assert_eq!(registry.report("x", &[], now), off);
}

/// A registry whose agents are named by host.
fn with_agents(agents: &[(&str, &Agent)]) -> Arc<AgentRegistry> {
    let pipes = agents
        .iter()
        .map(|(host, agent)| ((*host).to_owned(), agent.routes()))
        .collect();
    let config = Config {
        query_timeout: Duration::from_millis(500),
        ..Config::default()
    };
    Arc::new(AgentRegistry::new(config, Arc::new(Pipes(pipes))))
}

#[tokio::test]
async fn all_agents_are_asked_under_one_deadline() {
    let good = Agent::default();
    let failing = Agent {
        fails: true,
        ..Agent::default()
    };
    let hanging = Agent {
        hangs: true,
        ..Agent::default()
    };
    let registry = with_agents(&[
        ("good", &good),
        ("failing", &failing),
        ("hanging", &hanging),
    ]);
    let counters = greyhound_telemetry::Registry::new();
    counters.register(registry.telemetry()).expect("free names");
    let now = Instant::now();
    let session = registry
        .register(request("Good", "good"), now)
        .expect("room");
    good.ids
        .lock()
        .expect("no panic")
        .push(session.id().to_owned());
    for (name, host) in [
        ("Failing", "failing"),
        ("Hanging", "hanging"),
        ("Hanging too", "hanging"),
        ("Nowhere", "nowhere"),
        ("No address", "no host"),
    ] {
        registry.register(request(name, host), now).expect("room");
    }
    let mut silent = request("Offers nothing", "good");
    silent.services.clear();
    registry.register(silent, now).expect("room");

    let began = Instant::now();
    let replies = registry.statuses().await;
    assert!(
        began.elapsed() < Duration::from_millis(1500),
        "one deadline for all"
    );
    let outcome = |label: &str| {
        let reply = replies.iter().find(|reply| reply.agent.label() == label);
        reply.expect("was asked").answer.as_ref()
    };
    assert_eq!(replies.len(), 6);
    let section = outcome("good").expect("an answer").main_section.as_ref();
    assert_eq!(section.expect("a section").fields["a"], "b");
    assert!(matches!(
        outcome("failing"),
        Err(CallbackError::Failed(_, _))
    ));
    assert!(matches!(
        outcome("hanging"),
        Err(CallbackError::TimedOut(_))
    ));
    assert!(matches!(
        outcome("hanging-too"),
        Err(CallbackError::TimedOut(_))
    ));
    assert!(matches!(
        outcome("nowhere"),
        Err(CallbackError::TimedOut(_))
    ));
    assert!(matches!(
        outcome("no-address"),
        Err(CallbackError::Address(_))
    ));
    // None of it ends a session.
    assert!(registry.sweep(Instant::now()).is_empty());

    let counted = counters.snapshot();
    let error = |name: &str, error: &str| {
        counted.get(
            "remote_agent_registry_action_error",
            &[("remote_agent_name", name), ("error", error)],
        )
    };
    assert_eq!(error("failing", "FailedPrecondition"), Some(1.0));
    assert_eq!(error("hanging", "DeadlineExceeded"), Some(1.0));
    assert_eq!(
        counted.get(
            "remote_agent_registry_action_timeout",
            &[("action", callback::STATUS)]
        ),
        Some(3.0)
    );
    assert_eq!(
        counted.get(
            "remote_agent_registry_action_duration_seconds",
            &[("remote_agent_name", "good")]
        ),
        Some(1.0)
    );
    assert_eq!(
        counted.get("remote_agent_registry_registered", &[]),
        Some(7.0)
    );

    assert_eq!(
        registry.exposition().await,
        "# TYPE x untyped\nx{remote_agent=\"good\"} 1\n"
    );
}

#[tokio::test]
async fn an_answer_for_another_session_ends_the_session() {
    let rows: [fn(&str) -> Vec<String>; 3] = [
        |_| Vec::new(),
        |_| vec!["another".to_owned()],
        |own| vec![own.to_owned(), own.to_owned()],
    ];
    for ids in rows {
        let agent = Agent::default();
        let registry = with_agents(&[("a", &agent)]);
        let counters = Registry::new();
        counters.register(registry.telemetry()).expect("free names");
        let session = registry
            .register(request("A", "a"), Instant::now())
            .expect("room");
        *agent.ids.lock().expect("no panic") = ids(session.id());
        let replies = registry.statuses().await;
        assert!(matches!(
            replies[0].answer,
            Err(CallbackError::SessionIdMismatch)
        ));
        assert_eq!(
            counters.snapshot().get(
                "remote_agent_registry_action_error",
                &[("error", "SESSION_ID_MISMATCH")]
            ),
            Some(1.0)
        );
        assert_eq!(registry.sweep(Instant::now()).len(), 1);
        assert!(session.is_closed());
    }
}
