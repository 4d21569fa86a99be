//! Puts rows of packets into sockets and counts what the kernel took.
//!
//! | kind | a call | when the queue is full |
//! |---|---|---|
//! | datagrams, refuse | `sendmmsg` of up to 32 | that packet is counted and left out, as clients do |
//! | datagrams, wait | the same | the call blocks |
//! | stream | one `write` of many frames | the call blocks: a frame cannot be left out |

use std::io::{self, IoSlice, Write};
use std::net::UdpSocket;
use std::ops::Range;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::{Duration, Instant};

use greyhound_sys::mmsg;
use greyhound_telemetry::{Latency, LatencyHistogram, LatencyRecorder};

use super::pool::{Framing, Pool, Tally};
use crate::client::destination::Destination;
use crate::client::{connect_udp, connect_unix_stream, connect_unixgram};

/// Packets in one call; more gained nothing.
const PACKETS_PER_CALL: usize = 32;
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What to do with a packet that the receiver's queue has no room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// Leave it out and count it.
    Refuse,
    /// Wait, 5 seconds at most.
    Wait,
}

/// Why sending ended.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// No socket there.
    #[error("cannot reach {destination}")]
    Connect {
        /// Where to.
        destination: Destination,
        /// Why.
        source: io::Error,
    },
    /// Nobody has the socket open any more.
    #[error("nobody listens at {0}")]
    NobodyListens(Destination),
    /// The receiver took nothing for a while.
    #[error("{0} took nothing for 5 seconds")]
    Stuck(Destination),
    /// The kernel says something else.
    #[error("cannot send to {destination}")]
    Failed {
        /// Where to.
        destination: Destination,
        /// Why.
        source: io::Error,
    },
}

/// Sockets to one destination, used in turn, and what went through them.
#[derive(Debug)]
pub struct Sender {
    destination: Destination,
    sockets: Vec<Socket>,
    next: usize,
    gather_bytes: usize,
    when_full: WhenFull,
    accepted: Tally,
    refused: Tally,
    calls: LatencyHistogram,
    recorder: LatencyRecorder,
}

#[derive(Debug)]
enum Socket {
    Udp(UdpSocket),
    Unixgram(UnixDatagram),
    UnixStream(UnixStream),
}

// === impl Sender ===

impl Sender {
    /// Opens `sources` sockets, at least one.
    ///
    /// # Errors
    ///
    /// When the name has no address or the socket is not there.
    pub fn connect(
        destination: &Destination,
        sources: usize,
        gather_bytes: usize,
    ) -> Result<Self, SendError> {
        let sockets: io::Result<Vec<Socket>> = (0..sources.max(1))
            .map(|_| Socket::connect(destination))
            .collect();
        let calls = LatencyHistogram::new(&[]);
        Ok(Self {
            sockets: sockets.map_err(|source| SendError::Connect {
                destination: destination.clone(),
                source,
            })?,
            destination: destination.clone(),
            next: 0,
            gather_bytes,
            when_full: WhenFull::Wait,
            accepted: Tally::default(),
            refused: Tally::default(),
            recorder: calls.recorder(),
            calls,
        })
    }

    /// What packets need in front of them here.
    pub fn framing(&self) -> Framing {
        match self.sockets[0] {
            Socket::UnixStream(_) => Framing::Length,
            _ => Framing::Bare,
        }
    }

