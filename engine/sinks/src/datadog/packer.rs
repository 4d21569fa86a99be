//! Items into payloads within limits, each item compressed once.
//!
//! ```text
//!  add(item) ─▶ would it break a limit? ─ no ──▶ into the compressor
//!                  └─ yes ─▶ close the payload ─▶ open the next ─▶ into its compressor
//! ```
//!
//! How large the compressed payload will be is known for what the compressor has given out, and bounded
//! from above for what it still holds. Only when that bound touches the limit the compressor is asked to
//! give out all it has, which costs a few bytes.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::delivery::Payload;

/// Effort of deflate and gzip: what the Agent uses.
const DEFLATE_LEVEL: u32 = 6;

/// A payload this close to its limit is closed instead of being filled to the last byte.
const FULL_SHARE: usize = 20;

/// Bounds of one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes as they are sent.
    pub packed_bytes: usize,
    /// Bytes before compression.
    pub raw_bytes: usize,
    /// Points.
    pub points: usize,
}

/// How payloads are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Zstandard with this level, 1 to 22.
    Zstd(i32),
    /// Zlib, which the protocol calls deflate.
    Deflate,
    /// Gzip.
    Gzip,
    /// Not at all.
    Identity,
}

/// An item alone is above the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// Makes payloads of one class.
pub(super) struct Packer {
    class: u8,
    compression: Compression,
    limits: Limits,
    /// What closes every payload.
    end: Vec<u8>,
    open: Option<Open>,
    done: Vec<Payload>,
}

struct Open {
    encoder: Encoder,
    raw_bytes: usize,
    /// Raw bytes the compressor may still hold.
    held_bytes: usize,
    points: usize,
}

enum Encoder {
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
    Deflate(Box<ZlibEncoder<Vec<u8>>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Identity(Vec<u8>),
}

// === impl Packer ===

impl Packer {
    pub(super) fn new(class: u8, compression: Compression, limits: Limits, end: &[u8]) -> Self {
        Self {
            class,
            compression,
            limits,
            end: end.to_vec(),
            open: None,
            done: Vec::new(),
        }
    }

