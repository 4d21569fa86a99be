//! Payloads on disk until they are delivered: one log in segments, checked byte by byte.
//!
//! ```text
//!  00000000000000000001.seg   header | record | record | record …     written once, appended only
//!  00000000000000000001.ack   id | id | …                             settled ones of that segment
//!  00000000000000000412.seg   …                                       the one written to
//! ```
//!
//! * A record is written before its payload is first sent, and unlinked with its segment once every
//!   record of the segment is settled. A crash between any two steps sends again; it never loses.
//! * A record carries no key and no address, only its class; keys are attached when it is sent.
//! * Nothing is ever appended to a segment of an earlier run, so a torn tail stays a tail.
//! * What recovery does not understand it leaves alone and counts.
//!
//! Lost here, and counted by the caller: records whose checksum fails, and the oldest segment when
//! the bound is reached. An error of the disk closes the segment and switches writing off for 30 s.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use bytes::Bytes;

use folder::Folder;
use record::{Head, SegmentHead};

mod folder;
pub mod orphans;
mod record;
mod recover;

/// After an error of the disk nothing is written for this long.
const OFF_AFTER_ERROR: Duration = Duration::from_secs(30);

/// A segment whose records are all settled is replaced once it is this long.
const SETTLED_LEN_BYTES: u64 = 256 * 1024;

/// Longest time written bytes stay unsynced under [`SyncPolicy::Interval`].
const SYNC_INTERVAL: Duration = Duration::from_millis(500);

/// Where and how much.
#[derive(Clone, Debug, PartialEq)]
pub struct SpoolConfig {
    /// A folder of its own; made with mode 0700 when missing.
    pub folder: PathBuf,
    /// Bytes of all segments; the oldest segment goes when a record does not fit.
    pub bytes_max: u64,
    /// Share of the file system that may be in use, by anybody; above nothing is written.
    pub disk_share_max: f64,
    /// When written bytes are forced to the medium.
    pub sync: SyncPolicy,
    /// Length at which a segment is closed.
    pub segment_len_bytes: u64,
}

/// When written bytes are forced to the medium. Written ones survive the death of the process in
/// any case; synced ones the loss of power too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// After every record.
    Always,
    /// After every flush, and at least every 500 ms while records are written.
    Interval,
    /// When the system pleases.
    Never,
}

/// What a record says beside its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Meaning is the caller's.
    pub class: u8,
    /// Meaning is the caller's.
    pub encoding: u8,
    /// Points in the payload.
    pub points: u32,
    /// When it was made, Unix seconds.
    pub made_at: i64,
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Counts records of this log, from 1; never used twice.
    pub id: u64,
    segment: u64,
    offset: u64,
    len_bytes: u32,
}

/// What a start found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Records to be sent, oldest first.
    pub records: Vec<(Place, Meta)>,
    /// Records whose checksum failed, and gaps in the ids.
    pub corrupt_records: u64,
    /// Points in them, as far as their heads could be read.
    pub corrupt_points: u64,
    /// Files left alone: unknown names, newer versions, links, wrong owners.
    pub quarantined: u64,
}

/// Why a record was not written.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The disk, or its limits.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// An error not long ago.
    #[error("the disk failed less than {} s ago", OFF_AFTER_ERROR.as_secs())]
    Off,
    /// Too little would be left for others.
    #[error("the file system is fuller than `forwarder_storage_max_disk_ratio`")]
    Reserve,
    /// The record alone is above the bound.
    #[error("the payload is larger than the disk queue")]
    TooLarge,
    /// Another process writes here.
    #[error("another process uses {}", .0.display())]
    Locked(PathBuf),
}

/// An open log. All methods block on the disk.
#[derive(Debug)]
pub struct Spool {
    config: SpoolConfig,
    folder: Folder,
    segments: BTreeMap<u64, Segment>,
    /// The one written to.
    active: Option<u64>,
    next_id: u64,
    bytes: u64,
    off_until: Option<Instant>,
    unsynced_since: Option<Instant>,
}