    /// How packets really travel.
    pub fn transport(&self) -> &'static str {
        match self.sockets[0] {
            Socket::Udp(_) => "udp",
            Socket::Unixgram(_) => "unixgram",
            Socket::UnixStream(_) => "unixstream",
        }
    }

    /// From now on. Streams always wait.
    ///
    /// # Errors
    ///
    /// When the kernel does not switch the sockets over.
    pub fn set_when_full(&mut self, when_full: WhenFull) -> Result<(), SendError> {
        let nonblocking = when_full == WhenFull::Refuse;
        self.when_full = when_full;
        self.sockets
            .iter()
            .try_for_each(|socket| socket.set_nonblocking(nonblocking))
            .map_err(|error| self.failed(error))
    }

    /// Sends a row of packets. Allocates nothing.
    ///
    /// # Errors
    ///
    /// When nobody listens, or nobody reads for 5 seconds. What was taken before is counted.
    pub fn send(&mut self, pool: &Pool, range: Range<usize>) -> Result<(), SendError> {
        let mut at = range.start;
        while at < range.end {
            self.next = (self.next + 1) % self.sockets.len();
            at = match &self.sockets[self.next] {
                Socket::UnixStream(_) => self.write(pool, at..range.end)?,
                _ => {
                    let end = range.end.min(at + PACKETS_PER_CALL);
                    self.send_datagrams(pool, at..end)?;
                    end
                }
            };
        }
        Ok(())
    }

    /// What the network said about packets sent before: that a UDP port is closed.
    ///
    /// # Errors
    ///
    /// The same.
    pub fn check(&self) -> Result<(), SendError> {
        for socket in &self.sockets {
            let pending = match socket {
                Socket::Udp(socket) => socket.take_error(),
                Socket::Unixgram(socket) => socket.take_error(),
                Socket::UnixStream(stream) => stream.take_error(),
            };
            if let Some(error) = pending.map_err(|error| self.failed(error))? {
                return Err(self.failed(error));
            }
        }
        Ok(())
    }

    /// What was accepted and refused, and how long calls took, since the last time.
    pub fn take_counts(&mut self) -> (Tally, Tally, Latency) {
        self.recorder.publish();
        let calls = self.calls.read();
        self.calls = LatencyHistogram::new(&[]);
        self.recorder = self.calls.recorder();
        let accepted = std::mem::take(&mut self.accepted);
        (accepted, std::mem::take(&mut self.refused), calls)
    }

    fn send_datagrams(&mut self, pool: &Pool, range: Range<usize>) -> Result<(), SendError> {
        let mut slices = [IoSlice::new(&[]); PACKETS_PER_CALL];
        for (slice, at) in slices.iter_mut().zip(range.clone()) {
            *slice = IoSlice::new(pool.bytes(at..at + 1));
        }
        let slices = &slices[..range.len()];
        let mut done = 0;
        while done < slices.len() {
            let before = Instant::now();
            let sent = match &self.sockets[self.next] {
                Socket::Udp(socket) => mmsg::send(socket, &slices[done..]),
                Socket::Unixgram(socket) => mmsg::send(socket, &slices[done..]),
                Socket::UnixStream(_) => return Ok(()),
            };
            self.recorder.record(nanos(before.elapsed()));
            let at = range.start + done;
            match sent {
                Ok(count) => {
                    self.accepted.add(pool.sum(at..at + count));
                    done += count;
                }
                Err(error) if self.is_full(&error) => {
                    self.refused.add(pool.sum(at..at + 1));
                    done += 1;
                }
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    /// Writes the first packet and those behind it that fit into one write; returns where it stopped.
    fn write(&mut self, pool: &Pool, range: Range<usize>) -> Result<usize, SendError> {
        let mut end = range.start + 1;
        while end < range.end && pool.bytes(range.start..end + 1).len() <= self.gather_bytes {
            end += 1;
        }
        if let Socket::UnixStream(stream) = &mut self.sockets[self.next] {
            let before = Instant::now();
            let written = stream.write_all(pool.bytes(range.start..end));
            self.recorder.record(nanos(before.elapsed()));
            written.map_err(|error| self.failed(error))?;
        }
        self.accepted.add(pool.sum(range.start..end));
        Ok(end)
    }

    fn is_full(&self, error: &io::Error) -> bool {
        // ENOBUFS has no kind of its own.
        const ENOBUFS: i32 = 105;
        let full =
            error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(ENOBUFS);
        full && self.when_full == WhenFull::Refuse
    }

    fn failed(&self, error: io::Error) -> SendError {
        let destination = self.destination.clone();
        match error.kind() {
            io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => SendError::NobodyListens(destination),
            io::ErrorKind::WouldBlock => SendError::Stuck(destination),
            _ => SendError::Failed {
                destination,
                source: error,
            },
        }
    }
}

// === impl Socket ===

impl Socket {
    fn connect(destination: &Destination) -> io::Result<Self> {
        let socket = match destination {
            Destination::Udp { host, port } => Self::Udp(connect_udp(host, *port)?),
            Destination::Unixgram(path) => Self::Unixgram(connect_unixgram(path)?),
            Destination::UnixStream(path) => Self::UnixStream(connect_unix_stream(path)?),
            Destination::Unix(path) => match connect_unixgram(path) {
                Ok(socket) => Self::Unixgram(socket),
                // The other end is a stream socket, or there is none: then this says so.
                Err(_) => Self::UnixStream(connect_unix_stream(path)?),
            },
        };
        match &socket {
            Self::Udp(socket) => socket.set_write_timeout(Some(WAIT_MAX))?,
            Self::Unixgram(socket) => socket.set_write_timeout(Some(WAIT_MAX))?,
            Self::UnixStream(stream) => stream.set_write_timeout(Some(WAIT_MAX))?,
        }
        Ok(socket)
    }

    fn set_nonblocking(&self, nonblocking: bool) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.set_nonblocking(nonblocking),
            Self::Unixgram(socket) => socket.set_nonblocking(nonblocking),
            Self::UnixStream(_) => Ok(()),
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
