//! Copies of raw packets to another host (`statsd_forward_host`), without holding up a lane.
//!
//! ```text
//!  lane ──copy──▶ slab ──▶ queue ──▶ thread ──sendmmsg──▶ UDP
//!   ▲                                  │
//!   └────────── empty slabs ───────────┘
//! ```
//!
//! | queue | size | pushes | pops | when full | counter |
//! |---|---|---|---|---|---|
//! | slabs | [`SLABS`] | lanes | the forward thread | the newest packets are not copied | `forward_dropped` |
//!
//! A copy is not part of the ledger: the packet itself goes its own way here. Packets go on as they
//! came; truncated ones do not go on.

use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use greyhound_sys::mmsg;
use greyhound_sys::peer::Credentials;
use greyhound_sys::slots::Slots;
use greyhound_telemetry::Counter;

use crate::error::StartError;
use crate::packet::pool::Shape;

/// Slabs in all, between lanes and the thread.
const SLABS: usize = 64;
/// A name that cannot be resolved is asked again after so long.
const RESOLVE_AGAIN: Duration = Duration::from_secs(30);
/// The same error is told once in so long.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What was forwarded. Written by the forward thread.
#[derive(Debug, Default)]
pub struct ForwardCounts {
    /// Packets sent.
    pub packets: Counter,
    /// Packets the kernel refused to send, or for which there was no address.
    pub errors: Counter,
}

/// The thread that sends. Ends when all ports are gone.
#[derive(Debug)]
pub(crate) struct Forwarder {
    port: ForwardPort,
    counts: Arc<ForwardCounts>,
    thread: thread::JoinHandle<()>,
}

/// A lane's end.
#[derive(Debug)]
pub(crate) struct ForwardPort {
    /// Being filled.
    slab: Option<Slots>,
    full: Sender<Slots>,
    empty: Receiver<Slots>,
}

struct Target {
    host: String,
    port: u16,
    socket: Option<UdpSocket>,
    resolve_at: Instant,
}

// === impl Forwarder ===

impl Forwarder {
    /// Starts the thread. The name is resolved there, so a slow resolver holds nobody up.
    pub(crate) fn start(host: &str, port: u16, shape: Shape) -> Result<Self, StartError> {
        let (full_sender, full) = bounded(SLABS);
        let (empty_sender, empty) = bounded(SLABS);
        for _ in 0..SLABS {
            // There is room for all of them.
            drop(empty_sender.try_send(shape.make()));
        }
        let counts = Arc::new(ForwardCounts::default());
        let target = Target {
            host: host.into(),
            port,
            socket: None,
            resolve_at: Instant::now(),
        };
        let thread = {
            let counts = Arc::clone(&counts);
            thread::Builder::new()
                .name("forward".into())
                .spawn(move || forward(target, &full, &empty_sender, &counts))
                .map_err(|source| StartError::Resources {
                    what: "forward thread",
                    source,
                })?
        };
        let port = ForwardPort {
            slab: None,
            full: full_sender,
            empty,
        };
        Ok(Self {
            port,
            counts,
            thread,
        })
    }

    /// An end for one lane.
    pub(crate) fn port(&self) -> ForwardPort {
        ForwardPort {
            slab: None,
            full: self.port.full.clone(),
            empty: self.port.empty.clone(),
        }
    }

    /// What was forwarded so far.
    pub(crate) fn counts(&self) -> Arc<ForwardCounts> {
        Arc::clone(&self.counts)
    }

