//! What the kernel answers to single requests and to dumps.

use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::flow::{Nat, Protocol, Status};
use greyhound_conntrack::request::Direction;

use super::net::{dump, in_namespace, inject, numbered, tuple, udp};

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
            (Protocol::Sctp, "10.1.0.1:36412", "10.0.0.9:36412"),
            (Protocol::UdpLite, "10.1.0.1:7", "10.0.0.9:9"),
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
