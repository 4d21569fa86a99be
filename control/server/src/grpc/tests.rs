//! The services over a pipe, as a client sees them: codes, words, and streams.

use std::collections::HashMap;
use std::io;

use greyhound_config::layer::Layer;
use greyhound_config::live::change::Cause;
use greyhound_config::load::{self, DefaultFile, Flag, Sources};
use greyhound_config::place::Place;
use greyhound_proto::datadog::api::v1::agent_client::AgentClient;
use greyhound_proto::datadog::api::v1::agent_secure_client::AgentSecureClient;
use greyhound_proto::datadog::config as remote_config;
use greyhound_proto::datadog::model::v1 as model;
use greyhound_proto::datadog::model::v1::config_event::Event;
use greyhound_proto::datadog::remoteagent::v1 as remote;
use greyhound_proto::datadog::remoteagent::v1::remote_agent_client::RemoteAgentClient;
use greyhound_proto::datadog::workloadmeta::WorkloadmetaStreamRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::*;
use crate::register::Version;
use crate::registry::Config;
use crate::registry::channel::{Address, Connecting, Connector};

struct Process;

impl Commands for Process {
    fn stop(&self) {}

    fn hostname(&self) -> String {
        "web-1".to_owned()
    }

    fn version(&self) -> Version {
        Version::default()
    }
}

pub(crate) struct Nowhere;

impl Connector for Nowhere {
    fn connect(&self, _: Address) -> Connecting {
        Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) })
    }

    fn token(&self) -> Option<String> {
        None
    }
}

/// The services and a client of them.
pub(crate) struct Fixture {
    pub(crate) parts: GrpcParts,
    pub(crate) routes: Routes,
    stop: watch::Sender<Option<Instant>>,
    channel: Channel,
}

/// Settings with two tags.
pub(crate) fn live() -> Live {
    let sources = Sources {
        default_file: DefaultFile::None,
        flags: vec![Flag {
            key: "tags".to_owned(),
            text: "a:1 b".to_owned(),
            name: "--set".to_owned(),
        }],
        ..Sources::default()
    };
    Live::new(load::load(&sources).expect("settings"), sources)
}

/// A connection to services.
pub(crate) fn pipe(routes: Routes) -> tokio::io::DuplexStream {
    let (near, far) = tokio::io::duplex(1 << 16);
    let service = TowerToHyperService::new(routes);
    tokio::spawn(async move {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(far), service)
            .await
            .ok();
    });
    near
}

impl Fixture {
    fn new(config: Config) -> Self {
        Self::with_connector(config, Arc::new(Nowhere))
    }

    pub(crate) fn with_connector(config: Config, connector: Arc<dyn Connector>) -> Self {
        let live = live();
        let (stop, stopping) = watch::channel(None);
        let parts = GrpcParts {
            streams: Arc::new(ConfigStream::new(live.feed(), "datadog.yaml")),
            live,
            commands: Arc::new(Process),
            registry: Arc::new(AgentRegistry::new(config, connector)),
            providers: None,
            stopping,
        };
        tokio::spawn(parts.clone().run());
        let routes = services(&parts);
        let served = routes.clone();
        let channel = Endpoint::from_static("http://localhost").connect_with_connector_lazy(
            tower::service_fn(move |_| {
                let near = pipe(served.clone());
                async move { Ok::<_, io::Error>(TokioIo::new(near)) }
            }),
        );
        Self {
            parts,
            routes,
            stop,
            channel,
        }
    }

    fn secure(&self) -> AgentSecureClient<Channel> {
        AgentSecureClient::new(self.channel.clone())
    }

    async fn register(&self) -> String {
        let request = remote::RegisterRemoteAgentRequest {
            display_name: "A test".to_owned(),
            ..Default::default()
        };
        let answer = self.secure().register_remote_agent(request).await;
        answer.expect("registered").into_inner().session_id
    }

    async fn open(&self, session: &str) -> Result<tonic::Streaming<model::ConfigEvent>, Status> {
        let request = with_session(session);
        let answer = self.secure().stream_config_events(request).await?;
        Ok(answer.into_inner())
    }
}

fn with_session(session: &str) -> Request<model::ConfigStreamRequest> {
    let mut request = Request::new(model::ConfigStreamRequest {
        name: "test".to_owned(),
    });
    let id = session.parse().expect("plain letters");
    request.metadata_mut().insert("session_id", id);
    request
}

fn refused<T>(answer: Result<T, Status>) -> (Code, String) {
    match answer {
        Ok(_) => (Code::Ok, String::new()),
        Err(status) => (status.code(), status.message().to_owned()),
    }
}