#[derive(Debug)]
struct Segment {
    file: File,
    acks: Option<File>,
    nonce: u32,
    len_bytes: u64,
    pending: u64,
}

/// A segment that went because the bound was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted(u64);

// === impl Place ===

impl Place {
    /// Length of the body.
    pub fn body_len_bytes(&self) -> u32 {
        self.len_bytes.saturating_sub(record::HEAD_LEN as u32)
    }
}

// === impl Spool ===

impl Spool {
    /// Opens the folder and reads what is in it once, from end to end. Damage is skipped and
    /// counted.
    ///
    /// # Errors
    /// When there can be no folder, or another process has it.
    pub fn open(config: SpoolConfig) -> Result<(Self, Recovery), SpoolError> {
        let folder = Folder::open(&config.folder)?;
        let mut spool = Self {
            config,
            folder,
            segments: BTreeMap::new(),
            active: None,
            next_id: 1,
            bytes: 0,
            off_until: None,
            unsynced_since: None,
        };
        let recovery = recover::recover(&mut spool)?;
        Ok((spool, recovery))
    }

    /// Writes a record. Also says which segments had to go for it; their records cannot be read any
    /// more. Under [`SyncPolicy::Interval`], [`sync`](Self::sync) ends a flush.
    ///
    /// # Errors
    /// When it is not written: the disk failed or is full.
    pub fn append(
        &mut self,
        meta: &Meta,
        body: &[u8],
        evicted: &mut Vec<Evicted>,
    ) -> Result<Place, SpoolError> {
        if self.off_until.is_some_and(|until| Instant::now() < until) {
            return Err(SpoolError::Off);
        }
        self.off_until = None;
        let result = self.try_append(meta, body, evicted);
        if let Err(SpoolError::Disk(_)) = &result {
            self.off_until = Some(Instant::now() + OFF_AFTER_ERROR);
            // After a failed write or sync nothing is known of what comes behind.
            self.close_active();
        }
        result
    }

    fn try_append(
        &mut self,
        meta: &Meta,
        body: &[u8],
        evicted: &mut Vec<Evicted>,
    ) -> Result<Place, SpoolError> {
        let need = record::len_bytes(body.len()) + record::SEGMENT_HEAD_LEN as u64;
        if need > self.config.bytes_max || body.len() > record::BODY_LEN_BYTES_MAX {
            return Err(SpoolError::TooLarge);
        }
        while self.bytes + need > self.config.bytes_max {
            let Some(oldest) = self.segments.keys().next().copied() else {
                break;
            };
            self.remove(oldest);
            evicted.push(Evicted(oldest));
        }
        if self.folder.used_share_with(need)? > self.config.disk_share_max {
            return Err(SpoolError::Reserve);
        }
        if self
            .active_segment()
            .is_some_and(|segment| segment.len_bytes >= self.config.segment_len_bytes)
        {
            self.sync()?;
            self.close_active();
        }
        let first = match self.active {
            Some(first) => first,
            None => self.create_segment()?,
        };
        let segment = self
            .segments
            .get_mut(&first)
            .expect("the active segment is one of them");
        let id = self.next_id;
        let bytes = record::encode(id, meta, body, segment.nonce);
        let offset = segment.len_bytes;
        segment.file.write_all_at(&bytes, offset)?;
        segment.len_bytes += bytes.len() as u64;
        segment.pending += 1;
        self.bytes += bytes.len() as u64;
        self.next_id += 1;
        let since = *self.unsynced_since.get_or_insert_with(Instant::now);
        let due = match self.config.sync {
            SyncPolicy::Always => true,
            SyncPolicy::Interval => since.elapsed() >= SYNC_INTERVAL,
            SyncPolicy::Never => false,
        };
        let place = Place {
            id,
            segment: first,
            offset,
            len_bytes: bytes.len() as u32,
        };
        if due && let Err(error) = self.sync() {
            // The caller keeps it in memory: what may lie here all the same is not to be sent too.
            self.settle(&place);
            return Err(error.into());
        }
        Ok(place)
    }

