//! Client and server against each other, over TLS and over the Unix socket.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Instant;

use greyhound_config::live::Live;
use greyhound_config::load::{DefaultFile, Sources, load_text};

use super::*;
use crate::config::{Config, Limits, MutualTls};
use crate::register::{Commands, RouteGroup, Version};
use crate::rest::response::Response;
use crate::rest::{Handler, Route};
use crate::server::{Parts, Server};

const PATIENCE: Duration = Duration::from_secs(20);

struct Process;

impl Commands for Process {
    fn stop(&self) {}
    fn hostname(&self) -> String {
        "here".to_owned()
    }
    fn version(&self) -> Version {
        Version::default()
    }
}

/// Routes that show what arrives, wait too long, and break.
struct Odd;

impl RouteGroup for Odd {
    fn routes(&self) -> Vec<Route> {
        let echo = Handler::now(|request| {
            let form = request.form_value("value").unwrap_or_default();
            Response::text(format!(
                "{}|{form}|{}",
                request.param("x"),
                request.body.len()
            ))
        });
        let never = Handler::waiting(|_| async {
            std::future::pending::<()>().await;
            Response::empty()
        });
        let panics = |text: &'static str| move |_| -> Response { panic!("{text}") };
        vec![
            Route::post("/agent/echo/{x}", "Gives back", echo)
                .form_body(serde_json::json!({}))
                .body_bytes_max(1000),
            Route::get("/agent/never", "Waits", never),
            Route::get("/agent/panic", "Breaks", Handler::now(panics("at once"))),
            Route::get(
                "/agent/panic2",
                "Breaks",
                Handler::blocking(panics("later")),
            ),
        ]
    }
}

fn start(folder: &Path, change: impl FnOnce(&mut Config)) -> (Server, ClientConfig) {
    let files = Files {
        token: folder.join("auth_token"),
        certificate: folder.join("ipc_cert.pem"),
        own_uid: fs::metadata(folder).expect("a folder").uid(),
    };
    let socket = folder.join("control.socket");
    let mut config = Config {
        listen: Some(([127, 0, 0, 1], 0).into()),
        socket: Some(socket.clone()),
        ipc_listen: None,
        health_listen: None,
        expvar_listen: None,
        files: files.clone(),
        mutual_tls: MutualTls::Require,
        init_timeout: PATIENCE,
        request_timeout: Duration::from_millis(300),
        debug: false,
        limits: Limits::default(),
    };
    change(&mut config);
    let none = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    let loaded = load_text("{}", Path::new("x"), &none).expect("settings");
    let parts = Parts {
        commands: Arc::new(Process),
        routes: vec![Arc::new(Odd)],
        registry: Arc::default(),
        stats: None,
        contexts: None,
        agents: None,
        grpc: None,
        live: Live::new(loaded, none),
        ready: Arc::new(|| Err("not yet".to_owned())),
    };
    let server = Server::start(&config, parts).expect("a start");
    let client = ClientConfig {
        address: server.local_addr().map(|address| address.to_string()),
        files: Some(files),
        socket: Some(socket),
    };
    (server, client)
}

fn stop(server: Server) {
    server.stop(Instant::now() + PATIENCE);
}

#[test]
fn both_ways_lead_to_the_same_routes() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, config) = start(folder.path(), |_| {});
    let over_tls = ClientConfig {
        socket: None,
        ..config.clone()
    };
    let over_socket = ClientConfig {
        address: None,
        files: None,
        ..config
    };
    for config in [over_tls, over_socket] {
        let client = Client::new(config).expect("a client");
        let hostname = client
            .get("/agent/hostname", &[], PATIENCE)
            .expect("an answer");
        assert_eq!(
            (hostname.status, hostname.text().as_str()),
            (200, "\"here\"")
        );
        let form = Content::Form(&[("value", "a&b=<ü>+ 100%")]);
        let echo = client
            .post("/agent/echo/%C3%BC", &[], form, PATIENCE)
            .expect("an answer");
        assert_eq!(echo.text(), "ü|a&b=<ü>+ 100%|38");
        let missing = client.get("/agent/no", &[], PATIENCE).expect("an answer");
        assert!(!missing.is_good());
        assert_eq!(missing.to_string(), "404: 404 page not found");
    }
    stop(server);
}

#[test]
fn a_socket_is_asked_when_the_port_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, config) = start(folder.path(), |config| config.listen = None);
    let config = ClientConfig {
        address: Some("127.0.0.1:1".to_owned()),
        ..config
    };
    let client = Client::new(config.clone()).expect("a client");
    assert_eq!(
        client
            .get("/agent/version", &[], PATIENCE)
            .expect("an answer")
            .status,
        200
    );
    stop(server);
    let error = client
        .get("/agent/version", &[], PATIENCE)
        .unwrap_err()
        .to_string();
    assert!(error.contains("running"), "{error}");
    assert!(
        !config.socket.expect("a path").exists(),
        "the socket goes with the server"
    );
}

#[test]
fn late_large_and_broken_answers_end_in_words() {
    let folder = tempfile::tempdir().expect("a folder");
    let (server, config) = start(folder.path(), |_| {});
    let client = Client::new(config).expect("a client");
    let late = client
        .get("/agent/never", &[], PATIENCE)
        .expect("an answer");
    assert_eq!((late.status, late.complaint().as_str()), (503, "timeout"));
    for path in ["/agent/panic", "/agent/panic2"] {
        let broken = client.get(path, &[], PATIENCE).expect("an answer");
        assert_eq!(
            (broken.status, broken.complaint().as_str()),
            (500, "internal error")
        );
    }
    let long = "x".repeat(1001);
    let form = Content::Form(&[("value", &long)]);
    let large = client
        .post("/agent/echo/x", &[], form, PATIENCE)
        .expect("an answer");
    assert_eq!(large.status, 413, "{large}");
    let impatient = client.get("/agent/never", &[], Duration::from_millis(1));
    assert!(impatient.is_err());
    stop(server);
}

#[test]
fn a_server_with_other_files_is_not_trusted_and_does_not_trust() {
    let (ours, theirs) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let (server, config) = start(ours.path(), |_| {});
    let (other, other_config) = start(theirs.path(), |_| {});
    let mixed = ClientConfig {
        address: config.address,
        files: other_config.files,
        socket: None,
    };
    let error = Client::new(mixed)
        .expect("a client")
        .get("/agent/version", &[], PATIENCE)
        .unwrap_err()
        .to_string();
    assert!(error.contains("TLS"), "{error}");
    stop(server);
    stop(other);
}

#[test]
fn an_unsafe_token_keeps_the_port_shut_and_the_socket_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("auth_token");
    fs::write(&token, "0".repeat(64)).expect("written");
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).expect("mode");
    let (server, config) = start(folder.path(), |_| {});
    assert_eq!(server.local_addr(), None);
    let problems = server.problems();
    assert!(problems[0].what.contains("chmod 600"), "{problems:?}");
    let client = Client::new(config).expect("a client");
    assert_eq!(
        client
            .get("/agent/version", &[], PATIENCE)
            .expect("an answer")
            .status,
        200
    );
    stop(server);
}
