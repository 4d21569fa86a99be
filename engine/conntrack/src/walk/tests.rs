//! Messages as a kernel sent them, messages that are broken, and the crate's parser as a second opinion.

use super::*;
use crate::flow::Nat;
use crate::oracle;
use proptest::prelude::*;

/// NEW of a translated UDP flow, as Linux 6.18 sent it: 10.77.1.2:42732 to 10.77.100.1:8125, answered from
/// 10.77.2.2:18125 to 10.77.2.1:42732.
pub(crate) fn new_udp() -> Vec<u8> {
    let mut message = Build::new(NEW, NLM_F_CREATE_EXCL);
    message.tuple(1, [10, 77, 1, 2], [10, 77, 100, 1], 17, [42732, 8125]);
    message.tuple(2, [10, 77, 2, 2], [10, 77, 2, 1], 17, [18125, 42732]);
    message.attribute(cta::STATUS, &0x1b8u32.to_be_bytes());
    message.attribute(cta::TIMEOUT, &30u32.to_be_bytes());
    message.attribute(cta::ID, &0xdead_beefu32.to_be_bytes());
    message.attribute(27, &[0; 8]);
    message.finish()
}

/// Builds messages the way the kernel lays them out.
struct Build(Vec<u8>);

impl Build {
    fn new(kind: u16, flags: u16) -> Self {
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&[2, 0, 0, 0]);
        Self(bytes)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        put(&mut self.0, kind, value);
    }

    fn tuple(
        &mut self,
        kind: u16,
        source: [u8; 4],
        destination: [u8; 4],
        protocol: u8,
        ports: [u16; 2],
    ) {
        let (mut ip, mut proto, mut whole) = (Vec::new(), Vec::new(), Vec::new());
        put(&mut ip, 1, &source);
        put(&mut ip, 2, &destination);
        put(&mut proto, 1, &[protocol]);
        put(&mut proto, 2, &ports[0].to_be_bytes());
        put(&mut proto, 3, &ports[1].to_be_bytes());
        put(&mut whole, 1 | 0x8000, &ip);
        put(&mut whole, 2 | 0x8000, &proto);
        self.attribute(kind | 0x8000, &whole);
    }

    fn finish(mut self) -> Vec<u8> {
        let len = self.0.len() as u32;
        self.0[..4].copy_from_slice(&len.to_ne_bytes());
        self.0
    }
}

fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
    out.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

fn only(bytes: &[u8]) -> Message<'_> {
    messages(bytes).next().expect("a message")
}

#[test]
fn a_new_flow_is_read_whole() {
    let bytes = new_udp();
    let message = only(&bytes);
    assert_eq!(message.kind, Kind::New);
    let flow = message.flow().expect("a flow");
    assert_eq!(
        flow.original.to_string(),
        "udp 10.77.1.2:42732 > 10.77.100.1:8125"
    );
    assert_eq!(
        flow.reply.to_string(),
        "udp 10.77.2.2:18125 > 10.77.2.1:42732"
    );
    assert_eq!((flow.id, flow.timeout_seconds), (0xdead_beef, Some(30)));
    assert!(flow.status.says_nat());
    assert_eq!(flow.nat(), Nat::Both);
}

#[test]
fn flags_tell_a_change_from_something_new() {
    assert_eq!(only(&Build::new(NEW, 0).finish()).kind, Kind::Update);
    assert_eq!(only(&Build::new(DELETE, 0).finish()).kind, Kind::Destroy);
    let mut done = Build::new(NLMSG_DONE, 2).finish();
    done[16..20].copy_from_slice(&(-1i32).to_ne_bytes());
    assert_eq!(only(&done).kind, Kind::Done(-1));
    let mut error = Build::new(NLMSG_ERROR, 0).finish();
    error[16..20].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
    assert_eq!(only(&error).kind, Kind::Error(-libc::ENOENT));
}

