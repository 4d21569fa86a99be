//! What we ask the kernel, as bytes.
//!
//! | request | answer |
//! |---|---|
//! | [`get`] | one entry, or an error; marked as part of many, and **no end follows** |
//! | [`dump`] | entries, then an end |
//! | [`stats`] | one message, and no end |
//! | [`stats_per_cpu`] | one message per CPU, then an end |
//! | [`delete`] | an acknowledgement. Always with a tuple and an id: without a tuple it would empty the table |

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
    NetlinkMessage, NetlinkPayload,
};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Protocol,
    Status, Tuple as PacketTuple,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};

use crate::flow::{Protocol as FlowProtocol, Tuple};

const CTA_NAT_SRC: u16 = 6;
const CTA_ID: u16 = 12;
const CTA_NAT_DST: u16 = 13;
const CTA_ZONE: u16 = 18;
const CTA_STATUS_MASK: u16 = 26;
const GET_STATS_CPU: u8 = 4;
const GET_STATS: u8 = 5;

/// In which direction a tuple is meant. The kernel finds an entry by either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// As the client sent.
    Original,
    /// As the answer comes.
    Reply,
}

/// Which rows a dump is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpFilter {
    /// Status bits that must all be set; 0 = any row. Kernels before 5.14 ignore it and say so.
    pub status: u32,
}

/// An entry to be made by hand, for tests.
#[derive(Clone, Copy, Debug)]
pub struct Injected {
    /// As the client sends.
    pub original: Tuple,
    /// As the answer comes.
    pub reply: Tuple,
    /// Seconds until it goes.
    pub timeout_seconds: u32,
    /// Set up translation for what differs, so that the kernel sets its status bits.
    pub translate: bool,
}

/// Asks for the entry with this tuple; the tuple's zone is asked for too.
pub fn get(tuple: &Tuple, direction: Direction, sequence: u32) -> Vec<u8> {
    let attributes = with_zone(vec![tuple_attribute(tuple, direction)], tuple.zone);
    request(
        family(tuple),
        NLM_F_REQUEST,
        sequence,
        ConntrackMessage::Get(attributes),
    )
}

/// Asks for all entries, or those with some status bits.
pub fn dump(filter: DumpFilter, sequence: u32) -> Vec<u8> {
    let attributes = match filter.status {
        0 => Vec::new(),
        bits => vec![
            ConntrackAttribute::CtaStatus(Status::from_bits_retain(bits)),
            raw(CTA_STATUS_MASK, bits.to_be_bytes().to_vec()),
        ],
    };
    request(
        NetfilterProtoFamily::Unspec,
        NLM_F_REQUEST | NLM_F_DUMP,
        sequence,
        ConntrackMessage::Get(attributes),
    )
}

/// Asks for the number of entries and their maximum.
pub fn stats(sequence: u32) -> Vec<u8> {
    other(GET_STATS, NLM_F_REQUEST, sequence)
}

/// Asks for the counters of each CPU.
pub fn stats_per_cpu(sequence: u32) -> Vec<u8> {
    other(GET_STATS_CPU, NLM_F_REQUEST | NLM_F_DUMP, sequence)
}

/// Deletes the entry with this original tuple and this id, and no other.
pub fn delete(original: &Tuple, id: u32, sequence: u32) -> Vec<u8> {
    let mut attributes = vec![tuple_attribute(original, Direction::Original)];
    attributes.push(raw(CTA_ID, id.to_be_bytes().to_vec()));
    request(
        family(original),
        NLM_F_REQUEST | NLM_F_ACK,
        sequence,
        ConntrackMessage::Delete(with_zone(attributes, original.zone)),
    )
}

/// Makes an entry.
pub fn inject(entry: &Injected, sequence: u32) -> Vec<u8> {
    const CONFIRMED: u32 = 0x8;
    let (original, reply) = (&entry.original, &entry.reply);
    // The kernel sets its status bits when it rewrites the answer's tuple itself.
    let untranslated = match entry.translate {
        true => original.reversed(),
        false => *reply,
    };
    let mut attributes = vec![
        tuple_attribute(original, Direction::Original),
        tuple_attribute(&untranslated, Direction::Reply),
        ConntrackAttribute::CtaTimeout(entry.timeout_seconds),
        ConntrackAttribute::CtaStatus(Status::from_bits_retain(CONFIRMED)),
    ];
    if original.protocol() == FlowProtocol::Tcp {
        const ESTABLISHED: u8 = 3;
        attributes.push(ConntrackAttribute::CtaProtoInfo(vec![ProtoInfo::TCP(
            vec![ProtoInfoTCP::State(ESTABLISHED)],
        )]));
    }
    if entry.translate {
        let expected = original.reversed();
        if reply.destination_socket() != expected.destination_socket() {
            let nat = nat_range(&reply.destination_socket());
            attributes.push(raw(CTA_NAT_SRC | NESTED, nat));
        }
        if reply.source_socket() != expected.source_socket() {
            attributes.push(raw(CTA_NAT_DST | NESTED, nat_range(&reply.source_socket())));
        }
    }
    request(
        family(original),
        NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        sequence,
        ConntrackMessage::New(with_zone(attributes, original.zone)),
    )
}

const NESTED: u16 = 0x8000;

fn family(tuple: &Tuple) -> NetfilterProtoFamily {
    match tuple.is_ipv6() {
        true => NetfilterProtoFamily::IPv6,
        false => NetfilterProtoFamily::IPv4,
    }
}

