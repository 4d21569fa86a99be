//! A lane's share of stream connections: accept and deal out, give each its turn, close those that
//! are over or stall.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use greyhound_model::time::Stamp;
use greyhound_sys::peer::Credentials;
use greyhound_sys::slots::Slots;
use greyhound_wire::frame::StreamEnd;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use super::command::Command;
use super::desk::Desk;
use super::shared::Shared;
use crate::ledger::ListenerId;
use crate::process::Processor;
use crate::receive::stream::accept::Acceptor;
use crate::receive::stream::connection::{Connection, Turn};
use crate::receive::telemetry::ReceiveTally;

/// Connections served before something else gets its turn.
pub(super) const TURNS: usize = 32;
/// The same on a lane that also reads Unix datagrams.
pub(super) const TURNS_BESIDE_UNIXGRAM: usize = 2;
/// Tokens from here on are connections'.
const CONNECTION_BASE: usize = 1 << 24;
/// How often stalled and idle connections are looked for.
const TICK: Duration = Duration::from_secs(1);

/// What the settings say about streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Connections of all lanes together.
    pub(crate) connections_max: usize,
    /// A connection with half a frame and no progress for so long is closed.
    pub(crate) idle: Duration,
    /// Longest frame.
    pub(crate) frame_len_bytes_max: usize,
    /// Ask who connected.
    pub(crate) credentials: bool,
    /// Log refused lengths.
    pub(crate) log_too_big: bool,
    /// Lanes that take connections.
    pub(crate) readers: usize,
}

/// Acceptors (lane 0 only) and connections of one lane.
pub(super) struct Streams {
    settings: Settings,
    acceptors: Vec<Door>,
    /// By token; holes are in `free`.
    connections: Vec<Option<Entry>>,
    free: Vec<usize>,
    /// Connections that may have something, each at most once.
    active: VecDeque<usize>,
    next_acceptor: usize,
    next_lane: usize,
    /// Look for stalled connections then, in nanoseconds of the monotonic clock; `None` while none
    /// can be.
    tick_at_nanos: Option<u64>,
}

struct Door {
    token: usize,
    acceptor: Acceptor,
}

struct Entry {
    connection: Connection,
    queued: bool,
}

// === impl Streams ===

impl Streams {
    /// No listeners yet. Theirs are the tokens from `acceptor_base` on, then come the connections'.
    pub(super) fn new(settings: Settings, acceptor_base: usize) -> Self {
        Self {
            settings,
            acceptors: Vec::new(),
            connections: Vec::new(),
            free: Vec::new(),
            active: VecDeque::new(),
            next_acceptor: acceptor_base,
            next_lane: 0,
            tick_at_nanos: None,
        }
    }

    /// Accepts from this socket too.
    pub(super) fn open(
        &mut self,
        listener: ListenerId,
        socket: Arc<UnixListener>,
        registry: &Registry,
    ) -> io::Result<()> {
        let token = self.next_acceptor;
        self.next_acceptor += 1;
        registry.register(
            &mut SourceFd(&socket.as_raw_fd()),
            Token(token),
            Interest::READABLE,
        )?;
        let acceptor = Acceptor::new(listener, socket);
        self.acceptors.push(Door { token, acceptor });
        Ok(())
    }

    /// Whether any of these is accepted from.
    pub(super) fn has_any_of(&self, listeners: &[ListenerId]) -> bool {
        let mut doors = self.acceptors.iter();
        doors.any(|door| listeners.contains(&door.acceptor.listener))
    }

    /// Accepts from these no more. Their connections stay.
    pub(super) fn shut(&mut self, listeners: &[ListenerId]) -> Vec<Arc<UnixListener>> {
        self.acceptors
            .extract_if(.., |door| listeners.contains(&door.acceptor.listener))
            .map(|door| door.acceptor.socket)
            .collect()
    }

    /// An edge came for this token; `closed` when it says that the client writes no more.
    pub(super) fn note_ready(&mut self, token: usize, closed: bool) {
        match token.checked_sub(CONNECTION_BASE) {
            None => {
                let mut doors = self.acceptors.iter_mut();
                if let Some(door) = doors.find(|door| door.token == token) {
                    door.acceptor.ready = true;
                }
            }
            Some(at) => {
                if let Some(Some(entry)) = self.connections.get_mut(at) {
                    entry.connection.ready = true;
                    entry.connection.closed |= closed;
                    self.activate(at);
                }
            }
        }
    }