#[tokio::test]
async fn the_host_name_is_ours() {
    let fixture = Fixture::new(Config::default());
    let answer = AgentClient::new(fixture.channel.clone())
        .get_hostname(model::HostnameRequest {})
        .await;
    assert_eq!(answer.expect("answered").into_inner().hostname, "web-1");
}

#[tokio::test]
async fn what_is_not_here_is_honestly_empty() {
    let fixture = Fixture::new(Config::default());
    let mut secure = fixture.secure();
    let id = model::EntityId {
        prefix: "container_id".to_owned(),
        uid: "nonexistent".to_owned(),
    };
    let probe = model::FetchEntityRequest {
        id: Some(id.clone()),
        cardinality: model::TagCardinality::High.into(),
    };
    let answer = secure.tagger_fetch_entity(probe).await.expect("answered");
    let answer = answer.into_inner();
    assert_eq!(answer.id, Some(id));
    assert!(answer.tags.is_empty());
    assert_eq!(
        refused(
            secure
                .tagger_fetch_entity(model::FetchEntityRequest::default())
                .await
        ),
        (Code::InvalidArgument, "missing \"id\" parameter".to_owned())
    );

    // The headers come although no message does.
    let request = model::StreamTagsRequest::default();
    let mut tags = secure.tagger_stream_entities(request).await.expect("open");
    let mut checks = secure.autodiscovery_stream_config(()).await.expect("open");
    let request = WorkloadmetaStreamRequest::default();
    let workloads = secure.workloadmeta_stream_entities(request).await;
    let mut workloads = workloads.expect("open");
    let first = workloads.get_mut().message().await.expect("no error");
    assert!(first.expect("a message").initial_snapshot_complete);

    let hosts = secure.get_host_tags(model::HostTagRequest {}).await;
    assert_eq!(hosts.expect("answered").into_inner().system, ["a:1", "b"]);

    let origin = model::GenerateContainerIdFromOriginInfoRequest::default();
    let answer = secure
        .tagger_generate_container_id_from_origin_info(origin)
        .await;
    assert_eq!(refused(answer).0, Code::InvalidArgument);

    // All of them end with the port.
    fixture
        .stop
        .send(Some(Instant::now()))
        .expect("somebody listens");
    assert!(matches!(tags.get_mut().message().await, Ok(None)));
    assert!(matches!(checks.get_mut().message().await, Ok(None)));
    assert!(matches!(workloads.get_mut().message().await, Ok(None)));
}

#[tokio::test]
async fn what_does_not_exist_says_so() {
    let fixture = Fixture::new(Config::default());
    let mut secure = fixture.secure();
    let without = "remote configuration service not initialized";
    let request = remote_config::ClientGetConfigsRequest {};
    assert_eq!(
        refused(secure.client_get_configs(request).await),
        (Code::Unimplemented, without.to_owned())
    );
    assert_eq!(
        refused(secure.client_get_configs_ha(request).await),
        (Code::Unimplemented, format!("MRF {without}"))
    );
    let capture = model::CaptureTriggerRequest::default();
    assert_eq!(
        refused(secure.dogstatsd_capture_trigger(capture).await).0,
        Code::Unimplemented
    );
    let state = model::TaggerState::default();
    assert_eq!(
        refused(secure.dogstatsd_set_tagger_state(state).await).0,
        Code::Unimplemented
    );
}

#[tokio::test]
async fn registered_in_either_place_a_session_can_be_refreshed_in_the_other() {
    let fixture = Fixture::new(Config::default());
    let mut newest = RemoteAgentClient::new(fixture.channel.clone());
    let answer = newest
        .register_remote_agent(remote::RegisterRemoteAgentRequest::default())
        .await
        .expect("registered")
        .into_inner();
    assert_eq!(answer.recommended_refresh_interval_secs, 10);
    let refresh = remote::RefreshRemoteAgentRequest {
        session_id: answer.session_id.clone(),
    };
    assert!(fixture.secure().refresh_remote_agent(refresh).await.is_ok());
    let report = |session_id: &str| remote::ReportRemoteAgentEventRequest {
        session_id: session_id.to_owned(),
        events: vec![remote::Event::default()],
    };
    let known = report(&answer.session_id);
    assert!(newest.report_remote_agent_event(known).await.is_ok());
    assert_eq!(
        refused(newest.report_remote_agent_event(report("x")).await),
        (
            Code::NotFound,
            "no remote agent found with session ID \"x\"".to_owned()
        )
    );
    let unknown = remote::RefreshRemoteAgentRequest::default();
    assert_eq!(
        refused(newest.refresh_remote_agent(unknown).await),
        (
            Code::NotFound,
            "no remote agent found with session ID".to_owned()
        )
    );
}

