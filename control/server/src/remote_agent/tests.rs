//! One Greyhound as core agent, another as its remote agent, with pipes between them.

use std::io;

use greyhound_config::layer::Layer;
use greyhound_config::live::change::Cause;
use greyhound_config::place::Place;
use tonic::service::Routes;

use super::providers::{Answers, Providers};
use super::*;
use crate::grpc::tests::{Fixture, live, pipe};
use crate::registry::Config;
use crate::registry::channel::{Address, Connecting, Connector, Io};

const WAIT: Duration = Duration::from_secs(20);

/// Everybody is behind this pipe, once somebody is.
#[derive(Default)]
struct Pipe(Mutex<Option<Routes>>);

impl Pipe {
    fn lead_to(&self, routes: Routes) {
        *self.0.lock().expect("no panic") = Some(routes);
    }
}

impl Connector for Pipe {
    fn connect(&self, _: Address) -> Connecting {
        let routes = self.0.lock().expect("no panic").clone();
        Box::pin(async move {
            let routes = routes.ok_or(io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(pipe(routes)) as Box<dyn Io>)
        })
    }

    fn token(&self) -> Option<String> {
        Some("a token".to_owned())
    }
}

struct Known;

impl Answers for Known {
    fn status(&self) -> Vec<(String, Value)> {
        vec![
            ("main".to_owned(), json!({"version": "1", "lanes": [1, 2]})),
            ("sinks".to_owned(), json!({"sent": 3, "error": null})),
        ]
    }

    fn flare(&self) -> Vec<(String, Vec<u8>)> {
        vec![("a/b.txt".to_owned(), b"x".to_vec())]
    }

    fn telemetry(&self) -> String {
        "# TYPE y counter\ny 1\n".to_owned()
    }
}

async fn wait_for(what: &str, mut is_there: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT;
    while !is_there() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_the_core_agent_and_answers_go_to_it() {
    let to_us = Arc::new(Pipe::default());
    let core = Fixture::with_connector(Config::default(), Arc::clone(&to_us) as _);
    let to_core = Arc::new(Pipe::default());
    let ours = live();
    let address = Address::parse("localhost:5001").expect("an address");
    let client = CoreAgent::new(address, Arc::clone(&to_core) as _);
    let agent = Arc::new(RemoteAgent::new(client, ours.clone()));
    let providers = Providers::new(Arc::clone(&agent), Arc::new(Known));
    to_us.lead_to(providers.add_to(Routes::default()));
    let (stop, stopping) = watch::channel(None);
    let (_bound, at) = watch::channel(Some(([127, 0, 0, 1], 1).into()));
    let running = tokio::spawn(Arc::clone(&agent).run(at, stopping));

    // The core agent comes later than we do.
    wait_for("a failed try", || agent.state().last_error.is_some()).await;
    assert_eq!(agent.problems().len(), 1);
    let by = || Place::Other {
        name: "a test".to_owned(),
    };
    let set = |text| {
        core.parts
            .live
            .set("log_level", Layer::AgentRuntime, text, by(), Cause::Api)
            .expect("a right value");
    };
    set("debug");
    to_core.lead_to(core.routes.clone());
    let level = || {
        let store = ours.store();
        let held = store.get("log_level").expect("a known key");
        (held.layer, held.value.text())
    };
    wait_for("the snapshot", || {
        level() == (Layer::RemoteConfig, "debug".to_owned())
    })
    .await;
    set("warn");
    wait_for("an update", || {
        level() == (Layer::RemoteConfig, "warn".to_owned())
    })
    .await;
    core.parts
        .live
        .unset("log_level", Layer::AgentRuntime, Cause::Api)
        .expect("a known key");
    wait_for("an unset layer", || {
        level() == (Layer::Default, "info".to_owned())
    })
    .await;

    let registry = &core.parts.registry;
    let replies = registry.statuses().await;
    assert_eq!(replies.len(), 1);
    assert_eq!(replies[0].agent.label(), "greyhound");
    let details = replies[0].answer.as_ref().expect("an answer");
    let main = details.main_section.as_ref().expect("a section");
    assert_eq!(main.fields["lanes.1"], "2");
    assert_eq!(details.named_sections["sinks"].fields.len(), 1);
    let flares = registry.flares().await;
    let files = &flares[0].answer.as_ref().expect("an answer").files;
    assert_eq!(files["a_b.txt"], b"x");
    assert_eq!(
        registry.exposition().await,
        "# TYPE y counter\ny{remote_agent=\"greyhound\"} 1\n"
    );
    assert!(agent.problems().is_empty());

    // Forgotten by the core agent, we come back by ourselves, under a new session.
    let before = agent.session().expect("registered");
    let far_ahead = Instant::now() + Duration::from_secs(3600);
    assert_eq!(registry.sweep(far_ahead).len(), 1);
    core.parts.streams.wake_all();
    wait_for("a new session", || {
        agent.session().is_some_and(|session| session != before)
    })
    .await;
    assert_eq!(agent.json(false)["registrations"], 2);

    stop.send(Some(Instant::now())).expect("somebody listens");
    running.await.expect("no panic");
    assert_eq!(agent.session(), None);
}
