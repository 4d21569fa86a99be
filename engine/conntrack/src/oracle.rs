//! A second opinion on a message: the crate's parser beside our walk, for tests and the fuzz target.
//!
//! The crate is 15 times dearer and refuses a message for one bad attribute, so it does not stand on the
//! event path. Where it accepts a message, both must read the same tuples, status, timeout, mark and
//! TCP state.

use std::net::IpAddr;

use netlink_packet_core::{NetlinkBuffer, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoInfo, ProtoInfoTCP, ProtoTuple, Tuple,
};
use netlink_packet_netfilter::{NetfilterMessage, NetfilterMessageInner};

use crate::flow::{Flow, Protocol};
use crate::walk;

/// One direction as the crate tells it.
type Direction = (Option<IpAddr>, Option<IpAddr>, Option<u8>, u16, u16);

/// Compares both readings of the first message. `Ok(false)`: nothing to compare, because one of them reads
/// no flow there.
///
/// # Errors
/// Both readings, when they differ.
pub fn agrees(bytes: &[u8]) -> Result<bool, String> {
    let Some(flow) = walk::messages(bytes)
        .next()
        .and_then(|message| message.flow())
    else {
        return Ok(false);
    };
    let Some(attributes) = attributes(bytes) else {
        return Ok(false);
    };
    for attribute in &attributes {
        let (name, is_equal) = compare(&flow, attribute);
        // Of an attribute that comes twice, the last counts; the crate keeps both.
        let comes_twice = attributes
            .iter()
            .filter(|other| std::mem::discriminant(*other) == std::mem::discriminant(attribute))
            .count()
            > 1;
        if !is_equal && !comes_twice {
            return Err(format!(
                "{name}: the crate reads {attribute:?}, we {flow:?}"
            ));
        }
    }
    Ok(true)
}

fn attributes(bytes: &[u8]) -> Option<Vec<ConntrackAttribute>> {
    NetlinkBuffer::new_checked(bytes).ok()?;
    let message = NetlinkMessage::<NetfilterMessage>::deserialize(bytes).ok()?;
    let NetlinkPayload::InnerMessage(message) = message.payload else {
        return None;
    };
    match message.inner {
        NetfilterMessageInner::Conntrack(
            ConntrackMessage::New(attributes)
            | ConntrackMessage::Get(attributes)
            | ConntrackMessage::Delete(attributes),
        ) => Some(attributes),
        _ => None,
    }
}

fn compare(flow: &Flow, attribute: &ConntrackAttribute) -> (&'static str, bool) {
    match attribute {
        ConntrackAttribute::CtaTupleOrig(parts) => {
            ("original", is_same(&flow.original, direction(parts)))
        }
        ConntrackAttribute::CtaTupleReply(parts) => {
            ("reply", is_same(&flow.reply, direction(parts)))
        }
        ConntrackAttribute::CtaStatus(status) => ("status", status.bits() == flow.status.0),
        ConntrackAttribute::CtaTimeout(seconds) => {
            ("timeout", flow.timeout_seconds == Some(*seconds))
        }
        ConntrackAttribute::CtaMark(mark) => ("mark", flow.mark == *mark),
        ConntrackAttribute::CtaProtoInfo(parts) => {
            let state = first_tcp_state(parts);
            ("tcp state", state.is_none() || flow.tcp_state == state)
        }
        _ => ("other", true),
    }
}

fn first_tcp_state(parts: &[ProtoInfo]) -> Option<u8> {
    let ProtoInfo::TCP(tcp) = parts.first()? else {
        return None;
    };
    match tcp.first()? {
        ProtoInfoTCP::State(state) => Some(*state),
        _ => None,
    }
}

fn direction(parts: &[Tuple]) -> Direction {
    let (mut source, mut destination, mut protocol) = (None, None, None);
    let (mut source_port, mut destination_port) = (0, 0);
    for part in parts {
        match part {
            Tuple::Ip(addresses) => {
                for address in addresses {
                    match address {
                        IPTuple::SourceAddress(address) => source = Some(*address),
                        IPTuple::DestinationAddress(address) => destination = Some(*address),
                        _ => {}
                    }
                }
            }
            Tuple::Proto(fields) => {
                for field in fields {
                    match field {
                        ProtoTuple::Protocol(number) => protocol = Some(u8::from(*number)),
                        ProtoTuple::SourcePort(port) => source_port = *port,
                        ProtoTuple::DestinationPort(port) => destination_port = *port,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    (source, destination, protocol, source_port, destination_port)
}

fn is_same(ours: &crate::flow::Tuple, theirs: Direction) -> bool {
    let (source, destination, protocol, source_port, destination_port) = theirs;
    // ICMP has fields the crate does not know, in the place of ports.
    let has_ports = !matches!(ours.protocol(), Protocol::Icmp | Protocol::Icmpv6);
    let ports = (ours.source_port, ours.destination_port);
    source == Some(ours.source())
        && destination == Some(ours.destination())
        && protocol == Some(ours.protocol)
        && (!has_ports || ports == (source_port, destination_port))
}
