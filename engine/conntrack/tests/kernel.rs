//! The kernel itself, in network namespaces of our own: what it answers, what it tells, what it loses.
//!
//! Needs the right to make a namespace. Without it a test says so and is skipped; with `GREYHOUND_NO_SKIP=1` it
//! fails.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::events::{BUFFER_PER_EVENT, EventConfig, EventSocket};
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::filter::Filter;
use greyhound_conntrack::flow::{Flow, Nat, Protocol, Status, Tuple};
use greyhound_conntrack::mirror::{Keep, Mirror, MirrorConfig};
use greyhound_conntrack::request::{Direction, DumpFilter, Injected};
use greyhound_conntrack::walk::Kind;
use greyhound_sys::netns;

/// Runs `work` in an empty namespace, or says why not.
fn in_namespace(work: impl FnOnce() + Send) {
    let outcome = netns::in_new(|| {
        // A namespace in which we may ask nothing is of no use.
        Exchange::open()
            .map_err(QueryError::from_io)
            .and_then(|mut exchange| exchange.totals())
            .map_err(|error| error.to_string())?;
        work();
        Ok(())
    });
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(reason)) => reason,
        Err(error) => format!("no network namespace: {error}"),
    };
    let must = std::env::var_os("GREYHOUND_NO_SKIP").is_some_and(|value| value == "1");
    assert!(
        !must,
        "GREYHOUND_NO_SKIP=1 and this machine cannot run the test: {reason}"
    );
    let test = std::thread::current();
    let line = format!("\nSKIPPED: {}: {reason}\n", test.name().unwrap_or("a test"));
    // Written past the capture; if even that fails there is nobody to tell.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

fn tuple(protocol: Protocol, source: &str, destination: &str) -> Tuple {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
    Tuple::new(protocol, parse(source), parse(destination)).expect("one family")
}

fn udp(source: &str, destination: &str) -> Tuple {
    tuple(Protocol::Udp, source, destination)
}

fn inject(exchange: &mut Exchange, original: Tuple, reply: Tuple, translate: bool) {
    let entry = Injected {
        original,
        reply,
        timeout_seconds: 300,
        translate,
    };
    exchange.inject(&entry).expect("an entry");
}

/// A translated flow for each number, to `10.9.0.1:8125` and on to `10.0.0.2:18125`.
fn numbered(n: u32) -> (Tuple, Tuple) {
    let client = format!(
        "10.{}.{}.{}:{}",
        100 + (n >> 16),
        (n >> 8) & 255,
        n & 255,
        1024 + n % 60_000
    );
    (
        udp(&client, "10.9.0.1:8125"),
        udp("10.0.0.2:18125", &client),
    )
}

fn drain(socket: &mut EventSocket, mut each: impl FnMut(Kind, &Flow)) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let round = socket
            .read(100_000, |message| {
                each(message.kind, &message.flow().expect("both tuples"));
            })
            .expect("a socket that works");
        if round.is_drained {
            return;
        }
        assert!(Instant::now() < deadline, "the socket is never empty");
    }
}

fn dump(exchange: &mut Exchange, status: u32) -> (Vec<Flow>, bool) {
    let mut rows = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    let end = exchange
        .dump(
            DumpFilter { status },
            deadline,
            |flow| rows.push(*flow),
            || {},
        )
        .expect("a dump");
    assert_eq!((end.rows as usize, end.unreadable), (rows.len(), 0));
    (rows, end.is_filtered)
}

#[test]
fn an_entry_is_found_by_either_direction_and_by_no_other() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        let cases = [
            // DNAT, SNAT, both, IPv6, and nothing at all.
            (
                udp("10.1.0.1:5", "10.9.0.1:8125"),
                udp("10.0.0.2:18125", "10.1.0.1:5"),
                Nat::Destination,
            ),
            (
                udp("10.1.0.2:5", "10.0.0.9:53"),
                udp("10.0.0.9:53", "192.0.2.1:5"),
                Nat::Source,
            ),
            (
                udp("10.1.0.3:5", "10.9.0.1:8125"),
                udp("10.0.0.2:18125", "10.0.0.1:5"),
                Nat::Both,
            ),
            (
                udp("[fd01::3]:5", "[fd09::1]:8125"),
                udp("[fd02::2]:18125", "[fd02::1]:5"),
                Nat::Both,
            ),
            (
                udp("10.1.0.4:5", "10.0.0.9:53"),
                udp("10.0.0.9:53", "10.1.0.4:5"),
                Nat::None,
            ),
            // Two clients with one port behind one address.
            (
                udp("10.1.0.5:47000", "10.9.0.1:8125"),
                udp("10.0.0.2:18125", "10.77.2.1:47000"),
                Nat::Both,
            ),
            (
                udp("10.1.0.6:47000", "10.9.0.1:8125"),
                udp("10.0.0.2:18125", "10.77.2.1:24911"),
                Nat::Both,
            ),
        ];
        for &(original, reply, nat) in &cases {
            inject(&mut exchange, original, reply, true);
            for (asked, direction) in [(original, Direction::Original), (reply, Direction::Reply)] {
                let flow = exchange.get(&asked, direction).expect("an entry");
                assert_eq!(
                    (flow.original, flow.reply, flow.nat()),
                    (original, reply, nat)
                );
                assert_eq!(flow.status.says_nat(), nat != Nat::None);
            }
        }
        for &(original, reply, _) in &cases {
            let flow = exchange.get(&reply, Direction::Reply).expect("still there");
            assert_eq!(flow.original, original);
        }
        // The direction of the packet itself finds nothing.
        let packet = udp("10.0.0.1:5", "10.0.0.2:18125");
        let error = exchange.get(&packet, Direction::Reply).unwrap_err();
        assert!(matches!(error, QueryError::NotFound), "{error}");
        assert_eq!(
            exchange.totals().expect("totals").entries as usize,
            cases.len()
        );
        assert!(!exchange.per_cpu().expect("counters").is_empty());
    });
}

