//! Reads the kernel's messages where they lie: no copy, no allocation.
//!
//! ```text
//!  datagram │ nlmsghdr 16 │ nfgenmsg 4 │ attributes … │ nlmsghdr …
//!            Messages ─────────────────▶ Message ─────▶ flow()
//! ```
//!
//! An attribute with a length below 4 or beyond the rest ends the walk of its level; unknown types are
//! passed over, because kernels add some every few years. A message without both tuples is no flow: the
//! caller counts it. One pass over a flow, no allocation.

use crate::flow::{Count, Flow, Protocol, Status, Tuple};

/// Where the attributes of a message begin.
const ATTRIBUTES_AT: usize = 20;
const HEADER_BYTES: usize = 16;

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_FILTERED: u16 = 0x20;
const NLM_F_CREATE_EXCL: u16 = 0x600;

const NEW: u16 = 0x100;
const DELETE: u16 = 0x102;
const STATS_CPU: u16 = 0x104;
const STATS: u16 = 0x105;

/// Numbers of `CTA_*`, as far as we read them.
mod cta {
    pub(super) const TUPLE_ORIG: u16 = 1;
    pub(super) const TUPLE_REPLY: u16 = 2;
    pub(super) const STATUS: u16 = 3;
    pub(super) const PROTOINFO: u16 = 4;
    pub(super) const TIMEOUT: u16 = 7;
    pub(super) const MARK: u16 = 8;
    pub(super) const COUNTERS_ORIG: u16 = 9;
    pub(super) const COUNTERS_REPLY: u16 = 10;
    pub(super) const ID: u16 = 12;
    pub(super) const ZONE: u16 = 18;
    pub(super) const TIMESTAMP: u16 = 20;
    pub(super) const TUPLE_IP: u16 = 1;
    pub(super) const TUPLE_PROTO: u16 = 2;
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A new entry.
    New,
    /// A changed entry; also a row of a dump or the answer to a request.
    Update,
    /// An entry that is gone.
    Destroy,
    /// Counters of a CPU.
    StatsCpu,
    /// Totals.
    Stats,
    /// The answer of the kernel to a request: 0 or a negative errno.
    Error(i32),
    /// The end of a dump, with 0 or a negative errno.
    Done(i32),
    /// Nothing of ours.
    Other(u16),
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// Number of the request it answers; 0 for events.
    pub sequence: u32,
    /// The kernel filtered the dump by itself.
    pub is_filtered: bool,
    bytes: &'a [u8],
}

/// The messages of one datagram.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// Attributes of one level: type and content.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

/// The messages in a datagram, in order. Ends at the first that cannot be one.
pub fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages(datagram)
}

// === impl Messages ===

impl Messages<'_> {
    /// Whether bytes are left that are no message: the datagram was cut, or is not netlink.
    pub fn has_rest(&self) -> bool {
        !self.0.is_empty()
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let len = native_u32(self.0, 0)? as usize;
        if len < HEADER_BYTES || len > self.0.len() {
            return None;
        }
        let bytes = &self.0[..len];
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        let flags = native_u16(bytes, 6)?;
        let errno = || native_u32(bytes, HEADER_BYTES).map_or(0, |word| word as i32);
        let kind = match native_u16(bytes, 4)? {
            NEW if flags & NLM_F_CREATE_EXCL != 0 => Kind::New,
            NEW => Kind::Update,
            DELETE => Kind::Destroy,
            STATS_CPU => Kind::StatsCpu,
            STATS => Kind::Stats,
            NLMSG_ERROR => Kind::Error(errno()),
            NLMSG_DONE => Kind::Done(errno()),
            other => Kind::Other(other),
        };
        Some(Message {
            kind,
            sequence: native_u32(bytes, 8)?,
            is_filtered: flags & NLM_F_DUMP_FILTERED != 0,
            bytes,
        })
    }
}

// === impl Message ===