#[tokio::test]
async fn a_stream_needs_a_session() {
    let fixture = Fixture::new(Config::default());
    let must = "remote agent must register with RAR before subscribing to config stream";
    let bare = Request::new(model::ConfigStreamRequest::default());
    assert_eq!(
        refused(fixture.secure().stream_config_events(bare).await),
        (
            Code::Unauthenticated,
            format!("session_id required in metadata: {must}")
        )
    );
    assert_eq!(
        refused(fixture.open("").await),
        (
            Code::Unauthenticated,
            format!("session_id cannot be empty: {must}")
        )
    );
    assert_eq!(
        refused(fixture.open("x").await),
        (
            Code::PermissionDenied,
            format!("session_id 'x' not found: {must}")
        )
    );
    let off = Fixture::new(Config {
        enabled: false,
        ..Config::default()
    });
    assert_eq!(
        refused(off.open("x").await),
        (
            Code::Unimplemented,
            "remote agent registry not enabled".to_owned()
        )
    );
}

#[tokio::test]
async fn a_stream_carries_a_snapshot_and_updates_and_ends_with_the_port() {
    let fixture = Fixture::new(Config::default());
    let session = fixture.register().await;
    // The first of several ids counts.
    let mut request = with_session(&session);
    request
        .metadata_mut()
        .append("session_id", "x".parse().expect("plain"));
    let stream = fixture.secure().stream_config_events(request).await;
    let mut stream = stream.expect("open").into_inner();
    let first = stream.message().await.expect("no error").expect("an event");
    let Some(Event::Snapshot(snapshot)) = first.event else {
        panic!("not a snapshot");
    };
    assert_eq!(snapshot.origin, "datadog.yaml");
    let sources: HashMap<_, _> = snapshot
        .settings
        .iter()
        .map(|setting| (setting.key.as_str(), setting.source.as_str()))
        .collect();
    assert_eq!(sources["tags"], "cli");
    assert_eq!(sources["log_level"], "default");

    let by = Place::Other {
        name: "a test".to_owned(),
    };
    let layer = Layer::AgentRuntime;
    (fixture.parts.live)
        .set("log_level", layer, "debug", by, Cause::Api)
        .expect("a right value");
    let next = stream.message().await.expect("no error").expect("an event");
    let Some(Event::Update(update)) = next.event else {
        panic!("not an update");
    };
    assert_eq!(update.sequence_id, snapshot.sequence_id + 1);
    assert_eq!(update.setting.expect("a setting").source, "agent-runtime");

    fixture
        .stop
        .send(Some(Instant::now()))
        .expect("somebody listens");
    assert!(matches!(stream.message().await, Ok(None)));
}

#[tokio::test]
async fn a_session_that_runs_out_takes_its_stream_along() {
    let fixture = Fixture::new(Config {
        idle_timeout: Duration::from_millis(100),
        ..Config::default()
    });
    let session = fixture.register().await;
    let mut stream = fixture.open(&session).await.expect("open");
    assert!(matches!(stream.message().await, Ok(Some(_))));
    assert_eq!(
        refused(stream.message().await),
        (
            Code::PermissionDenied,
            format!(
                "session_id '{session}' not found: remote agent must register with RAR before subscribing to config stream"
            )
        )
    );
    assert_eq!(fixture.parts.streams.subscribers(), 0);
}

#[tokio::test]
async fn tools_find_health_and_reflection() {
    let fixture = Fixture::new(Config::default());
    let mut health = tonic_health::pb::health_client::HealthClient::new(fixture.channel.clone());
    for service in ["", "datadog.api.v1.AgentSecure"] {
        let request = tonic_health::pb::HealthCheckRequest {
            service: service.to_owned(),
        };
        let answer = health.check(request).await.expect("answered").into_inner();
        assert_eq!(answer.status, 1, "serving");
    }
    use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
    use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
    use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
    let request = tonic_reflection::pb::v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(fixture.channel.clone());
    let requests = tokio_stream::once(request);
    let answers = client.server_reflection_info(requests).await;
    let answer = answers.expect("open").get_mut().message().await;
    let answer = answer.expect("no error").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("not a list");
    };
    let names: Vec<_> = list.service.iter().map(|service| &*service.name).collect();
    assert!(names.contains(&"datadog.api.v1.AgentSecure"));
    assert!(names.contains(&"datadog.remoteagent.v1.RemoteAgent"));
}