#[test]
fn a_zone_is_part_of_who_is_meant() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        let original = udp("10.1.0.1:5", "10.0.0.9:53").in_zone(5);
        inject(&mut exchange, original, original.reversed(), false);
        assert_eq!(
            exchange
                .get(&original, Direction::Original)
                .expect("an entry")
                .original,
            original
        );
        let error = exchange
            .get(&original.in_zone(0), Direction::Original)
            .unwrap_err();
        assert!(matches!(error, QueryError::NotFound), "{error}");
    });
}

#[test]
fn tcp_icmp_and_sctp_have_entries_too() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        for (protocol, source, destination) in [
            (Protocol::Tcp, "10.1.0.1:5", "10.0.0.9:80"),
            (Protocol::Icmp, "10.1.0.1:77", "10.0.0.9:2048"),
            (Protocol::Icmpv6, "[fd01::1]:77", "[fd02::2]:32768"),
        ] {
            let original = tuple(protocol, source, destination);
            inject(&mut exchange, original, original.reversed(), false);
            let flow = exchange
                .get(&original, Direction::Original)
                .expect("an entry");
            assert_eq!((flow.original, flow.reply), (original, original.reversed()));
        }
    });
}

#[test]
fn the_kernel_filters_a_dump_and_says_so() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        for n in 0..1000 {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
            let plain = udp(&format!("10.50.{}.{}:9", n >> 8, n & 255), "10.0.0.9:53");
            inject(&mut exchange, plain, plain.reversed(), false);
        }
        let (all, is_filtered) = dump(&mut exchange, 0);
        assert_eq!((all.len(), is_filtered), (2000, false));
        let (translated, is_filtered) = dump(&mut exchange, Status::DST_NAT);
        assert!(!is_filtered || translated.len() == 1000);
        assert_eq!(
            translated
                .iter()
                .filter(|flow| flow.is_translated())
                .count(),
            1000
        );
    });
}

#[test]
fn exactly_the_entry_that_is_meant_is_deleted() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        for n in 0..3 {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
        }
        let (original, reply) = numbered(1);
        let id = exchange.get(&reply, Direction::Reply).expect("an entry").id;
        let error = exchange.delete(&original, id ^ 1).unwrap_err();
        assert!(matches!(error, QueryError::NotFound), "{error}");
        exchange.delete(&original, id).expect("deleted");
        let error = exchange.delete(&original, id).unwrap_err();
        assert!(matches!(error, QueryError::NotFound), "{error}");
        assert_eq!(exchange.totals().expect("totals").entries, 2);
    });
}