#[test]
fn everything_beside_the_tuples_is_read_where_it_is_there() {
    let mut message = Build::new(DELETE, 0);
    message.tuple(1, [1; 4], [2; 4], 6, [1, 2]);
    message.tuple(2, [2; 4], [1; 4], 6, [2, 1]);
    message.attribute(cta::ZONE, &5u16.to_be_bytes());
    let (mut state, mut tcp, mut counters, mut times) = (vec![], vec![], vec![], vec![]);
    put(&mut state, 1, &[7]);
    put(&mut tcp, 1, &state);
    message.attribute(cta::PROTOINFO, &tcp);
    put(&mut counters, 1, &3u64.to_be_bytes());
    put(&mut counters, 2, &400u64.to_be_bytes());
    message.attribute(cta::COUNTERS_REPLY, &counters);
    put(&mut times, 1, &1_000u64.to_be_bytes());
    put(&mut times, 2, &5_000u64.to_be_bytes());
    message.attribute(cta::TIMESTAMP, &times);
    let bytes = message.finish();
    let flow = only(&bytes).flow().expect("a flow");
    assert_eq!((flow.original.zone, flow.reply.zone), (5, 5));
    assert_eq!(flow.tcp_state, Some(7));
    assert_eq!(flow.duration_nanos, Some(4_000));
    let [original, reply] = flow.counters.expect("counters");
    assert_eq!(original, Count::default());
    assert_eq!((reply.packets, reply.bytes), (3, 400));
}

#[test]
fn a_message_without_both_tuples_is_no_flow() {
    let mut message = Build::new(NEW, 0);
    message.tuple(1, [1; 4], [2; 4], 17, [1, 2]);
    assert!(only(&message.finish()).flow().is_none());
    assert!(only(&Build::new(NEW, 0).finish()).flow().is_none());
}

#[test]
fn two_messages_in_a_datagram_are_two() {
    let mut bytes = new_udp();
    bytes.extend_from_slice(&new_udp());
    bytes.extend_from_slice(&[1, 2, 3]);
    let mut all = messages(&bytes);
    assert_eq!(all.by_ref().filter_map(|message| message.flow()).count(), 2);
    assert!(all.has_rest());
}

#[test]
fn the_crate_reads_the_same() {
    assert!(oracle::agrees(&new_udp()).expect("no difference"));
}

proptest! {
    #[test]
    fn any_bytes_are_walked_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for message in messages(&bytes) {
            let _flow = message.flow();
        }
    }

    #[test]
    fn what_both_parsers_accept_they_read_alike(
        changes in proptest::collection::vec((0usize..200, any::<u8>()), 0..6)
    ) {
        let mut bytes = new_udp();
        for (at, value) in changes {
            let len = bytes.len();
            bytes[at % len] = value;
        }
        let agreed = oracle::agrees(&bytes);
        prop_assert!(agreed.is_ok(), "{:?}", agreed);
    }
}

#[test]
fn an_icmp_id_is_no_port_of_another_protocol() {
    let (mut ip, mut proto, mut whole) = (vec![], vec![], vec![]);
    put(&mut ip, 1, &[10, 77, 2, 2]);
    put(&mut ip, 2, &[10, 77, 1, 2]);
    put(&mut proto, 1, &[17]);
    put(&mut proto, 2, &18125u16.to_be_bytes());
    put(&mut proto, 3, &42732u16.to_be_bytes());
    put(&mut proto, 7, &4001u16.to_be_bytes());
    put(&mut whole, 1 | 0x8000, &ip);
    put(&mut whole, 2 | 0x8000, &proto);
    let mut message = Build::new(NEW, NLM_F_CREATE_EXCL);
    message.tuple(1, [10, 77, 1, 2], [10, 77, 2, 2], 17, [42732, 18125]);
    message.attribute(2 | 0x8000, &whole);
    let bytes = message.finish();
    let flow = only(&bytes).flow().expect("a flow");
    assert_eq!(flow.reply.source_port, 18125);
    assert_eq!(oracle::agrees(&bytes), Ok(true));
}
