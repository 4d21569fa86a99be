//! A lane and its Unix datagram sockets: work on what was read ahead in chunks, look at the socket
//! after each, share whole slabs in a burst.

use greyhound_queue::push::Push;

use super::Lane;
use crate::process::Processor;

/// Chunks of Unix datagrams before something else gets its turn.
const CHUNKS_PER_TURN: usize = 64;

// === impl Lane ===

impl Lane {
    /// Reads and processes a Unix datagram socket, which is looked at again after every chunk.
    pub(super) fn serve_unixgram(&mut self, at: usize, processor: &mut Processor) -> bool {
        if self.unixgram[at].ready {
            self.read_ahead(at);
        }
        let mut any = false;
        for _ in 0..CHUNKS_PER_TURN {
            self.share_ahead(at);
            let Some(chunk) = self.unixgram[at].ahead.next_chunk() else {
                break;
            };
            any = true;
            let large = chunk.is_large;
            self.desk.work(
                processor,
                chunk.listener,
                chunk.stamp,
                chunk.slots,
                chunk.packets,
            );
            self.unixgram[at].ahead.recycle(&self.shared.pool);
            if large || self.unixgram[at].ready {
                self.read_ahead(at);
            }
        }
        any
    }

    pub(super) fn read_ahead(&mut self, at: usize) {
        let source = &mut self.unixgram[at];
        match source.ahead.look(&*self.clock, &self.shared.pool) {
            Ok((calls, empty)) => {
                self.desk.tally.receives += calls;
                source.ready = !empty;
            }
            Err(error) => {
                // Not the end of the socket; without a new edge it must be tried again.
                self.note_error(&error);
            }
        }
    }

    /// Hands whole slabs that were read ahead to others.
    fn share_ahead(&mut self, at: usize) {
        if !self.shared.has_helpers() || self.stopping.is_some() {
            return;
        }
        while let Some(batch) = self.unixgram[at].ahead.hand_over() {
            match self.shared.push(batch) {
                Push::Queued => self.desk.tally.batches_pushed += 1,
                Push::Full(batch) => {
                    self.desk.tally.batches_refused += 1;
                    return self.unixgram[at].ahead.take_back(batch);
                }
            }
        }
    }
}
