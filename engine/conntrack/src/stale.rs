//! Entries that send metrics to an address that is gone.
//!
//! A client with one socket keeps its entry alive: after the engine came back with another address, or the rule
//! was changed, its datagrams still go to the old one and are lost without a trace. Found by comparing
//! where entries lead: the same front door (original destination), another house (reply source) than ours.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::error::QueryError;
use crate::exchange::Exchange;
use crate::flow::{Flow, Protocol, Status};
use crate::request::DumpFilter;

/// Stale flows listed; more are counted only.
pub const LISTED_MAX: usize = 1000;
/// Rows held while looking; a host has this many translated UDP flows at most in mind.
const ROWS_MAX: usize = 1 << 18;
const DUMP_WAIT: Duration = Duration::from_secs(10);

/// What a look found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The stale flows, at most [`LISTED_MAX`].
    pub flows: Vec<Flow>,
    /// How many there are.
    pub count: usize,
    /// Front doors through which somebody reaches us.
    pub doors: usize,
}

/// Looks at all UDP flows with a translated destination. `ours` are the addresses of this host or container,
/// `ports` those we listen on. Blocks for a dump, some 50 ms where there are 100,000 entries.
///
/// # Errors
/// What the kernel says.
pub fn find(
    exchange: &mut Exchange,
    ours: &HashSet<IpAddr>,
    ports: &[u16],
) -> Result<Found, QueryError> {
    let mut rows: Vec<Flow> = Vec::new();
    let filter = DumpFilter {
        status: Status::DST_NAT,
    };
    exchange.dump(
        filter,
        Instant::now() + DUMP_WAIT,
        |flow| {
            let is_udp = flow.original.protocol() == Protocol::Udp;
            if is_udp && flow.status.0 & Status::DST_NAT != 0 && rows.len() < ROWS_MAX {
                rows.push(*flow);
            }
        },
        || {},
    )?;
    Ok(among(&rows, ours, ports))
}

/// The stale ones of some flows.
pub fn among(rows: &[Flow], ours: &HashSet<IpAddr>, ports: &[u16]) -> Found {
    let is_ours = |flow: &Flow| ours.contains(&flow.reply.source());
    let doors: HashSet<(SocketAddr, u16)> = rows
        .iter()
        .filter(|flow| is_ours(flow) && ports.contains(&flow.reply.source_port))
        .map(|flow| (flow.original.destination_socket(), flow.original.zone))
        .collect();
    let mut found = Found {
        doors: doors.len(),
        ..Found::default()
    };
    for flow in rows {
        let door = (flow.original.destination_socket(), flow.original.zone);
        if doors.contains(&door) && !is_ours(flow) {
            found.count += 1;
            if found.flows.len() < LISTED_MAX {
                found.flows.push(*flow);
            }
        }
    }
    found
}

/// Every address of this process's network namespace. Loopback's too: a rule may lead there.
///
/// # Errors
/// When the kernel does not list them.
pub fn own_addresses() -> io::Result<HashSet<IpAddr>> {
    let mut all = local_v4(&fs::read_to_string("/proc/net/fib_trie")?);
    // A kernel without IPv6 has no such file.
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    all.extend(v6.lines().filter_map(v6_of_line));
    Ok(all)
}

/// Leaves of the trie that are marked as local: the address stands on the line before.
fn local_v4(trie: &str) -> HashSet<IpAddr> {
    let mut all = HashSet::new();
    let mut last = None;
    for line in trie.lines() {
        let line = line.trim();
        if let Some(leaf) = line.strip_prefix("|-- ") {
            last = leaf.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last
        {
            all.insert(IpAddr::V4(address));
        }
    }
    all
}

fn v6_of_line(line: &str) -> Option<IpAddr> {
    let digits = line.split_whitespace().next()?;
    let number = u128::from_str_radix(digits, 16).ok()?;
    Some(IpAddr::V6(Ipv6Addr::from(number)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Tuple;

    fn flow(client: &str, door: &str, house: &str) -> Flow {
        let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let tuple = |from, to| Tuple::new(Protocol::Udp, from, to).expect("one family");
        Flow {
            original: tuple(parse(client), parse(door)),
            reply: tuple(parse(house), parse(client)),
            id: 1,
            status: Status(Status::DST_NAT),
            timeout_seconds: Some(30),
            mark: 0,
            tcp_state: None,
            counters: None,
            duration_nanos: None,
        }
    }

    #[test]
    fn the_same_door_to_another_house_is_stale() {
        let ours = HashSet::from(["10.0.0.3".parse().expect("an address")]);
        let rows = [
            flow("10.1.0.1:1", "10.9.0.1:8125", "10.0.0.3:18125"),
            flow("10.1.0.2:1", "10.9.0.1:8125", "10.0.0.2:18125"),
            // Another door: nobody reaches us there.
            flow("10.1.0.3:1", "10.9.0.1:53", "10.0.0.2:53"),
        ];
        let found = among(&rows, &ours, &[18125]);
        assert_eq!((found.count, found.doors), (1, 1));
        assert_eq!(found.flows[0].original.source(), rows[1].original.source());
        assert_eq!(among(&rows, &ours, &[9]).count, 0);
        assert_eq!(among(&rows[1..], &ours, &[18125]).count, 0);
    }

    #[test]
    fn our_addresses_are_read_from_the_kernel() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.0\n        /24 link UNICAST\n     |-- 10.0.0.7\n        /32 host LOCAL\n";
        assert_eq!(local_v4(trie), HashSet::from([IpAddr::from([10, 0, 0, 7])]));
        let line = "fe800000000000000000000000000001 02 40 20 80 eth0";
        assert_eq!(v6_of_line(line), "fe80::1".parse().ok());
        assert!(
            own_addresses()
                .expect("Linux")
                .contains(&IpAddr::from([127, 0, 0, 1]))
        );
    }
}
