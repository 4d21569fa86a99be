//! Accepts connections, up to a bound, and backs off when the process runs out of files.
//!
//! A client that cannot be accepted for want of files waits in the kernel's backlog and loses
//! nothing; one over the bound is closed at once, so that it knows.

use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::time::Duration;

use greyhound_model::time::Stamp;

use crate::ledger::ListenerId;

/// Connections accepted before something else gets its turn.
const BURST_MAX: usize = 64;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// One listening socket. Edge-triggered: `ready` stays until the kernel has nothing more.
#[derive(Debug)]
pub struct Acceptor {
    /// Who it is in the ledger.
    pub listener: ListenerId,
    /// The socket.
    pub socket: Arc<UnixListener>,
    /// There may be somebody waiting.
    pub ready: bool,
    backoff: Duration,
    /// Nothing is accepted before this, in nanoseconds of the monotonic clock.
    resume_at_nanos: u64,
}

/// What came of one turn.
#[derive(Debug, Default)]
pub struct Accepted {
    /// New connections, non-blocking.
    pub streams: Vec<UnixStream>,
    /// Whether a pause began because files or memory ran out.
    pub backed_off: bool,
}

// === impl Acceptor ===

impl Acceptor {
    /// Accepts whoever waits.
    pub fn new(listener: ListenerId, socket: Arc<UnixListener>) -> Self {
        Self {
            listener,
            socket,
            ready: true,
            backoff: BACKOFF_MIN,
            resume_at_nanos: 0,
        }
    }

    /// One turn of accepting. Never blocks.
    pub fn accept(&mut self, now: Stamp) -> Accepted {
        let mut accepted = Accepted::default();
        if !self.ready || now.monotonic_nanos < self.resume_at_nanos {
            return accepted;
        }
        while accepted.streams.len() < BURST_MAX {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    self.backoff = BACKOFF_MIN;
                    // Fails for no descriptor that was just made; if it did, the connection would
                    // be of no use to us.
                    if stream.set_nonblocking(true).is_ok() {
                        accepted.streams.push(stream);
                    }
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        self.ready = false;
                        return accepted;
                    }
                    // The client was gone again, or a signal came: the next one.
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted => {}
                    _ => {
                        let pause = u64::try_from(self.backoff.as_nanos()).unwrap_or(u64::MAX);
                        self.resume_at_nanos = now.monotonic_nanos.saturating_add(pause);
                        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
                        accepted.backed_off = true;
                        return accepted;
                    }
                },
            }
        }
        accepted
    }

    /// How long until it wants another turn; `None` until the kernel says somebody waits.
    pub fn wants_turn_in(&self, now: Stamp) -> Option<Duration> {
        let wait = self.resume_at_nanos.saturating_sub(now.monotonic_nanos);
        self.ready.then(|| Duration::from_nanos(wait))
    }
}
