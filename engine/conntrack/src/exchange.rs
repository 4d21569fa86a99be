//! Asks the kernel and waits for its answer: one entry, all entries, counters.
//!
//! The answers to single requests carry the flag of a multi-part message and **nothing follows**: whoever
//! reads until an end waits for ever. So each request knows how its answer ends, and every wait has a
//! bound. Answers to earlier requests that came too late are told by their number and dropped.

use std::io;
use std::time::{Duration, Instant};

use greyhound_sys::wait::WaitSet;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};

use crate::error::QueryError;
use crate::flow::{Flow, Tuple};
use crate::request::{self, Direction, DumpFilter, Injected};
use crate::stats::{CpuStats, Totals};
use crate::walk::{self, Kind, Message};

/// The kernel fills about 32 KiB at a time, whatever larger buffer it is offered.
const BUFFER_BYTES: usize = 64 << 10;
/// A single answer is there before the request returns; this is for a machine that stands still.
const SINGLE_WAIT: Duration = Duration::from_millis(100);

/// A socket for requests in one network namespace.
#[derive(Debug)]
pub struct Exchange {
    socket: Socket,
    wait: WaitSet,
    buffer: Box<[u8]>,
    sequence: u32,
}

/// What a dump came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DumpEnd {
    /// Rows handed over.
    pub rows: u64,
    /// Messages that could not be read.
    pub unreadable: u64,
    /// The kernel filtered by itself.
    pub is_filtered: bool,
}

// === impl Exchange ===

impl Exchange {
    /// Opens a socket in the namespace of this thread.
    ///
    /// # Errors
    /// When the kernel has no netfilter netlink.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        socket.set_non_blocking(true)?;
        let mut wait = WaitSet::default();
        wait.add(&socket);
        Ok(Self {
            socket,
            wait,
            buffer: vec![0; BUFFER_BYTES].into_boxed_slice(),
            sequence: 0,
        })
    }

    /// The entry with this tuple, in the tuple's zone. Blocks for some microseconds, at most 100 ms.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] when there is none; else what the kernel says.
    pub fn get(&mut self, tuple: &Tuple, direction: Direction) -> Result<Flow, QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::get(tuple, direction, sequence))?;
        let mut found = None;
        self.read(sequence, Instant::now() + SINGLE_WAIT, |message| {
            found = message.flow();
            // One message is the whole answer.
            true
        })?;
        found.ok_or(QueryError::Unreadable)
    }

    /// Hands every entry to `row` and returns when the kernel is through. `between` runs after each
    /// piece of some 200 rows. Blocks: 1.2 µs an entry and 7 ms for the scan of the table.
    ///
    /// # Errors
    /// What the kernel says, or [`QueryError::TimedOut`].
    pub fn dump(
        &mut self,
        filter: DumpFilter,
        deadline: Instant,
        mut row: impl FnMut(&Flow),
        mut between: impl FnMut(),
    ) -> Result<DumpEnd, QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::dump(filter, sequence))?;
        let mut end = DumpEnd::default();
        loop {
            let is_over = self.read_once(sequence, deadline, |message| {
                end.is_filtered |= message.is_filtered;
                match message.flow() {
                    Some(flow) => {
                        end.rows += 1;
                        row(&flow);
                    }
                    None => end.unreadable += 1,
                }
                false
            })?;
            between();
            if is_over {
                return Ok(end);
            }
        }
    }

    /// Number of entries and their maximum. Blocks as [`get`](Self::get) does.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn totals(&mut self) -> Result<Totals, QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::stats(sequence))?;
        let mut totals = Totals::default();
        self.read(sequence, Instant::now() + SINGLE_WAIT, |message| {
            totals = Totals::of_message(message);
            true
        })?;
        Ok(totals)
    }

    /// The counters of each CPU. Blocks as [`get`](Self::get) does.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn per_cpu(&mut self) -> Result<Vec<CpuStats>, QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::stats_per_cpu(sequence))?;
        let mut all = Vec::new();
        self.read(sequence, Instant::now() + SINGLE_WAIT, |message| {
            all.push(CpuStats::of_message(message));
            false
        })?;
        Ok(all)
    }

    /// Deletes the entry with this original tuple and this id. There is no way here to delete without
    /// a tuple, which would empty the host's table.
    ///
    /// # Errors
    /// [`QueryError::NotFound`] when it is gone already; else what the kernel says.
    pub fn delete(&mut self, original: &Tuple, id: u32) -> Result<(), QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::delete(original, id, sequence))?;
        self.read(sequence, Instant::now() + SINGLE_WAIT, |_| false)
    }

    /// Makes an entry, for tests.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn inject(&mut self, entry: &Injected) -> Result<(), QueryError> {
        let sequence = self.next_sequence();
        self.send(&request::inject(entry, sequence))?;
        self.read(sequence, Instant::now() + SINGLE_WAIT, |_| false)
    }

    fn next_sequence(&mut self) -> u32 {
        // 0 is for events.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.sequence
    }

    fn send(&self, bytes: &[u8]) -> Result<(), QueryError> {
        self.socket
            .send_to(bytes, &SocketAddr::new(0, 0), 0)
            .map_err(QueryError::from_io)?;
        Ok(())
    }

    /// Reads answers until `each` says that this was all, or the kernel does.
    fn read(
        &mut self,
        sequence: u32,
        deadline: Instant,
        mut each: impl FnMut(&Message<'_>) -> bool,
    ) -> Result<(), QueryError> {
        while !self.read_once(sequence, deadline, &mut each)? {}
        Ok(())
    }

    /// Reads one datagram; whether the answer is complete.
    fn read_once(
        &mut self,
        sequence: u32,
        deadline: Instant,
        mut each: impl FnMut(&Message<'_>) -> bool,
    ) -> Result<bool, QueryError> {
        let len = self.receive(deadline)?;
        let mut is_over = false;
        for message in walk::messages(&self.buffer[..len]) {
            if message.sequence != sequence {
                continue;
            }
            match message.kind {
                Kind::Error(0) | Kind::Done(0) => is_over = true,
                Kind::Error(errno) | Kind::Done(errno) => {
                    return Err(QueryError::from_errno(errno.saturating_neg()));
                }
                _ => is_over |= each(&message),
            }
        }
        Ok(is_over)
    }

    /// The next datagram from the kernel; others may send here too and are not listened to.
    fn receive(&mut self, deadline: Instant) -> Result<usize, QueryError> {
        loop {
            let received = self.socket.recv_from(&mut &mut self.buffer[..], 0);
            match received {
                Ok((len, sender)) if sender.port_number() == 0 => return Ok(len),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(QueryError::TimedOut);
                    }
                    self.wait.wait(1, Some(left)).map_err(QueryError::from_io)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(QueryError::from_io(error)),
            }
        }
    }
}
