//! Questions to the kernel on behalf of an operator, on the caller's thread with sockets of its own, so that
//! the reader's work does not wait for them.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::counts::Counts;
use super::view::View;
use super::{Handle, Mode};
use crate::error::QueryError;
use crate::flow::{Flow, Nat, Protocol, Tuple};
use crate::namespace::Namespace;
use crate::request::{Direction, DumpFilter};
use crate::stale;
use crate::stats::{CpuStats, Totals};

/// Flows one answer may list.
pub const LISTED_MAX: usize = 1000;
const DUMP_WAIT: Duration = Duration::from_secs(10);

/// Which flows to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct FlowFilter {
    /// Of this protocol.
    pub protocol: Option<Protocol>,
    /// With this address anywhere.
    pub address: Option<std::net::IpAddr>,
    /// With this port anywhere.
    pub port: Option<u16>,
    /// Translated ones only.
    pub only_nat: bool,
}

/// Flows that were found.
#[derive(Clone, Debug, Default)]
pub struct Listed {
    /// At most as many as asked for.
    pub flows: Vec<Flow>,
    /// How many there were.
    pub matching: u64,
    /// Where to go on, when the table was asked and there is more.
    pub cursor: Option<usize>,
}

/// Time between two loads of the table that somebody asks for.
pub const RESYNC_PAUSE: Duration = Duration::from_secs(5);

/// What became of the wish for a load of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resync {
    /// It comes within a second.
    Planned,
    /// There is no table in this mode.
    NoTable,
    /// Somebody asked less than [`RESYNC_PAUSE`] ago.
    TooSoon,
}

/// What a purge did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Entries deleted.
    pub deleted: usize,
    /// Entries that had gone by themselves.
    pub gone: usize,
    /// Entries the kernel would not delete.
    pub failed: usize,
}

// === impl FlowFilter ===

impl FlowFilter {
    /// Whether a flow is one of them.
    pub fn matches(&self, flow: &Flow) -> bool {
        let tuples = [&flow.original, &flow.reply];
        let has_address = |address| {
            tuples
                .iter()
                .any(|tuple| tuple.source() == address || tuple.destination() == address)
        };
        // What stands there for ICMP is no port.
        let has_ports = !matches!(flow.original.protocol(), Protocol::Icmp | Protocol::Icmpv6);
        let has_port = |port| {
            has_ports
                && tuples
                    .iter()
                    .any(|tuple| tuple.source_port == port || tuple.destination_port == port)
        };
        self.protocol
            .is_none_or(|protocol| flow.original.protocol() == protocol)
            && self.address.is_none_or(has_address)
            && self.port.is_none_or(has_port)
            && (!self.only_nat || flow.nat() != Nat::None)
    }
}

/// The flow with this tuple in either direction, as it was sent or as it arrived, by the kernel's word. Blocks
/// for some microseconds.
///
/// # Errors
/// [`QueryError::NotFound`] when there is none.
pub fn lookup(namespace: &Namespace, tuple: &Tuple) -> Result<Flow, QueryError> {
    let mut exchange = namespace.exchange()?;
    match exchange.get(tuple, Direction::Original) {
        // What arrived after translation is the answer's tuple turned round.
        Err(QueryError::NotFound) => exchange.get(&tuple.reversed(), Direction::Reply),
        found => found,
    }
}

/// Flows of the kernel's table. Blocks for a dump.
///
/// # Errors
/// What the kernel says.
pub fn list(
    namespace: &Namespace,
    filter: &FlowFilter,
    limit: usize,
) -> Result<Listed, QueryError> {
    let mut exchange = namespace.exchange()?;
    let mut listed = Listed::default();
    let deadline = Instant::now() + DUMP_WAIT;
    exchange.dump(
        DumpFilter::default(),
        deadline,
        |flow| {
            if filter.matches(flow) {
                listed.matching += 1;
                if listed.flows.len() < limit {
                    listed.flows.push(*flow);
                }
            }
        },
        || {},
    )?;
    Ok(listed)
}

