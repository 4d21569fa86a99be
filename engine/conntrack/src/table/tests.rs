//! The table against a plain map with the same rules.

use super::*;
use crate::flow::Protocol;
use proptest::prelude::*;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

fn tuple(n: u16) -> Tuple {
    let client = SocketAddr::new(IpAddr::from([10, 0, 0, 1]), n);
    let server = SocketAddr::new(IpAddr::from([10, 0, 0, 9]), 53);
    Tuple::new(Protocol::Udp, client, server).expect("one family")
}

/// A flow whose answer goes to port `reply` of the translator.
fn flow(n: u16, reply: u16, id: u32) -> Flow {
    let server = SocketAddr::new(IpAddr::from([10, 0, 0, 9]), 53);
    let outside = SocketAddr::new(IpAddr::from([192, 0, 2, 1]), reply);
    Flow {
        original: tuple(n),
        reply: Tuple::new(Protocol::Udp, server, outside).expect("one family"),
        id,
        status: Status::default(),
        timeout_seconds: Some(30),
        mark: 0,
        tcp_state: None,
        counters: None,
        duration_nanos: None,
    }
}

#[test]
fn both_directions_answer_until_it_is_gone() {
    let mut table = FlowTable::new(10, 1);
    let one = flow(1, 100, 7);
    assert_eq!(table.put(&one, 0, 0), Put::Added);
    assert_eq!(
        table.find(&one.reply).expect("found").original,
        one.original
    );
    assert_eq!(table.find(&one.original).expect("found").reply, one.reply);
    assert_eq!(table.take(&one.original, 8), Taken::OtherId);
    assert_eq!(table.take(&one.original, 7), Taken::Removed);
    assert_eq!(table.take(&one.original, 7), Taken::Unknown);
    assert!(table.find(&one.reply).is_none() && table.is_empty());
}

#[test]
fn the_flow_used_longest_ago_goes_first() {
    let mut table = FlowTable::new(3, 1);
    for n in 1..=3 {
        table.put(&flow(n, 100 + n, 0), 0, 0);
    }
    assert!(table.find(&tuple(1)).is_some());
    assert_eq!(table.put(&flow(4, 104, 0), 0, 0), Put::Evicted);
    assert!(table.peek(&tuple(2)).is_none());
    assert!(table.peek(&tuple(1)).is_some() && table.len() == 3);
}

#[test]
fn a_page_goes_on_where_it_ended() {
    let mut table = FlowTable::new(100, 1);
    for n in 0..10 {
        table.put(&flow(n, 100 + n, 0), 0, 0);
    }
    table.take(&tuple(3), 0);
    let (first, next) = table.page(0, 4);
    table.put(&flow(50, 500, 0), 0, 0);
    let (second, end) = table.page(next.expect("more"), 100);
    assert_eq!((first.len(), end), (4, None));
    let mut ports: Vec<u16> = first
        .iter()
        .chain(&second)
        .map(|slot| slot.original.source_port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), first.len() + second.len());
    assert!((0..10).filter(|n| *n != 3).all(|n| ports.contains(&n)));
}

#[test]
fn a_full_table_costs_less_than_its_bound() {
    const FLOWS: usize = 131_072;
    let mut table = FlowTable::new(FLOWS, 1);
    for n in 0..FLOWS as u32 {
        let mut one = flow(n as u16, (n >> 16) as u16, n);
        one.original.destination_port = (n >> 16) as u16;
        one.reply.source_port = n as u16;
        table.put(&one, 0, 0);
    }
    assert_eq!(table.len(), FLOWS);
    let each = table.bytes() / FLOWS;
    assert!(each <= 150, "{each} bytes");
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Put(u16, u16, u32),
    Take(u16, u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u16..24, 0u16..24, 0u32..3).prop_map(|(n, reply, id)| Step::Put(n, reply, id)),
        (0u16..24, 0u32..3).prop_map(|(n, id)| Step::Take(n, id)),
    ]
}

proptest! {
    #[test]
    fn it_holds_what_a_map_would(steps in proptest::collection::vec(step(), 0..200)) {
        let mut table = FlowTable::new(64, 9);
        let mut model: HashMap<Tuple, Flow> = HashMap::new();
        for step in steps {
            match step {
                Step::Put(n, reply, id) => {
                    let one = flow(n, reply, id);
                    let put = table.put(&one, 0, 0);
                    let before = model.len();
                    model.retain(|original, other| *original != one.original && other.reply != one.reply);
                    prop_assert_eq!(put == Put::Replaced, model.len() < before);
                    model.insert(one.original, one);
                }
                Step::Take(n, id) => {
                    let expected = match model.get(&tuple(n)) {
                        None => Taken::Unknown,
                        Some(other) if other.id != id => Taken::OtherId,
                        Some(_) => Taken::Removed,
                    };
                    if expected == Taken::Removed {
                        model.remove(&tuple(n));
                    }
                    prop_assert_eq!(table.take(&tuple(n), id), expected);
                }
            }
            prop_assert_eq!(table.len(), model.len());
            for one in model.values() {
                prop_assert_eq!(table.peek(&one.original).map(|slot| slot.id), Some(one.id));
                prop_assert_eq!(table.peek(&one.reply).map(|slot| slot.original), Some(one.original));
            }
        }
    }
}