    /// Bounds of its payloads.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Adds an item: `first` if it begins a payload, `next` if it follows another.
    pub(super) fn add(
        &mut self,
        first: &[&[u8]],
        next: &[&[u8]],
        points: usize,
    ) -> Result<(), TooLarge> {
        if self.fits(len(next), points) {
            let open = self.open.as_mut().expect("nothing fits where nothing is");
            open.add(next, points).map_err(|_| TooLarge)?;
            return Ok(());
        }
        self.close();
        if len(first) + self.end.len() > self.limits.raw_bytes || points > self.limits.points {
            return Err(TooLarge);
        }
        let mut open = Open::new(self.compression).map_err(|_| TooLarge)?;
        open.add(first, points).map_err(|_| TooLarge)?;
        let end = bound(self.end.len());
        if open.packed_bytes_at_most() + end > self.limits.packed_bytes {
            open.give_out().map_err(|_| TooLarge)?;
            if open.packed_bytes_at_most() + end > self.limits.packed_bytes {
                return Err(TooLarge);
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// Closes the last payload and gives all of them.
    pub(super) fn finish(mut self) -> Vec<Payload> {
        self.close();
        self.done
    }

    /// Whether the item fits into the open payload.
    fn fits(&mut self, len_bytes: usize, points: usize) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let more = len_bytes + self.end.len();
        if open.raw_bytes + more > self.limits.raw_bytes
            || open.points + points > self.limits.points
        {
            return false;
        }
        let packed_max = self.limits.packed_bytes;
        if open.packed_bytes_at_most() + bound(more) <= packed_max {
            return true;
        }
        if open.give_out().is_err() {
            return false;
        }
        let packed = open.packed_bytes_at_most();
        packed + bound(more) <= packed_max && packed <= packed_max - packed_max / FULL_SHARE
    }

    fn close(&mut self) {
        let Some(mut open) = self.open.take() else {
            return;
        };
        let points = open.points as u32;
        let body = open
            .add(&[&self.end], 0)
            .and_then(|()| open.encoder.finish())
            .expect("writing to memory does not fail");
        self.done.push(Payload {
            class: self.class,
            encoding: self.compression.code(),
            points,
            body: Bytes::from(body),
        });
    }
}

fn len(parts: &[&[u8]]) -> usize {
    parts.iter().map(|part| part.len()).sum()
}

/// Most bytes a compressor makes of so many: what cannot be compressed is stored in blocks.
fn bound(raw_bytes: usize) -> usize {
    raw_bytes + raw_bytes / 128 + 64
}

// === impl Open ===

impl Open {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(Self {
            encoder: Encoder::new(compression)?,
            raw_bytes: 0,
            held_bytes: 0,
            points: 0,
        })
    }

    fn add(&mut self, parts: &[&[u8]], points: usize) -> io::Result<()> {
        for part in parts {
            self.encoder.write_all(part)?;
            self.raw_bytes += part.len();
            self.held_bytes += part.len();
        }
        self.points += points;
        Ok(())
    }

    fn give_out(&mut self) -> io::Result<()> {
        self.encoder.flush()?;
        self.held_bytes = 0;
        Ok(())
    }

    fn packed_bytes_at_most(&self) -> usize {
        self.encoder.len() + bound(self.held_bytes)
    }
}

// === impl Encoder ===

impl Encoder {
    fn new(compression: Compression) -> io::Result<Self> {
        let level = flate2::Compression::new(DEFLATE_LEVEL);
        Ok(match compression {
            Compression::Zstd(level) => Self::Zstd(Box::new(zstd::stream::write::Encoder::new(
                Vec::new(),
                level,
            )?)),
            Compression::Deflate => Self::Deflate(Box::new(ZlibEncoder::new(Vec::new(), level))),
            Compression::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), level))),
            Compression::Identity => Self::Identity(Vec::new()),
        })
    }

    fn len(&self) -> usize {
        match self {
            Self::Zstd(encoder) => encoder.get_ref().len(),
            Self::Deflate(encoder) => encoder.get_ref().len(),
            Self::Gzip(encoder) => encoder.get_ref().len(),
            Self::Identity(bytes) => bytes.len(),
        }
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Identity(bytes) => Ok(bytes),
        }
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Deflate(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Identity(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Deflate(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Identity(_) => Ok(()),
        }
    }
}

// === impl Compression ===

impl Compression {
    /// The number on disk.
    fn code(self) -> u8 {
        match self {
            Self::Identity => 0,
            Self::Zstd(_) => 1,
            Self::Deflate => 2,
            Self::Gzip => 3,
        }
    }

    /// What a number on disk is called in a header.
    pub(super) fn token(code: u8) -> Option<&'static str> {
        match code {
            1 => Some("zstd"),
            2 => Some("deflate"),
            3 => Some("gzip"),
            _ => None,
        }
    }
}

/// Unpacks a payload, at most `raw_bytes_max` of it; `None` when it is damaged or longer.
pub(super) fn unpack(payload: &Payload, raw_bytes_max: usize) -> Option<Vec<u8>> {
    let body = &payload.body[..];
    let mut reader: Box<dyn io::Read + '_> = match payload.encoding {
        0 => Box::new(body),
        1 => Box::new(zstd::stream::read::Decoder::new(body).ok()?),
        2 => Box::new(flate2::read::ZlibDecoder::new(body)),
        3 => Box::new(flate2::read::GzDecoder::new(body)),
        _ => return None,
    };
    let mut raw = Vec::new();
    let limit = raw_bytes_max as u64 + 1;
    io::Read::read_to_end(&mut io::Read::take(&mut reader, limit), &mut raw).ok()?;
    (raw.len() <= raw_bytes_max).then_some(raw)
}

/// Packs raw bytes as another payload was.
pub(super) fn repack(like: &Payload, raw: &[u8], points: u32) -> Option<Payload> {
    // Halves are rare: the default effort is good enough.
    let compression = match like.encoding {
        0 => Compression::Identity,
        1 => Compression::Zstd(1),
        2 => Compression::Deflate,
        _ => Compression::Gzip,
    };
    let mut encoder = Encoder::new(compression).ok()?;
    encoder.write_all(raw).ok()?;
    Some(Payload {
        class: like.class,
        encoding: like.encoding,
        points,
        body: Bytes::from(encoder.finish().ok()?),
    })
}
