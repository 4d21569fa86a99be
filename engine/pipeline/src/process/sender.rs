//! Small numbers for origins, so that a spelling can name one in four bytes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use greyhound_model::origin::Sender;
use greyhound_model::origin_table::OriginTable;

use crate::client::Clients;

/// The sender is not known.
pub(super) const UNKNOWN: u32 = 0;
/// More origins than are followed share this number.
const OTHER: u32 = 1;
const ORIGINS_MAX: usize = 16_384;
const PIDS_MAX: usize = 65_536;

/// The origin table, and the numbers given out so far.
#[derive(Debug)]
pub(super) struct Origins {
    table: Arc<OriginTable>,
    by_pid: HashMap<u32, u32>,
    /// The sender of the last packet: packets come in runs.
    last: (u32, u32),
    numbers: HashMap<Box<[u8]>, u32>,
    /// By number; empty for the first two.
    containers: Vec<Box<[u8]>>,
    /// Addresses of those that are clients behind UDP, by number.
    addresses: HashMap<u32, IpAddr>,
    /// Who knows them.
    clients: Option<Arc<dyn Clients>>,
}

// === impl Origins ===

impl Origins {
    pub(super) fn new(table: Arc<OriginTable>) -> Self {
        Self {
            table,
            by_pid: HashMap::new(),
            last: (0, UNKNOWN),
            numbers: HashMap::new(),
            containers: vec![Box::default(), Box::default()],
            addresses: HashMap::new(),
            clients: None,
        }
    }

    pub(super) fn table(&self) -> &Arc<OriginTable> {
        &self.table
    }

    /// Takes a new table. Numbers stay, what processes mean is asked again.
    pub(super) fn set_table(&mut self, table: Arc<OriginTable>) {
        self.table = table;
        self.by_pid.clear();
        self.last = (0, UNKNOWN);
    }

    /// Takes who knows the clients behind UDP peers.
    pub(super) fn set_clients(&mut self, clients: Arc<dyn Clients>) {
        self.clients = Some(clients);
    }

    /// The address of the client a number stands for, if it is one behind UDP.
    pub(super) fn client(&self, number: u32) -> Option<IpAddr> {
        self.addresses.get(&number).copied()
    }

    /// Number of the container behind a process.
    #[inline]
    pub(super) fn of_sender(&mut self, sender: Sender) -> u32 {
        if sender.pid == self.last.0 {
            self.last.1
        } else {
            self.look_up(sender.pid)
        }
    }

    /// Number of a container or pod.
    pub(super) fn number(&mut self, entity: &[u8]) -> u32 {
        if entity.is_empty() {
            return UNKNOWN;
        }
        if let Some(&number) = self.numbers.get(entity) {
            return number;
        }
        if self.containers.len() >= ORIGINS_MAX {
            return OTHER;
        }
        let number = self.containers.len() as u32;
        self.numbers.insert(entity.into(), number);
        self.containers.push(entity.into());
        number
    }

    /// The container or pod of a number.
    pub(super) fn entity(&self, number: u32) -> Option<&[u8]> {
        self.containers
            .get(number as usize)
            .map(|id| &**id)
            .filter(|id| !id.is_empty() && !self.addresses.contains_key(&number))
    }

    #[cold]
    fn look_up(&mut self, pid: u32) -> u32 {
        let number = match self.by_pid.get(&pid) {
            Some(&number) => number,
            None => {
                let table = Arc::clone(&self.table);
                let number = match (Sender { pid }).client() {
                    Some(client) => self.number_of_client(client),
                    None => table
                        .container_of_pid(pid)
                        .map_or(UNKNOWN, |id| self.number(id)),
                };
                if self.by_pid.len() >= PIDS_MAX {
                    self.by_pid.clear();
                }
                self.by_pid.insert(pid, number);
                number
            }
        };
        self.last = (pid, number);
        number
    }

    /// Clients share the numbers of containers, so that limits by origin hold for both.
    fn number_of_client(&mut self, client: u32) -> u32 {
        let address = self.clients.as_ref().and_then(|all| all.address(client));
        let Some(address) = address else {
            return UNKNOWN;
        };
        let number = self.number(format!("client://{address}").as_bytes());
        if number != OTHER {
            self.addresses.insert(number, address);
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_of_one_container_share_a_number() {
        let mut table = OriginTable::default();
        table.containers_by_pid.insert(10, (*b"c1").into());
        table.containers_by_pid.insert(11, (*b"c1").into());
        let mut origins = Origins::new(Arc::new(table));
        let first = origins.of_sender(Sender { pid: 10 });
        assert_ne!(first, UNKNOWN);
        assert_eq!(origins.of_sender(Sender { pid: 11 }), first);
        assert_eq!(origins.entity(first), Some(&b"c1"[..]));
        assert_eq!(origins.of_sender(Sender { pid: 12 }), UNKNOWN);
        assert_eq!(origins.of_sender(Sender::default()), UNKNOWN);
    }

    #[derive(Debug)]
    struct Two;

    impl Clients for Two {
        fn lane(&self) -> Box<dyn crate::client::LaneClients> {
            unreachable!("no lane asks here")
        }

        fn address(&self, client: u32) -> Option<IpAddr> {
            let addresses = [IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2])];
            addresses.get(client as usize - 1).copied()
        }
    }

    #[test]
    fn a_client_has_a_number_and_an_address_but_is_no_container() {
        let mut origins = Origins::new(Arc::default());
        assert_eq!(origins.of_sender(Sender::of_client(1)), UNKNOWN);
        origins.set_table(Arc::default());
        origins.set_clients(Arc::new(Two));
        let first = origins.of_sender(Sender::of_client(1));
        let second = origins.of_sender(Sender::of_client(2));
        assert!(first != UNKNOWN && second != UNKNOWN && first != second);
        assert_eq!(origins.client(first), Some(IpAddr::from([10, 0, 0, 1])));
        assert_eq!(origins.entity(first), None);
        assert_eq!(origins.of_sender(Sender::of_client(3)), UNKNOWN);
        assert_eq!(origins.of_sender(Sender::of_client(0)), UNKNOWN);
    }

    #[test]
    fn past_the_bound_origins_share_one_number() {
        let mut origins = Origins::new(Arc::default());
        for n in 0..ORIGINS_MAX + 10 {
            origins.number(format!("c{n}").as_bytes());
        }
        assert_eq!(origins.number(b"one more"), OTHER);
        assert_eq!(origins.entity(OTHER), None);
    }
}
