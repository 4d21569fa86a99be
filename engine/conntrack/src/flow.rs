//! What the kernel tracks: a flow, seen in both directions.
//!
//! A flow without translation answers from where it was asked: its reply tuple is its original tuple
//! turned round. Where they differ, somebody translated, whatever the status bits say.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// One direction of a flow. 40 bytes, no padding, so that it can be hashed as it is.
///
/// ICMP has no ports: `source_port` is its id, `destination_port` is type × 256 + code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tuple {
    source: [u8; 16],
    destination: [u8; 16],
    /// Host byte order.
    pub source_port: u16,
    /// Host byte order.
    pub destination_port: u16,
    /// Connection tracking zone; 0 = none.
    pub zone: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// 4 or 6.
    family: u8,
}

/// A protocol whose tuples we understand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// 6
    Tcp,
    /// 17
    Udp,
    /// 1
    Icmp,
    /// 58
    Icmpv6,
    /// 132
    Sctp,
    /// 136
    UdpLite,
    /// Anything else: counted, not kept.
    Other(u8),
}

/// Status bits, as the kernel has them (`IPS_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

/// An entry of the kernel's table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flow {
    /// As the client sent it.
    pub original: Tuple,
    /// As the answer comes.
    pub reply: Tuple,
    /// The kernel's number of the entry: the same for its life, but not unique.
    pub id: u32,
    /// Status bits.
    pub status: Status,
    /// Seconds left; `None` when the message does not say.
    pub timeout_seconds: Option<u32>,
    /// Connection mark.
    pub mark: u32,
    /// TCP state by the kernel's number, for TCP.
    pub tcp_state: Option<u8>,
    /// Packets and bytes of both directions, with `nf_conntrack_acct`.
    pub counters: Option<[Count; 2]>,
    /// Nanoseconds from start to stop, with `nf_conntrack_timestamp`, once it is over.
    pub duration_nanos: Option<u64>,
}

/// Packets and bytes of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Which address of a flow was rewritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Nat {
    /// Nothing was.
    None,
    /// The client's.
    Source,
    /// The server's.
    Destination,
    /// Both.
    Both,
}

// === impl Tuple ===

impl Tuple {
    /// Nothing yet; family 0 is none.
    pub(crate) const EMPTY: Self = Self {
        source: [0; 16],
        destination: [0; 16],
        source_port: 0,
        destination_port: 0,
        zone: 0,
        protocol: 0,
        family: 0,
    };

    /// A tuple of two addresses of one family; `None` when the families differ.
    pub fn new(protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Option<Self> {
        let (source_ip, family) = bytes_of(source.ip());
        let (destination_ip, other) = bytes_of(destination.ip());
        (family == other).then_some(Self {
            source: source_ip,
            destination: destination_ip,
            source_port: source.port(),
            destination_port: destination.port(),
            zone: 0,
            protocol: protocol.number(),
            family,
        })
    }

    /// The same in a zone.
    #[must_use]
    pub fn in_zone(mut self, zone: u16) -> Self {
        self.zone = zone;
        self
    }

    /// Who sends in this direction.
    pub fn source(&self) -> IpAddr {
        address(&self.source, self.family)
    }

    /// Who receives in this direction.
    pub fn destination(&self) -> IpAddr {
        address(&self.destination, self.family)
    }

    /// The sender with its port.
    pub fn source_socket(&self) -> SocketAddr {
        SocketAddr::new(self.source(), self.source_port)
    }

    /// The receiver with its port.
    pub fn destination_socket(&self) -> SocketAddr {
        SocketAddr::new(self.destination(), self.destination_port)
    }

    /// Its protocol.
    pub fn protocol(&self) -> Protocol {
        Protocol::from_number(self.protocol)
    }

    /// Whether the addresses are IPv6.
    pub fn is_ipv6(&self) -> bool {
        self.family == 6
    }

    /// The direction of the answer, if nobody translates. Asking ICMP types turn into answering ones.
    #[must_use]
    pub fn reversed(&self) -> Self {
        let mut turned = Self {
            source: self.destination,
            destination: self.source,
            source_port: self.destination_port,
            destination_port: self.source_port,
            ..*self
        };
        if matches!(self.protocol(), Protocol::Icmp | Protocol::Icmpv6) {
            turned.source_port = self.source_port;
            turned.destination_port = answering_icmp(self.protocol(), self.destination_port);
        }
        turned
    }

    pub(crate) fn from_parts(
        family: u8,
        source: &[u8],
        destination: &[u8],
        protocol: u8,
        ports: (u16, u16),
        zone: u16,
    ) -> Self {
        let mut tuple = Self {
            source: [0; 16],
            destination: [0; 16],
            source_port: ports.0,
            destination_port: ports.1,
            zone,
            protocol,
            family,
        };
        tuple.source[..source.len()].copy_from_slice(source);
        tuple.destination[..destination.len()].copy_from_slice(destination);
        tuple
    }

    /// Five words that say everything, for hashing.
    #[inline]
    pub(crate) fn words(&self) -> [u64; 5] {
        let word = |bytes: &[u8]| {
            let mut eight = [0; 8];
            eight.copy_from_slice(bytes);
            u64::from_ne_bytes(eight)
        };
        [
            word(&self.source[..8]),
            word(&self.source[8..]),
            word(&self.destination[..8]),
            word(&self.destination[8..]),
            u64::from(self.source_port)
                | u64::from(self.destination_port) << 16
                | u64::from(self.zone) << 32
                | u64::from(self.protocol) << 48
                | u64::from(self.family) << 56,
        ]
    }
}

impl fmt::Debug for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} > {}",
            self.protocol(),
            self.source_socket(),
            self.destination_socket()
        )?;
        match self.zone {
            0 => Ok(()),
            zone => write!(f, " zone {zone}"),
        }
    }
}

