//! A lane and its members of the port groups: read a batch, work on it, wait for the next to grow, or
//! share when behind.
//!
//! Nothing is lost here: a batch that nobody else can take is worked on at once, and what is not read
//! stays in the kernel's buffer.

use std::time::Duration;

use greyhound_model::time::Stamp;
use greyhound_queue::push::Push;
use greyhound_sys::mmsg;

use super::Lane;
use crate::ledger::ListenerId;
use crate::packet::batch::PacketBatch;
use crate::process::Processor;
use crate::receive::unixgram::CHUNK_BYTES;

/// Full UDP batches in a row after which a lane counts as behind.
const STRETCH_BATCHES: u32 = 8;
/// UDP batches before something else gets its turn.
const BATCHES_PER_TURN: usize = 8;
/// UDP batches waiting for each helper, above which the lane works itself: the kernel's buffer is the
/// better place for the rest.
const UDP_BATCHES_PER_HELPER: usize = 4;

// === impl Lane ===

impl Lane {
    /// Reads one port group member. Returns whether anything came.
    pub(super) fn serve_udp(&mut self, at: usize, processor: &mut Processor) -> bool {
        let mut any = false;
        for _ in 0..BATCHES_PER_TURN {
            if !self.udp[at].ready {
                break;
            }
            let Some((got, full)) = self.receive_udp(at) else {
                break;
            };
            any = true;
            let listener = self.udp[at].listener;
            let stamp = self.clock.now();
            self.pace.note(got, stamp.monotonic_nanos);
            self.note_gap(stamp);
            let behind = self.udp[at].full_batches > STRETCH_BATCHES;
            if !(behind && self.share_slab(listener, stamp)) {
                self.work_slab(listener, stamp, processor);
            }
            if !full {
                match self.pace.wait(self.coalesce) {
                    None => self.udp[at].ready = false,
                    Some(wait) => {
                        if self.wait_for_more(wait) {
                            break;
                        }
                    }
                }
            }
            if !self.unixgram.is_empty() {
                // A Unix datagram socket holds ten datagrams; it does not wait for eight batches.
                break;
            }
        }
        any
    }

    /// One receive call into the lane's slab: how many came, and whether there may be more.
    pub(super) fn receive_udp(&mut self, at: usize) -> Option<(usize, bool)> {
        self.slab.clear();
        let source = &mut self.udp[at];
        match mmsg::receive_from(&*source.socket, source.local, &mut self.slab, usize::MAX) {
            Ok(got) => {
                let full = self.slab.is_full();
                source.full_batches = if full {
                    source.full_batches.saturating_add(1)
                } else {
                    0
                };
                self.desk.tally.receives += 1;
                Some((got, full))
            }
            Err(error) => {
                source.ready = false;
                source.full_batches = 0;
                self.note_error(&error);
                None
            }
        }
    }

    /// Processes the lane's slab. With Unix datagram sockets about, those are emptied in between.
    pub(super) fn work_slab(
        &mut self,
        listener: ListenerId,
        stamp: Stamp,
        processor: &mut Processor,
    ) {
        let all = self.slab.len();
        if self.unixgram.is_empty() {
            return self
                .desk
                .work(processor, listener, stamp, &self.slab, 0..all);
        }
        self.work_slab_from(0, listener, stamp, processor);
    }

    /// The same in pieces, from a packet on.
    pub(super) fn work_slab_from(
        &mut self,
        mut start: usize,
        listener: ListenerId,
        stamp: Stamp,
        processor: &mut Processor,
    ) {
        let all = self.slab.len();
        while start < all {
            let mut bytes = 0;
            let large = self.slab.range(start..all).position(|(_, packet)| {
                bytes += packet.len();
                bytes >= CHUNK_BYTES
            });
            let end = large.map_or(all, |offset| start + offset + 1);
            // What is behind this piece is not begun: if this breaks, the lane goes on there.
            self.unbegun = Some((end, listener, stamp));
            self.desk
                .work(processor, listener, stamp, &self.slab, start..end);
            start = end;
            if large.is_some() {
                for at in 0..self.unixgram.len() {
                    self.read_ahead(at);
                }
            }
        }
        self.unbegun = None;
    }

    /// Pushes the lane's slab to the shared queue, if somebody may take it soon and a fresh slab is at
    /// hand. Otherwise it is still in place.
    fn share_slab(&mut self, listener: ListenerId, stamp: Stamp) -> bool {
        let helpers = self.shared.helpers();
        if helpers == 0 || self.shared.queue_len() >= helpers * UDP_BATCHES_PER_HELPER {
            return false;
        }
        let Some(fresh) = self.shared.pool.take() else {
            self.desk.tally.batches_refused += 1;
            return false;
        };
        let slots = std::mem::replace(&mut self.slab, fresh);
        match self.shared.push(PacketBatch {
            listener,
            stamp,
            slots,
        }) {
            Push::Queued => {
                self.desk.tally.batches_pushed += 1;
                true
            }
            Push::Full(batch) => {
                self.desk.tally.batches_refused += 1;
                let fresh = std::mem::replace(&mut self.slab, batch.slots);
                self.shared.pool.give(fresh);
                false
            }
        }
    }

    /// Lets UDP batches grow. Returns whether something urgent came in the meantime.
    fn wait_for_more(&mut self, wait: Duration) -> bool {
        self.desk.tally.coalesce_waits += 1;
        if let Err(error) = self.wait.wait(1, Some(wait)) {
            self.note_error(&error);
        }
        self.wait.is_ready(0)
    }

    /// Counts how long the lane was away from its socket, work, commands and other threads' turns on the
    /// core included. Only where it did not sleep for want of packets in between.
    fn note_gap(&mut self, stamp: Stamp) {
        if let Some(before) = self.received_at.replace(stamp.monotonic_nanos) {
            let gap = stamp.monotonic_nanos.saturating_sub(before);
            self.desk.tally.note_gap(gap);
        }
    }
}