    /// Accepts who waits and deals them out over the lanes. Returns whether anybody came.
    pub(super) fn accept(
        &mut self,
        now: Stamp,
        lane: usize,
        shared: &Shared,
        registry: &Registry,
        tally: &mut ReceiveTally,
    ) -> bool {
        let mut any = false;
        for at in 0..self.acceptors.len() {
            let acceptor = &mut self.acceptors[at].acceptor;
            let listener = acceptor.listener;
            let accepted = acceptor.accept(now);
            tally.accept_backoffs += u64::from(accepted.backed_off);
            for stream in accepted.streams {
                any = true;
                if !self.admit(shared) {
                    // Dropped and thereby closed: the client knows at once.
                    tally.peers_refused += 1;
                    continue;
                }
                tally.connections_opened += 1;
                let peer = self.peer_of(&stream, tally);
                self.next_lane = (self.next_lane + 1) % self.settings.readers.max(1);
                let refused = if self.next_lane == lane {
                    Some((stream, peer))
                } else {
                    let adopt = Command::Adopt {
                        listener,
                        stream,
                        peer,
                    };
                    match shared.tell(self.next_lane, adopt) {
                        Err(Command::Adopt { stream, peer, .. }) => Some((stream, peer)),
                        _ => None,
                    }
                };
                if let Some((stream, peer)) = refused {
                    self.adopt(listener, stream, peer, now, registry, shared, tally);
                }
            }
        }
        any
    }

