//! Stopping: what was received before is aggregated and flushed, the open bucket too, and the last line says
//! where everything went.

use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use greyhound_tests::command::Finished;
use greyhound_tests::daemon::Setup;
use greyhound_tests::wait;

use crate::send;

#[test]
fn what_the_kernel_still_holds_at_the_signal_is_read_to_the_end() {
    let daemon = Setup::new().uds().start();
    let socket = send::udp_socket(daemon.udp());
    for _ in 0..5_000 {
        socket.send(b"queued:1|c\nqueued.dist:1|d").unwrap();
    }
    // No waiting: the signal meets a full receive buffer.
    let stopped = daemon.stop();
    assert_eq!(stopped.ledger.received, 10_000);
    assert_eq!(stopped.ledger.aggregated, 10_000);
    assert_eq!(stopped.records.total("queued"), 5_000.0);
    assert_eq!(stopped.records.sketch("queued.dist").count, 5_000);
}

#[test]
fn a_stop_under_load_loses_nothing_that_was_read() {
    let daemon = Setup::new()
        .uds()
        .stream()
        .with("greyhound.lanes", 2)
        .start();
    let (udp, uds) = (daemon.udp(), daemon.uds().to_owned());
    let over = AtomicBool::new(false);
    let sent = AtomicU64::new(0);
    let stopped = std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let socket = send::udp_socket(udp);
                while !over.load(Ordering::Relaxed) {
                    // Refused once nobody is there any more.
                    if socket.send(b"load:1|c|#over:udp").is_ok() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        scope.spawn(|| {
            let socket = UnixDatagram::unbound().unwrap();
            socket
                .set_write_timeout(Some(std::time::Duration::from_millis(100)))
                .unwrap();
            socket.connect(&uds).unwrap();
            while !over.load(Ordering::Relaxed) {
                if socket.send(b"load:1|c|#over:uds").is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        wait::until("the load to arrive", || {
            (daemon.processed() > 20_000.0).then_some(())
        });
        daemon.signal("TERM");
        let stopped = daemon.stopped();
        over.store(true, Ordering::Relaxed);
        stopped
    });
    let ledger = &stopped.ledger;
    assert_eq!(ledger.aggregated, ledger.received, "{ledger:?}");
    assert_eq!(stopped.records.total("load"), ledger.aggregated as f64);
    assert!(
        ledger.received <= sent.load(Ordering::Relaxed),
        "more arrived than was sent"
    );
}

#[test]
fn the_open_bucket_is_dropped_and_counted_where_that_is_asked_for() {
    let daemon = Setup::new()
        .with("greyhound.flush_open_bucket_on_stop", false)
        .start();
    send::udp(daemon.udp(), "open:1|c\nopen:1|c");
    daemon.wait_processed(2);
    let stopped = daemon.stop();
    assert!(stopped.records.series("open").is_empty());
    assert_eq!(stopped.ledger.dropped_for("open_bucket"), 2);
    assert_eq!(stopped.ledger.aggregated, 0);
}

#[test]
fn an_interrupt_stops_like_a_termination() {
    let daemon = Setup::new().start();
    send::udp(daemon.udp(), "a:1|c");
    daemon.wait_processed(1);
    daemon.signal("INT");
    assert_eq!(daemon.stopped().records.total("a"), 1.0);
}

#[test]
fn a_hangup_does_not_stop() {
    let daemon = Setup::new().start();
    daemon.signal("HUP");
    send::udp(daemon.udp(), "a:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().ledger.aggregated, 1);
}

#[test]
fn a_second_termination_does_not_lose_what_was_read() {
    let daemon = Setup::new().start();
    let socket = send::udp_socket(daemon.udp());
    for _ in 0..1_000 {
        socket.send(b"a:1|c").unwrap();
    }
    daemon.wait_processed(1_000);
    daemon.signal("TERM");
    daemon.signal("TERM");
    let stopped = daemon.stopped();
    assert_eq!(stopped.records.total("a"), 1_000.0);
}

#[test]
fn a_daemon_that_heard_nothing_says_so() {
    let stopped = Setup::new().start().stop();
    assert_eq!((stopped.ledger.received, stopped.ledger.aggregated), (0, 0));
    assert!(
        stopped.records.lines.is_empty(),
        "{:?}",
        stopped.records.lines
    );
}

#[test]
fn a_client_gets_no_answer_but_silence_while_the_daemon_stops() {
    // Two daemons on one port in turn: the second starts as soon as the first is gone.
    let daemon = Setup::new().start();
    let port = daemon.udp().port();
    daemon.stop();
    let daemon = Setup::new().with("dogstatsd_port", port).start();
    assert_eq!(daemon.udp().port(), port);
    send::udp(daemon.udp(), "again:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("again"), 1.0);
}

#[test]
fn a_start_that_fails_prints_no_ledger() {
    let ended: Finished = Setup::new()
        .argument("--set")
        .argument("dogstatsd_port=x")
        .run_to_end();
    assert!(!ended.stderr.contains("ledger:"), "{}", ended.stderr);
}
