//! The files of a disk queue, read by an independent hand: what a killed daemon left, and ways to spoil it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::intake::Class;
use crate::intake::records::digest;

const SEGMENT_MAGIC: &[u8] = b"GHQUEUE\n";
const SEGMENT_HEAD_LEN: usize = 32;
const RECORD_MAGIC: &[u8] = b"GHr\x01";
const RECORD_HEAD_LEN: usize = 40;

const CLASSES: [Class; 4] = [
    Class::Series,
    Class::Sketches,
    Class::Events,
    Class::ServiceChecks,
];

/// A payload that lies on disk whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The file it lies in.
    pub file: PathBuf,
    /// Where it begins, and where its body does.
    pub offset: [usize; 2],
    /// Its bytes, head included.
    pub len: usize,
    /// Counts the records of a queue.
    pub id: u64,
    /// Points in it.
    pub points: u64,
    /// What [`crate::intake::Arrival::digest`] will be.
    pub digest: [u64; 2],
}

/// Segments below `root`, oldest first.
///
/// # Panics
/// When a folder cannot be listed.
pub fn segments(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for folder in folders(root) {
        let entries = fs::read_dir(folder).expect("the queue is ours to list");
        let paths = entries.map(|entry| entry.expect("a listed entry can be read").path());
        found.extend(paths.filter(|path| path.extension().is_some_and(|kind| kind == "seg")));
    }
    found.sort();
    found
}

/// Folders of destinations below `root`.
///
/// # Panics
/// When `root` cannot be listed.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).expect("the queue is ours to list");
    let paths = entries.map(|entry| entry.expect("a listed entry can be read").path());
    paths.filter(|path| path.is_dir()).collect()
}

/// Records below `root` that are whole, in the order of the files. A file that goes away meanwhile, or is
/// none of the queue's, has none.
pub fn records(root: &Path) -> Vec<Record> {
    segments(root)
        .iter()
        .flat_map(|path| read(path).unwrap_or_default())
        .collect()
}

fn read(path: &Path) -> Option<Vec<Record>> {
    // Whoever opens a pipe waits for its other end.
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let bytes = fs::read(path).ok()?;
    if bytes.len() < SEGMENT_HEAD_LEN || !bytes.starts_with(SEGMENT_MAGIC) {
        return None;
    }
    let nonce = &bytes[12..16];
    let mut found = Vec::new();
    let mut at = SEGMENT_HEAD_LEN;
    while let Some(head) = bytes.get(at..at + RECORD_HEAD_LEN) {
        let body_at = at + RECORD_HEAD_LEN;
        let body_len = number(&head[8..12]) as usize;
        let is_head =
            head.starts_with(RECORD_MAGIC) && number(&head[32..36]) == crc(nonce, &head[..32]);
        let (true, Some(body)) = (is_head, bytes.get(body_at..body_at + body_len)) else {
            break;
        };
        if number(&head[36..40]) == crc(nonce, body) {
            found.push(Record {
                file: path.to_owned(),
                offset: [at, body_at],
                len: RECORD_HEAD_LEN + body_len,
                id: number(&head[16..24]),
                points: number(&head[12..16]),
                digest: digest(CLASSES[usize::from(head[5])], body),
            });
        }
        at = body_at + body_len;
    }
    Some(found)
}

/// Little-endian.
fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// CRC-32 of nonce and bytes, bit by bit.
fn crc(nonce: &[u8], bytes: &[u8]) -> u64 {
    let mut crc = u32::MAX;
    for byte in nonce.iter().chain(bytes) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
        }
    }
    u64::from(!crc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_known_one() {
        assert_eq!(crc(b"1234", b"56789"), 0xcbf4_3926);
    }
}
