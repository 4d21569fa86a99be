//! Clients by number, so that a datagram can carry one in four bytes; and how much each has sent.
//!
//! ```text
//!  number  │ generation 15 │ place 16 │       0 = nobody
//!  places  │ – │ 10.77.1.2, generation 0 │ 10.77.9.9, generation 3 │ …
//! ```
//!
//! Bounded: [`CLIENTS`] addresses at a time. When all places are taken, one whose client has sent nothing since
//! the last look is given to the next client, under a new generation: an old number then names nobody,
//! never somebody else. It means another client again after 32,768 tenants of one place at the earliest.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Addresses that have a number at a time, and one more.
pub const CLIENTS: usize = 65_536;
/// Places are made in pieces, when the first number of a piece is given out.
const PIECE: usize = 1024;
const PLACE_BITS: u32 = 16;
/// Numbers are below 2³¹.
const GENERATIONS: u32 = 1 << 15;

/// Addresses and their numbers. Counted without a lock; only the reader thread gives numbers out.
#[derive(Debug)]
pub struct ClientBook {
    numbers: Mutex<Numbers>,
    pieces: Box<[OnceLock<Box<[Place]>>]>,
    /// Clients whose place was given to another.
    evicted: AtomicU64,
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
struct Numbers {
    by_address: HashMap<IpAddr, u32>,
    /// Where the search for a place to give away goes on.
    hand: usize,
}

#[derive(Debug, Default)]
struct Place {
    /// The tenant's; 0 = none yet.
    number: AtomicU32,
    address: Mutex<Option<IpAddr>>,
    datagrams: AtomicU64,
    /// Its tenant sent or was asked for since the hand passed.
    is_used: AtomicBool,
}

// === impl ClientBook ===

impl ClientBook {
    /// Nobody yet.
    pub(super) fn new() -> Self {
        Self {
            numbers: Mutex::default(),
            pieces: (0..CLIENTS / PIECE).map(|_| OnceLock::new()).collect(),
            evicted: AtomicU64::new(0),
        }
    }

    /// The number of an address, given out now if it has none. Takes a lock that only queries hold. Cost when
    /// full: looks at places until it meets an idle one, two rounds at most.
    pub fn number(&self, address: IpAddr) -> u32 {
        let mut numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(&number) = numbers.by_address.get(&address) {
            if let Some(place) = self.place(number) {
                place.is_used.store(true, Ordering::Relaxed);
            }
            return number;
        }
        let taken = numbers.by_address.len();
        // 0 means that nothing is known.
        let at = if taken + 1 < CLIENTS {
            taken + 1
        } else {
            self.give_up_one(&mut numbers)
        };
        let piece =
            self.pieces[at / PIECE].get_or_init(|| (0..PIECE).map(|_| Place::default()).collect());
        let place = &piece[at % PIECE];
        let number = match place.number.load(Ordering::Relaxed) {
            // Below 65,536.
            0 => at as u32,
            before => {
                let generation = ((before >> PLACE_BITS) + 1) % GENERATIONS;
                generation << PLACE_BITS | at as u32
            }
        };
        let mut tenant = place.address.lock().unwrap_or_else(PoisonError::into_inner);
        place.number.store(number, Ordering::Relaxed);
        place.datagrams.store(0, Ordering::Relaxed);
        place.is_used.store(true, Ordering::Relaxed);
        *tenant = Some(address);
        drop(tenant);
        numbers.by_address.insert(address, number);
        number
    }

    /// Turns an idle client out and returns its place.
    fn give_up_one(&self, numbers: &mut Numbers) -> usize {
        for _ in 0..2 * CLIENTS {
            // Place 0 is nobody's.
            numbers.hand = numbers.hand % (CLIENTS - 1) + 1;
            let idle = self
                .place(numbers.hand as u32)
                .is_none_or(|place| !place.is_used.swap(false, Ordering::Relaxed));
            if idle {
                break;
            }
        }
        // All are busy at once, then whoever the hand is at.
        let tenant = self.place(numbers.hand as u32).and_then(|place| {
            let address = place.address.lock().unwrap_or_else(PoisonError::into_inner);
            *address
        });
        if let Some(tenant) = tenant {
            numbers.by_address.remove(&tenant);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        numbers.hand
    }

    /// The address of a number; `None` when it is nobody's or its client was turned out. Takes the lock of one
    /// place.
    pub fn address(&self, number: u32) -> Option<IpAddr> {
        let place = self.place(number)?;
        let address = place.address.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock under which both are written.
        address.filter(|_| place.number.load(Ordering::Relaxed) == number)
    }

    /// Adds to what a client sent. No lock.
    pub(super) fn count(&self, number: u32, datagrams: u64) {
        if let Some(place) = self.place(number)
            && place.number.load(Ordering::Relaxed) == number
        {
            place.datagrams.fetch_add(datagrams, Ordering::Relaxed);
            place.is_used.store(true, Ordering::Relaxed);
        }
    }

    /// Clients whose place was given to another.
    pub fn evicted(&self) -> u64 {
        self.evicted.load(Ordering::Relaxed)
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        let numbers = self.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        numbers.by_address.len()
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
                let address = place.address.lock().unwrap_or_else(PoisonError::into_inner);
                Some(ClientCount {
                    address: (*address)?,
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

    /// The place of a number; whose it is now is another question.
    fn place(&self, number: u32) -> Option<&Place> {
        let at = number as usize % CLIENTS;
        let piece = self.pieces.get(at / PIECE)?.get()?;
        piece.get(at % PIECE).filter(|_| at != 0)
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
        let one = book.number(address(1));
        let two = book.number(address(2));
        assert!(one != 0 && two != 0 && one != two);
        assert_eq!(book.number(address(1)), one);
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
    fn an_idle_client_makes_room_and_its_number_names_nobody() {
        let book = ClientBook::new();
        let last = CLIENTS as u32 - 1;
        let numbers: Vec<u32> = (1..=last).map(|n| book.number(address(n))).collect();
        assert_eq!((book.evicted(), book.len()), (0, CLIENTS - 1));
        // All were used; the first newcomer takes the first place, and from then on the busy one stays.
        let mut newcomers = Vec::new();
        for n in 1..=1000 {
            book.count(numbers[1], 1);
            newcomers.push(book.number(address(last + n)));
        }
        assert_eq!((book.evicted(), book.len()), (1000, CLIENTS - 1));
        assert_eq!(book.address(numbers[0]), None);
        assert_eq!(book.address(numbers[1]), Some(address(2)));
        assert_eq!(book.top(1)[0].datagrams, 1000);
        for (n, &number) in (1..).zip(&newcomers) {
            assert_eq!(book.address(number), Some(address(last + n)));
            assert!(number < 1 << 31 && !numbers.contains(&number));
        }
        // What a lane still counts for the old tenant is not the new one's.
        book.count(numbers[0], 7);
        assert!(book.top(CLIENTS).iter().all(|client| client.datagrams != 7));
        assert_eq!(book.number(address(last + 1)), newcomers[0]);
    }
}
