//! Settings that change while the daemon runs: by signal, by editing the file, by command; under load, with
//! bad files, and with a kill in the middle.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::wait;
use serde_json::{Value, json};

use crate::send;

const DEADLINE: Duration = Duration::from_secs(30);

/// One request over the control socket, where our own user needs no token. Status and body.
fn ask(daemon: &Daemon, method: &str, path: &str, body: &str) -> (u16, String) {
    let json = path.contains("/v1/");
    let content_type = match json {
        true => "application/json",
        false => "application/x-www-form-urlencoded",
    };
    let mut stream = UnixStream::connect(&daemon.ready().control_socket).expect("a connection");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {content_type}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    (status.expect("a status"), body.to_owned())
}

fn ask_json(daemon: &Daemon, method: &str, path: &str, body: &str) -> Value {
    let (status, body) = ask(daemon, method, path, body);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
}

fn settings(daemon: &Daemon) -> Value {
    let text = std::fs::read_to_string(daemon.path("greyhound.yaml")).expect("a settings file");
    serde_json::from_str(&text).expect("JSON")
}

/// Replaces the file as editors do: whole.
fn write_settings(daemon: &Daemon, text: &str) {
    let fresh = daemon.path("fresh.yaml");
    std::fs::write(&fresh, text).expect("written");
    std::fs::rename(&fresh, daemon.path("greyhound.yaml")).expect("renamed");
}

fn change_settings(daemon: &Daemon, changes: &[(&str, Value)]) {
    let mut all = settings(daemon);
    for (key, value) in changes {
        all[*key] = value.clone();
    }
    write_settings(daemon, &all.to_string());
}

/// Waits until the daemon shows this value for a key.
fn wait_value(daemon: &Daemon, key: &str, expected: &Value) {
    let path = format!("/agent/config/{key}");
    wait::until(key, || {
        (ask_json(daemon, "GET", &path, "")["value"] == *expected).then_some(())
    });
}

#[test]
fn a_signal_applies_the_file_and_says_what_needs_a_restart() {
    let daemon = Setup::new().with("statsd_metric_namespace", "one").start();
    send::udp(daemon.udp(), "hits:1|c");
    daemon.wait_processed(1);
    let more = daemon.path("more.socket");
    change_settings(
        &daemon,
        &[
            ("statsd_metric_namespace", json!("two")),
            ("dogstatsd_socket", json!(more)),
            ("dogstatsd_queue_size", json!(77)),
        ],
    );
    daemon.signal("HUP");
    daemon.wait_log("settings reloaded");
    let line = daemon.wait_log("needs a restart");
    assert!(line.contains("dogstatsd_queue_size"), "{line}");
    send::udp(daemon.udp(), "hits:2|c");
    let client = UnixDatagram::unbound().expect("a socket");
    client
        .send_to(b"hits:4|c", &more)
        .expect("the new socket is there");
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("one.hits"), 1.0);
    assert_eq!(stopped.records.total("two.hits"), 6.0);
}

