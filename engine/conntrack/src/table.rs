//! Flows by both of their tuples: a slab of slots and an index of slot numbers.
//!
//! ```text
//!  index  │ · │ 7r │ · │ 3o │ 7o │ · │ 3r │ …      u32: slot × 2 + direction; open addressing
//!  slab   │ 0 │ 1 │ 2 │ 3 │ … │ 7 │ …              104 bytes: both tuples once, links, deadline
//! ```
//!
//! Both directions answer, and each tuple is stored once. 120 bytes a flow when full by
//! design; a test holds a full table to 150. Bounded by [`FlowTable::new`]; when full, the flow that was used
//! longest ago goes. Deleting moves entries back, so there are no tombstones in the index. The hash has
//! a secret seed: who can open connections cannot choose collisions.

use std::hash::{BuildHasher, Hasher};

use crate::flow::{Flow, Status, Tuple};

const NONE: u32 = u32::MAX;
/// Slots of the index for each flow; two of them are taken.
const INDEX_PER_FLOW: usize = 4;

/// Flows, at most a fixed number.
#[derive(Debug)]
pub struct FlowTable {
    slots: Vec<Slot>,
    index: Box<[u32]>,
    mask: usize,
    capacity: usize,
    len: usize,
    free: u32,
    newest: u32,
    oldest: u32,
    hasher: foldhash::fast::FixedState,
}

/// One flow.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// As the client sent.
    pub original: Tuple,
    /// As the answer comes.
    pub reply: Tuple,
    /// The kernel's number.
    pub id: u32,
    /// Status bits.
    pub status: Status,
    /// Second at which it has to be looked at again.
    pub deadline: u32,
    /// Which load of the table touched it last.
    pub epoch: u32,
    newer: u32,
    older: u32,
}

/// What became of a flow that was put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Added,
    /// It took the place of another with the same tuple.
    Replaced,
    /// It is new, and the one used longest ago had to go.
    Evicted,
}

/// What became of a flow that was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is gone.
    Removed,
    /// Nobody knows it.
    Unknown,
    /// The tuple is another flow's by now.
    OtherId,
}

// === impl FlowTable ===

impl FlowTable {
    /// For `capacity` flows at most. The index is made now, 16 to 32 bytes a flow; slots as they are needed.
    pub fn new(capacity: usize, seed: u64) -> Self {
        let capacity = capacity.clamp(1, (NONE / 2) as usize);
        let index = (capacity * INDEX_PER_FLOW).next_power_of_two();
        Self {
            slots: Vec::new(),
            index: vec![NONE; index].into_boxed_slice(),
            mask: index - 1,
            capacity,
            len: 0,
            free: NONE,
            newest: NONE,
            oldest: NONE,
            hasher: foldhash::fast::FixedState::with_seed(seed),
        }
    }

