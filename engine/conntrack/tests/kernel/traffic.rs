//! Datagrams through real rules: whoever the receiver sees, the kernel names the sender.
//!
//! One namespace and loopback are enough: rules translate what leaves and what arrives.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::flow::{Nat, Protocol, Tuple};
use greyhound_conntrack::request::Direction;
use greyhound_sys::netns;

use super::net::{in_namespace, run, set_up};

const ADDRESSES: &[&str] = &[
    "10.77.2.1/24",
    "10.77.2.2/24",
    "10.77.1.2/24",
    "10.77.1.3/24",
    "fd77:2::1/64",
    "fd77:2::2/64",
    "fd77:1::2/64",
];

fn server(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).expect("an address of ours");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a socket option");
    socket
}

/// Sends from one address to another; who the server thinks it was.
fn seen(client: &str, door: &str, server: &UdpSocket) -> SocketAddr {
    let socket = UdpSocket::bind(client).expect("an address of ours");
    socket.send_to(b"hits:1|c", door).expect("sent");
    let (_, peer) = server.recv_from(&mut [0; 64]).expect("it arrives");
    peer
}

/// What a lane asks for: the answer's way, from the receiver to whom it saw.
fn answer(server: &UdpSocket, peer: SocketAddr, zone: u16) -> Tuple {
    let local = server.local_addr().expect("an address");
    Tuple::new(Protocol::Udp, local, peer)
        .expect("one family")
        .in_zone(zone)
}

#[test]
fn every_kind_of_translation_leads_back_to_the_client() {
    in_namespace(|| {
        set_up(
            ADDRESSES,
            "table inet gw {
              chain out {
                type nat hook output priority -100
                ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.2:18125
                ip6 daddr fd77:100::1 udp dport 8125 dnat ip6 to [fd77:2::2]:18125
              }
              chain post {
                type nat hook postrouting priority 100
                udp dport 18127 snat ip to 10.77.2.1
                udp dport 18128 masquerade
                ct original ip daddr 10.77.100.1 udp sport 47000 masquerade
                ct original ip daddr 10.77.100.1 udp sport 5000 snat ip to 10.77.2.1
                ip6 daddr fd77:2::2 masquerade
              }
            }",
        );
        run("ip", &["route", "add", "10.77.100.1/32", "dev", "lo"], "");
        run(
            "ip",
            &["-6", "route", "add", "fd77:100::1/128", "dev", "lo"],
            "",
        );
        let mut exchange = Exchange::open().expect("a socket");
        let [to_18125, to_18127, to_18128] =
            [18125, 18127, 18128].map(|port| server(&format!("10.77.2.2:{port}")));
        let v6 = server("[fd77:2::2]:18125");
        let cases = [
            (
                "10.77.1.2:4000",
                "10.77.100.1:8125",
                &to_18125,
                Nat::Destination,
            ),
            ("10.77.1.2:5000", "10.77.100.1:8125", &to_18125, Nat::Both),
            ("10.77.1.2:4002", "10.77.2.2:18127", &to_18127, Nat::Source),
            ("10.77.1.2:4003", "10.77.2.2:18128", &to_18128, Nat::Source),
            ("[fd77:1::2]:4004", "[fd77:100::1]:8125", &v6, Nat::Both),
            // Two clients with one port behind one address.
            ("10.77.1.2:47000", "10.77.100.1:8125", &to_18125, Nat::Both),
            ("10.77.1.3:47000", "10.77.100.1:8125", &to_18125, Nat::Both),
        ];
        let mut peers = Vec::new();
        for (client, door, server, nat) in cases {
            let peer = seen(client, door, server);
            let real: SocketAddr = client.parse().expect("an address");
            let flow = exchange
                .get(&answer(server, peer, 0), Direction::Reply)
                .unwrap_or_else(|error| panic!("{client} seen as {peer}: {error}"));
            assert_eq!(flow.original.source_socket(), real, "seen as {peer}");
            assert_eq!(
                flow.original.destination_socket(),
                door.parse().expect("it")
            );
            assert_eq!(flow.nat(), nat, "{flow:?}");
            let is_hidden = matches!(nat, Nat::Source | Nat::Both);
            assert_eq!(peer != real, is_hidden, "{client} seen as {peer}");
            assert!(flow.status.says_nat());
            peers.push(peer);
        }
        let [.., one, other] = peers[..] else {
            panic!("two of them");
        };
        assert_eq!(one.ip(), other.ip());
        assert_ne!(one.port(), other.port());
    });
}

