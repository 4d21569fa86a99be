//! From a byte stream to packets: each is its length, four bytes little-endian, then that many bytes.
//!
//! ```text
//!  buffer   | taken … | 07 00 00 00 | a : 1 | c | \n | 05 00 … | free … |
//!                     ^ start                          partial ^ end
//! ```
//!
//! The connection is read straight into the buffer and frames are handed out as slices of it. What
//! is copied is at most one unfinished frame per refill, to the front. The buffer starts with
//! [`READ_LEN_MIN`] bytes and only grows when bytes that arrived fill it, so a claimed length costs
//! nothing; it never exceeds [`READ_LEN_MAX`] or one frame with its header, whichever is more.
//!
//! Lost here: everything behind a length that is zero or too large, for such a stream has lost its
//! beat and the connection must be closed; and an unfinished frame at the end. [`StreamEnd`] tells.

use std::fmt;

const HEADER_LEN: usize = 4;
/// What a connection costs once it has sent something, in bytes.
const READ_LEN_MIN: usize = 4 * 1024;
/// More than this at once does not make reading faster.
const READ_LEN_MAX: usize = 64 * 1024;

/// Cuts a byte stream into frames.
///
/// ```
/// use greyhound_wire::frame::{StreamDecoder, StreamEnd};
///
/// let mut decoder = StreamDecoder::new(8192);
/// let mut frames = Vec::new();
/// for chunk in [&b"\x05\0"[..], b"\0\0a:1|c\x02\0\0\0b"] {
///     decoder.space()[..chunk.len()].copy_from_slice(chunk);
///     decoder.advance(chunk.len());
///     while let Some(frame) = decoder.next_frame()? {
///         frames.push(frame.to_vec());
///     }
/// }
/// assert_eq!(frames, [b"a:1|c"]);
/// assert_eq!(decoder.finish(), StreamEnd::EofInPayload);
/// # Ok::<(), greyhound_wire::frame::StreamError>(())
/// ```
#[derive(Debug)]
pub struct StreamDecoder {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    frame_len_max: usize,
    broken: Option<StreamError>,
}

/// A length that cannot be: the connection must be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// Longer than `dogstatsd_buffer_size`.
    Oversized {
        /// The length the client gave, in bytes.
        len: u32,
    },
    /// Nothing in it; the Agent takes that for a closed peer.
    ZeroLength,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StreamEnd {
    /// Between two frames: nothing is lost.
    Eof,
    /// Inside a length.
    EofInHeader,
    /// Inside a frame.
    EofInPayload,
    /// We closed it: a frame was too long.
    DroppedOversized,
    /// We closed it: a frame had no bytes.
    DroppedZeroLength,
}

// === impl StreamDecoder ===

impl StreamDecoder {
    /// `frame_len_max` is `dogstatsd_buffer_size`, in bytes. Allocates nothing yet.
    pub const fn new(frame_len_max: usize) -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            frame_len_max,
            broken: None,
        }
    }

    /// Where to read the next bytes to; tell [`advance`](Self::advance) how many came.
    ///
    /// Take all frames first: then, and while there was no error, there is always room for a byte.
    pub fn space(&mut self) -> &mut [u8] {
        let was_full = self.end == self.buffer.len();
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if was_full {
            self.grow();
        }
        &mut self.buffer[self.end..]
    }

    /// The first `len` bytes of [`space`](Self::space) were filled.
    pub fn advance(&mut self, len: usize) {
        self.end = self.end.saturating_add(len).min(self.buffer.len());
    }

    /// The next whole frame, or `None` until more bytes come. After an error there is no next frame.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<&[u8]>, StreamError> {
        if let Some(error) = self.broken {
            return Err(error);
        }
        let pending = &self.buffer[self.start..self.end];
        let Some(header) = pending.first_chunk::<HEADER_LEN>() else {
            return Ok(None);
        };
        let announced = u32::from_le_bytes(*header);
        let len = match usize::try_from(announced) {
            Ok(0) => return Err(self.fail(StreamError::ZeroLength)),
            Ok(len) if len <= self.frame_len_max => len,
            _ => return Err(self.fail(StreamError::Oversized { len: announced })),
        };
        if pending.len() - HEADER_LEN < len {
            return Ok(None);
        }
        let payload = self.start + HEADER_LEN;
        self.start = payload + len;
        Ok(Some(&self.buffer[payload..payload + len]))
    }

    /// How the connection ended, once the peer closed it or a frame was refused, and all frames were
    /// taken.
    pub fn finish(&self) -> StreamEnd {
        match self.broken {
            Some(StreamError::Oversized { .. }) => return StreamEnd::DroppedOversized,
            Some(StreamError::ZeroLength) => return StreamEnd::DroppedZeroLength,
            None => {}
        }
        match self.pending_len() {
            0 => StreamEnd::Eof,
            1..HEADER_LEN => StreamEnd::EofInHeader,
            _ => StreamEnd::EofInPayload,
        }
    }

    /// Bytes that arrived and were not handed out. After an error: what is thrown away, the length
    /// that caused it included.
    pub const fn pending_len(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of memory held.
    pub const fn capacity(&self) -> usize {
        self.buffer.len()
    }

    #[cold]
    fn fail(&mut self, error: StreamError) -> StreamError {
        self.broken = Some(error);
        error
    }

    /// Doubles the buffer: because a frame does not fit, or because the last read filled it and there
    /// may be much more to come.
    fn grow(&mut self) {
        let frame_needs_it = self.end == self.buffer.len();
        let len_max = if frame_needs_it {
            HEADER_LEN
                .saturating_add(self.frame_len_max)
                .max(READ_LEN_MAX)
        } else {
            READ_LEN_MAX
        };
        let doubled = self.buffer.len().saturating_mul(2).max(READ_LEN_MIN);
        let len = doubled.min(len_max).max(self.buffer.len());
        self.buffer.reserve_exact(len - self.buffer.len());
        self.buffer.resize(len, 0);
    }
}

// === impl StreamError ===

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Oversized { len } => {
                write!(
                    f,
                    "a frame of {len} bytes is longer than `dogstatsd_buffer_size`"
                )
            }
            Self::ZeroLength => f.write_str("a frame of 0 bytes"),
        }
    }
}

impl std::error::Error for StreamError {}

// === impl StreamEnd ===

impl StreamEnd {
    /// All ways, in order.
    pub const ALL: [Self; 5] = [
        Self::Eof,
        Self::EofInHeader,
        Self::EofInPayload,
        Self::DroppedOversized,
        Self::DroppedZeroLength,
    ];

    /// The name in counters and vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eof => "eof",
            Self::EofInHeader => "eof_in_header",
            Self::EofInPayload => "eof_in_payload",
            Self::DroppedOversized => "dropped_oversized",
            Self::DroppedZeroLength => "dropped_zero_length",
        }
    }
}

#[cfg(test)]
mod tests;