// === impl Protocol ===

impl Protocol {
    /// By IP protocol number.
    pub const fn from_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            1 => Self::Icmp,
            58 => Self::Icmpv6,
            132 => Self::Sctp,
            136 => Self::UdpLite,
            other => Self::Other(other),
        }
    }

    /// By the word in queries; a bare number is taken too.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "tcp" => Self::Tcp,
            "udp" => Self::Udp,
            "icmp" => Self::Icmp,
            "icmpv6" => Self::Icmpv6,
            "sctp" => Self::Sctp,
            "udplite" => Self::UdpLite,
            number => Self::from_number(number.parse().ok()?),
        })
    }

    /// IP protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Icmp => 1,
            Self::Icmpv6 => 58,
            Self::Sctp => 132,
            Self::UdpLite => 136,
            Self::Other(number) => number,
        }
    }

    /// The word in queries and tags.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
            Self::Icmpv6 => "icmpv6",
            Self::Sctp => "sctp",
            Self::UdpLite => "udplite",
            Self::Other(_) => "other",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Other(number) => write!(f, "proto-{number}"),
            known => f.write_str(known.as_str()),
        }
    }
}

// === impl Status ===

impl Status {
    /// Answers were seen.
    pub const SEEN_REPLY: u32 = 0x2;
    /// It is not thrown out early.
    pub const ASSURED: u32 = 0x4;
    /// In the table.
    pub const CONFIRMED: u32 = 0x8;
    /// The client's address is rewritten.
    pub const SRC_NAT: u32 = 0x10;
    /// The server's address is rewritten.
    pub const DST_NAT: u32 = 0x20;
    /// On its way out.
    pub const DYING: u32 = 0x200;

    /// Whether the kernel says that it translates. The bits `*_NAT_DONE` do not say that.
    pub const fn says_nat(self) -> bool {
        self.0 & (Self::SRC_NAT | Self::DST_NAT) != 0
    }
}

// === impl Flow ===

impl Flow {
    /// What was rewritten, by the tuples: the truth, where status bits only announce it.
    pub fn nat(&self) -> Nat {
        let expected = self.original.reversed();
        let source = self.reply.destination != expected.destination
            || self.reply.destination_port != expected.destination_port;
        let destination =
            self.reply.source != expected.source || self.reply.source_port != expected.source_port;
        match (source, destination) {
            (false, false) => Nat::None,
            (true, false) => Nat::Source,
            (false, true) => Nat::Destination,
            (true, true) => Nat::Both,
        }
    }

    /// Whether anything was rewritten.
    pub fn is_translated(&self) -> bool {
        self.original.reversed() != self.reply
    }
}

// === impl Nat ===

