//! The sockets: bound before anything runs, closed after everything has stopped.
//!
//! ```text
//!  Config ──▶ plan: which lane reads what ──▶ bind ──▶ Sockets (owned by the engine)
//!                                                        │ shared with lanes
//!        lane 0: UDP member 0, every unixgram, accepts ◀─┤
//!        lane 1: UDP member 1, connections             ◀─┘ …
//! ```
//!
//! A lane that breaks takes no socket with it: closing one with datagrams in its queue loses them
//! without any counter, and so does closing one member of a port group. Lost here: what the kernel
//! could not queue, read from each socket by [`drops`].

pub mod bind;
pub mod drops;
pub mod stream;
pub mod telemetry;
pub mod unixgram;

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::sync::Arc;

use greyhound_sys::socket::ReceiveBuffer;
use greyhound_sys::socket::unix::BoundPath;

use crate::ledger::{ListenerId, ListenerInfo};

/// All sockets, and the files that lead to them.
#[derive(Debug)]
pub struct Sockets {
    /// Port groups, one member per lane.
    pub udp: Vec<UdpListener>,
    /// Unix datagram sockets; lane 0 reads them.
    pub unixgram: Vec<UnixgramListener>,
    /// Unix stream sockets; lane 0 accepts, all lanes read.
    pub streams: Vec<StreamListener>,
    /// By [`ListenerId`].
    pub infos: Vec<ListenerInfo>,
    /// What start had to do without, in words.
    pub warnings: Vec<String>,
}

/// A port group.
#[derive(Debug)]
pub struct UdpListener {
    /// Who it is in the ledger.
    pub id: ListenerId,
    /// Where it is bound.
    pub address: SocketAddr,
    /// What was asked for; port 0 = any.
    pub wanted: SocketAddr,
    /// One socket per lane.
    pub members: Vec<Arc<UdpSocket>>,
    /// What the kernel granted.
    pub receive_buffer: ReceiveBuffer,
}

/// A Unix datagram socket.
#[derive(Debug)]
pub struct UnixgramListener {
    /// Who it is in the ledger.
    pub id: ListenerId,
    /// The socket.
    pub socket: Arc<UnixDatagram>,
    /// Its file.
    pub file: BoundPath,
    /// What the kernel granted.
    pub receive_buffer: ReceiveBuffer,
}

/// A Unix stream socket.
#[derive(Debug)]
pub struct StreamListener {
    /// Who it is in the ledger.
    pub id: ListenerId,
    /// The socket that accepts.
    pub socket: Arc<UnixListener>,
    /// Its file.
    pub file: BoundPath,
}

// === impl Sockets ===

impl Sockets {
    /// No sockets.
    pub fn none() -> Self {
        Self {
            udp: Vec::new(),
            unixgram: Vec::new(),
            streams: Vec::new(),
            infos: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.udp.is_empty() && self.unixgram.is_empty() && self.streams.is_empty()
    }

    /// Takes the sockets of these listeners out.
    pub fn take(&mut self, listeners: &[ListenerId]) -> Self {
        let mut taken = Self::none();
        let is_gone = |id: &ListenerId| listeners.contains(id);
        taken.udp = self.udp.extract_if(.., |one| is_gone(&one.id)).collect();
        let unixgram = self.unixgram.extract_if(.., |one| is_gone(&one.id));
        taken.unixgram = unixgram.collect();
        taken.streams = self
            .streams
            .extract_if(.., |one| is_gone(&one.id))
            .collect();
        taken
    }

    /// Takes over the sockets of `more`, whose listeners the ledger knows under `ids`.
    pub fn adopt(&mut self, more: &mut Self, ids: &[ListenerId]) {
        let known = |id: ListenerId| ids[usize::from(id.0)];
        for mut one in more.udp.drain(..) {
            one.id = known(one.id);
            self.udp.push(one);
        }
        for mut one in more.unixgram.drain(..) {
            one.id = known(one.id);
            self.unixgram.push(one);
        }
        for mut one in more.streams.drain(..) {
            one.id = known(one.id);
            self.streams.push(one);
        }
    }

    /// The socket files.
    pub fn files(&self) -> impl Iterator<Item = &BoundPath> {
        let unixgram = self.unixgram.iter().map(|listener| &listener.file);
        unixgram.chain(self.streams.iter().map(|listener| &listener.file))
    }
}

impl Drop for Sockets {
    fn drop(&mut self) {
        for file in self.files() {
            // A successor's file is left alone, so only the file system can object.
            if let Err(error) = file.remove() {
                tracing::warn!(path = %file.path().display(), %error, "socket file left behind");
            }
        }
    }
}
