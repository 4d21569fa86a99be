//! The loop of one lane: look, receive, process in place, hand over when behind, help when idle.
//!
//! ```text
//!            ┌───────────────────── a turn ──────────────────────┐
//!  commands ─▶ UDP ─▶ Unix datagrams ─▶ connections ─▶ help others ─▶ nothing? sleep in ppoll
//!              │          │                 │              ▲
//!              └──────────┴────────▶ Desk: count, copy, Processor
//!              └ still full after a stretch ─▶ shared queue ┘
//! ```
//!
//! Everything urgent (the waker, Unix sockets, connections) sits in one epoll instance, edge
//! triggered; UDP sockets stand beside it. The wait in which UDP batches grow watches the first only,
//! so it delays nothing but UDP, whose kernel buffer holds it.
//!
//! Lost here: nothing but what is in hand when the lane breaks, see [`supervise`].

pub(crate) mod command;
pub(crate) mod desk;
pub(crate) mod shared;
pub(crate) mod streams;
pub(crate) mod supervise;

mod drain;
mod join;
mod pace;
mod udp;
mod unixgram;

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use greyhound_model::origin_table::OriginTable;
use greyhound_model::time::{BucketWidth, Clock, Stamp};
use greyhound_sys::peer::Credentials;
use greyhound_sys::slots::Slots;
use greyhound_sys::wait::WaitSet;
use mio::{Events, Poll, Token};

use crate::client::Clients;
use crate::ledger::ListenerId;
use crate::packet::batch::PacketBatch;
use crate::process::Processor;
use crate::process::close::CloseScope;
use crate::receive::unixgram::ReadAhead;
use crate::rules::Rules;

use command::{Command, Report, Sources};
use desk::Desk;
use pace::Pace;
use shared::Shared;
use streams::Streams;

/// The waker's token; Unix datagram sockets follow, each with a number of its own, then acceptors, then
/// connections.
pub(crate) const WAKER: Token = Token(0);
const UNIXGRAM_BASE: usize = 1;
const ACCEPTOR_BASE: usize = 1 << 20;

/// Turns after which a busy lane takes a batch of another one, so that none waits for ever.
const TURNS_UNTIL_HELP: u32 = 16;
/// Samples that bring their own time are handed over when so many wait.
const TIMESTAMPED_MAX: usize = 4096;
/// Pause after a socket error, so that a lasting one does not become a busy loop.
const ERROR_PAUSE: Duration = Duration::from_millis(1);
const EVENTS: usize = 256;

/// What a lane is made of.
pub(crate) struct LaneParts {
    pub(crate) index: usize,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) inbox: Receiver<Command>,
    pub(crate) reports: Sender<Report>,
    pub(crate) poll: Poll,
    pub(crate) sources: Sources,
    pub(crate) streams: streams::Settings,
    pub(crate) desk: Desk,
    pub(crate) coalesce: Duration,
    pub(crate) origins: Arc<OriginTable>,
}

/// One lane. Survives a panic of its processor, and so do its sockets and connections.
pub(crate) struct Lane {
    index: usize,
    clock: Arc<dyn Clock>,
    shared: Arc<Shared>,
    inbox: Receiver<Command>,
    reports: Sender<Report>,
    poll: Poll,
    events: Events,
    /// Place 0 is `poll`, then the UDP sockets.
    wait: WaitSet,
    udp: Vec<UdpSource>,
    unixgram: Vec<UnixgramSource>,
    streams: Streams,
    desk: Desk,
    /// The slab it receives into.
    slab: Slots,
    /// Where its packets are not begun yet, while others of it are worked on.
    unbegun: Option<(usize, ListenerId, Stamp)>,
    /// A batch of another lane, while it is worked on.
    taken: Option<PacketBatch>,
    pace: Pace,
    coalesce: Duration,
    /// When UDP packets last came, in monotonic nanoseconds, unless the lane has slept since.
    received_at: Option<u64>,
    next_unixgram: usize,
    /// Turns without helping.
    busy_turns: u32,
    /// A socket failed in this turn.
    failed: bool,
    /// A close that was asked for and not yet answered.
    closing: Option<Stamp>,
    stopping: Option<drain::Stopping>,
    origins: Arc<OriginTable>,
    /// Rules that came while running, for the next processor should this one break.
    clients: Option<Arc<dyn Clients>>,
    rules: Option<Arc<Rules>>,
    /// The same for the bucket width.
    width: Option<BucketWidth>,
}

