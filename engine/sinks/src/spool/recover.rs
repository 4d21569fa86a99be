//! What a start finds: every segment read once, damage skipped and counted, nothing unknown touched.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use tracing::warn;

use super::record::{
    ACK_LEN, BadSegment, HEAD_LEN, Head, MAGIC, SEGMENT_HEAD_LEN, SegmentHead, decode_ack,
};
use super::{Meta, Place, Recovery, Segment, Spool, acks_name, segment_name};

/// Bytes searched at once for the next record.
const SEARCH_LEN_BYTES: usize = 64 * 1024;

/// Acknowledgements of one segment read at most: more than records fit.
const ACKS_LEN_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One segment being read.
struct Scan<'a> {
    file: &'a File,
    len_bytes: u64,
    nonce: u32,
    first_id: u64,
    acked: HashSet<u64>,
    /// The id the next record should have.
    expected_id: u64,
    found: Vec<(Place, Meta)>,
    /// Ids found to be damaged, to be counted only once over all starts.
    damaged: Vec<u64>,
    damaged_points: u64,
    body: Vec<u8>,
}

/// Fills an empty spool from its folder.
pub(super) fn recover(spool: &mut Spool) -> io::Result<Recovery> {
    let mut recovery = Recovery::default();
    let mut firsts = Vec::new();
    let names = spool.folder.names()?;
    for name in &names {
        match parse(name) {
            Some((first, "seg")) => firsts.push(first),
            Some((first, "ack")) if names.contains(&segment_name(first)) => {}
            Some(_) => spool.folder.remove(std::slice::from_ref(name)),
            None => recovery.quarantined += 1,
        }
    }
    firsts.sort_unstable();
    for first in firsts {
        // Also past files that are left alone, so that their names are never wanted.
        spool.next_id = spool.next_id.max(first.saturating_add(1));
        match segment(spool, first, &mut recovery) {
            Ok(()) => {}
            Err(error) => {
                warn!(segment = first, %error, "a file of the disk queue is left alone");
                recovery.quarantined += 1;
            }
        }
    }
    Ok(recovery)
}

/// Whether a file of this name is ours.
pub(super) fn is_name(name: &str) -> bool {
    parse(name).is_some()
}

/// Number and kind of a name that is ours. An unfinished one has the kind `tmp`.
fn parse(name: &str) -> Option<(u64, &str)> {
    let (digits, kind) = name.split_once('.')?;
    let is_ours = digits.len() == 20 && matches!(kind, "seg" | "ack" | "seg.tmp");
    let number = digits.parse().ok()?;
    is_ours.then_some((number, kind))
}

fn segment(spool: &mut Spool, first: u64, recovery: &mut Recovery) -> io::Result<()> {
    let name = segment_name(first);
    let file = spool.folder.open_ours(&name)?;
    let len_bytes = file.metadata()?.len();
    let mut head = [0; SEGMENT_HEAD_LEN];
    let read = read_at_most(&file, &mut head, 0)?;
    let head = match SegmentHead::decode(&head[..read]) {
        Ok(head) if head.first_id == first => head,
        // A copy of another one; sending it would send twice.
        Ok(_) => return Err(io::Error::other("its name is not its own")),
        Err(BadSegment::Newer) => return Err(io::Error::other("a later version wrote it")),
        Err(BadSegment::Damaged) if len_bytes == 0 => {
            spool.folder.remove(&[name, acks_name(first)]);
            return Ok(());
        }
        Err(BadSegment::Damaged) => return Err(io::Error::other("its head is damaged")),
    };
    let mut scan = Scan {
        file: &file,
        len_bytes,
        nonce: head.nonce,
        first_id: first,
        acked: acked(spool, first, head.nonce),
        expected_id: first,
        found: Vec::new(),
        damaged: Vec::new(),
        damaged_points: 0,
        body: Vec::new(),
    };
    scan.run()?;
    let Scan {
        found,
        damaged,
        damaged_points,
        expected_id,
        acked,
        ..
    } = scan;
    recovery.corrupt_records += damaged.len() as u64;
    recovery.corrupt_points += damaged_points;
    let last_acked = acked.into_iter().max().unwrap_or(0);
    spool.next_id = spool
        .next_id
        .max(expected_id)
        .max(last_acked.saturating_add(1));
    spool.bytes += len_bytes;
    spool.segments.insert(
        first,
        Segment {
            file,
            acks: None,
            nonce: head.nonce,
            len_bytes,
            pending: (found.len() + damaged.len()) as u64,
        },
    );
    for id in damaged {
        spool.settle(&Place {
            id,
            segment: first,
            offset: 0,
            len_bytes: 0,
        });
    }
    if found.is_empty() {
        spool.remove(first);
    }
    recovery.records.extend(found);
    Ok(())
}

