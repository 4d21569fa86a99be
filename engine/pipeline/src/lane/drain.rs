//! The end of a lane, in the order of the data: sockets, connections, the shared queue, buckets.
//!
//! 1. accept who already waits, then nobody any more
//! 2. read every datagram socket until it is empty twice, every connection until it has nothing
//! 3. say that this lane pushes no more; work off the shared queue until that holds for all lanes
//! 4. close the buckets and hand them over
//!
//! Each step ends at the deadline at the latest; what is then still in a socket was never read and is
//! not ours to count. The sockets stay open: they belong to the engine.

use std::time::{Duration, Instant};

use super::{Command, Lane, Report, join};
use crate::process::Processor;
use crate::process::close::CloseScope;

/// How often an empty socket must say so.
const EMPTY_LOOKS: u32 = 2;
/// Pause while other lanes are still draining.
const PAUSE: Duration = Duration::from_millis(1);
/// Beyond the deadline for sockets, so long for other lanes to say that they are done.
const GRACE: Duration = Duration::from_secs(2);

/// A stop under way. Kept outside the processor: a lane that breaks while stopping goes on stopping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stopping {
    until: Instant,
    keep_open_buckets: bool,
    pushes_no_more: bool,
}

// === impl Stopping ===

impl Stopping {
    pub(super) fn new(until: Instant, keep_open_buckets: bool) -> Self {
        Self {
            until,
            keep_open_buckets,
            pushes_no_more: false,
        }
    }
}

// === impl Lane ===

impl Lane {
    /// All of the above.
    pub(super) fn drain(&mut self, processor: &mut Processor) {
        let Some(stopping) = self.stopping else {
            return;
        };
        let until = stopping.until;
        if !stopping.pushes_no_more {
            self.drain_streams(processor, until);
            self.drain_udp(processor, until);
            self.drain_unixgram(processor, until);
            self.streams.stop_accepting();
            self.shared.stop_pushing();
            self.stopping = Some(Stopping {
                pushes_no_more: true,
                ..stopping
            });
        }
        self.drain_queue(processor, until);
        let now = self.clock.now();
        self.streams
            .close_all(now, &mut self.desk, processor, &self.shared);
        self.desk.stop_forwarding();
        let scope = match stopping.keep_open_buckets {
            true => CloseScope::All,
            false => CloseScope::OverDropOpen,
        };
        let flush = processor.close(now, scope);
        processor.publish();
        self.desk.publish();
        self.report(Report::Stopped(flush));
    }

    fn drain_udp(&mut self, processor: &mut Processor, until: Instant) {
        for at in 0..self.udp.len() {
            self.drain_udp_at(at, processor, until);
        }
    }

    pub(super) fn drain_udp_at(&mut self, at: usize, processor: &mut Processor, until: Instant) {
        let mut empty = 0;
        while empty < EMPTY_LOOKS && !Self::is_late(until) {
            match self.receive_udp(at) {
                Some(_) => {
                    empty = 0;
                    let stamp = self.clock.now();
                    let listener = self.udp[at].listener;
                    self.work_slab(listener, stamp, processor);
                }
                None => empty += 1,
            }
        }
    }

    fn drain_unixgram(&mut self, processor: &mut Processor, until: Instant) {
        for at in 0..self.unixgram.len() {
            self.drain_unixgram_at(at, processor, until);
        }
    }

    pub(super) fn drain_unixgram_at(
        &mut self,
        at: usize,
        processor: &mut Processor,
        until: Instant,
    ) {
        let mut empty = 0;
        while empty < EMPTY_LOOKS && !Self::is_late(until) {
            self.unixgram[at].ready = true;
            match self.serve_unixgram(at, processor) {
                true => empty = 0,
                false => empty += 1,
            }
        }
        // What was read is worked on, deadline or not: it is in memory already.
        self.unixgram[at].ready = false;
        while !self.unixgram[at].ahead.is_empty() {
            self.serve_unixgram(at, processor);
        }
    }

    /// Whoever has connected is read; an edge may be waiting in the epoll instance.
    pub(super) fn drain_streams(&mut self, processor: &mut Processor, until: Instant) {
        loop {
            self.gather();
            let busy = self.serve_streams(processor);
            if (!busy && self.streams.is_quiet()) || Self::is_late(until) {
                return;
            }
        }
    }

    /// Until the queue is empty and nobody pushes any more; commands too, for a connection may come
    /// with one.
    fn drain_queue(&mut self, processor: &mut Processor, until: Instant) {
        loop {
            // Asked first: what is empty afterwards stays empty.
            let nobody_pushes = self.shared.nobody_pushes() || Self::is_late(until + GRACE);
            let mut busy = false;
            while let Ok(command) = self.inbox.try_recv() {
                busy = true;
                self.obey_while_stopping(command, processor);
            }
            self.drain_streams(processor, until);
            while self.help(processor) {
                busy = true;
            }
            if nobody_pushes && !busy {
                return;
            }
            if !busy && let Err(error) = self.wait.wait(1, Some(PAUSE)) {
                self.note_error(&error);
            }
        }
    }

    fn obey_while_stopping(&mut self, command: Command, processor: &mut Processor) {
        match command {
            Command::Close(stamp) => {
                self.closing = Some(stamp);
                self.answer_close(processor);
            }
            Command::Adopt {
                listener,
                stream,
                peer,
            } => self.adopt(listener, stream, peer),
            // Batches of a new listener may still be in the queue.
            Command::Meet {
                ledger,
                expects_senders,
                done,
            } => self.meet(&ledger, expects_senders, &done, processor),
            Command::Leave { done, .. } => join::answer(&done),
            // The last report brings them; what is left meets the rules it arrived under.
            Command::Timestamped
            | Command::Origins(_)
            | Command::Clients(_)
            | Command::Rules(..)
            | Command::Width(_)
            | Command::Listen(_)
            | Command::Stop { .. } => {}
            #[cfg(test)]
            Command::Break => self.desk.break_next = true,
        }
    }
}
