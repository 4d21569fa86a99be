//! Floods of the control port end, cost little, and lock nobody out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::{command, skip, source, tools};
use serde_json::Value;

/// Memory the floods together may add, in kilobytes.
const GROWTH_KB_MAX: u64 = 32 << 10;
/// Longest answer to an operator meanwhile, on a busy machine.
const SLOWEST_SECONDS: f64 = 5.0;
const LIMIT: Duration = Duration::from_secs(240);

/// The most memory the process had so far, in kilobytes.
fn peak_kb(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.expect("the kernel tells the peak")
}

fn flood(daemon: &Daemon, python: &PathBuf, floods: &[&str]) {
    let before = peak_kb(daemon);
    let mut client = Command::new(python);
    client
        .arg(source::root().join("tests/clients/control_floods.py"))
        .arg(&daemon.ready().control)
        .arg(daemon.path("ipc_cert.pem"))
        .args(floods);
    let done = command::finish(&mut client, LIMIT).expect("the floods end");
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    let results: Vec<Value> = done
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON lines"))
        .collect();
    assert_eq!(results.len(), floods.len(), "{}", done.stdout);
    for result in &results {
        assert_eq!(result["ended"], true, "{result}");
        let answers = result["answers"].as_u64().unwrap_or_default();
        let bad = result["bad"].as_array().map_or(0, Vec::len) as u64;
        assert!(
            answers > 0 && bad * 10 <= answers,
            "an operator was locked out: {result}"
        );
        let slowest = result["slowest"].as_f64().unwrap_or(f64::MAX);
        assert!(slowest < SLOWEST_SECONDS, "{result}");
    }
    let grown = peak_kb(daemon).saturating_sub(before);
    assert!(grown < GROWTH_KB_MAX, "{grown} kB more after {floods:?}");
}

fn python() -> Option<PathBuf> {
    skip::or_skip(tools::find("python3").ok_or_else(|| "no python3".to_owned()))
}

#[test]
fn floods_of_frames_are_ended_by_the_server() {
    let Some(python) = python() else { return };
    let daemon = Setup::new().start();
    let floods = [
        "rapid_reset",
        "settings",
        "ping",
        "continuation",
        "empty_data",
        "malformed",
        "long_head",
        "slow_head",
    ];
    flood(&daemon, &python, &floods);
    daemon.stop();
}

#[test]
fn ten_thousand_idle_connections_push_out_each_other() {
    let Some(python) = python() else { return };
    let daemon = Setup::new().start();
    flood(&daemon, &python, &["idle"]);
    let evicted = [("reason", "evicted")];
    let evicted = daemon
        .telemetry()
        .sum("greyhound__control__turned_away", &evicted);
    assert!(evicted > 5_000.0, "{evicted}");
    daemon.stop();
}
