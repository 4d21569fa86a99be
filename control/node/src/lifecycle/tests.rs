//! A whole run inside the test process, without signals and without a log.

use super::*;
use crate::client::Client;
use crate::client::destination::Destination;
use crate::wiring::loaded_from_json;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);

fn loaded(more: Value) -> Loaded {
    let mut config = json!({
        "greyhound.control.enabled": false,
        "hostname": "here",
        "dogstatsd_port": "__random__",
        "dogstatsd_socket": "",
        "dogstatsd_flush_incomplete_buckets": true,
        "greyhound": { "prometheus": { "listen": "127.0.0.1:0" }, "bucket_seconds": 3600, "lanes": 1 },
    });
    let (keys, more) = (config.as_object_mut().expect("a mapping"), more);
    keys.extend(more.as_object().expect("a mapping").clone());
    loaded_from_json(Some(&config)).expect("settings")
}

fn plan(loaded: Loaded, ready_file: Option<PathBuf>) -> Plan {
    Plan {
        live: Live::new(loaded, Sources::default()),
        ready_file,
        stop: Arc::new(|| {}),
        recent: Recent::default(),
    }
}

fn started(loaded: Loaded, ready_file: Option<PathBuf>) -> Running {
    start(plan(loaded, ready_file), &mut Vec::new()).expect("a start")
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("a connection");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    .expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn what_was_sent_is_in_the_ledger_at_the_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let ready_file = dir.path().join("ready.json");
    let running = started(loaded(json!({})), Some(ready_file.clone()));
    let ready: Value =
        serde_json::from_slice(&std::fs::read(&ready_file).expect("a file")).expect("json");
    let udp = ready["udp"][0].as_str().expect("an address");
    let http = ready["http"].as_str().expect("an address");

    let destination = Destination::parse(&format!("udp://{udp}")).expect("a destination");
    let mut client = Client::connect(&destination).expect("a socket");
    client.send(b"a:1|c\nb:x|g").expect("sent");
    let handle = running.engine.handle();
    let deadline = Instant::now() + PATIENCE;
    while handle.ledger().read().total.messages < 2 {
        assert!(Instant::now() < deadline, "nothing arrived");
        thread::yield_now();
    }
    assert!(get(http, "/ready").starts_with("HTTP/1.1 200"));
    let telemetry = get(http, "/telemetry");
    for name in [
        "greyhound__receive__receives",
        "greyhound__listener__kernel_drops",
        "greyhound__ready 1",
    ] {
        assert!(telemetry.contains(name), "{name} is missing in {telemetry}");
    }

    let ending = running.stop_in_order(Instant::now() + PATIENCE);
    assert_eq!(ending.exit(), Exit::Done);
    assert_eq!(
        ending.stopped.ledger.to_string(),
        "received=2 aggregated=1 rejected=1 (metric_value=1) dropped=0 datagrams_dropped=0 remainder=0"
    );
}

#[test]
fn a_second_signal_shortens_the_stop_and_does_not_cut_what_is_done() {
    let running = started(loaded(json!({})), None);
    let (events, inbox) = sync_channel(8);
    events.send(Event::Stop).expect("room");
    events.send(Event::Reload).expect("room");
    events.send(Event::Stop).expect("room");
    let began = Instant::now();
    let flush = Flush {
        bucket_seconds: 3600,
        open_buckets_on_stop: true,
        stop_timeout: PATIENCE,
    };
    let ending = running.stop(&flush, events, &inbox).expect("an ending");
    assert_eq!(ending.exit(), Exit::Done);
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_taken_http_port_is_told_with_its_holder() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = taken.local_addr().expect("bound").to_string();
    let loaded = loaded(json!({ "greyhound": { "prometheus": { "listen": address } } }));
    let error = start(plan(loaded, None), &mut Vec::new())
        .err()
        .expect("it is taken");
    let text = format!("{error:#}");
    for part in [
        address.as_str(),
        "greyhound.prometheus.listen",
        &std::process::id().to_string(),
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
}

#[test]
fn without_listeners_there_is_a_notice_and_nothing_else() {
    let mut notices = Vec::new();
    let loaded = loaded(json!({ "use_dogstatsd": false }));
    let running = start(plan(loaded, None), &mut notices).expect("a start");
    assert!(
        notices
            .iter()
            .any(|notice| notice.contains("use_dogstatsd")),
        "{notices:?}"
    );
    assert!(running.view().listeners.is_empty());
    assert_eq!(
        running.stop_in_order(Instant::now() + PATIENCE).exit(),
        Exit::Done
    );
}
