//! Several lanes: the port group, the shared queue, the grid, the stop.

use greyhound_model::flush::FlushCause;
use greyhound_model::time::{SimulatedClock, Stamp};

use super::*;

#[test]
fn lanes_of_a_port_group_share_senders_and_lose_nothing() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 4;
    });
    let address = bench.address(0);
    const SENDERS: u64 = 100;
    for _ in 0..SENDERS {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"hits:1|c", address).unwrap();
    }
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.datagrams_read == SENDERS
    });
    let ledger = Arc::clone(bench.engine.handle().ledger());
    let busy = (0..4).filter(|&lane| ledger.cells(lane)[0].load().datagrams_read > 0);
    assert!(busy.count() >= 2);
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), SENDERS as f64);
}

#[test]
fn one_hot_unix_socket_keeps_several_lanes_busy() {
    let bench = Bench::start(|config, folder| {
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
        config.lanes.workers = 2;
        // Slabs of one packet, so that ten datagrams are ten batches.
        config.lanes.batch_packets = 1;
    });
    let packet = b"hits:1|c|#env:prod,service:web\n".repeat(200);
    let client = unixgram_client(&bench.path("dsd.socket"));
    let handle = bench.engine.handle();
    let end = Instant::now() + DEADLINE;
    let mut sent = 0;
    while sent < 200 || handle.receive().batches_taken == 0 {
        assert!(
            Instant::now() < end,
            "nothing was shared: {:?}",
            handle.receive()
        );
        client.send(&packet).unwrap();
        sent += 1;
    }
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), f64::from(sent * 200));
    let receive = handle.receive();
    assert_eq!(receive.batches_pushed, receive.batches_taken);
    let ledger = handle.ledger();
    let by_workers: u64 = (1..3)
        .map(|lane| ledger.cells(lane)[0].load().datagrams_parsed)
        .sum();
    assert!(by_workers > 0);
}

#[test]
fn a_lane_that_finds_its_udp_socket_full_shares_too() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.workers = 1;
        config.lanes.batch_packets = 2;
    });
    let packet = b"hits:1|c|#env:prod,service:web\n".repeat(40);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let handle = bench.engine.handle();
    let end = Instant::now() + DEADLINE;
    let mut sent = 0;
    while sent < 200 || handle.receive().batches_taken == 0 {
        assert!(
            Instant::now() < end,
            "nothing was shared: {:?}",
            handle.receive()
        );
        client.send_to(&packet, bench.address(0)).unwrap();
        sent += 1;
    }
    let (stopped, totals) = bench.stop();
    assert_eq!(
        stopped.ledger.total.datagrams_read + stopped.kernel_drops,
        sent
    );
    assert_eq!(
        totals.sum("hits"),
        (stopped.ledger.total.datagrams_read * 40) as f64
    );
}

#[test]
fn a_closed_bucket_is_delivered_and_an_open_one_waits_for_the_stop() {
    let clock = Arc::new(SimulatedClock::new(Stamp::at_unix_seconds(1000.0)));
    let shared_clock: Arc<dyn Clock> = Arc::<SimulatedClock>::clone(&clock);
    let bench = Bench::start_at(shared_clock, |config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 2;
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hits:1|c", bench.address(0)).unwrap();
    bench.wait_for("one", |handle| handle.ledger().read().total.metrics == 1);
    clock.set(Stamp::at_unix_seconds(1010.0));
    client.send_to(b"hits:2|c", bench.address(0)).unwrap();
    bench.wait_for("two", |handle| handle.ledger().read().total.metrics == 2);
    assert!(bench.engine.handle().flush(DEADLINE));
    let batch = bench
        .batches
        .iter()
        .find(|batch| !batch.series.is_empty())
        .unwrap();
    let point = batch.series[0].points.as_slice()[0];
    assert_eq!((point.unix_seconds, point.value), (1000, 1.0));
    let (_, totals) = bench.stop();
    let last = totals.0.last().unwrap();
    assert_eq!(last.cause, FlushCause::Stop);
    let point = last.series[0].points.as_slice()[0];
    assert_eq!((point.unix_seconds, point.value), (1010, 2.0));
}

#[test]
fn the_grid_flushes_by_itself() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.flush.bucket_width = BucketWidth::try_new(1).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hits:1|c", bench.address(0)).unwrap();
    let batch = bench
        .batches
        .iter()
        .find(|batch| !batch.series.is_empty())
        .unwrap();
    let point = batch.series[0].points.as_slice()[0];
    assert_eq!(batch.cause, FlushCause::Interval);
    // Right after the boundary, not a whole bucket later.
    assert!(batch.unix_seconds - point.unix_seconds <= 2);
    bench.stop();
}

#[test]
fn a_stop_reads_what_the_kernel_still_holds() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 2;
    });
    const SENDERS: usize = 20;
    const EACH: usize = 500;
    for _ in 0..SENDERS {
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..EACH {
            client.send_to(b"hits:1|c", bench.address(0)).unwrap();
        }
    }
    let (stopped, totals) = bench.stop();
    let read = stopped.ledger.total.datagrams_read;
    assert_eq!(read + stopped.kernel_drops, (SENDERS * EACH) as u64);
    assert_eq!(totals.sum("hits"), read as f64);
}

#[test]
fn open_buckets_can_be_dropped_at_the_stop_and_are_counted() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
        config.flush.open_buckets_on_stop = false;
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hits:1:2|c", bench.address(0)).unwrap();
    bench.wait_for("it", |handle| handle.ledger().read().total.metrics == 1);
    let (stopped, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 0.0);
    assert_eq!(stopped.ledger.lanes.samples_open_dropped, 2);
}

#[test]
fn sockets_stay_open_until_the_end_is_let_go() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
    });
    let address = bench.address(0);
    let path = bench.path("dsd.socket");
    let folder = Bench::stop_keeping_folder(bench);
    let (stopped, _folder) = folder;
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(address).unwrap();
    for _ in 0..2 {
        // A closed port would answer the first with a refusal of the second.
        client.send(b"hits:1|c").unwrap();
    }
    unixgram_client(&path).send(b"hits:1|c").unwrap();
    drop(stopped);
    assert!(!path.exists());
}

impl Bench {
    fn stop_keeping_folder(self) -> (Stopped, tempfile::TempDir) {
        let stopped = self.engine.stop(DEADLINE);
        assert!(stopped.clean);
        (stopped, self.folder)
    }
}
