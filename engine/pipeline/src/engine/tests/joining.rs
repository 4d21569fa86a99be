//! Listeners that join and leave a running engine.

use super::*;
use crate::config::ListenConfig;

const WAIT: Duration = Duration::from_secs(10);

fn follow(bench: &Bench, wanted: &ListenConfig) {
    let step = bench.engine.handle().prepare_listeners(wanted).unwrap();
    assert!(step.commit(WAIT));
}

fn open(bench: &Bench) -> Vec<String> {
    let listeners = bench.engine.handle().listeners();
    let open = listeners.iter().filter(|listener| listener.open);
    open.map(|listener| listener.info.address.clone()).collect()
}

#[test]
fn every_kind_of_listener_joins_and_leaves_and_nothing_is_lost() {
    let mut wanted = ListenConfig::default();
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        config.lanes.lanes = 2;
        config.lanes.workers = 1;
        wanted = config.listen.clone();
    });
    let before = wanted.clone();
    wanted.udp.push("127.0.0.2:0".parse().unwrap());
    wanted.unixgram.push(socket_at(bench.path("gram")));
    wanted.unix_stream.push(socket_at(bench.path("stream")));
    let mut sent = 0;
    for _ in 0..20 {
        follow(&bench, &wanted);
        let addresses = open(&bench);
        assert_eq!(addresses.len(), 4, "{addresses:?}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let gram = unixgram_client(&bench.path("gram"));
        let mut stream = stream_client(&bench.path("stream"));
        for _ in 0..50 {
            for address in addresses
                .iter()
                .filter_map(|text| text.parse::<SocketAddr>().ok())
            {
                udp.send_to(b"hits:1|c", address).unwrap();
                sent += 1;
            }
            gram.send(b"hits:1|c").unwrap();
            send_frame(&mut stream, b"hits:1|c");
            sent += 2;
        }
        // Nothing waits to be read first: leaving drains.
        follow(&bench, &before);
        assert_eq!(open(&bench), [bench.address(0).to_string()]);
        assert!(!bench.path("gram").exists() && !bench.path("stream").exists());
        drop(stream);
    }
    bench.wait_for("all read", |handle| {
        handle.ledger().read().total.samples == sent
    });
    // Sockets of one address are one listener, however often they came.
    let listeners = bench.engine.handle().listeners();
    assert!(listeners.len() <= 3 + 20, "{}", listeners.len());
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), sent as f64);
}

#[test]
fn who_is_connected_to_a_stream_that_leaves_is_read_on() {
    let mut wanted = ListenConfig::default();
    let bench = Bench::start(|config, folder| {
        config.listen.udp = vec![loopback()];
        config.listen.unix_stream = vec![socket_at(folder.join("stream"))];
        wanted = config.listen.clone();
    });
    let mut client = stream_client(&bench.path("stream"));
    send_frame(&mut client, b"hits:1|c");
    wanted.unix_stream.clear();
    follow(&bench, &wanted);
    send_frame(&mut client, b"hits:1|c");
    bench.wait_for("both read", |handle| {
        handle.ledger().read().total.samples == 2
    });
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 2.0);
}

#[test]
fn a_listener_that_cannot_be_bound_changes_nothing() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut wanted = ListenConfig::default();
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        wanted = config.listen.clone();
    });
    let before = open(&bench);
    wanted.udp = vec!["127.0.0.3:0".parse().unwrap(), taken.local_addr().unwrap()];
    wanted.unixgram = vec![socket_at(bench.path("gram"))];
    let handle = bench.engine.handle();
    let error = handle.prepare_listeners(&wanted).unwrap_err();
    assert!(matches!(error, StartError::BindUdp { .. }), "{error}");
    assert_eq!(open(&bench), before);
    assert!(!bench.path("gram").exists());
    wanted.udp.clear();
    wanted.unixgram.clear();
    wanted.require_listener = true;
    let error = handle.prepare_listeners(&wanted).unwrap_err();
    assert!(matches!(error, StartError::NoListener), "{error}");
    bench.stop();
}

#[test]
fn a_port_can_be_opened_wider_while_it_is_in_use() {
    let mut wanted = ListenConfig::default();
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        wanted = config.listen.clone();
    });
    let narrow = bench.address(0);
    wanted.udp = vec![SocketAddr::from(([0, 0, 0, 0], narrow.port()))];
    follow(&bench, &wanted);
    assert_eq!(open(&bench), [format!("0.0.0.0:{}", narrow.port())]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hits:1|c", narrow).unwrap();
    bench.wait_for("read", |handle| handle.ledger().read().total.samples == 1);
    let (_, totals) = bench.stop();
    assert_eq!(totals.sum("hits"), 1.0);
}

#[test]
fn a_step_that_is_not_taken_leaves_no_socket() {
    let mut wanted = ListenConfig::default();
    let bench = Bench::start(|config, _| {
        config.listen.udp = vec![loopback()];
        wanted = config.listen.clone();
    });
    wanted.unixgram = vec![socket_at(bench.path("gram"))];
    let step = bench.engine.handle().prepare_listeners(&wanted).unwrap();
    assert!(bench.path("gram").exists() && !step.is_empty());
    drop(step);
    assert!(!bench.path("gram").exists());
    assert_eq!(open(&bench).len(), 1);
    bench.stop();
}