#[test]
fn an_edited_file_is_taken_without_a_signal() {
    let daemon = Setup::new().with("statsd_metric_namespace", "one").start();
    change_settings(&daemon, &[("statsd_metric_namespace", json!("two"))]);
    let line = daemon.wait_log("settings reloaded");
    assert!(line.contains("file changed"), "{line}");
    send::udp(daemon.udp(), "hits:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("two.hits"), 1.0);
}

#[test]
fn a_bad_file_changes_nothing_and_is_reported_with_its_place() {
    let daemon = Setup::new()
        .with("statsd_metric_namespace", "one")
        .with("greyhound.config.watch", false)
        .start();
    let good = settings(&daemon).to_string();
    let bad = [
        "statsd_metric_namespace: two\ndogstatsd_port: many\n".to_owned(),
        "statsd_metric_namespace: two\n\tx: [\n".to_owned(),
        "\u{0}\u{1}\u{2}".to_owned(),
        format!("a: {}\n", "[".repeat(100_000)),
        format!("x: {}\n", "y".repeat(2 << 20)),
        "a: &a [1, 2]\nb: &b [*a, *a]\nc: [*b, *b]\nlog_level: loud\n".to_owned(),
    ];
    for (count, text) in bad.iter().enumerate() {
        write_settings(&daemon, text);
        let (status, body) = ask(&daemon, "POST", "/agent/v1/config/reload", "");
        assert_eq!(status, 400, "{count}: {body}");
        assert!(body.contains("greyhound.yaml"), "{body}");
    }
    std::fs::remove_file(daemon.path("greyhound.yaml")).expect("it was there");
    assert_eq!(ask(&daemon, "POST", "/agent/v1/config/reload", "").0, 400);
    write_settings(&daemon, &bad[0]);
    daemon.signal("HUP");
    let line = daemon.wait_log("settings stay as they are");
    assert!(
        line.contains("greyhound.yaml:2:17") && line.contains("dogstatsd_port"),
        "{line}"
    );
    let generations = ask_json(&daemon, "GET", "/agent/v1/config/generations", "");
    assert_eq!(generations["generation"], 1);
    assert!(generations["reloads"]["refused"].as_u64() >= Some(7));
    write_settings(&daemon, &good);
    send::udp(daemon.udp(), "hits:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("one.hits"), 1.0);
}

#[test]
fn a_setting_is_changed_and_taken_back_by_command() {
    let daemon = Setup::new().start();
    let (status, body) = ask(
        &daemon,
        "POST",
        "/agent/config/statsd_metric_namespace",
        "value=now",
    );
    assert_eq!((status, body.as_str()), (200, ""));
    send::udp(daemon.udp(), "hits:1|c");
    daemon.wait_processed(1);
    let (status, _) = ask(
        &daemon,
        "DELETE",
        "/agent/config/statsd_metric_namespace",
        "",
    );
    assert_eq!(status, 200);
    send::udp(daemon.udp(), "hits:2|c");
    daemon.wait_processed(2);
    let (status, body) = ask(
        &daemon,
        "POST",
        "/agent/config/dogstatsd_port",
        "value=nowhere",
    );
    assert_eq!(status, 500, "{body}");
    let (status, body) = ask(&daemon, "POST", "/agent/config/no_such", "value=1");
    assert_eq!(status, 400, "{body}");
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("now.hits"), 1.0);
    assert_eq!(stopped.records.total("hits"), 2.0);
}

#[test]
fn a_hundred_reloads_under_load_lose_nothing() {
    const RELOADS: usize = 120;
    let daemon = Setup::new()
        .uds()
        .with("greyhound.lanes", 2)
        .with("greyhound.config.watch", false)
        .start();
    let packet = "hits:1|c|#env:prod,service:web\n".repeat(40);
    let per_packet = 40_u64;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (sent, reloads) = thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let client = UnixDatagram::unbound().expect("a socket");
            client.connect(daemon.uds()).expect("connected");
            client.set_write_timeout(Some(DEADLINE)).expect("a timeout");
            let mut sent = 0;
            // A datagram that does not fit blocks, so the kernel drops none.
            while !done.load(Ordering::Relaxed) {
                client.send(packet.as_bytes()).expect("sent");
                sent += per_packet;
            }
            sent
        });
        let mut applied = 0;
        for number in 0..RELOADS {
            let mut more = Vec::new();
            if number % 3 == 0 {
                more.push(json!("127.0.0.2:0"));
            }
            change_settings(
                &daemon,
                &[
                    (
                        "dogstatsd_tags",
                        json!([format!("generation:{}", number % 5)]),
                    ),
                    (
                        "histogram_percentiles",
                        json!(["0.5", format!("0.{}", 6 + number % 3)]),
                    ),
                ],
            );
            let mut all = settings(&daemon);
            all["greyhound"]["udp"] = json!({ "listeners": more });
            write_settings(&daemon, &all.to_string());
            let change = ask_json(&daemon, "POST", "/agent/v1/config/reload", "");
            let keys = change["keys"].as_array().expect("a list");
            assert!(
                keys.iter().all(|key| key["outcome"] == "applied"),
                "{number}: {change}"
            );
            applied += usize::from(!keys.is_empty());
        }
        done.store(true, Ordering::Relaxed);
        (sender.join().expect("the sender ends"), applied)
    });
    let rate = sent as f64 / start.elapsed().as_secs_f64();
    daemon.wait_processed(sent);
    let stopped = daemon.stop();
    assert_eq!(reloads, RELOADS);
    assert_eq!(stopped.ledger.received, sent);
    assert_eq!(stopped.ledger.aggregated, sent);
    assert_eq!(stopped.records.total("hits"), sent as f64);
    eprintln!("{RELOADS} reloads beside {rate:.0} messages a second, {sent} in all, none lost");
}

