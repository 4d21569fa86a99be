//! Limits refuse the newest, count it, and say which setting, which metric and which tag. What was there
//! before goes on as if nothing had happened.

use std::io::Write;
use std::os::unix::net::UnixStream;

use greyhound_tests::daemon::{Daemon, Setup};

use crate::send::{self, frame};

#[test]
fn new_contexts_above_the_limit_are_refused_and_old_ones_go_on() {
    let daemon = Setup::new()
        .live()
        .with("greyhound.limits.contexts", 100)
        .with("greyhound.lanes", 1)
        .start();
    let socket = send::udp_socket(daemon.udp());
    for id in 0..100 {
        socket.send(format!("old:1|c|#id:{id}").as_bytes()).unwrap();
    }
    daemon.wait_processed(100);
    for id in 0..50 {
        socket
            .send(format!("flood:1|c|#request:{id}").as_bytes())
            .unwrap();
        socket.send(b"old:1|c|#id:7").unwrap();
    }
    daemon.wait_processed(200);
    let line = daemon.wait_log("greyhound.limits.contexts");
    assert!(line.contains("flood"), "{line}");
    assert!(line.contains("request"), "{line}");
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("old"), 150.0);
    assert!(stopped.records.series("flood").is_empty());
    assert_eq!(stopped.ledger.dropped_for("context_limit"), 50);
    assert_eq!(stopped.ledger.aggregated, 150);
}

#[test]
fn a_message_with_too_many_tags_is_refused() {
    let daemon = Setup::new()
        .with("greyhound.limits.tags_per_metric", 2)
        .start();
    send::udp(daemon.udp(), "kept:1|c|#a,b\nrefused:1|c|#a,b,c\nkept:1|c");
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("kept"), 2.0);
    assert!(stopped.records.series("refused").is_empty());
    assert_eq!(stopped.ledger.dropped_for("tag_limit"), 1);
}

#[test]
fn members_and_values_above_the_limit_are_refused() {
    let daemon = Setup::new()
        .with("greyhound.limits.set_members", 3)
        .with("greyhound.limits.histogram_values", 4)
        .start();
    let mut messages = String::new();
    for number in 0..10 {
        messages.push_str(&format!("s:{number}|s\nh:{number}|h\n"));
    }
    messages.push_str("s:1|s\n");
    send::udp(daemon.udp(), messages);
    daemon.wait_processed(21);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.last("s"), 3.0);
    assert_eq!(stopped.ledger.dropped_for("member_limit"), 7);
    assert_eq!(stopped.ledger.dropped_for("value_limit"), 6);
    assert_eq!(stopped.ledger.aggregated, 8);
}

#[test]
fn events_above_the_limit_are_refused() {
    let daemon = Setup::new()
        .with("greyhound.limits.events", 5)
        .with("greyhound.lanes", 1)
        .start();
    let socket = send::udp_socket(daemon.udp());
    for number in 0..8 {
        socket
            .send(format!("_e{{2,1}}:e{number}|t").as_bytes())
            .unwrap();
    }
    socket.send(b"_sc|check|0").unwrap();
    daemon.wait_processed(9);
    let stopped = daemon.stop();
    assert_eq!(stopped.ledger.dropped_for("items_limit"), 4);
    assert_eq!(stopped.ledger.aggregated, 5);
    assert_eq!(stopped.records.event("e0")["text"], "t");
}

/// Resident memory of the daemon, in bytes.
fn resident_bytes(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    let kib = line.trim().strip_suffix(" kB").unwrap();
    kib.parse::<u64>().unwrap() * 1024
}

#[test]
fn memory_is_bounded_whatever_the_contexts_weigh() {
    const LIMIT: u64 = 16 << 20;
    const CONTEXTS: u64 = 50_000;
    let daemon = Setup::new()
        .stream()
        .with("greyhound.limits.memory", LIMIT)
        .start();
    let mut stream = UnixStream::connect(daemon.stream()).unwrap();
    stream.write_all(&frame("old:1|c")).unwrap();
    daemon.wait_processed(1);
    let before = resident_bytes(&daemon);
    // 150 MB of tags in all, none like another.
    let pad = "x".repeat(3000);
    for number in 0..CONTEXTS {
        let message = format!("heavy:1|c|#{pad}{number}\nmember:{pad}{number}|s");
        stream.write_all(&frame(message)).unwrap();
    }
    stream.write_all(&frame("old:1|c")).unwrap();
    daemon.wait_processed(2 * CONTEXTS + 2);
    let grown = resident_bytes(&daemon).saturating_sub(before);
    // The limit is of contexts and buckets; caches, buffers and the allocator come on top.
    assert!(grown < 4 * LIMIT, "{grown} bytes more for {LIMIT}");
    drop(stream);
    let stopped = daemon.stop();
    // The bucket is long: it is told when the stop flushes it.
    let told = |line: &str| line.contains("greyhound.limits.memory");
    let line = stopped.log.lines().find(|line| told(line)).unwrap();
    assert!(line.contains("heavy") || line.contains("member"), "{line}");
    assert_eq!(stopped.records.total("old"), 2.0);
    let refused = stopped.ledger.dropped_for("memory_limit");
    assert!(refused > CONTEXTS, "{:?}", stopped.ledger);
    assert_eq!(stopped.ledger.aggregated + refused, 2 * CONTEXTS + 2);
}
