//! What is sent, where, and what is not.

use super::*;
use crate::cli::{Cli, Command};
use clap::Parser;
use std::net::UdpSocket;

fn send(arguments: &[&str]) -> Result<(Exit, String), Failure> {
    let line = ["greyhound", "send"].iter().chain(arguments);
    let cli = Cli::try_parse_from(line).expect("a command line");
    let Command::Send(args) = cli.command else {
        panic!("another command");
    };
    let (mut out, mut complaints) = (Vec::new(), Vec::new());
    let exit = run(&args, &mut out, &mut complaints)?;
    out.append(&mut complaints);
    Ok((exit, String::from_utf8(out).expect("utf-8")))
}

fn server() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("bind");
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .expect("a timeout");
    let url = format!("udp://{}", socket.local_addr().expect("bound"));
    (socket, url)
}

fn received(socket: &UdpSocket) -> String {
    let mut buffer = [0; 65536];
    let len = socket.recv(&mut buffer).expect("a packet");
    String::from_utf8_lossy(&buffer[..len]).into_owned()
}

#[test]
fn a_message_arrives_as_it_was_typed() {
    let (socket, url) = server();
    let (exit, text) = send(&["--to", &url, "page.views:1|c|#env:dev"]).expect("sent");
    assert_eq!(exit, Exit::Done);
    assert_eq!(received(&socket), "page.views:1|c|#env:dev");
    assert!(
        text.contains("sent 1 message in 1 packet (23 bytes)"),
        "{text}"
    );
}

#[test]
fn a_bad_message_is_explained_and_not_sent() {
    let (socket, url) = server();
    let (exit, text) = send(&["--to", &url, "ok:1|c", "page.views:one|c"]).expect("refused");
    assert_eq!(exit, Exit::Failed);
    assert!(
        text.contains("           ^~~") && text.contains("nothing was sent"),
        "{text}"
    );
    send(&["--to", &url, "--force", "page.views:one|c"]).expect("sent");
    assert_eq!(received(&socket), "page.views:one|c");
}

#[test]
fn messages_are_repeated_and_packed() {
    let (socket, url) = server();
    let (_, text) = send(&[
        "--to", &url, "--repeat", "3", "--pack", "100", "a:1|c", "b:1|c",
    ])
    .expect("sent");
    for _ in 0..3 {
        assert_eq!(received(&socket), "a:1|c\nb:1|c\n");
    }
    assert!(text.contains("sent 6 messages in 3 packets"), "{text}");
}

#[test]
fn a_rate_spreads_messages_over_time() {
    let (_socket, url) = server();
    let started = Instant::now();
    send(&["--to", &url, "--repeat", "5", "--rate", "100", "a:1|c"]).expect("sent");
    assert!(started.elapsed() >= Duration::from_millis(40));
}

#[test]
fn events_and_checks_are_put_together() {
    let (socket, url) = server();
    send(&[
        "--to",
        &url,
        "--event",
        "De\nploy",
        "v1",
        "--alert-type",
        "success",
        "--tag",
        "a:b",
        "--priority",
        "low",
        "--aggregation-key",
        "k",
        "--hostname",
        "h",
        "--timestamp",
        "5",
    ])
    .expect("sent");
    assert_eq!(
        received(&socket),
        "_e{8,2}:De\\nploy|v1|d:5|h:h|k:k|p:low|t:success|#a:b"
    );
    send(&[
        "--to",
        &url,
        "--check",
        "disk",
        "WARNING",
        "--message",
        "full",
    ])
    .expect("sent");
    assert_eq!(received(&socket), "_sc|disk|1|m:full");
    assert!(send(&["--to", &url, "--check", "disk", "bad"]).is_err());
}

#[test]
fn a_port_where_nobody_listens_is_reported() {
    let (socket, url) = server();
    drop(socket);
    let failure = send(&["--to", &url, "a:1|c"]).unwrap_err();
    assert!(
        failure.to_string().starts_with("nobody listens at udp://"),
        "{failure}"
    );
}

#[test]
fn settings_tell_where_a_server_listens() {
    let at = |config: serde_json::Value| {
        let settings = crate::wiring::settings_from_json(Some(&config)).expect("settings");
        listener(&settings).map(|destination| destination.to_string())
    };
    use serde_json::json;
    assert_eq!(at(json!({})).expect("udp"), "udp://localhost:8125");
    assert_eq!(
        at(json!({ "dogstatsd_port": 9, "dogstatsd_non_local_traffic": true })).expect("udp"),
        "udp://127.0.0.1:9"
    );
    assert_eq!(
        at(json!({ "dogstatsd_port": 0, "dogstatsd_socket": "/a" })).expect("unix"),
        "unixgram:///a"
    );
    assert!(at(json!({ "dogstatsd_port": 0 })).is_err());
}