    /// Flows in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes it holds.
    pub fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>() + self.index.len() * size_of::<u32>()
    }

    /// Puts a flow in, in place of those with one of its tuples. `deadline` in seconds of the caller's clock.
    pub fn put(&mut self, flow: &Flow, deadline: u32, epoch: u32) -> Put {
        let mut outcome = Put::Added;
        for tuple in [&flow.original, &flow.reply] {
            if let Some(at) = self.find_slot(tuple) {
                self.remove_slot(at);
                outcome = Put::Replaced;
            }
        }
        if self.len == self.capacity {
            self.remove_slot(self.oldest);
            outcome = Put::Evicted;
        }
        let slot = Slot {
            original: flow.original,
            reply: flow.reply,
            id: flow.id,
            status: flow.status,
            deadline,
            epoch,
            newer: NONE,
            older: NONE,
        };
        let at = if self.free == NONE {
            self.slots.push(slot);
            (self.slots.len() - 1) as u32
        } else {
            let at = self.free;
            self.free = self.slots[at as usize].newer;
            self.slots[at as usize] = slot;
            at
        };
        self.len += 1;
        self.link(at);
        self.enter(&flow.original, at * 2);
        // A flow to itself has one tuple only.
        if flow.original != flow.reply {
            self.enter(&flow.reply, at * 2 + 1);
        }
        outcome
    }

    /// The flow with this tuple in either direction. Counts as a use.
    pub fn find(&mut self, tuple: &Tuple) -> Option<&Slot> {
        let at = self.find_slot(tuple)?;
        self.unlink(at);
        self.link(at);
        Some(&self.slots[at as usize])
    }

    /// The same, without counting as a use.
    pub fn peek(&self, tuple: &Tuple) -> Option<&Slot> {
        Some(&self.slots[self.find_slot(tuple)? as usize])
    }

    /// The same, to be changed. Tuples must stay as they are.
    pub(crate) fn peek_mut(&mut self, tuple: &Tuple) -> Option<&mut Slot> {
        let at = self.find_slot(tuple)?;
        Some(&mut self.slots[at as usize])
    }

    /// Takes out the flow with this original tuple, if it still is the one with this id.
    pub fn take(&mut self, original: &Tuple, id: u32) -> Taken {
        match self.find_slot(original) {
            None => Taken::Unknown,
            Some(at) if self.slots[at as usize].id != id => Taken::OtherId,
            Some(at) => {
                self.remove_slot(at);
                Taken::Removed
            }
        }
    }

    /// Takes out all that `is_over` says; how many. Cost: one pass.
    pub fn sweep(&mut self, mut is_over: impl FnMut(&Slot) -> bool) -> usize {
        let mut gone = 0;
        for at in 0..self.slots.len() {
            if self.slots[at].is_taken() && is_over(&self.slots[at]) {
                self.remove_slot(at as u32);
                gone += 1;
            }
        }
        gone
    }

    /// Up to `limit` slots from place `from` on, and the place to go on at; `None` when that was all. A flow
    /// that stays is met exactly once in a round, whatever comes and goes meanwhile.
    pub fn page(&self, from: usize, limit: usize) -> (Vec<Slot>, Option<usize>) {
        let mut page = Vec::new();
        for (at, slot) in self.slots.iter().enumerate().skip(from) {
            if page.len() == limit {
                return (page, Some(at));
            }
            if slot.is_taken() {
                page.push(*slot);
            }
        }
        (page, None)
    }

    /// Looks at `count` places from `from` on and hands those in use to `each`; the place to go on at.
    pub(crate) fn visit(&self, from: usize, count: usize, mut each: impl FnMut(&Slot)) -> usize {
        let end = from.saturating_add(count).min(self.slots.len());
        for slot in self.slots.get(from..end).unwrap_or_default() {
            if slot.is_taken() {
                each(slot);
            }
        }
        if end >= self.slots.len() { 0 } else { end }
    }

    fn hash(&self, tuple: &Tuple) -> usize {
        let mut hasher = self.hasher.build_hasher();
        for word in tuple.words() {
            hasher.write_u64(word);
        }
        hasher.finish() as usize
    }

    fn tuple_of(&self, entry: u32) -> &Tuple {
        let slot = &self.slots[(entry / 2) as usize];
        match entry % 2 {
            0 => &slot.original,
            _ => &slot.reply,
        }
    }

    fn find_entry(&self, tuple: &Tuple) -> Option<usize> {
        let mut at = self.hash(tuple) & self.mask;
        // A quarter of the index is free at least, so this ends.
        while self.index[at] != NONE {
            if self.tuple_of(self.index[at]) == tuple {
                return Some(at);
            }
            at = (at + 1) & self.mask;
        }
        None
    }

    fn find_slot(&self, tuple: &Tuple) -> Option<u32> {
        Some(self.index[self.find_entry(tuple)?] / 2)
    }

    fn enter(&mut self, tuple: &Tuple, entry: u32) {
        let mut at = self.hash(tuple) & self.mask;
        while self.index[at] != NONE {
            at = (at + 1) & self.mask;
        }
        self.index[at] = entry;
    }

    /// Empties an entry and moves those behind it back, so that every search still ends where it should.
    fn leave(&mut self, tuple: &Tuple) {
        let Some(mut hole) = self.find_entry(tuple) else {
            return;
        };
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask;
            let entry = self.index[at];
            if entry == NONE {
                break;
            }
            let home = self.hash(self.tuple_of(entry)) & self.mask;
            // It may move if its home does not lie between the hole and itself.
            if (at.wrapping_sub(home) & self.mask) >= (at.wrapping_sub(hole) & self.mask) {
                self.index[hole] = entry;
                hole = at;
            }
        }
        self.index[hole] = NONE;
    }

    fn remove_slot(&mut self, at: u32) {
        let (original, reply) = {
            let slot = &self.slots[at as usize];
            (slot.original, slot.reply)
        };
        self.leave(&original);
        if original != reply {
            self.leave(&reply);
        }
        self.unlink(at);
        let slot = &mut self.slots[at as usize];
        slot.original = Tuple::EMPTY;
        slot.newer = self.free;
        self.free = at;
        self.len -= 1;
    }

    fn link(&mut self, at: u32) {
        let before = self.newest;
        let slot = &mut self.slots[at as usize];
        slot.newer = NONE;
        slot.older = before;
        match before {
            NONE => self.oldest = at,
            before => self.slots[before as usize].newer = at,
        }
        self.newest = at;
    }

    fn unlink(&mut self, at: u32) {
        let (newer, older) = {
            let slot = &self.slots[at as usize];
            (slot.newer, slot.older)
        };
        match newer {
            NONE => self.newest = older,
            newer => self.slots[newer as usize].older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.slots[older as usize].newer = newer,
        }
    }
}

// === impl Slot ===

impl Slot {
    fn is_taken(&self) -> bool {
        self.original != Tuple::EMPTY
    }

    /// What it says, as a flow.
    pub fn flow(&self) -> Flow {
        Flow {
            original: self.original,
            reply: self.reply,
            id: self.id,
            status: self.status,
            timeout_seconds: None,
            mark: 0,
            tcp_state: None,
            counters: None,
            duration_nanos: None,
        }
    }
}

const _: () = assert!(size_of::<Slot>() == 104);

#[cfg(test)]
mod tests;
