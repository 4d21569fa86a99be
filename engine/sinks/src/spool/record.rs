//! The bytes of the log.
//!
//! ```text
//!  segment head   magic:8 | version:4 | nonce:4 | first id:8 | reserved:4 | crc:4
//!  record         magic:4 | version:1 | class:1 | encoding:1 | 0:1 | body length:4 | points:4
//!                 | id:8 | made at:8 | crc of head:4 | crc of body:4 | body
//!  acknowledged   id:8 | crc:4 | magic:4
//! ```
//!
//! Little-endian. Every checksum starts from the nonce of its segment, so that bytes left over in a
//! block the file system uses again never pass for a record.

use std::hash::{BuildHasher, Hasher};

use super::Meta;

/// The format written. Version 1 is the first.
const VERSION: u32 = 1;

const SEGMENT_MAGIC: &[u8; 8] = b"GHQUEUE\n";
pub(super) const MAGIC: &[u8; 4] = b"GHr\x01";
const ACK_MAGIC: &[u8; 4] = b"GHa\x01";

pub(super) const SEGMENT_HEAD_LEN: usize = 32;
pub(super) const HEAD_LEN: usize = 40;
pub(super) const ACK_LEN: usize = 16;

/// A payload is far below; a longer length is damage.
pub(super) const BODY_LEN_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where the checksum of the head starts, and what it covers.
const HEAD_CRC_AT: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) nonce: u32,
    pub(super) first_id: u64,
}

/// Why a segment's head cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadSegment {
    /// Written by a later version.
    Newer,
    /// Not a head.
    Damaged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: u64,
    pub(super) meta: Meta,
    pub(super) body_len_bytes: u32,
    body_crc: u32,
}

// === impl SegmentHead ===

impl SegmentHead {
    pub(super) fn new(first_id: u64) -> Self {
        // The standard library's keys are random; nothing secret hangs on the nonce.
        let mut random = std::hash::RandomState::new().build_hasher();
        random.write_u64(first_id);
        Self {
            nonce: random.finish() as u32,
            first_id,
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(SEGMENT_HEAD_LEN);
        bytes.extend_from_slice(SEGMENT_MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.nonce.to_le_bytes());
        bytes.extend_from_slice(&self.first_id.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        let crc = crc(self.nonce, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, BadSegment> {
        if bytes.len() < SEGMENT_HEAD_LEN || &bytes[..8] != SEGMENT_MAGIC {
            return Err(BadSegment::Damaged);
        }
        let head = Self {
            nonce: u32_at(bytes, 12),
            first_id: u64_at(bytes, 16),
        };
        // The version first: a later one may have another checksum.
        if u32_at(bytes, 8) > VERSION {
            return Err(BadSegment::Newer);
        }
        if u32_at(bytes, 28) != crc(head.nonce, &bytes[..28]) {
            return Err(BadSegment::Damaged);
        }
        Ok(head)
    }
}

// === impl Head ===

impl Head {
    /// Reads a head; `None` when it is none, or its checksum fails.
    pub(super) fn decode(bytes: &[u8], nonce: u32) -> Option<Self> {
        if bytes.len() < HEAD_LEN || &bytes[..4] != MAGIC {
            return None;
        }
        let body_len_bytes = u32_at(bytes, 8);
        let is_whole = u32_at(bytes, HEAD_CRC_AT) == crc(nonce, &bytes[..HEAD_CRC_AT])
            && u32::from(bytes[4]) == VERSION
            && body_len_bytes as usize <= BODY_LEN_BYTES_MAX;
        is_whole.then(|| Self {
            id: u64_at(bytes, 16),
            meta: Meta {
                class: bytes[5],
                encoding: bytes[6],
                points: u32_at(bytes, 12),
                made_at: u64_at(bytes, 24).cast_signed(),
            },
            body_len_bytes,
            body_crc: u32_at(bytes, 36),
        })
    }

    /// Whether this is the body.
    pub(super) fn fits(&self, body: &[u8], nonce: u32) -> bool {
        body.len() == self.body_len_bytes as usize && crc(nonce, body) == self.body_crc
    }

    /// Head and body.
    pub(super) fn len_bytes(&self) -> u64 {
        len_bytes(self.body_len_bytes as usize)
    }
}

pub(super) fn len_bytes(body_len: usize) -> u64 {
    (HEAD_LEN + body_len) as u64
}

/// A whole record; the body is at most [`BODY_LEN_BYTES_MAX`].
pub(super) fn encode(id: u64, meta: &Meta, body: &[u8], nonce: u32) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_LEN + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&[VERSION as u8, meta.class, meta.encoding, 0]);
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&meta.points.to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&meta.made_at.to_le_bytes());
    let head_crc = crc(nonce, &bytes);
    bytes.extend_from_slice(&head_crc.to_le_bytes());
    bytes.extend_from_slice(&crc(nonce, body).to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

pub(super) fn encode_ack(id: u64, nonce: u32) -> [u8; ACK_LEN] {
    let mut bytes = [0; ACK_LEN];
    bytes[..8].copy_from_slice(&id.to_le_bytes());
    bytes[8..12].copy_from_slice(&crc(nonce, &id.to_le_bytes()).to_le_bytes());
    bytes[12..].copy_from_slice(ACK_MAGIC);
    bytes
}

pub(super) fn decode_ack(bytes: &[u8], nonce: u32) -> Option<u64> {
    let is_whole = bytes.len() == ACK_LEN
        && &bytes[12..] == ACK_MAGIC
        && u32_at(bytes, 8) == crc(nonce, &bytes[..8]);
    is_whole.then(|| u64_at(bytes, 0))
}

fn crc(nonce: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&nonce.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