#[test]
fn a_kill_during_reloads_leaves_nothing_in_the_way() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))
        .expect("a mode");
    let socket = folder.path().join("dsd.socket");
    let setup = || {
        Setup::new()
            .with("dogstatsd_socket", socket.to_string_lossy())
            .with("greyhound.config.watch", false)
    };
    for round in 0..3_u64 {
        let daemon = setup().start();
        thread::scope(|scope| {
            let reloader = scope.spawn(|| {
                for number in 0..1_000 {
                    let tag = json!([format!("n:{number}")]);
                    change_settings(&daemon, &[("dogstatsd_tags", tag)]);
                    let Ok(mut stream) = UnixStream::connect(&daemon.ready().control_socket) else {
                        return number;
                    };
                    let request = "POST /agent/v1/config/reload HTTP/1.1\r\nHost: x\r\n\
                                   Connection: close\r\nContent-Length: 0\r\n\r\n";
                    let mut answer = String::new();
                    let answered = stream
                        .write_all(request.as_bytes())
                        .and_then(|()| stream.read_to_string(&mut answer));
                    if answered.is_err() || answer.is_empty() {
                        return number;
                    }
                }
                1_000
            });
            wait::until("some reloads", || {
                let log = daemon.log();
                (log.matches("settings changed by command").count() as u64 > 3 + 4 * round)
                    .then_some(())
            });
            daemon.signal("KILL");
            assert!(reloader.join().expect("the reloader ends") < 1_000);
        });
        let text = std::fs::read_to_string(daemon.path("greyhound.yaml")).expect("a file");
        serde_json::from_str::<Value>(&text).expect("the settings file is whole");
    }
    let daemon = setup().start();
    let client = UnixDatagram::unbound().expect("a socket");
    client.send_to(b"hits:1|c", &socket).expect("sent");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("hits"), 1.0);
}

/// Every place a secret can be put, and every page and line one could leave by.
#[test]
fn canary_secrets_are_in_no_output() {
    let setup = Setup::new();
    let program = setup.path("backend");
    write_program(
        &program,
        r#"printf '%s' '{"a":{"value":"canary-resolved"},"b":{"value":"canary-more"}}'"#,
    );
    let daemon = setup
        .with("log_level", "trace")
        .with("secret_backend_command", program.to_string_lossy())
        .with("api_key", "ENC[a]")
        .with("dd_url", "http://127.0.0.1:1")
        .with(
            "additional_endpoints",
            json!({ "https://x.example": ["canary-endpoint", "ENC[b]"] }),
        )
        .start();
    let mut seen = String::new();
    let look = |seen: &mut String| {
        for path in [
            "/agent/config",
            "/agent/config/by-source",
            "/agent/config/without-defaults",
            "/agent/config/api_key?sources=true",
            "/agent/config/additional_endpoints?sources=true",
            "/agent/v1/config/settings",
            "/agent/v1/config/diff",
            "/agent/v1/config/generations",
            "/agent/secrets",
            "/agent/secret/refresh",
        ] {
            let (status, body) = ask(&daemon, "GET", path, "");
            assert_eq!(status, 200, "{path}: {body}");
            writeln!(seen, "{path}\n{body}").expect("memory takes everything");
        }
    };
    look(&mut seen);
    assert!(seen.contains("********"));
    let value = "value=canary-by-command";
    let (_, body) = ask(&daemon, "POST", "/agent/config/api_key", value);
    seen.push_str(&body);
    change_settings(&daemon, &[("api_key", json!("canary-in-file"))]);
    let body = ask(&daemon, "POST", "/agent/v1/config/reload", "").1;
    seen.push_str(&body);
    look(&mut seen);
    // Wrong values in the places of secrets: what is wrong is said, not what it is.
    change_settings(
        &daemon,
        &[
            ("api_key", json!(["canary-list"])),
            ("additional_endpoints", json!("canary-text")),
        ],
    );
    let (status, body) = ask(&daemon, "POST", "/agent/v1/config/reload", "");
    assert_eq!(status, 400);
    seen.push_str(&body);
    daemon.signal("HUP");
    daemon.wait_log("settings stay as they are");
    seen.push_str(&daemon.stdout());
    seen.push_str(&daemon.stop().log);
    for line in seen.lines() {
        assert!(!line.contains("canary"), "{line}");
    }
}

fn write_program(path: &Path, script: &str) {
    let fresh = path.with_extension("fresh");
    std::fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).expect("written");
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o700)).expect("a mode");
    std::fs::rename(&fresh, path).expect("renamed");
}

#[test]
fn a_rollback_brings_the_last_good_file_back() {
    let daemon = Setup::new()
        .with("statsd_metric_namespace", "good")
        .with("greyhound.config.watch", false)
        .start();
    change_settings(&daemon, &[("statsd_metric_namespace", json!("worse"))]);
    ask_json(&daemon, "POST", "/agent/v1/config/reload", "");
    wait_value(&daemon, "statsd_metric_namespace", &json!("worse"));
    let change = ask_json(&daemon, "POST", "/agent/v1/config/rollback", "");
    assert_eq!(change["keys"][0]["outcome"], "applied");
    send::udp(daemon.udp(), "hits:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("good.hits"), 1.0);
}