#[test]
fn what_is_lost_is_counted_exactly_and_a_load_repairs_it() {
    const FLOWS: u32 = 20_000;
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        let mut socket = EventSocket::open(&EventConfig {
            receive_buffer_bytes: 500 * BUFFER_PER_EVENT,
            filter: Filter::All,
            updates: false,
        })
        .expect("we may listen");
        let mirror = Mutex::new(Mirror::new(
            MirrorConfig {
                flows: 100_000,
                keep: Keep::Nat,
                orphan_seconds: 120,
                all_send_events: false,
            },
            1,
        ));
        let lock = || mirror.lock().expect("one thread");
        for n in 0..FLOWS {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
        }
        let mut received = 0u64;
        drain(&mut socket, |_, flow| {
            received += 1;
            lock().event(flow, 0);
        });
        let lost = socket.take_lost().expect("SO_MEMINFO");
        assert!(lost > 0 && received > 0);
        assert_eq!(received + lost, u64::from(FLOWS));
        // Loaded while every second flow ends and as many begin.
        lock().begin_load();
        let mut churn = Exchange::open().expect("a socket");
        let mut next = 0;
        let deadline = Instant::now() + Duration::from_secs(30);
        exchange
            .dump(
                DumpFilter::default(),
                deadline,
                |flow| lock().row(flow, 0),
                || {
                    for n in (next..FLOWS.min(next + 400)).step_by(2) {
                        let (original, reply) = numbered(n);
                        if let Ok(flow) = churn.get(&reply, Direction::Reply) {
                            churn.delete(&original, flow.id).expect("deleted");
                        }
                        let (original, reply) = numbered(FLOWS + n);
                        inject(&mut churn, original, reply, true);
                    }
                    next += 400;
                    drain(&mut socket, |kind, flow| match kind {
                        Kind::Destroy => lock().destroy(flow),
                        _ => lock().event(flow, 0),
                    });
                },
            )
            .expect("a dump");
        drain(&mut socket, |kind, flow| match kind {
            Kind::Destroy => lock().destroy(flow),
            _ => lock().event(flow, 0),
        });
        assert!(lock().end_load());
        assert_eq!(
            socket.take_lost().expect("SO_MEMINFO"),
            0,
            "the load lost something too"
        );
        let (rows, _) = dump(&mut exchange, 0);
        let mirror = lock();
        let missing = rows.iter().filter(|row| {
            mirror
                .table()
                .peek(&row.original)
                .is_none_or(|slot| slot.id != row.id)
        });
        assert_eq!(missing.count(), 0);
        assert_eq!(mirror.table().len(), rows.len(), "stale rows");
    });
}

#[test]
fn a_sample_by_id_has_the_end_of_every_flow_whose_beginning_it_has() {
    const FLOWS: u32 = 20_000;
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        let mut socket = EventSocket::open(&EventConfig {
            receive_buffer_bytes: 32 << 20,
            filter: Filter::Sampled(u32::MAX / 10),
            updates: false,
        })
        .expect("we may listen");
        let mut begun = std::collections::HashSet::new();
        let mut ended = std::collections::HashSet::new();
        let mut ids = Vec::new();
        for n in 0..FLOWS {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
            ids.push(exchange.get(&reply, Direction::Reply).expect("an entry").id);
        }
        for n in 0..FLOWS {
            let (original, _) = numbered(n);
            exchange
                .delete(&original, ids[n as usize])
                .expect("deleted");
        }
        drain(&mut socket, |kind, flow| {
            let set = match kind {
                Kind::Destroy => &mut ended,
                _ => &mut begun,
            };
            set.insert((flow.original, flow.id));
        });
        assert_eq!(socket.take_lost().expect("SO_MEMINFO"), 0);
        assert_eq!(begun, ended);
        let expected = ids.iter().filter(|&&id| id < u32::MAX / 10).count();
        assert_eq!(begun.len(), expected);
        assert!((1000..3500).contains(&begun.len()), "{}", begun.len());
    });
}

#[test]
fn filters_let_through_what_they_should_on_a_live_socket() {
    in_namespace(|| {
        let mut exchange = Exchange::open().expect("a socket");
        let mut socket = EventSocket::open(&EventConfig {
            receive_buffer_bytes: 8 << 20,
            filter: Filter::NatOrSampled(0),
            updates: false,
        })
        .expect("we may listen");
        let mut number = 0;
        let mut came = |filter: Filter, socket: &mut EventSocket| {
            socket.set_filter(filter).expect("swapped");
            number += 1;
            let (original, reply) = numbered(number);
            inject(&mut exchange, original, reply, true);
            let plain = udp(&format!("10.50.0.{number}:9"), "10.0.0.9:53");
            inject(&mut exchange, plain, plain.reversed(), false);
            let v6 = udp(&format!("[fd01::{number}]:9"), "[fd02::2]:18125");
            inject(&mut exchange, v6, v6.reversed(), false);
            let tcp = tuple(
                Protocol::Tcp,
                &format!("10.60.0.{number}:9"),
                "10.0.0.9:18125",
            );
            inject(&mut exchange, tcp, tcp.reversed(), false);
            let mut came = Vec::new();
            drain(socket, |_, flow| came.push(flow.original));
            let all = [original, plain, v6, tcp];
            all.map(|one| came.contains(&one))
        };
        assert_eq!(
            came(Filter::NatOrSampled(0), &mut socket),
            [true, false, false, false]
        );
        assert_eq!(came(Filter::All, &mut socket), [true; 4]);
        assert_eq!(
            came(Filter::UdpPort(18125), &mut socket),
            [true, false, true, false]
        );
        assert_eq!(came(Filter::Sampled(0), &mut socket), [false; 4]);
        assert_eq!(came(Filter::NatOrSampled(u32::MAX), &mut socket), [true; 4]);
    });
}
