//! What the kernel tells, what it loses, and what a load repairs.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use greyhound_conntrack::events::{BUFFER_PER_EVENT, EventConfig, EventSocket};
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::filter::Filter;
use greyhound_conntrack::flow::Protocol;
use greyhound_conntrack::mirror::{Keep, Mirror, MirrorConfig};
use greyhound_conntrack::request::{Direction, DumpFilter};
use greyhound_conntrack::walk::Kind;

use super::net::{drain, dump, in_namespace, inject, numbered, tuple, udp};

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