    /// Forces what was written to the medium, unless the policy is never to.
    ///
    /// # Errors
    /// What the disk says. The segment is closed then: after a failed sync, asking again proves
    /// nothing.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.unsynced_since.take().is_none() || self.config.sync == SyncPolicy::Never {
            return Ok(());
        }
        let Some(segment) = self.active_segment() else {
            return Ok(());
        };
        let result = segment.file.sync_data();
        if result.is_err() {
            self.off_until = Some(Instant::now() + OFF_AFTER_ERROR);
            self.close_active();
        }
        result
    }

    /// Reads a body back. `None` when it is gone or damaged.
    pub fn read(&self, place: &Place) -> Option<(Meta, Bytes)> {
        let segment = self.segments.get(&place.segment)?;
        let mut bytes = vec![0; place.len_bytes as usize];
        segment.file.read_exact_at(&mut bytes, place.offset).ok()?;
        let head = Head::decode(&bytes, segment.nonce)?;
        let body = Bytes::from(bytes).slice(record::HEAD_LEN..);
        (head.id == place.id && head.fits(&body, segment.nonce)).then_some((head.meta, body))
    }

    /// Settles a record: it will not be sent again after a restart. What cannot be noted is sent
    /// twice at worst.
    pub fn settle(&mut self, place: &Place) {
        let is_active = self.active == Some(place.segment);
        let Some(segment) = self.segments.get_mut(&place.segment) else {
            return;
        };
        segment.pending = segment.pending.saturating_sub(1);
        let is_done = segment.pending == 0;
        if is_done && (!is_active || segment.len_bytes >= SETTLED_LEN_BYTES) {
            self.remove(place.segment);
            return;
        }
        if segment.acks.is_none() {
            segment.acks = self.folder.append_to(&acks_name(place.segment)).ok();
        }
        if let Some(acks) = &mut segment.acks {
            let written = io::Write::write_all(acks, &record::encode_ack(place.id, segment.nonce));
            if written.is_err() {
                segment.acks = None;
            }
        }
    }

    /// Syncs, and removes what has no open records. The log can be used on.
    pub fn close(&mut self) -> io::Result<()> {
        let result = self.sync();
        self.close_active();
        let done: Vec<u64> = self
            .segments
            .iter()
            .filter(|(_, segment)| segment.pending == 0)
            .map(|(first, _)| *first)
            .collect();
        for first in done {
            self.remove(first);
        }
        result
    }

    /// Whether the record went with that segment.
    pub fn is_gone(place: &Place, evicted: Evicted) -> bool {
        place.segment == evicted.0
    }

    /// Bytes of all segments.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    fn active_segment(&self) -> Option<&Segment> {
        self.segments.get(&self.active?)
    }

    fn close_active(&mut self) {
        self.unsynced_since = None;
        if let Some(first) = self.active.take()
            && self
                .segments
                .get(&first)
                .is_some_and(|segment| segment.pending == 0)
        {
            self.remove(first);
        }
    }

    fn create_segment(&mut self) -> io::Result<u64> {
        let first = self.next_id;
        let head = SegmentHead::new(first);
        let file = self.folder.create(&segment_name(first), &head.encode())?;
        let segment = Segment {
            file,
            acks: None,
            nonce: head.nonce,
            len_bytes: record::SEGMENT_HEAD_LEN as u64,
            pending: 0,
        };
        self.bytes += segment.len_bytes;
        self.segments.insert(first, segment);
        self.active = Some(first);
        Ok(first)
    }

    /// Removes a segment with its acknowledgements. A file that cannot be removed is found again by
    /// the next start.
    fn remove(&mut self, first: u64) {
        if self.active == Some(first) {
            self.active = None;
            self.unsynced_since = None;
        }
        if let Some(segment) = self.segments.remove(&first) {
            self.bytes = self.bytes.saturating_sub(segment.len_bytes);
            self.folder.remove(&[segment_name(first), acks_name(first)]);
        }
    }
}

fn segment_name(first: u64) -> String {
    format!("{first:020}.seg")
}

fn acks_name(first: u64) -> String {
    format!("{first:020}.ack")
}

#[cfg(test)]
mod tests;
