//! Slabs that are used again and again: made when first needed, up to a bound, never freed.

use std::sync::atomic::{AtomicUsize, Ordering};

use greyhound_queue::push::Push;
use greyhound_queue::ring::Ring;
use greyhound_sys::slots::{Senders, Slots};

/// Slabs of one shape for all lanes.
///
/// Capacity: slabs, fixed at `new`. Anyone takes, anyone gives back. When empty, the lane that wanted
/// one works with the slab it has. Cost: one ring operation; an allocation only for a slab that never
/// was there before.
#[derive(Debug)]
pub struct PacketPool {
    free: Ring<Slots>,
    shape: Shape,
    made: AtomicUsize,
}

/// How slabs are cut.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Datagrams in one slab.
    pub packets: usize,
    /// Longest datagram kept whole, in bytes.
    pub packet_len_bytes_max: usize,
    /// Whether there is room for what the kernel says about the sender.
    pub senders: Senders,
    /// Whether there is room for the addresses of UDP datagrams.
    pub peers: bool,
}

// === impl PacketPool ===

impl PacketPool {
    /// A pool of at most `capacity` slabs; none is made yet.
    pub fn new(capacity: usize, shape: Shape) -> Self {
        Self {
            free: Ring::new(capacity),
            shape,
            made: AtomicUsize::new(0),
        }
    }

    /// An empty slab, or `None` when all are in use.
    pub fn take(&self) -> Option<Slots> {
        if let Some(slots) = self.free.pop() {
            return Some(slots);
        }
        let may_make = self
            .made
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |made| {
                (made < self.free.capacity()).then_some(made + 1)
            });
        may_make.ok().map(|_| self.shape.make())
    }

    /// Takes a slab back. What was in it is forgotten.
    pub fn give(&self, mut slots: Slots) {
        slots.clear();
        if let Push::Full(slots) = self.free.push(slots) {
            // No more slabs exist than the ring holds, so this only happens while another thread is
            // in the middle of taking the one whose place this needs. Let it go and allow a new one.
            drop(slots);
            self.made.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How slabs are cut.
    pub fn shape(&self) -> Shape {
        self.shape
    }
}

// === impl Shape ===

impl Shape {
    /// A slab outside any pool: the one a lane always has.
    pub fn make(self) -> Slots {
        let slots = Slots::new(self.packets, self.packet_len_bytes_max, self.senders);
        match self.peers {
            true => slots.with_peers(),
            false => slots,
        }
    }

    /// What one slab can grow to, in bytes.
    pub fn bytes(self) -> usize {
        self.packets.saturating_mul(self.packet_len_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_sys::peer::Credentials;

    const SHAPE: Shape = Shape {
        packets: 2,
        packet_len_bytes_max: 8,
        senders: Senders::Ignored,
        peers: false,
    };

    #[test]
    fn no_more_slabs_are_made_than_allowed_and_they_come_back_empty() {
        let pool = PacketPool::new(2, SHAPE);
        let mut first = pool.take().unwrap();
        let second = pool.take().unwrap();
        assert!(pool.take().is_none());
        assert!(first.push(b"x", Credentials::default()));
        pool.give(first);
        assert!(pool.take().unwrap().is_empty());
        assert!(pool.take().is_none());
        pool.give(second);
    }
}
