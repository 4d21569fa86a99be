//! What the reader counts. Written by its thread alone, once per round of events; read by anybody.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::flow::{Flow, Nat, Protocol};

/// Protocols told apart, the last for all others.
pub const PROTOCOLS: [&str; 7] = ["tcp", "udp", "icmp", "icmpv6", "sctp", "udplite", "other"];
/// Kinds of translation told apart.
pub const NATS: [Nat; 4] = [Nat::None, Nat::Source, Nat::Destination, Nat::Both];
/// TCP states by the kernel's number.
pub const TCP_STATES: [&str; 10] = [
    "none",
    "syn_sent",
    "syn_recv",
    "established",
    "fin_wait",
    "close_wait",
    "last_ack",
    "time_wait",
    "close",
    "syn_sent2",
];
/// Protocol, family, translation.
const PLACES: usize = PROTOCOLS.len() * 2 * NATS.len();

/// Totals since the start.
#[derive(Debug)]
pub struct Counts {
    /// Events read.
    pub new: AtomicU64,
    /// Changes read.
    pub updates: AtomicU64,
    /// Ends read.
    pub destroyed: AtomicU64,
    /// Messages without both tuples, and datagrams that were cut.
    pub unreadable: AtomicU64,
    /// Events lost, exactly.
    pub lost: AtomicU64,
    /// Loads of the table, for any cause.
    pub loads: AtomicU64,
    /// Rows the kernel was asked about.
    pub verifications: AtomicU64,
    /// New flows, by kind; scaled up while sampled.
    new_by_kind: [AtomicU64; PLACES],
    destroyed_by_kind: [AtomicU64; PLACES],
    tcp_transitions: [AtomicU64; TCP_STATES.len()],
}

/// Flows of one kind.
#[derive(Clone, Copy, Debug)]
pub struct KindCount {
    /// As in tags.
    pub protocol: &'static str,
    /// 4 or 6.
    pub family: u8,
    /// As in tags.
    pub nat: &'static str,
    /// New since the start.
    pub new: u64,
    /// Ended since the start.
    pub destroyed: u64,
}

// === impl Counts ===

impl Counts {
    pub(super) fn note_new(&self, flow: &Flow, weight: u64) {
        add(&self.new, 1);
        add(&self.new_by_kind[place(flow)], weight);
    }

    pub(super) fn note_destroyed(&self, flow: &Flow, weight: u64) {
        add(&self.destroyed, 1);
        add(&self.destroyed_by_kind[place(flow)], weight);
    }

    pub(super) fn note_update(&self, flow: &Flow) {
        add(&self.updates, 1);
        let state = flow.tcp_state.map(usize::from);
        if let Some(count) = state.and_then(|state| self.tcp_transitions.get(state)) {
            add(count, 1);
        }
    }

    /// Every kind that was seen.
    pub fn kinds(&self) -> Vec<KindCount> {
        let mut kinds = Vec::new();
        for place in 0..PLACES {
            let new = self.new_by_kind[place].load(Ordering::Relaxed);
            let destroyed = self.destroyed_by_kind[place].load(Ordering::Relaxed);
            if new + destroyed > 0 {
                kinds.push(KindCount {
                    protocol: PROTOCOLS[place / (2 * NATS.len())],
                    family: [4, 6][place / NATS.len() % 2],
                    nat: NATS[place % NATS.len()].as_str(),
                    new,
                    destroyed,
                });
            }
        }
        kinds
    }

    /// Every TCP state that was entered, and how often.
    pub fn tcp_transitions(&self) -> Vec<(&'static str, u64)> {
        let counts = self.tcp_transitions.iter().map(get);
        let all = TCP_STATES.into_iter().zip(counts);
        all.filter(|&(_, count)| count > 0).collect()
    }
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            new: AtomicU64::new(0),
            updates: AtomicU64::new(0),
            destroyed: AtomicU64::new(0),
            unreadable: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            loads: AtomicU64::new(0),
            verifications: AtomicU64::new(0),
            new_by_kind: std::array::from_fn(|_| AtomicU64::new(0)),
            destroyed_by_kind: std::array::from_fn(|_| AtomicU64::new(0)),
            tcp_transitions: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

fn place(flow: &Flow) -> usize {
    let protocol = match flow.original.protocol() {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Icmp => 2,
        Protocol::Icmpv6 => 3,
        Protocol::Sctp => 4,
        Protocol::UdpLite => 5,
        Protocol::Other(_) => 6,
    };
    let family = usize::from(flow.original.is_ipv6());
    let nat = match flow.nat() {
        Nat::None => 0,
        Nat::Source => 1,
        Nat::Destination => 2,
        Nat::Both => 3,
    };
    (protocol * 2 + family) * NATS.len() + nat
}
