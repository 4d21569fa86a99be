//! Unix streams: frames in any pieces, and every way in which a connection can misbehave.

use std::io::Read;

use super::*;

fn start(adapt: impl FnOnce(&mut Config)) -> Bench {
    Bench::start(|config, folder| {
        config.listen.unix_stream = vec![socket_at(folder.join("stream.socket"))];
        config.lanes.lanes = 2;
        adapt(config);
    })
}

/// Whether the engine has closed the connection.
fn is_closed(client: &mut UnixStream) -> bool {
    matches!(client.read(&mut [0; 1]), Ok(0))
}

#[test]
fn frames_from_many_connections_end_in_one_sum() {
    let bench = start(|_| {});
    const CLIENTS: usize = 20;
    const FRAMES: usize = 200;
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                let mut client = stream_client(&bench.path("stream.socket"));
                for _ in 0..FRAMES {
                    send_frame(&mut client, b"hits:1|c\nhits:1|c\n");
                }
            });
        }
    });
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), (2 * CLIENTS * FRAMES) as f64);
    assert_eq!(
        stopped.ledger.total.datagrams_read,
        (CLIENTS * FRAMES) as u64
    );
}

#[test]
fn a_frame_may_come_byte_by_byte() {
    let bench = start(|_| {});
    let mut client = stream_client(&bench.path("stream.socket"));
    for byte in *b"\x08\0\0\0hits:3|c\x08\0\0\0hits:4|c" {
        client.write_all(&[byte]).unwrap();
    }
    bench.wait_for("two frames", |handle| {
        handle.ledger().read().total.metrics == 2
    });
    drop(client);
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 7.0);
    assert_eq!(stopped.ledger.total.frame_partial, 0);
}

#[test]
fn a_length_that_cannot_be_ends_only_its_own_connection() {
    let bench = start(|_| {});
    let mut good = stream_client(&bench.path("stream.socket"));
    send_frame(&mut good, b"hits:1|c");
    for header in [u32::MAX, 8193, 0] {
        let mut bad = stream_client(&bench.path("stream.socket"));
        send_frame(&mut bad, b"hits:1|c");
        bad.write_all(&header.to_le_bytes()).unwrap();
        assert!(is_closed(&mut bad));
    }
    send_frame(&mut good, b"hits:1|c");
    bench.wait_for("five frames", |handle| {
        handle.ledger().read().total.metrics == 5
    });
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 5.0);
    assert_eq!(stopped.ledger.total.frame_too_big, 3);
}

#[test]
fn half_a_frame_at_the_end_is_counted_and_dropped() {
    let bench = start(|_| {});
    for half in [&b"\x08\0"[..], b"\x08\0\0\0hits"] {
        let mut client = stream_client(&bench.path("stream.socket"));
        client.write_all(half).unwrap();
    }
    bench.wait_for("both closed", |handle| {
        handle.receive().connections_opened == 2 && handle.connections() == 0
    });
    let (stopped, _) = bench.stop();
    assert_eq!(stopped.ledger.total.frame_partial, 2);
}

#[test]
fn half_a_frame_that_stalls_is_closed_and_an_idle_connection_is_not() {
    let bench = start(|config| config.listen.stream_idle = Duration::from_millis(10));
    let mut idle = stream_client(&bench.path("stream.socket"));
    send_frame(&mut idle, b"hits:1|c");
    let mut stalled = stream_client(&bench.path("stream.socket"));
    stalled.write_all(b"\x08\0").unwrap();
    assert!(is_closed(&mut stalled));
    send_frame(&mut idle, b"hits:1|c");
    bench.wait_for("two frames", |handle| {
        handle.ledger().read().total.metrics == 2
    });
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 2.0);
    assert_eq!(stopped.ledger.total.frame_partial, 1);
}

#[test]
fn connections_over_the_bound_are_closed_at_once() {
    let bench = start(|config| config.listen.stream_connections_max = 2);
    let mut kept: Vec<_> = (0..2)
        .map(|_| stream_client(&bench.path("stream.socket")))
        .collect();
    for client in &mut kept {
        send_frame(client, b"hits:1|c");
    }
    bench.wait_for("two frames", |handle| {
        handle.ledger().read().total.metrics == 2
    });
    assert!(is_closed(&mut stream_client(&bench.path("stream.socket"))));
    drop(kept.pop());
    bench.wait_for("room again", |handle| handle.connections() == 1);
    send_frame(
        &mut stream_client(&bench.path("stream.socket")),
        b"hits:1|c",
    );
    bench.wait_for("a third frame", |handle| {
        handle.ledger().read().total.metrics == 3
    });
    let handle = bench.engine.handle();
    bench.stop();
    assert_eq!(handle.receive().peers_refused, 1);
}

#[test]
fn a_stop_reads_what_clients_have_written() {
    let bench = start(|_| {});
    let mut clients: Vec<_> = (0..10)
        .map(|_| stream_client(&bench.path("stream.socket")))
        .collect();
    for client in &mut clients {
        for _ in 0..100 {
            send_frame(client, b"hits:1|c");
        }
    }
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 1000.0);
}
