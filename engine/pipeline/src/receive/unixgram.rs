//! Reads a Unix datagram socket ahead of the parser.
//!
//! The kernel queues ten datagrams there (`net.unix.max_dgram_qlen`) whatever we ask, so a burst
//! meets only our speed of draining, and what does not fit is refused to the client, which we cannot
//! see. So the socket is looked at again after every [`CHUNK_BYTES`] parsed, and what waits is read
//! into slabs at once:
//!
//! ```text
//!  socket ──▶ | slab (filling) | slab | slab | ──▶ chunk of about 8 KiB  ──▶ processed
//!               back                   front, `done` packets are through
//! ```
//!
//! | queue | size | when full |
//! |---|---|---|
//! | read ahead | [`SLABS_MAX`] slabs, or what the pool gives | the socket waits, clients are refused |
//!
//! It starts with one slab of 64 slots, which stays in the second-level cache, and only grows in a
//! burst.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;

use greyhound_model::time::{Clock, Stamp};
use greyhound_sys::mmsg;
use greyhound_sys::slots::Slots;

use crate::ledger::ListenerId;
use crate::packet::batch::PacketBatch;
use crate::packet::pool::PacketPool;

/// Bytes parsed between two looks at the socket: about ten microseconds, in which a sender fills the ten places
/// of the queue just so. Twice as many refuse five times as much of a burst and save nothing.
pub const CHUNK_BYTES: usize = 8 << 10;
/// Slabs read ahead at most, for each socket.
pub const SLABS_MAX: usize = 16;

/// One socket and what was read from it but not yet processed.
#[derive(Debug)]
pub struct ReadAhead {
    listener: ListenerId,
    socket: Arc<UnixDatagram>,
    /// Oldest first; never more than [`SLABS_MAX`], all but the last one full.
    slabs: VecDeque<Slab>,
    /// Kept while nothing is read, so that the first datagram needs no pool.
    spare: Option<Slots>,
}

#[derive(Debug)]
struct Slab {
    slots: Slots,
    stamp: Stamp,
    done: usize,
}

/// Packets to process next: a range of the front slab.
#[derive(Debug)]
pub struct Chunk<'a> {
    /// Whose they are.
    pub listener: ListenerId,
    /// When the first of their slab was received.
    pub stamp: Stamp,
    /// The slab.
    pub slots: &'a Slots,
    /// Which of its datagrams.
    pub packets: Range<usize>,
    /// Whether it is as large as a chunk gets, so that the socket should be looked at again.
    pub is_large: bool,
}

// === impl ReadAhead ===

impl ReadAhead {
    /// Nothing read yet. `first` is the slab it always has.
    pub fn new(listener: ListenerId, socket: Arc<UnixDatagram>, first: Slots) -> Self {
        Self {
            listener,
            socket,
            slabs: VecDeque::with_capacity(SLABS_MAX),
            spare: Some(first),
        }
    }

    /// Reads what waits, as far as there are slabs. Returns the number of calls that brought
    /// something, and whether the socket is empty.
    ///
    /// # Errors
    ///
    /// What the kernel says, apart from "nothing there". What was read before stays.
    pub fn look(&mut self, clock: &dyn Clock, pool: &PacketPool) -> io::Result<(u64, bool)> {
        let mut calls = 0;
        loop {
            let back_is_full = self.slabs.back().is_none_or(|slab| slab.slots.is_full());
            if back_is_full && !self.open_slab(pool) {
                return Ok((calls, false));
            }
            let Some(slab) = self.slabs.back_mut() else {
                return Ok((calls, false));
            };
            let wanted = slab.slots.capacity() - slab.slots.len();
            match mmsg::receive(&self.socket, &mut slab.slots, wanted) {
                Ok(got) => {
                    calls += 1;
                    if slab.slots.len() == got {
                        slab.stamp = clock.now();
                    }
                    if got < wanted {
                        return Ok((calls, true));
                    }
                }
                Err(error) => {
                    if slab.slots.is_empty()
                        && let Some(empty) = self.slabs.pop_back()
                    {
                        self.close_slab(empty.slots, pool);
                    }
                    return match error.kind() {
                        io::ErrorKind::WouldBlock => Ok((calls, true)),
                        _ => Err(error),
                    };
                }
            }
        }
    }

