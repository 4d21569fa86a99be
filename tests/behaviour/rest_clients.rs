//! The REST routes and the rules of their token, asked by clients that share no code with the server: one table
//! of questions and exact answers (`clients/rest.py`) through `requests`, `httpx` and `curl`, over HTTP/1.1 and
//! HTTP/2.

use std::path::PathBuf;
use std::process::Command;

use greyhound_tests::daemon::{Setup, clean};
use greyhound_tests::{command, control, python, skip, source, tools};

fn check(python: Option<PathBuf>, client: &str, setup: Setup) {
    let Some(python) = python else { return };
    let run = setup.path("run");
    let daemon = setup
        .with("run_path", run.to_string_lossy())
        .with("greyhound.control.failures_per_second", 1000)
        .start();
    let mut script = clean(Command::new(python));
    script
        .arg(source::root().join("tests/clients/rest.py"))
        .arg(client)
        .arg(&daemon.ready().control)
        .args([daemon.path("auth_token"), daemon.path("ipc_cert.pem")]);
    let done = command::finish(&mut script, tools::INSTALL).expect("the client ends");
    let log = daemon.log();
    assert_eq!(done.code(), 0, "{}{}\n{log}", done.stdout, done.stderr);
    let token = control::token(&daemon);
    assert!(!log.contains(&token), "the token is in the log");
    daemon.stop();
}

/// The interpreter of the machine, for a client that needs no packages.
fn plain_python() -> Option<PathBuf> {
    if !control::has_curl() {
        return None;
    }
    skip::or_skip(tools::find("python3").ok_or_else(|| "no python3".to_owned()))
}

#[test]
fn requests_with_the_certificate_as_the_agents_clients() {
    // This one shows the certificate of the file, so that can be demanded. The others show none.
    let setup = Setup::new().with("greyhound.control.mutual_tls", "require");
    check(python::http(), "requests", setup);
}

#[test]
fn httpx_over_http_1() {
    check(python::http(), "httpx", Setup::new());
}

#[test]
fn httpx_over_http_2() {
    check(python::http(), "httpx2", Setup::new());
}

#[test]
fn curl_over_http_1() {
    check(plain_python(), "curl", Setup::new());
}

#[test]
fn curl_over_http_2() {
    check(plain_python(), "curl2", Setup::new());
}
