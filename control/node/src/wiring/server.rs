//! Settings and running parts to the control server.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use anyhow::Context;
use greyhound_config::live::Live;
use greyhound_config::settings::control::{self as setting, Control};
use greyhound_config::value::Port;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_server::config::{Config, Files, Limits, MutualTls};
use greyhound_server::listen;
use greyhound_server::register::{Commands, RouteGroup, Version};
use greyhound_server::rest::probes::Ready;
use greyhound_server::rest::secrets::SecretRoutes;
use greyhound_server::rest::settings::SettingsRoutes;
use greyhound_server::server::{Parts, Server};
use greyhound_telemetry::Registry;
use tracing::{error, info};

use super::conntrack::{ConntrackRoutes, Shown};
use crate::logging::recent::Recent;
use crate::places::Places;
use crate::wiring::grpc::Grpc;
use crate::wiring::pages;
use crate::wiring::status::Observed;

/// What the control server is made of.
pub struct Served {
    /// The running settings.
    pub live: Live,
    /// Host name of everything flushed.
    pub hostname: String,
    /// All counters.
    pub registry: Arc<Registry>,
    /// The engine, once it runs.
    pub engine: Arc<OnceLock<Handle>>,
    /// The connection table's reader, once it runs.
    pub conntrack: Arc<OnceLock<Shown>>,
    /// Begins an orderly stop.
    pub stop: Arc<dyn Fn() + Send + Sync>,
    /// What the status page shows.
    pub observed: Arc<Observed>,
    /// The last lines of the log.
    pub recent: Recent,
}

/// What callers may ask of the process.
struct Process {
    hostname: String,
    stop: Arc<dyn Fn() + Send + Sync>,
}

/// Starts the control server. `None` when it is off, or when it cannot be had: the data plane runs on.
pub fn start(served: Served) -> Option<Server> {
    let settings = served.live.settings();
    let observed = Arc::clone(&served.observed);
    if !settings.control.enabled {
        info!("no control port: `greyhound.control.enabled` is false");
        pages::show_control(&observed, None, None);
        return None;
    }
    let settings_file = served.live.file().cloned();
    let started = config(&settings.control, settings_file.as_deref()).and_then(|config| {
        let parts = parts(served, &config)?;
        Ok(Server::start(&config, parts)?)
    });
    let refused = started.as_ref().err().map(|error| format!("{error:#}"));
    pages::show_control(&observed, started.as_ref().ok(), refused);
    started
        .inspect_err(|error| error!("no control port: {error:#}"))
        .ok()
}

fn parts(served: Served, config: &Config) -> anyhow::Result<Parts> {
    let hostname = served.hostname.clone();
    let stop = Arc::clone(&served.stop);
    let commands: Arc<dyn Commands> = Arc::new(Process { hostname, stop });
    let grpc = Grpc::new(
        &served.live,
        Arc::clone(&commands),
        Arc::clone(&served.registry),
        config.files.clone(),
    )?;
    let mut routes: Vec<Arc<dyn RouteGroup>> = vec![
        Arc::new(SettingsRoutes::new(served.live.clone())),
        Arc::new(SecretRoutes::new(served.live.clone())),
    ];
    routes.push(Arc::new(ConntrackRoutes(Arc::clone(&served.conntrack))));
    routes.extend(pages::groups(&served, config, &grpc.agents));
    let contexts = Arc::clone(&served.observed.contexts);
    Ok(Parts {
        live: served.live.clone(),
        ready: ready(served.engine),
        commands,
        routes,
        registry: served.registry,
        stats: Some(contexts.clone()),
        contexts: Some(contexts),
        agents: Some(Arc::clone(&grpc.agents)),
        grpc: Some(grpc.maker()),
    })
}

/// Whether the engine takes messages.
fn ready(engine: Arc<OnceLock<Handle>>) -> Ready {
    Arc::new(move || match engine.get() {
        Some(handle) if handle.is_ready() => Ok(()),
        Some(_) => Err("stopping, or a lane does not answer".to_owned()),
        None => Err("starting".to_owned()),
    })
}

