//! Listeners that join a running lane, and those that leave it, drained first.
//!
//! Whoever removes a listener has taken its file away already, so nobody new comes; who has connected
//! to a stream listener stays and is read on. A UDP socket is deafened first: the kernel then refuses what comes
//! and the queue has an end, however fast others send. Of a Unix socket, what arrives after the last empty look
//! is lost with it, as for any server that goes away.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
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
            let source = &self.udp[at];
            if let Err(error) = deafen(&source.socket, source.local) {
                tracing::debug!(%error, "a UDP socket that goes hears until it is closed");
            }
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

/// Lets a socket take no datagram any more but its own. What waits in its queue stays.
fn deafen(socket: &UdpSocket, local: SocketAddr) -> io::Result<()> {
    let own: IpAddr = match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    socket.connect((own, local.port()))
}

/// Whoever asked may have stopped waiting.
pub(super) fn answer(done: &Sender<()>) {
    done.try_send(()).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deafened_socket_keeps_its_queue_and_takes_nothing_more() {
        for any in ["127.0.0.1:0", "0.0.0.0:0"] {
            let socket = UdpSocket::bind(any).expect("bound");
            let local = socket.local_addr().expect("an address");
            let sender = UdpSocket::bind("127.0.0.1:0").expect("bound");
            let to = (Ipv4Addr::LOCALHOST, local.port());
            for text in [b"1", b"2"] {
                sender.send_to(text, to).expect("sent");
            }
            deafen(&socket, local).expect("connected");
            // Nobody is there any more, which some kernels tell the sender.
            sender.send_to(b"3", to).ok();
            socket.set_nonblocking(true).expect("set");
            let mut buffer = [0; 8];
            let mut read = || socket.recv(&mut buffer).map(|len| buffer[..len].to_vec());
            assert_eq!(read().expect("first"), b"1");
            assert_eq!(read().expect("second"), b"2");
            let empty = read().expect_err("nothing more");
            assert_eq!(empty.kind(), io::ErrorKind::WouldBlock, "{any}");
        }
    }
}
