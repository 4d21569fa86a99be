//! What it says it sent equals what a socket receives, over every transport.

use std::io::Read;
use std::net::UdpSocket;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::thread;

use greyhound_sys::socket::ReceiveBuffer;
use greyhound_wire::corpus::{Kinds, Shape};
use greyhound_wire::{Message, Options, frame, parse};

use super::*;

const READ_MAX: Duration = Duration::from_secs(10);

fn plan(destination: Destination) -> Plan {
    Plan {
        destination,
        recipe: Recipe {
            kinds: "c=60,g=20,ms=5,h=5,d=5,s=3,e=1,sc=1"
                .parse::<Kinds>()
                .expect("a mix"),
            ..Recipe::new(Shape::Standard, 500, 4)
        },
        popularity: Popularity::Uniform,
        pack_bytes: 0,
        pace: Pace::FlatOut,
        tick: Duration::from_micros(200),
        duration: None,
        messages: Some(5000),
        warm: None,
        sources: 1,
        when_full: WhenFull::Wait,
        gather_bytes: 0,
        churn: 0,
    }
}

/// Counts a payload the way a server would.
fn count(tally: &mut Tally, payload: &[u8]) {
    tally.packets += 1;
    tally.bytes += payload.len() as u64;
    for line in frame::lines(payload, false) {
        tally.messages += 1;
        match parse(line, Options::default()).expect("a message") {
            Message::Metric(metric) => {
                tally.samples += metric.values.len() as u64;
                if metric.kind == greyhound_model::metric::MetricKind::Counter {
                    tally.increments += metric.values.iter().sum::<f64>() / metric.sample_rate;
                }
            }
            _ => tally.samples += 1,
        }
    }
}

fn counted(packets: u64, mut receive: impl FnMut(&mut [u8]) -> usize) -> Tally {
    let mut tally = Tally::default();
    let mut buffer = vec![0; 65536];
    for _ in 0..packets {
        let len = receive(&mut buffer);
        count(&mut tally, &buffer[..len]);
    }
    tally
}

#[test]
fn every_udp_packet_is_counted() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind");
    server.set_read_timeout(Some(READ_MAX)).expect("a timeout");
    let port = server.local_addr().expect("bound").port();
    ReceiveBuffer::set(&server, 16 << 20).expect("a buffer");
    for (pack_bytes, sources) in [(0, 3), (1432, 1)] {
        let plan = Plan {
            pack_bytes,
            sources,
            messages: Some(1000),
            ..plan(Destination::Udp {
                host: "127.0.0.1".to_owned(),
                port,
            })
        };
        let sent = plan.run(|| Ok(())).expect("sent").accepted;
        assert!((1000..1020).contains(&sent.messages), "{sent:?}");
        let received = counted(sent.packets, |buffer| {
            server.recv(buffer).expect("a packet")
        });
        assert_eq!(sent, received);
    }
}

#[test]
fn what_a_full_queue_turns_away_is_counted_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("s");
    let server = UnixDatagram::bind(&path).expect("bind");
    server.set_nonblocking(true).expect("set");
    let plan = Plan {
        pack_bytes: 8192,
        when_full: WhenFull::Refuse,
        ..plan(Destination::Unixgram(path))
    };
    let outcome = plan.run(|| Ok(())).expect("sent");
    assert!(outcome.accepted.packets > 0 && outcome.refused.packets > 0);
    let offered = outcome.accepted.messages + outcome.refused.messages;
    assert!((5000..5100).contains(&offered), "{outcome:?}");
    let received = counted(outcome.accepted.packets, |buffer| {
        server.recv(buffer).expect("a packet")
    });
    assert_eq!(outcome.accepted, received);
    assert!(server.recv(&mut [0; 16]).is_err(), "more than was accepted");
}

#[test]
fn a_stream_loses_nothing_whatever_a_write_holds() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("s");
    let server = UnixListener::bind(&path).expect("bind");
    for gather_bytes in [0, 10_000, 65536] {
        let reader = server.try_clone().expect("clone");
        let reader = thread::spawn(move || {
            let mut bytes = Vec::new();
            let (mut stream, _) = reader.accept().expect("a connection");
            stream.read_to_end(&mut bytes).expect("all");
            let (mut tally, mut rest) = (Tally::default(), &bytes[..]);
            while let Some((len, tail)) = rest.split_first_chunk::<4>() {
                let (payload, tail) = tail.split_at(u32::from_le_bytes(*len) as usize);
                count(&mut tally, payload);
                rest = tail;
            }
            tally
        });
        let plan = Plan {
            pack_bytes: 2000,
            gather_bytes,
            warm: Some(1e9),
            ..plan(Destination::UnixStream(path.clone()))
        };
        let outcome = plan.run(|| Ok(())).expect("sent");
        assert_eq!(outcome.warm.messages, 500);
        let mut sent = outcome.warm;
        sent.add(outcome.accepted);
        assert_eq!(sent, reader.join().expect("read"));
    }
}

#[test]
fn a_rate_is_kept_to_the_tick() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("bind");
    ReceiveBuffer::set(&server, 16 << 20).expect("a buffer");
    let plan = Plan {
        pace: Pace::Messages(20_000.0),
        duration: Some(Duration::from_millis(100)),
        messages: None,
        ..plan(Destination::Udp {
            host: "127.0.0.1".to_owned(),
            port: server.local_addr().expect("bound").port(),
        })
    };
    let outcome = plan.run(|| Ok(())).expect("sent");
    assert_eq!(outcome.scheduled_messages, Some(2000));
    assert!(outcome.accepted.messages <= 2000, "never ahead");
    assert!(outcome.accepted.messages > 0);
}

#[test]
fn contexts_churn_from_period_to_period() {
    let plan = Plan {
        churn: 50,
        duration: Some(Duration::from_secs(25)),
        ..plan(Destination::Unixgram("/nonexistent".into()))
    };
    let corpus = plan.corpus();
    assert_eq!(corpus.lines.len(), 600);
    let mut supply = Supply::new(plan.pools(&corpus, Framing::Bare));
    assert_eq!(supply.pools.len(), 3);
    let shows = |pool: &Pool, line: usize| {
        let wanted = corpus.lines[line].as_bytes();
        (0..pool.len()).any(|at| pool.bytes(at..at + 1) == wanted)
    };
    assert!(shows(supply.pool(), 0) && !shows(supply.pool(), 500));
    supply.turn(2);
    assert!(!shows(supply.pool(), 99) && shows(supply.pool(), 100) && shows(supply.pool(), 599));
    supply.turn(9);
    assert_eq!(supply.current, 2);
}

#[test]
fn an_empty_place_is_an_error() {
    let error = plan(Destination::Unixgram("/nonexistent/s".into()))
        .run(|| Ok(()))
        .unwrap_err();
    assert_eq!(error.to_string(), "cannot reach unixgram:///nonexistent/s");
    let free = UdpSocket::bind("127.0.0.1:0").expect("bind");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let host = "127.0.0.1".to_owned();
    let error = plan(Destination::Udp { host, port })
        .run(|| Ok(()))
        .unwrap_err();
    assert!(error.to_string().starts_with("nobody listens"), "{error}");
}