fn tuple_attribute(tuple: &Tuple, direction: Direction) -> ConntrackAttribute {
    const ICMP_ID: u16 = 4;
    const ICMPV6_ID: u16 = 7;
    let mut proto = vec![ProtoTuple::Protocol(Protocol::from(tuple.protocol))];
    let icmp = |first: u16| {
        let [kind, code] = tuple.destination_port.to_be_bytes();
        [
            ProtoTuple::Other(DefaultNla::new(
                first,
                tuple.source_port.to_be_bytes().into(),
            )),
            ProtoTuple::Other(DefaultNla::new(first + 1, vec![kind])),
            ProtoTuple::Other(DefaultNla::new(first + 2, vec![code])),
        ]
    };
    match tuple.protocol() {
        FlowProtocol::Icmp => proto.extend(icmp(ICMP_ID)),
        FlowProtocol::Icmpv6 => proto.extend(icmp(ICMPV6_ID)),
        _ => proto.extend([
            ProtoTuple::SourcePort(tuple.source_port),
            ProtoTuple::DestinationPort(tuple.destination_port),
        ]),
    }
    let parts = vec![
        PacketTuple::Ip(vec![
            IPTuple::SourceAddress(tuple.source()),
            IPTuple::DestinationAddress(tuple.destination()),
        ]),
        PacketTuple::Proto(proto),
    ];
    match direction {
        Direction::Original => ConntrackAttribute::CtaTupleOrig(parts),
        Direction::Reply => ConntrackAttribute::CtaTupleReply(parts),
    }
}

fn with_zone(mut attributes: Vec<ConntrackAttribute>, zone: u16) -> Vec<ConntrackAttribute> {
    if zone != 0 {
        attributes.push(raw(CTA_ZONE, zone.to_be_bytes().to_vec()));
    }
    attributes
}

/// The address, and the port, as the only choice of a translation.
fn nat_range(to: &std::net::SocketAddr) -> Vec<u8> {
    const V4: [u16; 2] = [1, 2];
    const V6: [u16; 2] = [4, 5];
    const PROTO: u16 = 3;
    let (kinds, bytes) = match to.ip() {
        std::net::IpAddr::V4(v4) => (V4, v4.octets().to_vec()),
        std::net::IpAddr::V6(v6) => (V6, v6.octets().to_vec()),
    };
    let mut out = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        // Some tens of bytes at most.
        out.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        out.extend_from_slice(&kind.to_ne_bytes());
        out.extend_from_slice(value);
        out.resize(out.len().next_multiple_of(4), 0);
    };
    for kind in kinds {
        add(kind, &bytes);
    }
    let mut ports = Vec::new();
    for kind in [1u16, 2] {
        ports.extend_from_slice(&6u16.to_ne_bytes());
        ports.extend_from_slice(&kind.to_ne_bytes());
        ports.extend_from_slice(&to.port().to_be_bytes());
        ports.extend_from_slice(&[0, 0]);
    }
    add(PROTO | NESTED, &ports);
    out
}

fn raw(kind: u16, value: Vec<u8>) -> ConntrackAttribute {
    ConntrackAttribute::Other(DefaultNla::new(kind, value))
}

fn other(message_type: u8, flags: u16, sequence: u32) -> Vec<u8> {
    request(
        NetfilterProtoFamily::Unspec,
        flags,
        sequence,
        ConntrackMessage::Other {
            message_type,
            attributes: Vec::new(),
        },
    )
}

fn request(
    family: NetfilterProtoFamily,
    flags: u16,
    sequence: u32,
    message: ConntrackMessage,
) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = flags;
    header.sequence_number = sequence;
    let message = NetfilterMessage::new(NetfilterHeader::new(family, 0, 0), message);
    let mut packet = NetlinkMessage::new(header, NetlinkPayload::from(message));
    packet.finalize();
    let mut bytes = vec![0; packet.buffer_len()];
    packet.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::walk;

    fn tuple(text: (&str, &str), protocol: FlowProtocol) -> Tuple {
        let parse = |text: &str| text.parse().expect("an address");
        Tuple::new(protocol, parse(text.0), parse(text.1)).expect("one family")
    }

    #[test]
    fn what_we_inject_reads_back_as_it_was_meant() {
        for (protocol, pair) in [
            (FlowProtocol::Udp, ("10.0.0.1:5", "10.0.0.2:6")),
            (FlowProtocol::Tcp, ("[fd00::1]:5", "[fd00::2]:6")),
            (FlowProtocol::Icmp, ("10.0.0.1:77", "10.0.0.2:2048")),
            (FlowProtocol::Icmpv6, ("[fd00::1]:77", "[fd00::2]:32768")),
        ] {
            let original = tuple(pair, protocol).in_zone(3);
            let entry = Injected {
                original,
                reply: original.reversed(),
                timeout_seconds: 60,
                translate: true,
            };
            let bytes = inject(&entry, 9);
            let mut messages = walk::messages(&bytes);
            let message = messages.next().expect("a message");
            assert_eq!((message.kind, message.sequence), (walk::Kind::New, 9));
            let flow = message.flow().expect("a flow");
            assert_eq!((flow.original, flow.reply), (original, original.reversed()));
            assert_eq!(flow.timeout_seconds, Some(60));
            assert!(messages.next().is_none() && !messages.has_rest());
        }
    }

    #[test]
    fn a_delete_names_tuple_and_id() {
        let original = tuple(("10.0.0.1:5", "10.0.0.2:6"), FlowProtocol::Udp);
        let bytes = delete(&original, 0x0102_0304, 1);
        let message = walk::messages(&bytes).next().expect("a message");
        let kinds: Vec<u16> = message.attributes().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, [1, 12]);
        assert_eq!(message.kind, walk::Kind::Destroy);
    }
}