    /// The next packets, marked as done: if processing breaks, they are not offered again.
    pub fn next_chunk(&mut self) -> Option<Chunk<'_>> {
        let slab = self.slabs.front_mut()?;
        let start = slab.done;
        let mut bytes = 0;
        let mut end = start;
        for (_, packet) in slab.slots.range(start..slab.slots.len()) {
            end += 1;
            bytes += packet.len();
            if bytes >= CHUNK_BYTES {
                break;
            }
        }
        slab.done = end;
        Some(Chunk {
            listener: self.listener,
            stamp: slab.stamp,
            slots: &slab.slots,
            packets: start..end,
            is_large: bytes >= CHUNK_BYTES,
        })
    }

    /// Gives slabs back whose packets are all done. Call after each chunk.
    pub fn recycle(&mut self, pool: &PacketPool) {
        while let Some(slab) = self.slabs.front()
            && slab.done == slab.slots.len()
        {
            let Some(slab) = self.slabs.pop_front() else {
                return;
            };
            self.close_slab(slab.slots, pool);
        }
    }

    /// The oldest slab as a batch for another lane, when at least two untouched ones wait behind it.
    pub fn hand_over(&mut self) -> Option<PacketBatch> {
        let oldest_is_whole = self.slabs.front().is_some_and(|slab| slab.done == 0);
        if self.slabs.len() < 3 || !oldest_is_whole {
            return None;
        }
        self.slabs.pop_front().map(|slab| PacketBatch {
            listener: self.listener,
            stamp: slab.stamp,
            slots: slab.slots,
        })
    }

    /// Takes a batch back that nobody else could have.
    pub fn take_back(&mut self, batch: PacketBatch) {
        self.slabs.push_front(Slab {
            slots: batch.slots,
            stamp: batch.stamp,
            done: 0,
        });
    }

    /// Whether nothing waits to be processed.
    pub fn is_empty(&self) -> bool {
        self.slabs.is_empty()
    }

    fn open_slab(&mut self, pool: &PacketPool) -> bool {
        if self.slabs.len() >= SLABS_MAX {
            return false;
        }
        let Some(slots) = self.spare.take().or_else(|| pool.take()) else {
            return false;
        };
        self.slabs.push_back(Slab {
            slots,
            stamp: Stamp::default(),
            done: 0,
        });
        true
    }

    fn close_slab(&mut self, mut slots: Slots, pool: &PacketPool) {
        if self.spare.is_none() {
            slots.clear();
            self.spare = Some(slots);
        } else {
            pool.give(slots);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::pool::Shape;
    use greyhound_model::time::SystemClock;
    use greyhound_sys::slots::Senders;

    const SHAPE: Shape = Shape {
        packets: 4,
        packet_len_bytes_max: 8 << 10,
        senders: Senders::Ignored,
        peers: false,
    };

    fn reader() -> (UnixDatagram, ReadAhead) {
        let (sender, receiver) = UnixDatagram::pair().unwrap();
        let ahead = ReadAhead::new(ListenerId(0), Arc::new(receiver), SHAPE.make());
        (sender, ahead)
    }

    fn drain(ahead: &mut ReadAhead, pool: &PacketPool) -> Vec<(usize, u8)> {
        let mut chunks = Vec::new();
        while let Some(chunk) = ahead.next_chunk() {
            let first = chunk.slots.range(chunk.packets.clone()).next().unwrap().1[0];
            chunks.push((chunk.packets.len(), first));
            ahead.recycle(pool);
        }
        chunks
    }

    #[test]
    fn packets_come_in_chunks_in_the_order_they_were_sent() {
        let (sender, mut ahead) = reader();
        let pool = PacketPool::new(2, SHAPE);
        for number in 0..5 {
            sender.send(&[number; 4 << 10]).unwrap();
        }
        let (calls, empty) = ahead.look(&SystemClock::default(), &pool).unwrap();
        assert!(calls == 2 && empty);
        assert_eq!(drain(&mut ahead, &pool), [(2, 0), (2, 2), (1, 4)]);
        assert!(ahead.is_empty());
        let (calls, empty) = ahead.look(&SystemClock::default(), &pool).unwrap();
        assert!(calls == 0 && empty && ahead.is_empty());
    }

    #[test]
    fn without_slabs_the_socket_waits_and_nothing_is_lost() {
        let (sender, mut ahead) = reader();
        let pool = PacketPool::new(1, SHAPE);
        for number in 0..10 {
            sender.send(&[number; 1]).unwrap();
        }
        let (_, empty) = ahead.look(&SystemClock::default(), &pool).unwrap();
        assert!(!empty);
        let mut seen: usize = drain(&mut ahead, &pool).iter().map(|chunk| chunk.0).sum();
        assert_eq!(seen, 8);
        assert!(ahead.look(&SystemClock::default(), &pool).unwrap().1);
        seen += drain(&mut ahead, &pool)
            .iter()
            .map(|chunk| chunk.0)
            .sum::<usize>();
        assert_eq!(seen, 10);
    }

    #[test]
    fn only_whole_slabs_with_others_behind_them_are_handed_over() {
        let (sender, mut ahead) = reader();
        let pool = PacketPool::new(3, SHAPE);
        for number in 0..9 {
            sender.send(&[number; 1]).unwrap();
        }
        ahead.look(&SystemClock::default(), &pool).unwrap();
        let batch = ahead.hand_over().unwrap();
        assert_eq!(batch.slots.iter().next().unwrap().1, [0]);
        assert!(ahead.hand_over().is_none());
        ahead.take_back(batch);
        assert!(ahead.next_chunk().is_some());
        assert!(ahead.hand_over().is_none());
    }
}
