//! Listeners that join a running lane, and those that leave it, drained first.
//!
//! Whoever removes a listener has taken its file away already, so nobody new comes; who has connected
//! to a stream listener stays and is read on. What arrives after the last empty look is lost with the
//! socket, as for any server that goes away.

use std::io;
use std::os::fd::AsRawFd;
use std::time::Instant;

use crossbeam_channel::Sender;
use mio::unix::SourceFd;
use mio::{Interest, Token};

use super::{Lane, Sources, UdpSource, UnixgramSource};
use crate::ledger::{Ledger, ListenerId};
use crate::process::Processor;
use crate::receive::unixgram::ReadAhead;

// === impl Lane ===

impl Lane {
    /// Knows of listeners that joined, before the first packet of theirs comes from another lane.
    pub(super) fn meet(
        &mut self,
        ledger: &Ledger,
        expects_senders: Vec<bool>,
        done: &Sender<()>,
        processor: &mut Processor,
    ) {
        processor.meet_listeners(ledger);
        self.desk.expect_senders(expects_senders);
        answer(done);
    }

    /// Reads these sockets from now on.
    pub(super) fn listen(&mut self, sources: Sources) -> io::Result<()> {
        for (listener, socket) in sources.udp {
            let local = socket.local_addr()?;
            self.wait.add(&*socket);
            self.udp.push(UdpSource {
                listener,
                local,
                socket,
                ready: true,
                full_batches: 0,
            });
        }
        let registry = self.poll.registry();
        for (listener, socket) in sources.unixgram {
            let token = self.next_unixgram;
            self.next_unixgram += 1;
            registry.register(
                &mut SourceFd(&socket.as_raw_fd()),
                Token(token),
                Interest::READABLE,
            )?;
            let slab = self.shared.pool.shape().make();
            self.unixgram.push(UnixgramSource {
                listener,
                socket: socket.clone(),
                token,
                ahead: ReadAhead::new(listener, socket, slab),
                ready: true,
            });
        }
        for (listener, socket) in sources.acceptors {
            self.streams.open(listener, socket, registry)?;
        }
        Ok(())
    }

    /// The same while running, where nobody waits for the answer.
    pub(super) fn listen_or_tell(&mut self, sources: Sources) {
        if let Err(error) = self.listen(sources) {
            tracing::error!(%error, lane = self.index, "a new listener cannot be read");
        }
    }

    /// Reads what the sockets of these listeners still hold and lets go of them.
    pub(super) fn leave(
        &mut self,
        listeners: &[ListenerId],
        drain_until: Instant,
        done: &Sender<()>,
        processor: &mut Processor,
    ) {
        let udp = |lane: &Self| {
            let mut sources = lane.udp.iter();
            sources.position(|source| listeners.contains(&source.listener))
        };
        while let Some(at) = udp(self) {
            self.drain_udp_at(at, processor, drain_until);
            self.udp.remove(at);
            self.wait.remove(1 + at);
        }
        let unixgram = |lane: &Self| {
            let mut sources = lane.unixgram.iter();
            sources.position(|source| listeners.contains(&source.listener))
        };
        while let Some(at) = unixgram(self) {
            self.drain_unixgram_at(at, processor, drain_until);
            let source = self.unixgram.remove(at);
            self.deregister(source.socket.as_raw_fd());
        }
        if self.streams.has_any_of(listeners) {
            // Who waits to be accepted has been promised a reader.
            self.drain_streams(processor, drain_until);
            for socket in self.streams.shut(listeners) {
                self.deregister(socket.as_raw_fd());
            }
        }
        answer(done);
    }

    /// Its owner still holds the descriptor, so the kernel would go on telling.
    fn deregister(&self, descriptor: i32) {
        if let Err(error) = self.poll.registry().deregister(&mut SourceFd(&descriptor)) {
            tracing::debug!(%error, lane = self.index, "a socket was not watched any more");
        }
    }
}

/// Whoever asked may have stopped waiting.
pub(super) fn answer(done: &Sender<()>) {
    done.try_send(()).ok();
}
