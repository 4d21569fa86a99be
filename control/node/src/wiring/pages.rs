//! Routes that show the running process: status, health, diagnosis, flare.

use std::sync::Arc;

use greyhound_server::config::Config;
use greyhound_server::flare::remote_agents::RemoteAgents as AgentFiles;
use greyhound_server::flare::routes::FlareRoutes;
use greyhound_server::health::HealthPage;
use greyhound_server::register::{FlareSource, Problem, RouteGroup, Severity, StatusSection};
use greyhound_server::registry::AgentRegistry;
use greyhound_server::rest::v1::V1Routes;
use greyhound_server::server::Server;
use greyhound_server::status::Page;
use greyhound_server::status::remote_agents::RemoteAgents;

use super::conntrack::ConntrackStatus;
use super::flare::{self, Material, RunningMaterial};
use super::server::Served;
use super::status::{self, ControlView, Observed};
use crate::diagnose::{self, Subject};
use crate::places::Places;

/// All of them.
pub(super) fn groups(
    served: &Served,
    config: &Config,
    agents: &Arc<AgentRegistry>,
) -> Vec<Arc<dyn RouteGroup>> {
    let observed = &served.observed;
    let mut sections = status::sections(observed);
    sections.push(Arc::new(RemoteAgents(Arc::clone(agents))) as Arc<dyn StatusSection>);
    sections.push(Arc::new(ConntrackStatus(Arc::clone(&served.conntrack))));
    let numbers = V1Routes::new(sections.clone());
    let page = Page::new(sections);
    let health = HealthPage::new(status::checks(observed));
    let places = Places {
        token: config.files.token.clone(),
        certificate: config.files.certificate.clone(),
        socket: config.socket.clone(),
    };
    let doctor = diagnose::doctor(Subject {
        settings: {
            let live = served.live.clone();
            Box::new(move || live.settings())
        },
        places: places.clone(),
        engine: Arc::clone(&served.engine),
    });
    let material = Material {
        live: served.live.clone(),
        places,
        hostname: served.hostname.clone(),
        doctor: doctor.clone(),
        running: Some(RunningMaterial {
            page: page.clone(),
            health: health.clone(),
            registry: Arc::clone(&served.registry),
            recent: served.recent.clone(),
        }),
    };
    let agent_files: Arc<dyn FlareSource> = Arc::new(AgentFiles(Arc::clone(agents)));
    let maker = Arc::new(flare::maker(material, vec![agent_files]));
    vec![
        Arc::new(page),
        Arc::new(numbers),
        Arc::new(health),
        Arc::new(doctor),
        Arc::new(FlareRoutes(maker)),
    ]
}

/// Lets the status page see how the control port came out.
pub(super) fn show_control(observed: &Observed, server: Option<&Server>, refused: Option<String>) {
    let problems: Box<dyn Fn() -> Vec<Problem> + Send + Sync> = match server {
        Some(server) => server.reporter(),
        None => {
            let problems: Vec<Problem> = refused
                .into_iter()
                .map(|why| Problem {
                    severity: Severity::Critical,
                    what: format!("there is no control port: {why}"),
                    cure: "greyhound diagnose".to_owned(),
                })
                .collect();
            Box::new(move || problems.clone())
        }
    };
    let view = ControlView {
        address: server
            .and_then(Server::local_addr)
            .map(|address| address.to_string()),
        socket: server
            .and_then(Server::socket)
            .map(|path| path.display().to_string()),
        problems,
    };
    // Set once: there is one server in the life of a process.
    observed.control.set(view).ok();
}