struct UdpSource {
    listener: ListenerId,
    socket: Arc<UdpSocket>,
    local: SocketAddr,
    ready: bool,
    /// Full batches in a row.
    full_batches: u32,
}

struct UnixgramSource {
    listener: ListenerId,
    socket: Arc<UnixDatagram>,
    token: usize,
    ahead: ReadAhead,
    ready: bool,
}

// === impl Lane ===

impl Lane {
    /// Registers everything with the poll. Allocates what the lane will ever need for datagrams.
    pub(crate) fn try_new(parts: LaneParts) -> io::Result<Self> {
        let mut wait = WaitSet::default();
        wait.add(&parts.poll);
        let shape = parts.shared.pool.shape();
        let mut lane = Self {
            index: parts.index,
            clock: parts.clock,
            shared: parts.shared,
            inbox: parts.inbox,
            reports: parts.reports,
            poll: parts.poll,
            events: Events::with_capacity(EVENTS),
            wait,
            udp: Vec::new(),
            unixgram: Vec::new(),
            streams: Streams::new(parts.streams, ACCEPTOR_BASE),
            next_unixgram: UNIXGRAM_BASE,
            desk: parts.desk,
            slab: shape.make(),
            unbegun: None,
            taken: None,
            pace: Pace::default(),
            coalesce: parts.coalesce,
            received_at: None,
            busy_turns: 0,
            failed: false,
            closing: None,
            stopping: None,
            origins: parts.origins,
            clients: None,
            rules: None,
            width: None,
        };
        lane.listen(parts.sources)?;
        Ok(lane)
    }

    /// Runs until it is told to stop and has drained everything. Blocks only in `ppoll`.
    fn run(&mut self, processor: &mut Processor) {
        if let Some((start, listener, stamp)) = self.unbegun.take() {
            self.work_slab_from(start, listener, stamp, processor);
        }
        loop {
            self.obey(processor);
            if self.stopping.is_some() {
                return self.drain(processor);
            }
            self.failed = false;
            let mut busy = false;
            for at in 0..self.udp.len() {
                busy |= self.serve_udp(at, processor);
            }
            for at in 0..self.unixgram.len() {
                busy |= self.serve_unixgram(at, processor);
            }
            busy |= self.serve_streams(processor);
            self.busy_turns += 1;
            if !busy || self.busy_turns >= TURNS_UNTIL_HELP {
                self.busy_turns = 0;
                busy |= self.help(processor);
            }
            self.note_timestamped(processor);
            self.look(!busy);
        }
    }

    /// Does what it was told.
    fn obey(&mut self, processor: &mut Processor) {
        self.answer_close(processor);
        while let Ok(command) = self.inbox.try_recv() {
            match command {
                Command::Close(stamp) => {
                    self.closing = Some(stamp);
                    self.answer_close(processor);
                }
                Command::Timestamped => self.hand_over_timestamped(processor),
                Command::Origins(table) => {
                    self.origins = Arc::clone(&table);
                    processor.set_origins(table);
                }
                Command::Clients(clients) => {
                    self.desk.clients = Some(clients.lane());
                    self.clients = Some(Arc::clone(&clients));
                    processor.set_clients(clients);
                }
                Command::Rules(generation, rules) => {
                    self.rules = Some(Arc::clone(&rules));
                    processor.set_rules(rules);
                    self.shared.note_generation(self.index, generation);
                }
                Command::Width(width) => {
                    self.width = Some(width);
                    processor.set_width(width);
                }
                Command::Meet {
                    ledger,
                    expects_senders,
                    done,
                } => self.meet(&ledger, expects_senders, &done, processor),
                Command::Listen(sources) => self.listen_or_tell(sources),
                Command::Leave {
                    listeners,
                    drain_until,
                    done,
                } => self.leave(&listeners, drain_until, &done, processor),
                Command::Adopt {
                    listener,
                    stream,
                    peer,
                } => self.adopt(listener, stream, peer),
                Command::Stop {
                    drain_until,
                    keep_open_buckets,
                } => {
                    self.stopping = Some(drain::Stopping::new(drain_until, keep_open_buckets));
                }
                #[cfg(test)]
                Command::Break => self.desk.break_next = true,
            }
        }
    }

    fn adopt(&mut self, listener: ListenerId, stream: UnixStream, peer: Credentials) {
        self.streams.adopt(
            listener,
            stream,
            peer,
            self.clock.now(),
            self.poll.registry(),
            &self.shared,
            &mut self.desk.tally,
        );
    }

