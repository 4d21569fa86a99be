//! The config stream with as many subscribers as a large host has agents, some of which stand still: everybody
//! ends with the exact settings, and little memory is taken.

use std::process::Command;

use greyhound_tests::daemon::{Setup, clean};
use greyhound_tests::{command, python, source, tools};
use serde_json::Value;

const SUBSCRIBERS: &str = "200";
const STALLED: &str = "10";
const UPDATES: &str = "10000";
/// Memory one subscriber may take at the worst moment, in kilobytes; a third of what the Agent's takes.
const MEMORY_KB_MAX: f64 = 32.0;

#[test]
fn two_hundred_subscribers_ten_of_them_stalled_end_exact_after_ten_thousand_updates() {
    let Some(client) = python::grpc() else {
        return;
    };
    let daemon = Setup::new().with("log_level", "error").start();
    let mut script = clean(Command::new(&client.python));
    script
        .arg(source::root().join("tests/clients/config_stream_load.py"))
        .arg(&client.stubs)
        .args([&daemon.ready().control, &daemon.ready().control_socket])
        .args([daemon.path("auth_token"), daemon.path("ipc_cert.pem")])
        .arg(daemon.pid().to_string())
        .args([SUBSCRIBERS, STALLED, UPDATES]);
    let done = command::finish(&mut script, tools::INSTALL).expect("the client ends");
    let log = daemon.log();
    assert_eq!(done.code(), 0, "{}{}\n{log}", done.stdout, done.stderr);
    let figures: Value = serde_json::from_str(&done.stdout).expect("one JSON object");
    eprintln!("config stream: {figures}");
    let memory_kb = figures["peak_kb_each"].as_f64().expect("a figure");
    assert!(memory_kb < MEMORY_KB_MAX, "{figures}");
    daemon.stop();
}
