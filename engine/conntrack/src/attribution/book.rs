//! Clients by number, so that a datagram can carry one in four bytes; and how much each has sent.
//!
//! Bounded: [`CLIENTS`] addresses in the life of the process. Those beyond get no number; their datagrams
//! are counted as unknown.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Addresses that get a number.
pub const CLIENTS: usize = 65_536;
/// Places are made in pieces, when the first number of a piece is given out.
const PIECE: usize = 1024;

/// Addresses and their numbers. Read without a lock; only the reader thread gives numbers out.
#[derive(Debug)]
pub struct ClientBook {
    numbers: Mutex<HashMap<IpAddr, u32>>,
    pieces: Box<[OnceLock<Box<[Place]>>]>,
    /// Addresses that got no number.
    refused: AtomicU64,
}

/// What a client sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientCount {
    /// Its address.
    pub address: IpAddr,
    /// Its datagrams.
    pub datagrams: u64,
}

#[derive(Debug, Default)]
struct Place {
    address: OnceLock<IpAddr>,
    datagrams: AtomicU64,
}

// === impl ClientBook ===

impl ClientBook {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self {
            numbers: Mutex::default(),
            pieces: (0..CLIENTS / PIECE).map(|_| OnceLock::new()).collect(),
            refused: AtomicU64::new(0),
        }
    }

    /// The number of an address, given out now if it has none; `None` when all are. Takes a lock that only
    /// queries hold.
    pub fn number(&self, address: IpAddr) -> Option<u32> {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = numbers.get(&address) {
            return Some(number);
        }
        // 0 means that nothing is known.
        let number = numbers.len() as u32 + 1;
        if number as usize >= CLIENTS {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let piece = self.pieces[number as usize / PIECE]
            .get_or_init(|| (0..PIECE).map(|_| Place::default()).collect());
        // Nobody else writes: the lock is held.
        piece[number as usize % PIECE]
            .address
            .get_or_init(|| address);
        numbers.insert(address, number);
        Some(number)
    }

    /// The address of a number. No lock.
    pub fn address(&self, number: u32) -> Option<IpAddr> {
        self.place(number)?.address.get().copied()
    }

    /// Adds to what a client sent. No lock.
    pub(super) fn count(&self, number: u32, datagrams: u64) {
        if let Some(place) = self.place(number) {
            place.datagrams.fetch_add(datagrams, Ordering::Relaxed);
        }
    }

    /// Clients that got no number.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.len()
    }

    /// Whether nobody was named yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Those who sent most, at most `limit`, the most first.
    pub fn top(&self, limit: usize) -> Vec<ClientCount> {
        let mut all: Vec<ClientCount> = self
            .pieces
            .iter()
            .filter_map(OnceLock::get)
            .flatten()
            .filter_map(|place| {
                Some(ClientCount {
                    address: *place.address.get()?,
                    datagrams: place.datagrams.load(Ordering::Relaxed),
                })
            })
            .collect();
        all.sort_unstable_by(|one, other| {
            let by_count = other.datagrams.cmp(&one.datagrams);
            by_count.then(one.address.cmp(&other.address))
        });
        all.truncate(limit);
        all
    }

    fn place(&self, number: u32) -> Option<&Place> {
        let piece = self.pieces.get(number as usize / PIECE)?.get()?;
        piece.get(number as usize % PIECE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::from((0x0a00_0000 + n).to_be_bytes())
    }

    #[test]
    fn an_address_keeps_its_number() {
        let book = ClientBook::new();
        let one = book.number(address(1)).expect("a number");
        let two = book.number(address(2)).expect("a number");
        assert!(one != 0 && two != 0 && one != two);
        assert_eq!(book.number(address(1)), Some(one));
        assert_eq!(book.address(two), Some(address(2)));
        assert_eq!((book.address(0), book.address(u32::MAX)), (None, None));
        book.count(two, 5);
        book.count(one, 2);
        book.count(0, 9);
        let counts: Vec<_> = book.top(10).iter().map(|client| client.datagrams).collect();
        assert_eq!(counts, [5, 2]);
        assert_eq!(book.top(1)[0].address, address(2));
    }

    #[test]
    fn there_is_a_last_number() {
        let book = ClientBook::new();
        for n in 1..CLIENTS as u32 {
            assert!(book.number(address(n)).is_some());
        }
        assert_eq!(book.number(address(CLIENTS as u32)), None);
        assert_eq!((book.refused(), book.len()), (1, CLIENTS - 1));
        assert!(book.number(address(7)).is_some());
    }
}
