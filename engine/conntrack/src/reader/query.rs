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
        let has_port = |port| {
            tuples
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
    let mut exchange = namespace.exchange().map_err(QueryError::from_io)?;
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
    let mut exchange = namespace.exchange().map_err(QueryError::from_io)?;
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
        .map_err(QueryError::from_io)
        .and_then(|mut exchange| Ok((exchange.totals()?, exchange.per_cpu()?)));
    match asked {
        Err(QueryError::NoPrivilege) if *namespace == Namespace::own() => {
            let totals = Totals::of_proc().map_err(QueryError::from_io)?;
            let per_cpu = CpuStats::of_proc().map_err(QueryError::from_io)?;
            Ok((totals, per_cpu))
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
    let mut exchange = namespace.exchange().map_err(QueryError::from_io)?;
    stale::find(&mut exchange, &ours, ports)
}

/// Deletes exactly these flows: by original tuple and id, so that an entry made since is left alone.
///
/// # Errors
/// When the namespace cannot be asked at all.
pub fn purge(namespace: &Namespace, flows: &[Flow]) -> Result<Purged, QueryError> {
    let mut exchange = namespace.exchange().map_err(QueryError::from_io)?;
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

    /// The namespace of this name; without a name, the first.
    pub fn namespace(&self, name: Option<&str>) -> Option<&Namespace> {
        let mut all = self.shared.config.namespaces.iter();
        match name {
            None => all.next(),
            Some(name) => all.find(|namespace| namespace.name == name),
        }
    }

    /// A page of the table, in mode `events`; `None` in any other. `cursor` is where the last page ended.
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

    /// Asks for the table to be loaded anew; `false` in a mode without one.
    pub fn resync(&self) -> bool {
        let has_table = self.shared.config.mode == Mode::Events;
        if has_table {
            self.shared.resync.store(true, Ordering::Release);
            self.shared.wake();
        }
        has_table
    }
}
