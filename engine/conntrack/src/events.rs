//! The socket on which the kernel tells of flows: one event, one datagram.
//!
//! Reading many with one call gained nothing when tried, so it is a plain receive. Losses are counted by the
//! socket's drop counter, exactly; the error `ENOBUFS` counts nothing and is switched off, because with it
//! a full socket throws away everything until it was empty once. `NETLINK_BROADCAST_ERROR` is never set: with a
//! reader that stands still it would keep dead entries in the host's table.

use std::io;
use std::os::fd::{AsRawFd, RawFd};

use greyhound_sys::socket::{ReceiveBuffer, kernel_drops};
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use socket2::SockRef;

use crate::filter::Filter;
use crate::walk::{self, Kind, Message};

const GROUP_NEW: u32 = 1;
const GROUP_UPDATE: u32 = 2;
const GROUP_DESTROY: u32 = 3;
/// Longer than any event.
const BUFFER_BYTES: usize = 8 << 10;
/// Receive buffer each waiting event takes, whatever its length, as seen on Linux 6.18.
pub const BUFFER_PER_EVENT: usize = 1280;

/// How to listen.
#[derive(Clone, Copy, Debug)]
pub struct EventConfig {
    /// Receive buffer asked for, in bytes.
    pub receive_buffer_bytes: usize,
    /// What may come in.
    pub filter: Filter,
    /// Listen for changes too: the states of TCP, three quarters of the stream.
    pub updates: bool,
}

/// A socket that has joined.
#[derive(Debug)]
pub struct EventSocket {
    socket: Socket,
    buffer: Box<[u8]>,
    granted: ReceiveBuffer,
    drops_seen: u32,
    lost: u64,
    /// Datagrams that were cut or held something else.
    unreadable: u64,
}

/// What one round of reading came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Events handed over.
    pub events: u64,
    /// The socket was empty at the end.
    pub is_drained: bool,
}

// === impl EventSocket ===

impl EventSocket {
    /// Opens a socket in the namespace of this thread: buffer, filter, then membership, so that nothing comes
    /// in that should not.
    ///
    /// # Errors
    /// `PermissionDenied` without `CAP_NET_ADMIN`; else what the kernel says.
    pub fn open(config: &EventConfig) -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        let granted = ReceiveBuffer::set(&socket, config.receive_buffer_bytes / 2)?;
        socket.set_no_enobufs(true)?;
        let events = Self {
            socket,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            granted,
            drops_seen: 0,
            lost: 0,
            unreadable: 0,
        };
        events.set_filter(config.filter)?;
        events.socket.add_membership(GROUP_NEW)?;
        events.socket.add_membership(GROUP_DESTROY)?;
        if config.updates {
            events.socket.add_membership(GROUP_UPDATE)?;
        }
        Ok(events)
    }

    /// What the kernel granted.
    pub fn receive_buffer(&self) -> ReceiveBuffer {
        self.granted
    }

    /// Asks for another receive buffer.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_receive_buffer(&mut self, bytes: usize) -> io::Result<()> {
        self.granted = ReceiveBuffer::set(&self.socket, bytes / 2)?;
        Ok(())
    }

    /// Puts another program in place of the one in use. What waits was let in by the old one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set_filter(&self, filter: Filter) -> io::Result<()> {
        SockRef::from(&self.socket).attach_filter(&filter.program())
    }

    /// Reads up to `limit` events that wait and hands each to `each`. Never blocks.
    ///
    /// # Errors
    /// What the kernel says, other than that it had to drop something.
    pub fn read(&mut self, limit: u64, mut each: impl FnMut(&Message<'_>)) -> io::Result<Round> {
        let mut round = Round::default();
        while round.events < limit {
            let received = self
                .socket
                .recv_from(&mut &mut self.buffer[..], libc::MSG_TRUNC);
            match received {
                Ok((_, sender)) if sender.port_number() != 0 => {}
                Ok((len, _)) if len > self.buffer.len() => self.unreadable += 1,
                Ok((len, _)) => {
                    for message in walk::messages(&self.buffer[..len]) {
                        if let Kind::New | Kind::Update | Kind::Destroy = message.kind {
                            round.events += 1;
                            each(&message);
                        } else {
                            self.unreadable += 1;
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    round.is_drained = true;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Counted below, by how many.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(round)
    }

    /// Events lost since the last call, exactly.
    ///
    /// # Errors
    /// On kernels before 4.12.
    pub fn take_lost(&mut self) -> io::Result<u64> {
        let drops = kernel_drops(&self.socket)?;
        // The kernel's counter wraps.
        let new = u64::from(drops.wrapping_sub(self.drops_seen));
        self.drops_seen = drops;
        self.lost += new;
        Ok(new)
    }

    /// Events lost in all.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Datagrams that could not be read.
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }
}

impl AsRawFd for EventSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}