    /// Answers a close; once more if the lane broke in the middle of answering.
    fn answer_close(&mut self, processor: &mut Processor) {
        if let Some(stamp) = self.closing {
            let flush = processor.close(stamp, CloseScope::Over);
            self.closing = None;
            self.report(Report::Closed(flush));
        }
    }

    fn serve_streams(&mut self, processor: &mut Processor) -> bool {
        let now = self.clock.now();
        let turns = match self.unixgram.is_empty() {
            true => streams::TURNS,
            // Unix datagrams do not wait long.
            false => streams::TURNS_BESIDE_UNIXGRAM,
        };
        let accepted = self.streams.accept(
            now,
            self.index,
            &self.shared,
            self.poll.registry(),
            &mut self.desk.tally,
        );
        let served = self.streams.serve(
            now,
            turns,
            &mut self.slab,
            &mut self.desk,
            processor,
            &self.shared,
        );
        accepted || served
    }

    /// Works on one batch of another lane.
    fn help(&mut self, processor: &mut Processor) -> bool {
        self.taken = self.shared.pop();
        let Some(batch) = &self.taken else {
            return false;
        };
        self.desk.tally.batches_taken += 1;
        let all = batch.slots.len();
        self.desk
            .work(processor, batch.listener, batch.stamp, &batch.slots, 0..all);
        self.put_back_taken();
        true
    }

    /// The slab of a taken batch goes back to the pool.
    fn put_back_taken(&mut self) {
        if let Some(batch) = self.taken.take() {
            self.shared.pool.give(batch.slots);
        }
    }

    /// Finds out who has something, sleeping until somebody has when there is nothing to do.
    fn look(&mut self, idle: bool) {
        let all = 1 + self.udp.len();
        let timeout = if !idle {
            Some(Duration::ZERO)
        } else if self.failed {
            Some(ERROR_PAUSE)
        } else {
            self.streams.wants_turn_in(self.clock.now())
        };
        let may_sleep = timeout == Some(Duration::ZERO)
            || (self.shared.may_sleep(self.index) && self.inbox.is_empty());
        let timeout = if may_sleep {
            timeout
        } else {
            Some(Duration::ZERO)
        };
        if timeout != Some(Duration::ZERO) {
            self.received_at = None;
            self.desk.tally.sleeps += 1;
            self.desk.publish();
        }
        if let Err(error) = self.wait.wait(all, timeout) {
            self.note_error(&error);
        }
        if idle {
            self.shared.woke(self.index);
        }
        for (at, source) in self.udp.iter_mut().enumerate() {
            source.ready |= self.wait.is_ready(1 + at);
        }
        if self.wait.is_ready(0) {
            self.gather();
        }
    }

    /// Takes the edges out of the epoll instance.
    fn gather(&mut self) {
        match self.poll.poll(&mut self.events, Some(Duration::ZERO)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
            Err(error) => return self.note_error(&error),
        }
        for event in &self.events {
            let Token(token) = event.token();
            if token >= ACCEPTOR_BASE {
                self.streams.note_ready(token, event.is_read_closed());
                continue;
            }
            // The waker has done its work by being here.
            let mut unixgram = self.unixgram.iter_mut();
            if let Some(source) = unixgram.find(|source| source.token == token) {
                source.ready = true;
            }
        }
    }

    fn note_timestamped(&mut self, processor: &mut Processor) {
        match processor.timestamped_len() {
            0 => {}
            1..TIMESTAMPED_MAX => self.shared.note_timestamped(self.index),
            _ => self.hand_over_timestamped(processor),
        }
    }

    fn hand_over_timestamped(&mut self, processor: &mut Processor) {
        // Half of the channel stays free for answers, which must not be lost. Without room they wait
        // for the next occasion, at the latest the close.
        let room = self.reports.capacity().unwrap_or(usize::MAX) / 2;
        if processor.timestamped_len() > 0 && self.reports.len() < room {
            let samples = processor.take_timestamped();
            self.report(Report::Timestamped(samples));
        }
    }

    fn report(&self, report: Report) {
        // The channel holds more answers than lanes can have under way, so this does not wait; it is
        // closed only after the lane, unless the flush thread gave up at stop.
        if self.reports.send(report).is_err() {
            tracing::error!(lane = self.index, "the flush thread does not listen");
        }
    }

    fn note_error(&mut self, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock {
            self.failed = true;
            self.desk.tally.socket_errors += 1;
            self.desk.tell_error(error, self.clock.now());
        }
    }

    /// Whether the stop has come to its deadline.
    fn is_late(until: Instant) -> bool {
        Instant::now() >= until
    }
}