    /// Waits until what is queued has been sent, but not beyond `deadline`. The lanes' ports must be
    /// gone.
    pub(crate) fn stop(self, deadline: Instant) {
        drop(self.port);
        while !self.thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

// === impl ForwardPort ===

impl ForwardPort {
    /// Copies packets and queues them. Returns how many found no room. Never blocks; one copy of the
    /// bytes, no allocation.
    pub(crate) fn copy<'a>(&mut self, packets: impl Iterator<Item = &'a [u8]>) -> u64 {
        let mut dropped = 0;
        for packet in packets {
            if self.slab.is_none() {
                self.slab = self.empty.try_recv().ok();
            }
            let Some(slab) = &mut self.slab else {
                dropped += 1;
                continue;
            };
            if !slab.push(packet, Credentials::default()) {
                dropped += 1;
            }
            if slab.is_full() {
                self.send();
            }
        }
        self.send();
        dropped
    }

    fn send(&mut self) {
        if let Some(slab) = self.slab.take() {
            // There are no more slabs than the queue holds; if the thread is gone, so is the slab.
            drop(self.full.try_send(slab));
        }
    }
}

// === impl Target ===

impl Target {
    /// The connected socket, or why there is none yet.
    fn socket(&mut self) -> io::Result<&UdpSocket> {
        if self.socket.is_none() {
            let now = Instant::now();
            if now < self.resolve_at {
                return Err(io::Error::from(io::ErrorKind::NotConnected));
            }
            self.resolve_at = now + RESOLVE_AGAIN;
            self.socket = Some(self.connect()?);
        }
        self.socket
            .as_ref()
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))
    }

    /// Blocks on the resolver.
    fn connect(&self) -> io::Result<UdpSocket> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in (self.host.as_str(), self.port).to_socket_addrs()? {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            match UdpSocket::bind(any).and_then(|socket| {
                socket.connect(address)?;
                Ok(socket)
            }) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

/// The thread: until all lanes have dropped their ports and the queue is empty.
fn forward(
    mut target: Target,
    full: &Receiver<Slots>,
    empty: &Sender<Slots>,
    counts: &ForwardCounts,
) {
    let mut told_at: Option<Instant> = None;
    let mut tell = |error: &io::Error, packets: usize| {
        counts.errors.add(packets as u64);
        if told_at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            told_at = Some(Instant::now());
            tracing::warn!(%error, setting = "statsd_forward_host", "packets not forwarded");
        }
    };
    loop {
        let Ok(mut slab) = full.recv() else { return };
        match target.socket() {
            Ok(socket) => send(socket, &slab, counts, &mut tell),
            Err(error) => tell(&error, slab.len()),
        }
        slab.clear();
        // The lanes hold the other end; if they are gone, nobody needs the slab.
        drop(empty.try_send(slab));
    }
}

fn send(
    socket: &UdpSocket,
    slab: &Slots,
    counts: &ForwardCounts,
    tell: &mut impl FnMut(&io::Error, usize),
) {
    let packets: Vec<IoSlice<'_>> = slab.iter().map(|(_, bytes)| IoSlice::new(bytes)).collect();
    let mut rest = packets.as_slice();
    while !rest.is_empty() {
        match mmsg::send(socket, rest) {
            Ok(sent) => {
                counts.packets.add(sent as u64);
                rest = &rest[sent.min(rest.len())..];
            }
            Err(error) => {
                // Refused by the far end or too large: this packet, not the ones behind it.
                tell(&error, 1);
                rest = &rest[1..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_sys::slots::Senders;

    const SHAPE: Shape = Shape {
        packets: 4,
        packet_len_bytes_max: 64,
        senders: Senders::Ignored,
        peers: false,
    };

    #[test]
    fn packets_arrive_as_they_were_and_stop_waits_for_them() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        let port = receiver.local_addr().unwrap().port();
        let forwarder = Forwarder::start("127.0.0.1", port, SHAPE).unwrap();
        let counts = forwarder.counts();
        let mut lane = forwarder.port();
        let packets: Vec<Vec<u8>> = (0..10u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        assert_eq!(lane.copy(packets.iter().map(Vec::as_slice)), 0);
        drop(lane);
        forwarder.stop(Instant::now() + Duration::from_secs(10));
        assert_eq!(counts.packets.get(), 10);
        let mut buffer = [0; 64];
        for packet in &packets {
            let len = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..len], packet);
        }
    }

    #[test]
    fn what_finds_no_slab_is_counted_and_nobody_waits() {
        let (full, _kept) = bounded(SLABS);
        let (empty_sender, empty) = bounded(SLABS);
        empty_sender.try_send(SHAPE.make()).unwrap();
        let mut lane = ForwardPort {
            slab: None,
            full,
            empty,
        };
        let packet: &[u8] = b"x";
        assert_eq!(lane.copy([packet; 7].into_iter()), 3);
    }

    #[test]
    fn a_name_that_does_not_resolve_is_an_error_that_is_counted() {
        let forwarder = Forwarder::start("no-such-host.invalid", 1, SHAPE).unwrap();
        let counts = forwarder.counts();
        let mut lane = forwarder.port();
        let packet: &[u8] = b"x";
        lane.copy([packet].into_iter());
        drop(lane);
        forwarder.stop(Instant::now() + Duration::from_secs(30));
        assert_eq!(counts.errors.get(), 1);
    }
}
