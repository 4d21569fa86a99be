//! Limits refuse the newest, count it, and say which setting, which metric and which tag. What was there
//! before goes on as if nothing had happened.

use greyhound_tests::daemon::Setup;

use crate::send;

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