impl Nat {
    /// The word in tags and queries.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Source => "src",
            Self::Destination => "dst",
            Self::Both => "both",
        }
    }
}

/// An address as the flow table holds it; IPv4 behind `::ffff:` is IPv4.
pub fn canonical(address: IpAddr) -> IpAddr {
    address.to_canonical()
}

fn bytes_of(address: IpAddr) -> ([u8; 16], u8) {
    let mut bytes = [0; 16];
    match canonical(address) {
        IpAddr::V4(v4) => {
            bytes[..4].copy_from_slice(&v4.octets());
            (bytes, 4)
        }
        IpAddr::V6(v6) => (v6.octets(), 6),
    }
}

fn address(bytes: &[u8; 16], family: u8) -> IpAddr {
    match family {
        4 => IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])),
        _ => IpAddr::V6(Ipv6Addr::from(*bytes)),
    }
}

/// Type and code of the answer to an ICMP request, and of the request to an answer.
fn answering_icmp(protocol: Protocol, type_and_code: u16) -> u16 {
    let (kind, code) = (type_and_code >> 8, type_and_code & 0xff);
    let turned = match (protocol, kind) {
        (Protocol::Icmp, 8) => 0,
        (Protocol::Icmp, 0) => 8,
        (Protocol::Icmp, 13) => 14,
        (Protocol::Icmp, 14) => 13,
        (Protocol::Icmp, 15) => 16,
        (Protocol::Icmp, 16) => 15,
        (Protocol::Icmp, 17) => 18,
        (Protocol::Icmp, 18) => 17,
        (Protocol::Icmpv6, 128) => 129,
        (Protocol::Icmpv6, 129) => 128,
        (Protocol::Icmpv6, 139) => 140,
        (Protocol::Icmpv6, 140) => 139,
        (_, same) => same,
    };
    turned << 8 | code
}

const _: () = assert!(size_of::<Tuple>() == 40);

#[cfg(test)]
mod tests {
    use super::*;

    fn udp(source: &str, destination: &str) -> Tuple {
        let parse = |text: &str| text.parse().expect("an address");
        Tuple::new(Protocol::Udp, parse(source), parse(destination)).expect("one family")
    }

    fn flow(original: Tuple, reply: Tuple) -> Flow {
        Flow {
            original,
            reply,
            id: 1,
            status: Status::default(),
            timeout_seconds: None,
            mark: 0,
            tcp_state: None,
            counters: None,
            duration_nanos: None,
        }
    }

    #[test]
    fn tuples_say_what_was_rewritten() {
        let client = udp("10.0.0.1:1000", "10.0.0.9:8125");
        let check = |reply: Tuple, expected: Nat| {
            assert_eq!(flow(client, reply).nat(), expected, "{reply}");
            assert_eq!(flow(client, reply).is_translated(), expected != Nat::None);
        };
        check(client.reversed(), Nat::None);
        check(udp("10.0.0.9:8125", "10.0.0.5:1000"), Nat::Source);
        check(udp("10.0.0.9:8125", "10.0.0.1:1001"), Nat::Source);
        check(udp("10.0.0.7:18125", "10.0.0.1:1000"), Nat::Destination);
        check(udp("10.0.0.7:18125", "10.0.0.5:9"), Nat::Both);
    }

    #[test]
    fn an_echo_is_answered_by_another_type_with_the_same_id() {
        let parse = |text: &str| text.parse().expect("an address");
        let ask = Tuple::new(
            Protocol::Icmp,
            parse("10.0.0.1:77"),
            SocketAddr::new("10.0.0.2".parse().expect("an address"), 8 << 8),
        )
        .expect("one family");
        let answer = ask.reversed();
        assert_eq!((answer.source_port, answer.destination_port), (77, 0));
        assert_eq!(answer.reversed(), ask);
    }

    #[test]
    fn mapped_addresses_are_ipv4_and_families_do_not_mix() {
        let mapped = udp("[::ffff:10.0.0.1]:5", "10.0.0.2:6");
        assert_eq!(mapped, udp("10.0.0.1:5", "10.0.0.2:6"));
        let v6: SocketAddr = "[::1]:1".parse().expect("an address");
        let v4: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        assert!(Tuple::new(Protocol::Udp, v6, v4).is_none());
    }
}