/// Entries, their maximum, and the counters of each CPU; without the privilege from `/proc`, which knows our
/// own namespace only.
///
/// # Errors
/// When the module is not there.
pub fn stats(namespace: &Namespace) -> Result<(Totals, Vec<CpuStats>), QueryError> {
    let asked = namespace
        .exchange()
        .and_then(|mut exchange| Ok((exchange.totals()?, exchange.per_cpu()?)));
    match asked {
        Err(QueryError::NoPrivilege) if namespace.is_own() => {
            match (Totals::of_proc(), CpuStats::of_proc()) {
                (Ok(totals), Ok(per_cpu)) => Ok((totals, per_cpu)),
                _ => Err(QueryError::NoPrivilege),
            }
        }
        asked => asked,
    }
}

/// Flows that lead to an address that is gone, of those who mean to reach one of `ports` here.
///
/// # Errors
/// What the kernel says.
pub fn find_stale(namespace: &Namespace, ports: &[u16]) -> Result<stale::Found, QueryError> {
    let ours = stale::own_addresses().map_err(QueryError::Io)?;
    let mut exchange = namespace.exchange()?;
    stale::find(&mut exchange, &ours, ports)
}

/// Deletes exactly these flows: by original tuple and id, so that an entry made since is left alone.
///
/// # Errors
/// When the namespace cannot be asked at all.
pub fn purge(namespace: &Namespace, flows: &[Flow]) -> Result<Purged, QueryError> {
    let mut exchange = namespace.exchange()?;
    let mut purged = Purged::default();
    for flow in flows {
        match exchange.delete(&flow.original, flow.id) {
            Ok(()) => purged.deleted += 1,
            Err(QueryError::NotFound) => purged.gone += 1,
            Err(_) => purged.failed += 1,
        }
    }
    Ok(purged)
}

// === impl Handle ===

impl Handle {
    /// How it is, at most a second old.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// What it counts.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// The ports it watches for stale flows.
    pub fn ports(&self) -> &[u16] {
        &self.shared.config.ports
    }

    /// The namespace of this name, or one that is the same; without a name, the first.
    pub fn namespace(&self, name: Option<&str>) -> Option<&Namespace> {
        let all = &self.shared.config.namespaces;
        let Some(name) = name else {
            return all.first();
        };
        let by_name = all.iter().find(|namespace| namespace.name == name);
        by_name.or_else(|| {
            let inode = Namespace::from_text(name).inode().ok()?;
            all.iter()
                .find(|namespace| namespace.inode().ok() == Some(inode))
        })
    }

    /// A page of the table, in mode `events`; `None` in any other, and before the table was loaded. `cursor` is where the last page ended.
    pub fn table_page(
        &self,
        namespace: &Namespace,
        filter: &FlowFilter,
        limit: usize,
        cursor: usize,
    ) -> Option<Listed> {
        let config = &self.shared.config;
        let at = config.namespaces.iter().position(|one| one == namespace)?;
        let mirror = self.shared.mirrors.get(at)?;
        // An empty table that could not be loaded is no answer.
        self.view().namespaces.get(at)?.load.as_ref()?;
        let mut listed = Listed::default();
        let mut next = Some(cursor);
        while let Some(from) = next
            && listed.flows.len() < limit
        {
            let mirror = mirror.lock().unwrap_or_else(PoisonError::into_inner);
            // One row at a time at the end of a page, so that the cursor is exact.
            let (slots, after) = mirror.table().page(from, limit - listed.flows.len());
            drop(mirror);
            let flows = slots.iter().map(super::super::table::Slot::flow);
            listed
                .flows
                .extend(flows.filter(|flow| filter.matches(flow)));
            next = after;
        }
        listed.matching = listed.flows.len() as u64;
        listed.cursor = next;
        Some(listed)
    }

    /// Asks for the table to be loaded anew, at most once in [`RESYNC_PAUSE`].
    pub fn resync(&self) -> Resync {
        if self.shared.config.mode != Mode::Events {
            return Resync::NoTable;
        }
        let mut asked = self
            .shared
            .resync_asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if asked.is_some_and(|at| now.saturating_duration_since(at) < RESYNC_PAUSE) {
            return Resync::TooSoon;
        }
        *asked = Some(now);
        self.shared.resync.store(true, Ordering::Release);
        self.shared.wake();
        Resync::Planned
    }
}
