//! A lane that asks a running reader, while clients come, fall silent, and take each other's ports.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use greyhound_conntrack::attribution::cache::LaneCache;
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::flow::{Protocol, Tuple};
use greyhound_conntrack::reader::{Config, Mode, Reader};
use greyhound_conntrack::request::Direction;
use greyhound_sys::peers::Peer;

use super::net::{in_namespace, set_up, sysctl, until};

const RULES: &str = "table inet gw {
  chain post {
    type nat hook postrouting priority 100
    udp dport 18125 snat ip to 10.77.2.1
  }
}";
const ADDRESSES: &[&str] = &[
    "10.77.2.1/24",
    "10.77.2.2/24",
    "10.77.1.2/24",
    "10.77.1.3/24",
];

/// A receiver whose datagrams go through a lane's memory.
struct Lane {
    socket: UdpSocket,
    cache: LaneCache,
    reader: Reader,
    began: Instant,
}

// === impl Lane ===

impl Lane {
    fn new(mode: Mode) -> Self {
        let reader = Reader::start(Config {
            mode,
            attribution: true,
            ..Config::default()
        })
        .expect("a thread");
        let socket = UdpSocket::bind("10.77.2.2:18125").expect("an address of ours");
        socket
            .set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket option");
        let cache = reader.asking().expect("attribution is on").lane();
        Self {
            socket,
            cache,
            reader,
            began: Instant::now(),
        }
    }

    /// One datagram from a client; who the lane thinks it was, by what it knows before it asks.
    fn hear(&mut self, client: &str) -> Option<String> {
        let sender = UdpSocket::bind(client).expect("an address of ours");
        sender
            .send_to(b"hits:1|c", "10.77.2.2:18125")
            .expect("sent");
        let (_, source) = self.socket.recv_from(&mut [0; 64]).expect("it arrives");
        let local: SocketAddr = "10.77.2.2:18125".parse().expect("an address");
        // Both clients look the same.
        assert_eq!(source.to_string(), "10.77.2.1:47100");
        let mut clients = Vec::new();
        // A test does not run for centuries.
        let now = 1_000_000_000_000 + self.began.elapsed().as_nanos() as u64;
        self.cache
            .name(now, &[Peer { source, local }], &mut clients);
        let book = self.reader.asking().expect("attribution is on").book();
        book.address(clients[0]).map(|address| address.to_string())
    }

    /// The same until the lane names somebody; he must be the sender.
    fn hear_until_named(&mut self, client: &str) {
        let named = until("a name", || {
            let named = self.hear(client);
            std::thread::sleep(Duration::from_millis(20));
            named
        });
        assert!(
            client.starts_with(&format!("{named}:")),
            "{named} for {client}"
        );
    }
}

fn reply() -> Tuple {
    let parse = |text: &str| text.parse().expect("an address");
    Tuple::new(
        Protocol::Udp,
        parse("10.77.2.2:18125"),
        parse("10.77.2.1:47100"),
    )
    .expect("one family")
}

#[test]
fn after_a_silence_the_port_may_be_another_clients() {
    in_namespace(|| {
        set_up(ADDRESSES, RULES);
        sysctl("udp_timeout", 2);
        let mut lane = Lane::new(Mode::Pull);
        lane.hear_until_named("10.77.1.3:47100");
        let mut exchange = Exchange::open().expect("a socket");
        until("the entry to go", || {
            exchange.get(&reply(), Direction::Reply).err()
        });
        // Never the one before, not even for the first datagram.
        assert_eq!(lane.hear("10.77.1.2:47100"), None);
        lane.hear_until_named("10.77.1.2:47100");
    });
}

#[test]
fn the_end_of_a_flow_voids_its_answer_at_once() {
    in_namespace(|| {
        set_up(ADDRESSES, RULES);
        // Silence alone would let the answer stand for a long time.
        sysctl("udp_timeout", 300);
        let mut lane = Lane::new(Mode::Events);
        let handle = lane.reader.handle();
        until("the socket to join", || {
            let view = handle.view();
            let first = view.namespaces.first()?;
            first.load.as_ref().map(|_| ())
        });
        lane.hear_until_named("10.77.1.3:47100");
        let mut exchange = Exchange::open().expect("a socket");
        let flow = exchange.get(&reply(), Direction::Reply).expect("an entry");
        exchange.delete(&flow.original, flow.id).expect("deleted");
        let counts = lane
            .reader
            .asking()
            .expect("attribution is on")
            .counts()
            .clone();
        until("the end", || {
            (counts.voided.load(Ordering::Relaxed) == 1).then_some(())
        });
        assert_eq!(lane.hear("10.77.1.2:47100"), None);
        lane.hear_until_named("10.77.1.2:47100");
    });
}
