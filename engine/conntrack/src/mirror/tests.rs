//! Any interleaving of events and rows ends in the kernel's own table.

use super::*;
use crate::flow::Status;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

fn flow(n: u16, id: u32) -> Flow {
    let socket = |host: u8, port: u16| SocketAddr::new(IpAddr::from([10, 0, 0, host]), port);
    let tuple = |from, to| Tuple::new(Protocol::Udp, from, to).expect("one family");
    Flow {
        original: tuple(socket(1, n), socket(2, 53)),
        reply: tuple(socket(3, 53), socket(1, n)),
        id,
        status: Status(0x28),
        timeout_seconds: Some(30),
        mark: 0,
        tcp_state: None,
        counters: None,
        duration_nanos: None,
    }
}

fn mirror(all_send_events: bool) -> Mirror {
    let config = MirrorConfig {
        flows: 1000,
        keep: Keep::Nat,
        orphan_seconds: 120,
        all_send_events,
    };
    Mirror::new(config, 1)
}

/// A kernel whose dump walks its table while that changes.
#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(u16),
    End(u16),
    /// The dump reads this place.
    Read(u16),
    /// What was read arrives.
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u16..12).prop_map(Step::Begin),
        (0u16..12).prop_map(Step::End),
        (0u16..12).prop_map(Step::Read),
        Just(Step::Deliver),
    ]
}

proptest! {
    #[test]
    fn nothing_is_stale_and_nothing_is_missing(
        before in proptest::collection::btree_set(0u16..12, 0..12),
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let mut kernel: BTreeMap<u16, u32> = before.iter().map(|&n| (n, u32::from(n))).collect();
        let mut next_id = 100;
        let mut mirror = mirror(true);
        // Something from an earlier time that is no more.
        mirror.event(&flow(50, 50), 0);
        mirror.begin_load();
        let mut read: Vec<Flow> = Vec::new();
        let mut places: std::collections::BTreeSet<u16> = (0..12).collect();
        for step in steps {
            match step {
                Step::Begin(n) => {
                    if let std::collections::btree_map::Entry::Vacant(place) = kernel.entry(n) {
                        next_id += 1;
                        place.insert(next_id);
                        mirror.event(&flow(n, next_id), 0);
                    }
                }
                Step::End(n) => {
                    if let Some(id) = kernel.remove(&n) {
                        mirror.destroy(&flow(n, id));
                    }
                }
                Step::Read(n) => {
                    if places.remove(&n) && let Some(&id) = kernel.get(&n) {
                        read.push(flow(n, id));
                    }
                }
                Step::Deliver => read.drain(..).for_each(|flow| mirror.row(&flow, 0)),
            }
        }
        for n in places {
            read.extend(kernel.get(&n).map(|&id| flow(n, id)));
        }
        read.drain(..).for_each(|flow| mirror.row(&flow, 0));
        prop_assert!(mirror.end_load());
        let (rows, _) = mirror.table().page(0, 1000);
        let mut ours: Vec<_> = rows.iter().map(|row| (row.original.source_port, row.id)).collect();
        ours.sort_unstable();
        let theirs: Vec<_> = kernel.into_iter().collect();
        prop_assert_eq!(ours, theirs);
    }
}

#[test]
fn rows_that_may_end_unseen_are_asked_about() {
    let mut mirror = mirror(false);
    mirror.begin_load();
    mirror.row(&flow(1, 1), 1000);
    mirror.row(&flow(2, 2), 1000);
    mirror.row(&flow(3, 3), 1000);
    assert!(mirror.end_load());
    assert!(mirror.due(1030, 10).is_empty());
    let due = mirror.due(1031, 10);
    assert_eq!(due.len(), 3);
    mirror.verified(&due[0].0, due[0].1, Some(&flow(1, 1)), 1031);
    mirror.verified(&due[1].0, due[1].1, None, 1031);
    // Its tuple is another flow's by now.
    mirror.verified(&due[2].0, due[2].1, Some(&flow(3, 9)), 1031);
    assert_eq!(mirror.table().len(), 1);
    assert_eq!((mirror.counts().verified, mirror.counts().expired), (1, 2));
    assert!(mirror.due(1032, 10).is_empty());
}

#[test]
fn rows_born_under_our_eyes_are_asked_about_late() {
    let mut mirror = mirror(true);
    mirror.event(&flow(1, 1), 0);
    assert!(mirror.due(149, 10).is_empty());
    assert_eq!(mirror.due(150, 10).len(), 1);
}

#[test]
fn what_is_not_translated_is_not_kept() {
    let mut mirror = mirror(true);
    let mut plain = flow(1, 1);
    plain.reply = plain.original.reversed();
    mirror.event(&plain, 0);
    mirror.destroy(&plain);
    assert!(mirror.table().is_empty());
    assert_eq!(
        (mirror.counts().not_kept, mirror.counts().destroy_unknown),
        (1, 0)
    );
}
