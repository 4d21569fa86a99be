//! One connection: bytes in, whole frames out, and a reason when it ends.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use greyhound_model::time::Stamp;
use greyhound_sys::peer::Credentials;
use greyhound_sys::slots::Slots;
use greyhound_wire::frame::{StreamDecoder, StreamEnd};

use crate::ledger::ListenerId;

/// A client's stream. Edge-triggered: `ready` stays until the kernel has nothing more.
#[derive(Debug)]
pub struct Connection {
    /// Who accepted it.
    pub listener: ListenerId,
    /// There may be bytes waiting.
    pub ready: bool,
    /// The client has closed its side. There will be no further edge, so what is left, the end
    /// included, is read without one.
    pub closed: bool,
    stream: UnixStream,
    peer: Credentials,
    decoder: StreamDecoder,
    frame_len_bytes_max: usize,
    /// Reads stop, frames that are there are still handed out.
    ended: bool,
    /// Whole frames wait for room.
    more: bool,
    /// When bytes last came, in nanoseconds of the monotonic clock.
    read_at_nanos: u64,
    /// When the last whole frame was there, or the first bytes after it: a frame that trickles in
    /// byte by byte does not move it.
    progress_at_nanos: u64,
}

/// What one turn left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// More may follow: the connection stays.
    Open,
    /// It is over; all its frames have been handed out.
    Over(StreamEnd),
}

// === impl Connection ===

impl Connection {
    /// A new connection. `peer` is who connected, if that was asked.
    pub fn new(
        listener: ListenerId,
        stream: UnixStream,
        peer: Credentials,
        frame_len_bytes_max: usize,
        now: Stamp,
    ) -> Self {
        Self {
            listener,
            ready: true,
            closed: false,
            stream,
            peer,
            decoder: StreamDecoder::new(frame_len_bytes_max),
            frame_len_bytes_max,
            ended: false,
            more: false,
            read_at_nanos: now.monotonic_nanos,
            progress_at_nanos: now.monotonic_nanos,
        }
    }

    /// Its descriptor, to be polled.
    pub fn socket(&self) -> &impl AsFd {
        &self.stream
    }

    /// Who connected.
    pub fn peer(&self) -> Credentials {
        self.peer
    }

    /// Reads once, if there may be something, and puts whole frames into `slots` as far as there is
    /// room. Call again while [`has_work`](Self::has_work).
    ///
    /// # Errors
    ///
    /// What the kernel says of the connection; it counts as its end.
    pub fn turn(&mut self, slots: &mut Slots, now: Stamp) -> io::Result<Turn> {
        if !self.take_frames(slots) {
            return Ok(Turn::Open);
        }
        if self.ready && !self.ended {
            self.read(now)?;
            if !self.take_frames(slots) {
                return Ok(Turn::Open);
            }
        }
        Ok(match self.ended {
            true => Turn::Over(self.end()),
            false => Turn::Open,
        })
    }

    /// Whether another turn would bring something.
    pub fn has_work(&self) -> bool {
        self.ready || self.more || self.ended
    }

    /// Whether part of a frame has been waiting for the rest for `limit`.
    pub fn is_stalled(&self, now: Stamp, limit: Duration) -> bool {
        let silent = now.monotonic_nanos.saturating_sub(self.progress_at_nanos);
        self.decoder.pending_len() > 0 && u128::from(silent) >= limit.as_nanos()
    }

    /// Whether part of a frame waits for the rest.
    pub fn is_partial(&self) -> bool {
        self.decoder.pending_len() > 0
    }

    /// How it ended, as far as frames go.
    pub fn end(&self) -> StreamEnd {
        self.decoder.finish()
    }

    /// Lets go of the buffer when nothing is in it: an idle client should cost a descriptor, no more.
    pub fn shrink(&mut self) {
        if self.decoder.pending_len() == 0 && self.decoder.capacity() > 0 && !self.ended {
            self.decoder = StreamDecoder::new(self.frame_len_bytes_max);
        }
    }

    fn read(&mut self, now: Stamp) -> io::Result<()> {
        let space = self.decoder.space();
        let room = space.len();
        match (&self.stream).read(space) {
            Ok(0) => {
                self.ended = true;
                self.ready = false;
            }
            Ok(len) => {
                self.read_at_nanos = now.monotonic_nanos;
                if self.decoder.pending_len() == 0 {
                    self.progress_at_nanos = now.monotonic_nanos;
                }
                self.decoder.advance(len);
                // A short read emptied the socket; the next bytes raise a new edge. The end does
                // not, when the edge that told of it came before this read.
                self.ready = len == room || self.closed;
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.ready = false,
                io::ErrorKind::Interrupted => {}
                _ => {
                    self.ended = true;
                    self.ready = false;
                    return Err(error);
                }
            },
        }
        Ok(())
    }

    /// Moves whole frames into `slots`; `false` when it ran out of room before it ran out of frames.
    fn take_frames(&mut self, slots: &mut Slots) -> bool {
        self.more = false;
        while !slots.is_full() {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => {
                    // There is room, and a frame is no longer than a slot.
                    let _queued = slots.push(frame, self.peer);
                    self.progress_at_nanos = self.read_at_nanos;
                }
                Ok(None) => return true,
                Err(_) => {
                    self.ended = true;
                    self.ready = false;
                    return true;
                }
            }
        }
        self.more = true;
        false
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use greyhound_sys::slots::Senders;

    use super::*;

    const FRAME: &[u8] = b"\x05\0\0\0a:1|c";

    fn pair() -> (UnixStream, Connection) {
        let (client, ours) = UnixStream::pair().expect("a pair of sockets");
        ours.set_nonblocking(true).expect("a socket of ours");
        let now = Stamp::at_unix_seconds(0.0);
        let connection = Connection::new(ListenerId(0), ours, Credentials::default(), 64, now);
        (client, connection)
    }

    fn turn(connection: &mut Connection) -> (Turn, usize) {
        let mut slots = Slots::new(8, 64, Senders::Ignored);
        let turn = connection.turn(&mut slots, Stamp::at_unix_seconds(0.0));
        (turn.expect("a turn"), slots.len())
    }

    #[test]
    fn an_end_that_was_told_before_the_last_read_is_found() {
        let (mut client, mut connection) = pair();
        client.write_all(FRAME).expect("room for a frame");
        drop(client);
        connection.closed = true;
        assert_eq!(turn(&mut connection), (Turn::Open, 1));
        assert!(connection.has_work());
        assert_eq!(turn(&mut connection), (Turn::Over(StreamEnd::Eof), 0));
    }

    #[test]
    fn a_short_read_waits_for_the_next_edge() {
        let (mut client, mut connection) = pair();
        client.write_all(FRAME).expect("room for a frame");
        assert_eq!(turn(&mut connection), (Turn::Open, 1));
        assert!(!connection.has_work());
    }
}