#[test]
fn a_flow_in_a_zone_is_found_with_its_zone_only() {
    in_namespace(|| {
        set_up(
            ADDRESSES,
            "table inet zones {
              chain out {
                type filter hook output priority raw
                ip saddr 10.77.1.2 ct zone set 5
              }
              chain nat {
                type nat hook postrouting priority 100
                udp dport 18125 snat ip to 10.77.2.1
              }
            }",
        );
        let mut exchange = Exchange::open().expect("a socket");
        let server = server("10.77.2.2:18125");
        let peer = seen("10.77.1.2:4000", "10.77.2.2:18125", &server);
        assert_eq!(peer.to_string(), "10.77.2.1:4000");
        let found = exchange
            .get(&answer(&server, peer, 5), Direction::Reply)
            .expect("in its zone");
        assert_eq!(found.original.source_socket().to_string(), "10.77.1.2:4000");
        assert_eq!((found.original.zone, found.reply.zone), (5, 5));
        let error = exchange
            .get(&answer(&server, peer, 0), Direction::Reply)
            .unwrap_err();
        assert!(matches!(error, QueryError::NotFound), "{error}");
    });
}

#[test]
fn a_service_address_of_the_host_itself_leads_back_to_the_client() {
    in_namespace(|| {
        set_up(
            &["10.77.2.1/24"],
            "table inet gw {
              chain pre {
                type nat hook prerouting priority dstnat
                ip daddr 10.77.100.3 udp dport 8125 dnat ip to 10.77.1.1:18125
              }
              chain inp {
                type nat hook input priority 100
                ct original ip daddr 10.77.100.3 snat ip to 10.77.2.1
              }
            }",
        );
        let (told, thread) = std::sync::mpsc::channel();
        let (is_up, linked) = std::sync::mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                netns::in_new(move || {
                    let own = std::fs::read_link("/proc/thread-self").expect("Linux");
                    let own = own.file_name().expect("a number").to_os_string();
                    told.send(own.into_string().expect("digits"))
                        .expect("they wait");
                    linked
                        .recv_timeout(Duration::from_secs(20))
                        .expect("they link us");
                    run("ip", &["addr", "add", "10.77.1.2/24", "dev", "eth0"], "");
                    run("ip", &["link", "set", "eth0", "up"], "");
                    run("ip", &["route", "add", "default", "via", "10.77.1.1"], "");
                    let socket = UdpSocket::bind("10.77.1.2:4000").expect("an address of ours");
                    socket
                        .send_to(b"hits:1|c", "10.77.100.3:8125")
                        .expect("sent");
                })
                .expect("another namespace");
            });
            let thread = thread.recv().expect("it lives");
            let pair = [
                "link", "add", "rc", "type", "veth", "peer", "name", "eth0", "netns",
            ];
            run("ip", &[&pair[..], &[&thread]].concat(), "");
            run("ip", &["addr", "add", "10.77.1.1/24", "dev", "rc"], "");
            run("ip", &["link", "set", "rc", "up"], "");
            let server = server("10.77.1.1:18125");
            is_up.send(()).expect("they wait");
            let (_, peer) = server.recv_from(&mut [0; 64]).expect("it arrives");
            assert_eq!(peer.to_string(), "10.77.2.1:4000");
            let flow = Exchange::open()
                .expect("a socket")
                .get(&answer(&server, peer, 0), Direction::Reply)
                .expect("an entry");
            assert_eq!(flow.original.source_socket().to_string(), "10.77.1.2:4000");
            assert_eq!(flow.nat(), Nat::Both);
        });
    });
}
