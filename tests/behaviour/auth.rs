//! Who may ask the control port, on every route there is, in the words of the Agent.

use greyhound_tests::control::{self, curl, over_socket, with_token};
use greyhound_tests::daemon::{Daemon, Setup};
use serde_json::Value;

fn daemon() -> Daemon {
    Setup::new()
        .with("greyhound.control.failures_per_second", 1000)
        .with("greyhound.control.debug", true)
        .start()
}

/// Methods and paths of all routes, with something in the place of each variable part.
fn routes(daemon: &Daemon) -> Vec<(String, String)> {
    let document = with_token(daemon, "/agent/openapi.json", &[]).expect("an answer");
    assert_eq!(document.status, 200);
    let document: Value = serde_json::from_str(&document.body).expect("JSON");
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        let path: Vec<&str> = path
            .split('/')
            .map(|part| if part.starts_with('{') { "x" } else { part })
            .collect();
        for method in methods.as_object().expect("methods").keys() {
            routes.push((method.to_ascii_uppercase(), path.join("/")));
        }
    }
    routes
}

#[test]
fn no_route_answers_without_the_token() {
    if !control::has_curl() {
        return;
    }
    let daemon = daemon();
    let mut routes = routes(&daemon);
    assert!(routes.len() >= 12, "{routes:?}");
    // Not there, in another spelling, or with another method: nobody learns which.
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/agent/none"),
        ("GET", "/agent//version"),
        ("DELETE", "/agent/version"),
    ] {
        routes.push((method.to_owned(), path.to_owned()));
    }
    for (method, path) in &routes {
        let ask = |arguments: &[&str]| {
            curl(&daemon, path, &[&["-X", method], arguments].concat()).expect("an answer")
        };
        let without = ask(&[]);
        assert_eq!(without.status, 401, "{method} {path}");
        assert_eq!(without.body, "no session token provided\n");
        let challenge = "www-authenticate: bearer realm=\"datadog agent\"";
        assert!(without.head.contains(challenge), "{}", without.head);
        let wrong = ask(&[
            "-H",
            "Authorization: Bearer 0000000000000000000000000000000000000000",
        ]);
        assert_eq!(wrong.status, 403, "{method} {path}");
        assert_eq!(wrong.body, "invalid session token\n");
    }
    daemon.stop();
}

#[test]
fn the_token_is_read_as_the_agent_reads_it() {
    if !control::has_curl() {
        return;
    }
    let daemon = daemon();
    let token = control::token(&daemon);
    assert_eq!(token.len(), 64);
    for (value, status, body) in [
        (format!("Bearer {token}"), 200, ""),
        (format!("Bearer {token} anything"), 200, ""),
        (format!("Bearer  {token}"), 403, "invalid session token\n"),
        ("Bearer".to_owned(), 403, "invalid session token\n"),
        (
            format!("bearer {token}"),
            401,
            "unsupported authorization scheme: bearer\n",
        ),
        (
            "Basic x".to_owned(),
            401,
            "unsupported authorization scheme: Basic\n",
        ),
    ] {
        for version in ["--http1.1", "--http2"] {
            let header = format!("Authorization: {value}");
            let asked = curl(&daemon, "/agent/version", &["-H", &header, version]);
            let asked = asked.expect("an answer");
            assert_eq!(asked.status, status, "{value}");
            if status != 200 {
                assert_eq!(asked.body, body);
                assert!(asked.head.contains("x-content-type-options: nosniff"));
            }
        }
    }
    daemon.stop();
}

#[test]
fn behind_the_token_paths_are_taken_as_the_agents_router_takes_them() {
    if !control::has_curl() {
        return;
    }
    let daemon = daemon();
    for (method, path, status, body) in [
        ("GET", "/agent/none", 404, "404 page not found\n"),
        ("GET", "/agent/version/", 404, "404 page not found\n"),
        ("GET", "/agent/config/a%2Fb", 404, "404 page not found\n"),
        ("DELETE", "/agent/version", 405, ""),
        (
            "GET",
            "/agent",
            301,
            "<a href=\"/agent/\">Moved Permanently</a>.\n\n",
        ),
        (
            "GET",
            "/agent/./version",
            301,
            "<a href=\"/agent/version\">Moved Permanently</a>.\n\n",
        ),
    ] {
        let asked = with_token(&daemon, path, &["-X", method]).expect("an answer");
        assert_eq!(
            (asked.status, asked.body.as_str()),
            (status, body),
            "{path}"
        );
        assert!(!asked.head.contains("\r\nallow:"), "{}", asked.head);
    }
    daemon.stop();
}

#[test]
fn over_the_socket_the_kernel_says_who_asks() {
    if !control::has_curl() {
        return;
    }
    let daemon = daemon();
    let asked = over_socket(&daemon, "/agent/hostname").expect("an answer");
    assert_eq!((asked.status, asked.body.as_str()), (200, "\"test-host\""));
    daemon.stop();
}
