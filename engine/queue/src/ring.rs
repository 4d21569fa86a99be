//! The ring itself. `lib.rs` draws it and argues why it is right.

use std::fmt;
use std::mem::MaybeUninit;

use crossbeam_utils::CachePadded;

use crate::atomics::{AtomicU64, Ordering, UnsafeCell};
use crate::push::Push;

/// A bounded queue with any number of threads at either end.
///
/// Capacity: items, fixed at `new`. Pushed and popped by anyone with a reference. When full, a push
/// hands the item back. Cost: two atomic operations a call when nobody else is there; no allocation
/// after `new`.
pub struct Ring<T> {
    slots: Box<[CachePadded<Slot<T>>]>,
    /// Ticket of the next push.
    head: CachePadded<AtomicU64>,
    /// Ticket of the next pop.
    tail: CachePadded<AtomicU64>,
}

struct Slot<T> {
    turn: AtomicU64,
    item: UnsafeCell<MaybeUninit<T>>,
}

/// Where a ticket leads: the slot, and the turn at which a push may use it.
struct Place<'a, T> {
    slot: &'a Slot<T>,
    push_turn: u64,
}

// SAFETY: items are moved in by one thread and out by another, which `T: Send` allows; the slot
// belongs to one thread at a time by point 1 of the crate documentation.
unsafe impl<T: Send> Send for Ring<T> {}
// SAFETY: through a shared reference items are only moved in and out, never looked at, so `T: Send`
// is enough here as well.
unsafe impl<T: Send> Sync for Ring<T> {}

// === impl Ring ===

impl<T> Ring<T> {
    /// A ring for `capacity` items, at least 1. Allocates all it will ever need.
    pub fn new(capacity: usize) -> Self {
        let slots = (0..capacity.max(1))
            .map(|_| {
                CachePadded::new(Slot {
                    turn: AtomicU64::new(0),
                    item: UnsafeCell::new(MaybeUninit::uninit()),
                })
            })
            .collect();
        Self {
            slots,
            head: CachePadded::new(AtomicU64::new(0)),
            tail: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// Offers an item. Never blocks.
    pub fn push(&self, item: T) -> Push<T> {
        let mut ticket = self.head.load(Ordering::Relaxed);
        loop {
            let place = self.place(ticket);
            if place.slot.turn.load(Ordering::Acquire) == place.push_turn {
                match self.head.compare_exchange_weak(
                    ticket,
                    ticket + 1,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        place.slot.item.with_mut(|pointer| {
                            // SAFETY: the ticket is ours and its turn said "free", so nobody else
                            // touches this slot until the store below (crate documentation, 1 and 2);
                            // it holds no item that would have to be dropped.
                            unsafe { pointer.write(MaybeUninit::new(item)) }
                        });
                        place
                            .slot
                            .turn
                            .store(place.push_turn + 1, Ordering::Release);
                        return Push::Queued;
                    }
                    Err(current) => ticket = current,
                }
            } else {
                let current = self.head.load(Ordering::Relaxed);
                if current == ticket {
                    return Push::Full(item);
                }
                ticket = current;
            }
        }
    }

    /// Takes the oldest item. Never blocks.
    pub fn pop(&self) -> Option<T> {
        let mut ticket = self.tail.load(Ordering::Relaxed);
        loop {
            let place = self.place(ticket);
            let pop_turn = place.push_turn + 1;
            if place.slot.turn.load(Ordering::Acquire) == pop_turn {
                match self.tail.compare_exchange_weak(
                    ticket,
                    ticket + 1,
                    Ordering::Relaxed,
                    Ordering::Relaxed,
                ) {
                    Ok(_) => {
                        let item = place.slot.item.with_mut(|pointer| {
                            // SAFETY: the ticket is ours and its turn said "holds an item", so
                            // nobody else touches this slot until the store below.
                            unsafe { pointer.read() }
                        });
                        place.slot.turn.store(pop_turn + 1, Ordering::Release);
                        // SAFETY: the push of this lap wrote the item before it stored the turn we
                        // loaded, and this is the only pop of this lap.
                        return Some(unsafe { item.assume_init() });
                    }
                    Err(current) => ticket = current,
                }
            } else {
                let current = self.tail.load(Ordering::Relaxed);
                if current == ticket {
                    return None;
                }
                ticket = current;
            }
        }
    }

    /// Items inside, about: other threads may be at work. For gauges and for deciding whether to look.
    pub fn len(&self) -> usize {
        // Tail first: it never passes head, so a later head is not below it.
        let tail = self.tail.load(Ordering::Relaxed);
        let head = self.head.load(Ordering::Relaxed);
        let len = usize::try_from(head.saturating_sub(tail)).unwrap_or(usize::MAX);
        len.min(self.capacity())
    }

    /// Whether nothing is inside, about.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Items it can hold.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    fn place(&self, ticket: u64) -> Place<'_, T> {
        let capacity = self.slots.len() as u64;
        Place {
            slot: &self.slots[(ticket % capacity) as usize],
            push_turn: ticket / capacity * 2,
        }
    }
}

impl<T> Drop for Ring<T> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}

impl<T> fmt::Debug for Ring<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