fn acked(spool: &Spool, first: u64, nonce: u32) -> HashSet<u64> {
    let mut bytes = Vec::new();
    let read = spool
        .folder
        .open_ours(&acks_name(first))
        .and_then(|file| file.take(ACKS_LEN_BYTES_MAX).read_to_end(&mut bytes));
    if read.is_err() {
        return HashSet::new();
    }
    // A torn one in the middle shifts what follows: step by bytes until it fits again.
    let mut ids = HashSet::new();
    let mut at = 0;
    while at + ACK_LEN <= bytes.len() {
        match decode_ack(&bytes[at..at + ACK_LEN], nonce) {
            Some(id) => {
                ids.insert(id);
                at += ACK_LEN;
            }
            None => at += 1,
        }
    }
    ids
}

// === impl Scan ===

impl Scan<'_> {
    fn run(&mut self) -> io::Result<()> {
        let mut offset = SEGMENT_HEAD_LEN as u64;
        while offset < self.len_bytes {
            let Some((at, head)) = self.next_head(offset)? else {
                // A tail without a head: one record that was being written, as far as we know.
                self.damage_until(self.expected_id + 1);
                return Ok(());
            };
            self.damage_until(head.id);
            self.expected_id = head.id + 1;
            if at + head.len_bytes() > self.len_bytes {
                self.damage(head.id, head.meta.points);
                return Ok(());
            }
            self.body.resize(head.body_len_bytes as usize, 0);
            self.file
                .read_exact_at(&mut self.body, at + HEAD_LEN as u64)?;
            if self.acked.contains(&head.id) {
                // Settled before, whole or not.
            } else if head.fits(&self.body, self.nonce) {
                let place = Place {
                    id: head.id,
                    segment: self.first_id,
                    offset: at,
                    len_bytes: head.len_bytes() as u32,
                };
                self.found.push((place, head.meta));
            } else {
                self.damage(head.id, head.meta.points);
            }
            offset = at + head.len_bytes();
        }
        Ok(())
    }

    /// The next whole head at or after `offset` whose id was not seen yet.
    fn next_head(&self, offset: u64) -> io::Result<Option<(u64, Head)>> {
        let mut buffer = vec![0; HEAD_LEN];
        let read = read_at_most(self.file, &mut buffer, offset)?;
        if let Some(head) = self.whole(&buffer[..read]) {
            return Ok(Some((offset, head)));
        }
        buffer.resize(SEARCH_LEN_BYTES, 0);
        let mut start = offset + 1;
        loop {
            let read = read_at_most(self.file, &mut buffer, start)?;
            let bytes = &buffer[..read];
            let candidates = bytes.windows(MAGIC.len()).enumerate();
            for (at, _) in candidates.filter(|(_, window)| window == MAGIC) {
                if let Some(head) = self.whole(&bytes[at..]) {
                    return Ok(Some((start + at as u64, head)));
                }
            }
            if read < SEARCH_LEN_BYTES {
                return Ok(None);
            }
            // A head may lie across the border of two pieces.
            start += (SEARCH_LEN_BYTES - HEAD_LEN) as u64;
        }
    }

    fn whole(&self, bytes: &[u8]) -> Option<Head> {
        let head = Head::decode(bytes, self.nonce)?;
        (head.id >= self.expected_id && head.id < u64::MAX).then_some(head)
    }

    /// Ids are dense, so a gap says how many are missing. A segment holds no more records than its
    /// length allows.
    fn damage_until(&mut self, id: u64) {
        let most = self.len_bytes / HEAD_LEN as u64;
        let end = id.min(self.expected_id.saturating_add(most));
        for missing in self.expected_id..end {
            self.damage(missing, 0);
        }
        self.expected_id = id.max(self.expected_id);
    }

    fn damage(&mut self, id: u64, points: u32) {
        if !self.acked.contains(&id) {
            self.damaged.push(id);
            self.damaged_points += u64::from(points);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn read_at_most(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
