//! The queue between lanes: bounded, lock-free, many at both ends. What travels is a whole batch of
//! packets, never one packet.
//!
//! ```text
//!              tail                      head          (tickets: they only grow)
//!               ▼                          ▼
//!   slot   | 0 | 1 | 2 | 3 | 4 |  ticket t uses slot t mod capacity, in lap t div capacity
//!   turn     2   1   1   1   0    2·lap     = free for the push of this lap
//!                                 2·lap + 1 = holds the item of this lap
//!                                 2·lap + 2 = free for the push of the next lap
//! ```
//!
//! | queue | size | pushes | pops | when full |
//! |---|---|---|---|---|
//! | [`Ring`] | given at `new`, items | any thread | any thread | [`Push::Full`] hands the item back |
//!
//! Nothing is lost here: a refused item is still the caller's, and the type says so.
//!
//! # Why it is right
//!
//! 1. *One owner per ticket.* A ticket is taken by compare-exchange on `head` (push) or `tail` (pop),
//!    which succeeds for exactly one thread, and only after that thread saw the slot's turn equal to
//!    what the ticket needs. Nobody but the owner of that ticket moves the turn away from that value:
//!    the push of lap `l` needs `2l` and leaves `2l + 1`, the pop of lap `l` needs `2l + 1` and leaves
//!    `2l + 2`. So between the check and the write nothing can change, and the slot belongs to one
//!    thread at a time.
//! 2. *Memory order.* The owner writes (or takes) the item and then stores the new turn with
//!    `Release`. The next owner loads the turn with `Acquire` before it touches the slot. That pair
//!    is the only one that carries the item; it orders write before take, and take before the next
//!    write. `head` and `tail` carry no data, so taking a ticket may be `Relaxed`: a stale ticket
//!    makes the compare-exchange fail or the turn differ, never a wrong owner.
//! 3. *Any capacity.* Turns count laps, not tickets, so a ring of one slot tells "full" from "free for
//!    the next lap", which a plain sequence number cannot.
//! 4. *No wrap.* Tickets are 64 bits: a push a nanosecond wraps them in 584 years.
//!
//! What is not promised: `pop` may say `None`, and `push` may say `Full`, while another thread is in
//! the middle of a call on the slot in question. Whoever drains the queue for good must know that
//! the pushing threads are done.

mod atomics;
pub mod push;
pub mod ring;

#[cfg(doc)]
use crate::{push::Push, ring::Ring};