    /// Takes a connection over.
    #[expect(
        clippy::too_many_arguments,
        reason = "parts of the lane, borrowed one by one"
    )]
    pub(super) fn adopt(
        &mut self,
        listener: ListenerId,
        stream: UnixStream,
        peer: Credentials,
        now: Stamp,
        registry: &Registry,
        shared: &Shared,
        tally: &mut ReceiveTally,
    ) {
        let at = self.free.pop().unwrap_or(self.connections.len());
        let raw = stream.as_fd().as_raw_fd();
        let token = Token(CONNECTION_BASE + at);
        if registry
            .register(&mut SourceFd(&raw), token, Interest::READABLE)
            .is_err()
        {
            // Out of kernel memory: better no connection than one that is never read.
            self.free.push(at);
            tally.socket_errors += 1;
            tally.connections_closed += 1;
            shared.connections.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        if at == self.connections.len() {
            self.connections.push(None);
        }
        let frame_len = self.settings.frame_len_bytes_max;
        self.connections[at] = Some(Entry {
            connection: Connection::new(listener, stream, peer, frame_len, now),
            queued: false,
        });
        self.activate(at);
    }

    /// Gives connections that may have something a turn. Returns whether anything came.
    pub(super) fn serve(
        &mut self,
        now: Stamp,
        turns: usize,
        slab: &mut Slots,
        desk: &mut Desk,
        processor: &mut Processor,
        shared: &Shared,
    ) -> bool {
        self.tick(now, desk, processor, shared);
        let turns = turns.min(self.active.len());
        for _ in 0..turns {
            let Some(at) = self.active.pop_front() else {
                break;
            };
            self.turn(at, now, slab, desk, processor, shared);
        }
        turns > 0
    }

    /// How long until it wants to be called again without an event; `None` = not before one.
    pub(super) fn wants_turn_in(&self, now: Stamp) -> Option<Duration> {
        if !self.active.is_empty() {
            return Some(Duration::ZERO);
        }
        let tick = self
            .tick_at_nanos
            .map(|at| Duration::from_nanos(at.saturating_sub(now.monotonic_nanos)));
        let accept = self
            .acceptors
            .iter()
            .filter_map(|door| door.acceptor.wants_turn_in(now));
        accept.chain(tick).min()
    }

    /// Whether no connection may have anything more right now.
    pub(super) fn is_quiet(&self) -> bool {
        self.active.is_empty()
    }

    /// Accepts nobody any more. The sockets stay open, so that clients wait for a successor.
    pub(super) fn stop_accepting(&mut self) {
        self.acceptors.clear();
    }

    /// Closes every connection, counting half frames.
    pub(super) fn close_all(
        &mut self,
        now: Stamp,
        desk: &mut Desk,
        processor: &mut Processor,
        shared: &Shared,
    ) {
        for at in 0..self.connections.len() {
            if let Some(Some(entry)) = self.connections.get(at) {
                let end = entry.connection.end();
                self.close(at, end, now, desk, processor, shared);
            }
        }
    }

    fn turn(
        &mut self,
        at: usize,
        now: Stamp,
        slab: &mut Slots,
        desk: &mut Desk,
        processor: &mut Processor,
        shared: &Shared,
    ) {
        let Some(entry) = &mut self.connections[at] else {
            return;
        };
        entry.queued = false;
        slab.clear();
        let turn = entry.connection.turn(slab, now);
        let listener = entry.connection.listener;
        // Before the packets are worked on: if that breaks, the connection goes on.
        let over = match turn {
            Ok(Turn::Over(end)) => Some(end),
            Ok(Turn::Open) => None,
            Err(error) => {
                desk.tally.socket_errors += 1;
                desk.tell_error(&error, now);
                Some(entry.connection.end())
            }
        };
        if over.is_none() {
            if entry.connection.has_work() {
                self.activate(at);
            } else if self.tick_at_nanos.is_none() {
                self.tick_at_nanos = Some(next_tick(now));
            }
        }
        if let Some(end) = over {
            self.close(at, end, now, desk, processor, shared);
        }
        if !slab.is_empty() {
            desk.tally.receives += 1;
            desk.work(processor, listener, now, slab, 0..slab.len());
        }
    }

    /// Once a second while there is something to find: closes stalled connections, frees buffers of
    /// idle ones.
    fn tick(&mut self, now: Stamp, desk: &mut Desk, processor: &mut Processor, shared: &Shared) {
        if self.tick_at_nanos.is_none_or(|at| now.monotonic_nanos < at) {
            return;
        }
        let mut partial = false;
        for at in 0..self.connections.len() {
            let Some(Some(entry)) = self.connections.get_mut(at) else {
                continue;
            };
            entry.connection.shrink();
            if entry.connection.is_stalled(now, self.settings.idle) {
                desk.tally.idle_closed += 1;
                let end = entry.connection.end();
                self.close(at, end, now, desk, processor, shared);
            } else {
                partial |= entry.connection.is_partial();
            }
        }
        self.tick_at_nanos = partial.then(|| next_tick(now));
    }

    /// Ends a connection and counts what that cuts off, as a frame that was read and lost.
    fn close(
        &mut self,
        at: usize,
        end: StreamEnd,
        now: Stamp,
        desk: &mut Desk,
        processor: &mut Processor,
        shared: &Shared,
    ) {
        let Some(entry) = self.connections[at].take() else {
            return;
        };
        if entry.queued {
            self.active.retain(|&queued| queued != at);
        }
        self.free.push(at);
        desk.tally.connections_closed += 1;
        shared.connections.fetch_sub(1, Ordering::Relaxed);
        let tally = processor.tally_mut(entry.connection.listener);
        match end {
            StreamEnd::Eof => return,
            StreamEnd::EofInHeader | StreamEnd::EofInPayload => tally.frame_partial += 1,
            StreamEnd::DroppedOversized | StreamEnd::DroppedZeroLength => {
                tally.frame_too_big += 1;
                if self.settings.log_too_big {
                    desk.tell_frame(entry.connection.peer().pid, end, now);
                }
            }
        }
        tally.datagrams_read += 1;
        processor.publish();
    }

    /// Counts the connection in, unless there are too many.
    fn admit(&self, shared: &Shared) -> bool {
        let max = self.settings.connections_max;
        shared
            .connections
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |open| {
                (open < max).then_some(open + 1)
            })
            .is_ok()
    }

    fn peer_of(&self, stream: &UnixStream, tally: &mut ReceiveTally) -> Credentials {
        if !self.settings.credentials {
            return Credentials::default();
        }
        Credentials::of_peer(stream).unwrap_or_else(|_| {
            tally.credentials_missing += 1;
            Credentials::default()
        })
    }

    fn activate(&mut self, at: usize) {
        if let Some(Some(entry)) = self.connections.get_mut(at)
            && !entry.queued
        {
            entry.queued = true;
            self.active.push_back(at);
        }
    }
}

fn next_tick(now: Stamp) -> u64 {
    now.monotonic_nanos.saturating_add(TICK.as_nanos() as u64)
}
