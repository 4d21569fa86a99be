//! Netlink messages about connections: the walk in place against `netlink-packet-netfilter`, which copies.
//!
//! Where the crate reads a message and we read a flow in it, both say the same. Whatever the bytes are, the walk
//! ends after a step per header it can hold, and the mirror it feeds keeps its bound.

use greyhound_conntrack::flow::Nat;
use greyhound_conntrack::mirror::{Keep, Mirror, MirrorConfig};
use greyhound_conntrack::oracle;
use greyhound_conntrack::walk::{self, Kind};

const HEADER_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;
const FLOWS: usize = 8;

/// Panics when the readings differ or a bound is broken.
pub fn check(data: &[u8]) {
    if let Err(difference) = oracle::agrees(data) {
        panic!("{difference}");
    }
    let mut mirror = Mirror::new(
        MirrorConfig {
            flows: FLOWS,
            keep: Keep::All,
            orphan_seconds: 120,
            all_send_events: false,
        },
        7,
    );
    let is_load = data.first().is_some_and(|byte| byte % 2 == 1);
    if is_load {
        mirror.begin_load();
    }
    let (mut messages, mut attributes) = (0, 0);
    let mut left = walk::messages(data);
    for message in left.by_ref() {
        messages += 1;
        attributes += message.attributes().count();
        let Some(flow) = message.flow() else {
            continue;
        };
        assert_eq!(flow.original.zone, flow.reply.zone);
        let (one, other) = (&flow.original, &flow.reply);
        if one.protocol() == other.protocol() && one.is_ipv6() == other.is_ipv6() {
            assert_eq!(flow.is_translated(), flow.nat() != Nat::None);
        }
        match message.kind {
            Kind::Destroy => {
                mirror.destroy(&flow);
                assert!(
                    mirror
                        .table()
                        .peek(&flow.original)
                        .is_none_or(|slot| slot.id != flow.id)
                );
            }
            Kind::Update if is_load => mirror.row(&flow, 1),
            _ => {
                let before = mirror.counts().registered;
                mirror.event(&flow, 1);
                if mirror.counts().registered > before {
                    let slot = mirror.table().peek(&flow.original).expect("just put in");
                    assert_eq!((slot.id, slot.reply), (flow.id, flow.reply));
                    assert!(mirror.find(&flow.reply).is_some());
                }
            }
        }
        assert!(mirror.table().len() <= FLOWS);
    }
    assert!(messages <= data.len() / HEADER_BYTES);
    assert!(attributes <= data.len() / ATTRIBUTE_BYTES);
    if is_load {
        mirror.end_load();
    }
    for (tuple, id) in mirror.due(u32::MAX, FLOWS) {
        mirror.verified(&tuple, id, None, u32::MAX);
    }
    assert!(mirror.table().is_empty());
}
