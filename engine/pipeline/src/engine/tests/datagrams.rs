//! UDP and Unix datagrams: both families, cut datagrams, kernel drops, credentials, forwarding.

use greyhound_model::origin_table::{EntityTags, OriginTable};

use super::*;

#[test]
fn udp_over_both_families_and_unix_datagrams_end_in_one_sum() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback(), "[::1]:0".parse().unwrap()];
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
    });
    let (v4, v6) = (bench.address(0), bench.address(1));
    assert_eq!(v4.port(), v6.port());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hits:1|c\nhits:2|c", v4).unwrap();
    let client = UdpSocket::bind("[::1]:0").unwrap();
    client.send_to(b"hits:4|c", v6).unwrap();
    let client = unixgram_client(&bench.path("dsd.socket"));
    client.send(b"hits:8|c\n").unwrap();
    client.send(b"").unwrap();
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.datagrams_read == 4
    });
    let tallies: Vec<_> = (0..3)
        .map(|listener| bench.tally(listener).metrics)
        .collect();
    assert_eq!(tallies, [2, 1, 1]);
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 15.0);
}

#[test]
fn a_cut_datagram_is_counted_and_no_part_of_it_is_parsed() {
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
        config.listen.packet_len_bytes_max = 64;
    });
    let mut long = b"hits:1|c\n".to_vec();
    long.resize(65, b'x');
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let unix = unixgram_client(&bench.path("dsd.socket"));
    for packet in [&long[..], &b"hits:1|c"[..]] {
        udp.send_to(packet, bench.address(0)).unwrap();
        unix.send(packet).unwrap();
    }
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.datagrams_read == 4
    });
    for listener in 0..2 {
        let tally = bench.tally(listener);
        assert_eq!(
            (tally.truncated, tally.datagrams_parsed, tally.messages),
            (1, 1, 1)
        );
        assert_eq!(tally.bytes_read, 65 + 8);
    }
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 2.0);
}

#[test]
fn what_the_kernel_dropped_and_what_was_read_is_what_was_sent() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.listen.receive_buffer_bytes = 1;
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    const SENT: u64 = 20_000;
    for _ in 0..SENT {
        client.send_to(b"hits:1|c", bench.address(0)).unwrap();
    }
    let handle = bench.engine.handle();
    let (stopped, totals) = bench.stop();
    let read = stopped.ledger.total.datagrams_read;
    assert_eq!(read + stopped.kernel_drops, SENT);
    assert_eq!(
        handle.kernel_drops().of(ListenerId(0)),
        stopped.kernel_drops
    );
    assert!(
        stopped.kernel_drops > 0,
        "a buffer of two kilobytes held everything"
    );
    assert_eq!(totals.sum("hits"), read as f64);
}

#[test]
fn the_kernel_names_the_sender_and_the_sender_brings_tags() {
    let bench = Bench::start(|config, folder| {
        config.listen.unixgram = vec![socket_at(folder.join("dsd.socket"))];
        config.listen.unix_stream = vec![socket_at(folder.join("stream.socket"))];
        config.listen.origin_detection = true;
    });
    let mut table = OriginTable::default();
    table
        .containers_by_pid
        .insert(std::process::id(), (*b"c1").into());
    let tags = EntityTags {
        low: vec![(*b"app:web").into()],
        ..EntityTags::default()
    };
    table.entities.insert((*b"container_id://c1").into(), tags);
    assert!(bench.engine.handle().set_origins(Arc::new(table)));
    unixgram_client(&bench.path("dsd.socket"))
        .send(b"datagram:1|c")
        .unwrap();
    send_frame(
        &mut stream_client(&bench.path("stream.socket")),
        b"frame:1|c",
    );
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.metrics == 2
    });
    assert_eq!(bench.engine.handle().receive().credentials_missing, 0);
    let (_, totals) = bench.stop();
    let tagged: Vec<_> = totals
        .0
        .iter()
        .flat_map(|batch| &batch.series)
        .map(|series| series.context.tags().collect::<Vec<_>>().concat())
        .collect();
    assert_eq!(tagged, [b"app:web", b"app:web"]);
}

#[test]
fn packets_are_copied_to_another_host_as_they_came() {
    let far = UdpSocket::bind("127.0.0.1:0").unwrap();
    far.set_read_timeout(Some(DEADLINE)).unwrap();
    let far_port = far.local_addr().unwrap().port();
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.listen.forward = Some(("127.0.0.1".into(), far_port));
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .send_to(b"hits:1|c\n\nnot a metric", bench.address(0))
        .unwrap();
    let mut buffer = [0; 64];
    let len = far.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..len], b"hits:1|c\n\nnot a metric");
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 1.0);
}

#[test]
fn samples_with_their_own_time_do_not_wait_for_the_grid() {
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        // The grid alone would take an hour.
        config.flush.bucket_width = BucketWidth::try_new(3600).unwrap();
    });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .send_to(b"late:7|g|T1656581400", bench.address(0))
        .unwrap();
    let batch = bench.batches.recv_timeout(DEADLINE).unwrap();
    assert_eq!(
        batch.series[0].points.as_slice()[0].unix_seconds,
        1_656_581_400
    );
    bench.stop();
}
