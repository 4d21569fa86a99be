//! What the kernel dropped before us, per listener and exactly.
//!
//! Read once a second and at stop, by one thread. It stands beside the ledger, not in it: these
//! datagrams never arrived.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_sys::socket::kernel_drops;

use super::Sockets;
use crate::ledger::{LISTENERS_MAX, ListenerId};

/// Totals for readers on any thread.
#[derive(Debug)]
pub struct KernelDrops {
    by_listener: Vec<AtomicU64>,
}

/// Asks the sockets. Owned by one thread.
#[derive(Debug)]
pub struct DropWatch {
    totals: Arc<KernelDrops>,
    sockets: Vec<Watched>,
}

/// A socket to ask.
#[derive(Debug)]
pub struct Watched {
    listener: ListenerId,
    socket: Datagrams,
    /// The kernel counts in 32 bits and wraps.
    last: u32,
}

#[derive(Debug)]
enum Datagrams {
    Udp(Arc<UdpSocket>),
    Unix(Arc<UnixDatagram>),
}

// === impl KernelDrops ===

impl KernelDrops {
    /// Datagrams dropped by the kernel since the start, as of the last look.
    pub fn of(&self, listener: ListenerId) -> u64 {
        self.by_listener
            .get(usize::from(listener.0))
            .map_or(0, |total| total.load(Ordering::Relaxed))
    }

    /// The same over all listeners.
    pub fn total(&self) -> u64 {
        self.by_listener
            .iter()
            .map(|total| total.load(Ordering::Relaxed))
            .sum()
    }
}

// === impl Watched ===

impl Watched {
    /// Every datagram socket of these.
    pub fn all(sockets: &Sockets) -> Vec<Self> {
        let udp = sockets.udp.iter().flat_map(|group| {
            group.members.iter().map(|member| Self {
                listener: group.id,
                socket: Datagrams::Udp(Arc::clone(member)),
                last: 0,
            })
        });
        let unix = sockets.unixgram.iter().map(|listener| Self {
            listener: listener.id,
            socket: Datagrams::Unix(Arc::clone(&listener.socket)),
            last: 0,
        });
        udp.chain(unix).collect()
    }
}

// === impl DropWatch ===

impl DropWatch {
    /// Watches every datagram socket. A stream cannot drop.
    pub fn new(sockets: &Sockets) -> Self {
        let totals = KernelDrops {
            by_listener: (0..LISTENERS_MAX).map(|_| AtomicU64::new(0)).collect(),
        };
        let mut watch = Self {
            totals: Arc::new(totals),
            sockets: Vec::new(),
        };
        watch.add(Watched::all(sockets));
        watch
    }

    /// Watches these too.
    pub fn add(&mut self, sockets: Vec<Watched>) {
        self.sockets.extend(sockets);
    }

    /// Looks a last time and lets go of the sockets of these listeners.
    pub fn remove(&mut self, listeners: &[ListenerId]) {
        self.look();
        self.sockets
            .retain(|watched| !listeners.contains(&watched.listener));
    }

    /// The totals, to be read by others.
    pub fn totals(&self) -> Arc<KernelDrops> {
        Arc::clone(&self.totals)
    }

    /// Asks every socket, one system call each, and returns how many datagrams were dropped since the
    /// last look.
    pub fn look(&mut self) -> u64 {
        let mut new = 0;
        for watched in &mut self.sockets {
            let now = match &watched.socket {
                Datagrams::Udp(socket) => kernel_drops(socket),
                Datagrams::Unix(socket) => kernel_drops(socket),
            };
            // Kernels without the counter report nothing; there is nothing better to show.
            let Ok(now) = now else { continue };
            let grown = u64::from(now.wrapping_sub(watched.last));
            watched.last = now;
            new += grown;
            if let Some(total) = self.totals.by_listener.get(usize::from(watched.listener.0)) {
                total.fetch_add(grown, Ordering::Relaxed);
            }
        }
        new
    }
}
