//! UDP: both families, several listeners, many messages in a datagram, many senders.

use greyhound_tests::daemon::Setup;

use crate::send;

#[test]
fn a_datagram_may_hold_many_messages_and_one_bad_one_spoils_nothing() {
    let daemon = Setup::new().start();
    send::udp(
        daemon.udp(),
        "a:1|c\nb:2.5|g\n\nnonsense\na:2|c|@0.5\r\nc:x|c\n",
    );
    daemon.wait_processed(5);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 5.0);
    assert_eq!(stopped.records.last("b"), 2.5);
    let ledger = &stopped.ledger;
    assert_eq!((ledger.received, ledger.aggregated), (5, 3));
    assert_eq!(ledger.rejected_as("metric_format"), 1);
    assert_eq!(ledger.rejected_as("metric_value"), 1);
}

#[test]
fn ipv6_is_heard() {
    let daemon = Setup::new().with("bind_host", "::1").start();
    assert!(daemon.udp().is_ipv6());
    send::udp(daemon.udp(), "six:6|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("six"), 6.0);
}

#[test]
fn non_local_traffic_is_heard_on_every_address() {
    let daemon = Setup::new()
        .with("dogstatsd_non_local_traffic", true)
        .start();
    let address = daemon.udp();
    assert!(address.ip().is_unspecified(), "{address}");
    send::udp(([127, 0, 0, 1], address.port()).into(), "far:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("far"), 1.0);
}

#[test]
fn several_listeners_feed_one_aggregate() {
    let more = vec!["127.0.0.1:0", "[::1]:0"];
    let daemon = Setup::new().with("greyhound.udp.listeners", more).start();
    let listeners = daemon.ready().udp.clone();
    assert_eq!(listeners.len(), 3, "{listeners:?}");
    for listener in &listeners {
        send::udp(*listener, "shared:2|c");
    }
    daemon.wait_processed(3);
    assert_eq!(daemon.stop().records.total("shared"), 6.0);
}

#[test]
fn a_last_line_without_its_newline_is_dropped_where_one_is_required() {
    let daemon = Setup::new()
        .with("dogstatsd_eol_required", vec!["udp"])
        .start();
    send::udp(daemon.udp(), "whole:1|c\ncut:1|c");
    send::udp(daemon.udp(), "whole:1|c\n");
    daemon.wait_processed(2);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("whole"), 2.0);
    assert!(stopped.records.series("cut").is_empty());
    assert_eq!(stopped.ledger.rejected_as("unterminated"), 1);
}

#[test]
fn what_many_senders_send_adds_up_over_lanes() {
    const SENDERS: u64 = 8;
    const DATAGRAMS: u64 = 2_000;
    let daemon = Setup::new().with("greyhound.lanes", 2).start();
    let target = daemon.udp();
    std::thread::scope(|scope| {
        for sender in 0..SENDERS {
            scope.spawn(move || {
                let socket = send::udp_socket(target);
                let datagram = format!("many:1|c|#sender:{sender}\nall:1|c\nall.dist:{sender}|d");
                for _ in 0..DATAGRAMS {
                    socket.send(datagram.as_bytes()).unwrap();
                }
            });
        }
    });
    // The default receive buffer holds it all, so the kernel has no reason to drop.
    daemon.wait_processed(SENDERS * DATAGRAMS * 3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("all"), (SENDERS * DATAGRAMS) as f64);
    assert_eq!(stopped.records.total("many"), (SENDERS * DATAGRAMS) as f64);
    assert_eq!(stopped.records.series("many").len(), SENDERS as usize);
    let sketch = stopped.records.sketch("all.dist");
    assert_eq!(sketch.count, SENDERS * DATAGRAMS);
    assert_eq!((sketch.min, sketch.max), (0.0, 7.0));
}
