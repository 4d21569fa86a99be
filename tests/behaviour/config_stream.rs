//! Settings followed over the socket: by Python clients, by our own command, and by another Greyhound.

use std::process::Command;

use greyhound_tests::command::{self, Finished};
use greyhound_tests::daemon::{Daemon, Setup, clean};
use greyhound_tests::{binary, wait};
use serde_json::Value;

use crate::grpc::check;

/// `greyhound config-stream` against a daemon.
fn follow(daemon: &Daemon, arguments: &[&str]) -> Finished {
    let mut command = clean(Command::new(binary::path()));
    command
        .arg("config-stream")
        .arg("--config")
        .arg(daemon.path("greyhound.yaml"))
        .args(["--address", &daemon.ready().control])
        .args(arguments);
    command::finish(&mut command, wait::PATIENCE).unwrap()
}

/// The first snapshot, as JSON.
fn snapshot(daemon: &Daemon) -> Value {
    let done = follow(daemon, &["--json", "--events", "1"]);
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    serde_json::from_str(&done.stdout).unwrap()
}

fn setting<'v>(snapshot: &'v Value, key: &str) -> &'v Value {
    let settings = snapshot["settings"].as_array().unwrap();
    let found = settings.iter().find(|setting| setting["key"] == key);
    found.unwrap_or_else(|| panic!("no {key} in {snapshot}"))
}

#[test]
fn many_subscribers_end_with_the_exact_settings() {
    // Subscribers, half of which read nothing until the end; and changes.
    check(Setup::new(), "stream", &["20", "100"]);
}

#[test]
fn our_own_command_follows_and_checks() {
    let daemon = Setup::new()
        .with("api_key", "canary0123456789canary0123456789")
        .with("dd_url", "http://127.0.0.1:1")
        .start();
    let snapshot = snapshot(&daemon);
    assert_eq!(snapshot["origin"], "greyhound.yaml");
    assert_eq!(setting(&snapshot, "hostname")["source"], "file");
    assert_eq!(setting(&snapshot, "log_level")["source"], "default");
    assert!(
        !snapshot.to_string().contains("canary"),
        "credentials are masked"
    );

    let checked = follow(&daemon, &["--check", "--for", "1s", "--json"]);
    assert_eq!(checked.code(), 0, "{}", checked.stderr);
    let verdict: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert_eq!(verdict["in_order"], true);
    assert_eq!(verdict["snapshots"], 1);

    let missing = follow(&daemon, &["--token-file", "/nonexistent/token"]);
    assert_eq!(missing.code(), 1);
    assert!(
        missing.stderr.contains("/nonexistent/token"),
        "{}",
        missing.stderr
    );
    daemon.stop();
}

#[test]
fn another_greyhound_takes_its_settings_from_the_stream() {
    let core = Setup::new().with("tags", vec!["from:core"]).start();
    let shared = |name: &str| core.path(name).to_string_lossy().into_owned();
    let remote = Setup::new()
        .with("auth_token_file_path", shared("auth_token"))
        .with("ipc_cert_file_path", shared("ipc_cert.pem"))
        .with("greyhound.remote_agent.enabled", true)
        .with(
            "greyhound.remote_agent.address",
            core.ready().control.clone(),
        )
        .start();
    let tags = wait::until("the settings of the core agent", || {
        let snapshot = snapshot(&remote);
        let tags = setting(&snapshot, "tags").clone();
        (tags["source"] == "remote-config").then_some(tags)
    });
    assert_eq!(tags["value"][0], "from:core");
    // What says who it is stays its own.
    assert_eq!(setting(&snapshot(&remote), "cmd_port")["source"], "file");
    remote.stop();
    core.stop();
}