/// The server's configuration.
///
/// # Errors
/// When an address is none, or is not loopback and may not be.
pub fn config(control: &Control, settings_file: Option<&Path>) -> anyhow::Result<Config> {
    let places = Places::of_daemon(control, settings_file);
    let address = |host: &str, port: Port, key: &str| {
        let address =
            listen::resolve(host, number(port)).with_context(|| format!("`{key}` {host:?}"))?;
        anyhow::ensure!(
            address.ip().is_loopback() || control.allow_remote,
            "`{key}` is {host}, which other hosts reach: set `greyhound.control.allow_remote` if that is meant"
        );
        Ok(address)
    };
    let ipc = control
        .ipc
        .as_ref()
        .map(|(host, port)| address(host, *port, "agent_ipc.host"));
    Ok(Config {
        listen: Some(address(&control.host, control.port, "cmd_host")?),
        socket: places.socket,
        ipc_listen: ipc.transpose()?,
        health_listen: control
            .health
            .map(|port| (Ipv4Addr::UNSPECIFIED, number(port)).into()),
        expvar_listen: control
            .expvar
            .map(|port| (Ipv4Addr::LOCALHOST, number(port)).into()),
        files: Files {
            token: places.token,
            certificate: places.certificate,
            own_uid: own_uid(),
        },
        mutual_tls: match control.mutual_tls {
            setting::MutualTls::Require => MutualTls::Require,
            setting::MutualTls::Request => MutualTls::Request,
            setting::MutualTls::Off => MutualTls::Off,
        },
        init_timeout: control.init_timeout,
        request_timeout: control.request_timeout,
        debug: control.debug,
        limits: Limits {
            connections_max: control.connections_max,
            failures_per_second: control.failures_per_second,
            ..Limits::default()
        },
    })
}

fn number(port: Port) -> u16 {
    match port {
        Port::Number(number) => number,
        Port::Random => 0,
    }
}

/// Our own user id, as the kernel gives it to whoever we talk to.
pub(crate) fn own_uid() -> u32 {
    let own = std::os::unix::net::UnixStream::pair()
        .and_then(|(end, _other)| greyhound_sys::peer::Credentials::of_peer(&end));
    // Nobody's id: then files have to be root's.
    own.map_or(u32::MAX, |credentials| credentials.uid)
}

// === impl Process ===

impl Commands for Process {
    fn stop(&self) {
        info!("told to stop over the control port");
        (self.stop)();
    }

    fn hostname(&self) -> String {
        self.hostname.clone()
    }

    fn version(&self) -> Version {
        let number = |text: &str| text.parse().unwrap_or(0);
        Version {
            major: number(env!("CARGO_PKG_VERSION_MAJOR")),
            minor: number(env!("CARGO_PKG_VERSION_MINOR")),
            patch: number(env!("CARGO_PKG_VERSION_PATCH")),
            pre: env!("CARGO_PKG_VERSION_PRE").to_owned(),
            ..Version::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::json;

    fn config_of(settings: serde_json::Value) -> anyhow::Result<Config> {
        let settings = settings_from_json(Some(&settings))?;
        config(&settings.control, None)
    }

    #[test]
    fn the_control_port_stays_on_loopback_unless_told_otherwise() {
        let local = config_of(json!({ "cmd_port": 0 })).expect("loopback");
        assert_eq!(local.listen, Some(([127, 0, 0, 1], 0).into()));
        let refused = config_of(json!({ "cmd_host": "0.0.0.0" })).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("greyhound.control.allow_remote"),
            "{refused}"
        );
        let allowed = json!({
            "cmd_host": "0.0.0.0",
            "greyhound": { "control": { "allow_remote": true } },
        });
        assert!(config_of(allowed).is_ok());
        assert!(config_of(json!({ "cmd_host": "no such host" })).is_err());
    }
}