impl<'a> Message<'a> {
    /// The flow it is about; `None` when a tuple is missing or cannot be read.
    pub fn flow(&self) -> Option<Flow> {
        let (mut original, mut reply) = (None, None);
        let mut zone = 0;
        let mut flow = Flow {
            original: Tuple::EMPTY,
            reply: Tuple::EMPTY,
            id: 0,
            status: Status::default(),
            timeout_seconds: None,
            mark: 0,
            tcp_state: None,
            counters: None,
            duration_nanos: None,
        };
        for (kind, value) in self.attributes() {
            match kind {
                cta::TUPLE_ORIG => original = tuple(value),
                cta::TUPLE_REPLY => reply = tuple(value),
                cta::STATUS => flow.status = Status(be_u32(value)?),
                cta::TIMEOUT => flow.timeout_seconds = Some(be_u32(value)?),
                cta::MARK => flow.mark = be_u32(value)?,
                cta::ID => flow.id = be_u32(value)?,
                cta::ZONE => zone = be_u16(value)?,
                cta::PROTOINFO => flow.tcp_state = tcp_state(value),
                cta::COUNTERS_ORIG => flow.counters.get_or_insert_default()[0] = count(value),
                cta::COUNTERS_REPLY => flow.counters.get_or_insert_default()[1] = count(value),
                cta::TIMESTAMP => flow.duration_nanos = duration(value),
                _ => {}
            }
        }
        flow.original = original?.in_zone(zone);
        flow.reply = reply?.in_zone(zone);
        Some(flow)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        Attributes(self.bytes.get(ATTRIBUTES_AT..).unwrap_or_default())
    }

    /// The resource id of its header: the CPU a counter message is about.
    pub fn resource(&self) -> u16 {
        self.bytes
            .get(18..20)
            .map_or(0, |bytes| be_u16(bytes).unwrap_or(0))
    }
}

// === impl Attributes ===

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    #[inline]
    fn next(&mut self) -> Option<(u16, &'a [u8])> {
        const HEADER: usize = 4;
        let len = usize::from(native_u16(self.0, 0)?);
        if len < HEADER || len > self.0.len() {
            self.0 = &[];
            return None;
        }
        // The two upper bits say how the content is made up, not what it is.
        let kind = native_u16(self.0, 2)? & 0x3fff;
        let value = &self.0[HEADER..len];
        self.0 = self
            .0
            .get(len.next_multiple_of(HEADER)..)
            .unwrap_or_default();
        Some((kind, value))
    }
}

fn tuple(bytes: &[u8]) -> Option<Tuple> {
    let (mut source, mut destination): (&[u8], &[u8]) = (&[], &[]);
    let (mut protocol, mut ports) = (None, [0u16; 2]);
    let (mut icmp, mut icmp_id) = ([0u8; 2], 0);
    for (kind, level) in Attributes(bytes) {
        match kind {
            cta::TUPLE_IP => {
                for (kind, value) in Attributes(level) {
                    match kind {
                        1 | 3 => source = value,
                        2 | 4 => destination = value,
                        _ => {}
                    }
                }
            }
            cta::TUPLE_PROTO => {
                for (kind, value) in Attributes(level) {
                    match kind {
                        1 => protocol = value.first().copied(),
                        2 => ports[0] = be_u16(value)?,
                        3 => ports[1] = be_u16(value)?,
                        4 | 7 => icmp_id = be_u16(value)?,
                        5 | 8 => icmp[0] = *value.first()?,
                        6 | 9 => icmp[1] = *value.first()?,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    let protocol = protocol?;
    let family = match (source.len(), destination.len()) {
        (4, 4) => 4,
        (16, 16) => 6,
        _ => return None,
    };
    if matches!(
        Protocol::from_number(protocol),
        Protocol::Icmp | Protocol::Icmpv6
    ) {
        ports = [icmp_id, u16::from_be_bytes(icmp)];
    }
    Some(Tuple::from_parts(
        family,
        source,
        destination,
        protocol,
        (ports[0], ports[1]),
        0,
    ))
}

fn tcp_state(bytes: &[u8]) -> Option<u8> {
    const TCP: u16 = 1;
    const STATE: u16 = 1;
    let tcp = Attributes(bytes).find(|&(kind, _)| kind == TCP)?.1;
    let state = Attributes(tcp).find(|&(kind, _)| kind == STATE)?.1;
    state.first().copied()
}

fn count(bytes: &[u8]) -> Count {
    let mut count = Count::default();
    for (kind, value) in Attributes(bytes) {
        match kind {
            1 => count.packets = be_u64(value).unwrap_or(0),
            2 => count.bytes = be_u64(value).unwrap_or(0),
            _ => {}
        }
    }
    count
}

fn duration(bytes: &[u8]) -> Option<u64> {
    let (mut start, mut stop) = (None, None);
    for (kind, value) in Attributes(bytes) {
        match kind {
            1 => start = be_u64(value),
            2 => stop = be_u64(value),
            _ => {}
        }
    }
    stop?.checked_sub(start?)
}

#[inline]
fn native_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[inline]
fn native_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[inline]
fn be_u16(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.try_into().ok()?))
}

#[inline]
pub(crate) fn be_u32(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.try_into().ok()?))
}

#[inline]
fn be_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests;
