//! The status page, health and diagnosis of a running daemon, asked by the command line over the control port.

use greyhound_tests::command::Finished;
use greyhound_tests::daemon::{Daemon, Setup, greyhound};
use serde_json::Value;

use crate::send;

/// Asks this daemon with our own command line.
pub(crate) fn ask(daemon: &Daemon, arguments: &[&str]) -> Finished {
    let token = daemon.path("auth_token");
    let token = token.to_str().expect("a path of ours is text");
    let way = ["--address", &daemon.ready().control, "--token-file", token];
    greyhound(&[arguments, &way].concat(), "")
}

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let answer = ask(daemon, &[arguments, &["--json"]].concat());
    serde_json::from_str(&answer.stdout).expect("JSON")
}

#[test]
fn the_page_has_exact_numbers_and_names_every_trouble_with_its_cure() {
    let daemon = Setup::new()
        .with("greyhound.limits.contexts", 5)
        .with("dogstatsd_buffer_size", 512)
        .with("dogstatsd_prt", 9)
        .with("greyhound.lanes", 1)
        .start();
    let socket = send::udp_socket(daemon.udp());
    for id in 0..20 {
        let message = format!("exploding:1|c|#id:{id}");
        socket.send(message.as_bytes()).expect("sent");
    }
    socket.send(b"bad:one|c").expect("sent");
    socket.send(&[b'x'; 600]).expect("sent");
    daemon.wait_processed(21);
    let page = json(&daemon, &["status"]);
    assert_eq!(page["ledger"]["received"], 21);
    assert_eq!(page["ledger"]["aggregated"], 5);
    assert_eq!(page["ledger"]["rejected"]["metric_value"], 1);
    assert_eq!(page["ledger"]["dropped"]["context_limit"], 15);
    assert_eq!(page["ledger"]["remainder"], 0);
    assert_eq!(page["dogstatsd"]["Metric Parse Errors"], 1);
    assert_eq!(page["header"]["pid"], daemon.pid());
    let problems = page["problems"].as_array().expect("problems");
    for (what, cure) in [
        ("15 samples of new contexts", "greyhound.limits.contexts"),
        ("longer than 512 bytes", "dogstatsd_buffer_size"),
        ("1 messages refused", "greyhound explain"),
        ("`dogstatsd_prt` is not a setting", "`dogstatsd_port`"),
    ] {
        let found = problems.iter().find(|problem| {
            problem["what"]
                .as_str()
                .is_some_and(|text| text.contains(what))
        });
        let found = found.unwrap_or_else(|| panic!("{what} in {problems:?}"));
        assert!(found["cure"].to_string().contains(cure), "{found}");
    }
    let text = ask(&daemon, &["status"]).stdout;
    let (problems, ledger) = (text.find("\nProblems\n"), text.find("\nLedger\n"));
    assert!(problems.is_some() && problems < ledger, "{text}");
    assert!(!text.contains('\x1b'), "colours are for terminals");
    let one = ask(&daemon, &["status", "nothing"]);
    assert!(
        one.stderr.contains("unknown status section 'nothing'"),
        "{}",
        one.stderr
    );
    daemon.stop();
}

#[test]
fn health_diagnosis_and_host_name_answer() {
    let daemon = Setup::new().with("hostname", "box-7").start();
    let health = json(&daemon, &["health"]);
    assert_eq!(health["Unhealthy"], Value::Null);
    assert_eq!(ask(&daemon, &["health"]).code(), 0);
    assert_eq!(ask(&daemon, &["hostname"]).stdout, "box-7\n");
    let diagnosis = json(&daemon, &["diagnose"]);
    assert!(diagnosis["runs"][0]["suite_name"].is_string());
    assert_eq!(diagnosis["summary"]["fail"], 0, "{diagnosis:#}");
    daemon.stop();
}

#[test]
fn without_a_daemon_the_error_names_all_that_was_tried() {
    let way = [
        "--address",
        "127.0.0.1:9",
        "--token-file",
        "/nonexistent/auth_token",
    ];
    for command in ["status", "health", "stop", "remote-agents"] {
        let answer = greyhound(&[&[command], &way[..]].concat(), "");
        assert_eq!(answer.code(), 1, "{command}");
        for part in [
            "127.0.0.1:9",
            "/nonexistent/auth_token",
            "ipc_cert.pem",
            "greyhound run",
        ] {
            assert!(answer.stderr.contains(part), "{command}: {}", answer.stderr);
        }
    }
    let local = greyhound(&[&["diagnose", "--json"], &way[..]].concat(), "");
    assert!(local.stdout.contains("suite_name"), "{}", local.stderr);
}
