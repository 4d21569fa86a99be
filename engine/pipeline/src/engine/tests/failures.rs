//! What breaks: lanes that panic, ports and paths that are taken.

use super::*;
use crate::lane::command::Command;

impl Bench {
    /// Makes lane 0 panic at the next packet, sends one, and waits for the restart.
    fn break_lane(&self, client: &UdpSocket) {
        let before = self.engine.handle().receive().lane_restarts;
        assert!(self.engine.shared.tell(0, Command::Break).is_ok());
        client.send_to(b"lost:1|c", self.address(0)).unwrap();
        self.wait_for("restarted", |handle| {
            handle.receive().lane_restarts > before
        });
    }
}

#[test]
fn a_lane_that_breaks_comes_back_with_its_sockets_and_counts_what_it_lost() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        config.listen.unix_stream = vec![socket_at(folder.join("stream.socket"))];
        // No boundary of the grid in between.
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut stream = stream_client(&bench.path("stream.socket"));
    send_frame(&mut stream, b"before:1|c");
    client.send_to(b"before:1|c", bench.address(0)).unwrap();
    bench.wait_for("two", |handle| handle.ledger().read().total.metrics == 2);
    bench.break_lane(&client);
    assert!(bench.engine.handle().is_ready());
    client.send_to(b"after:1|c", bench.address(0)).unwrap();
    send_frame(&mut stream, b"after:1|c");
    bench.wait_for("two more", |handle| {
        handle.ledger().read().total.metrics == 4
    });
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("after"), 2.0);
    assert_eq!(totals.sum("before") + totals.sum("lost"), 0.0);
    assert_eq!(stopped.ledger.total.datagrams_lane_panic, 1);
    assert_eq!(stopped.ledger.lanes.samples_lane_panic, 2);
    assert_eq!(stopped.ledger.total.datagrams_read, 5);
}

#[test]
fn what_waits_in_a_lane_that_breaks_is_counted_too() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        // Beside it, UDP batches are worked on in pieces.
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .send_to(b"_e{1,1}:a|b\n_sc|up|0", bench.address(0))
        .unwrap();
    bench.wait_for("both", |handle| {
        handle.ledger().read().total.items_collected == 2
    });
    bench.break_lane(&client);
    let (stopped, totals) = bench.stop();
    let delivered: usize = totals
        .0
        .iter()
        .map(|batch| batch.events.len() + batch.service_checks.len())
        .sum();
    assert_eq!(delivered, 0);
    assert_eq!(stopped.ledger.lanes.items_lane_panic, 2);
    assert_eq!(stopped.ledger.items_aggregated(), 0);
}

#[test]
fn datagrams_behind_the_one_that_broke_the_lane_are_worked_on() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        // Beside it, UDP batches are worked on in pieces of 16 KiB.
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
        config.listen.packet_len_bytes_max = 20_000;
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let packet = b"hits:1|c|#env:production,service:web\n".repeat(460);
    // Each time, most of the eight are read at once, and the first of them breaks the lane.
    for round in 1..=20 {
        assert!(bench.engine.shared.tell(0, Command::Break).is_ok());
        for _ in 0..8 {
            client.send_to(&packet, bench.address(0)).unwrap();
        }
        bench.wait_for("all read", |handle| {
            let total = handle.ledger().read().total;
            total.datagrams_read == round * 8 && total.datagrams_lane_panic == round
        });
    }
    let (stopped, _) = bench.stop();
    assert_eq!(stopped.ledger.total.datagrams_read, 160);
}

#[test]
fn more_than_five_breaks_in_a_minute_are_not_readiness() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..5 {
        bench.break_lane(&client);
    }
    assert!(bench.engine.handle().is_ready());
    bench.break_lane(&client);
    assert!(!bench.engine.handle().is_ready());
    client.send_to(b"after:1|c", bench.address(0)).unwrap();
    bench.wait_for("it works on", |handle| {
        handle.ledger().read().total.metrics == 1
    });
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("after"), 1.0);
}

#[test]
fn a_taken_port_is_refused_and_its_holder_named() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut config = Config::default();
    config.listen.udp = vec![other.local_addr().unwrap()];
    let error = start_fails(config);
    let text = error.to_string();
    assert!(text.contains("dogstatsd_port"), "{text}");
    assert!(
        text.contains(&format!("held by pid {}", std::process::id())),
        "{text}"
    );
}

#[test]
fn a_live_socket_and_a_file_are_refused_and_nothing_stays_bound() {
    let bench = Bench::start(|config, folder| {
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
    });
    let file = bench.path("file");
    std::fs::write(&file, "precious").unwrap();
    for (path, reason) in [
        (bench.path("dsd.socket"), "somebody else listens there"),
        (file.clone(), "not a socket"),
    ] {
        let mut config = Config::default();
        config.listen.unix_stream = vec![socket_at(bench.path("other.socket"))];
        config.listen.unixgram = vec![socket_at(path)];
        let error = start_fails(config);
        assert!(error.to_string().contains("`dogstatsd_socket`"), "{error}");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(reason), "{source}");
        assert!(!bench.path("other.socket").exists());
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    unixgram_client(&bench.path("dsd.socket"))
        .send(b"hits:1|c")
        .unwrap();
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 1.0);
}

#[test]
fn an_owner_that_does_not_exist_is_named() {
    let folder = folder();
    let mut config = Config::default();
    let mut socket = socket_at(folder.path().join("dsd.socket"));
    socket.group = Some("no-such-group-here".into());
    config.listen.unixgram = vec![socket];
    assert!(
        start_fails(config)
            .to_string()
            .contains("no-such-group-here")
    );
}

#[test]
fn without_a_listener_start_fails_only_when_one_is_required() {
    let mut config = Config::default();
    config.listen.require_listener = true;
    assert!(matches!(start_fails(config), StartError::NoListener));
    let bench = Bench::start(|_, _| {});
    assert_eq!(bench.engine.handle().warnings().len(), 1);
    bench.stop();
}

fn start_fails(config: Config) -> StartError {
    let (sender, _batches) = bounded(1);
    let clock = Arc::new(SystemClock::default());
    match Engine::start(config, clock, Box::new(Keep(sender))) {
        Err(error) => error,
        Ok(_) => panic!("the engine started"),
    }
}
