//! The last updates, encoded, shared by all subscribers. Bounded by number and by bytes; the oldest go
//! first, and who needed them gets a snapshot instead.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

/// Updates kept: more than a burst of changes by hand or by a reload of the whole table.
pub(super) const UPDATES_MAX: usize = 1024;
/// Bytes kept, whatever their number. The newest update stays even when it alone is longer.
pub(super) const BYTES_MAX: usize = 1 << 20;

/// Updates that are ready together leave as one piece of up to this size, so that a burst does not become
/// a frame and a TLS record per update.
const PIECE_BYTES: usize = 16 << 10;

/// Consecutive updates, the newest last.
#[derive(Debug)]
pub(super) struct Log {
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// Number of the last update, whether it is kept or not.
    newest: u64,
}

/// What comes after a number.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum After {
    /// Nothing yet.
    Nothing,
    /// The next updates, whole, and how many.
    Updates(Bytes, u64),
    /// Something that is not kept any more.
    Lost,
}

// === impl Log ===

impl Log {
    /// Empty; the next update is expected to be `newest` + 1.
    pub(super) fn new(newest: u64) -> Self {
        Self {
            frames: VecDeque::new(),
            bytes: 0,
            newest,
        }
    }

    /// Takes the next update. After a gap nothing before it is of use: all is forgotten.
    pub(super) fn push(&mut self, sequence: u64, frame: Bytes) {
        if sequence != self.newest + 1 {
            self.clear();
        }
        self.newest = sequence;
        self.bytes += frame.len();
        self.frames.push_back(frame);
        while self.frames.len() > UPDATES_MAX || (self.bytes > BYTES_MAX && self.frames.len() > 1) {
            let oldest = self.frames.pop_front();
            self.bytes -= oldest.map_or(0, |frame| frame.len());
        }
    }

    /// Notes that `sequence` was, without keeping it.
    pub(super) fn skip_to(&mut self, sequence: u64) {
        self.clear();
        self.newest = sequence;
    }

    /// Forgets the updates, but not how far they went.
    pub(super) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.bytes = 0;
    }

    /// What comes after update `last`. One update alone is shared; several are copied together.
    pub(super) fn after(&self, last: u64) -> After {
        let Some(missing) = self.missing(last) else {
            return After::Lost;
        };
        let mut frames = self.frames.range(self.frames.len() - missing..);
        let Some(first) = frames.next() else {
            return After::Nothing;
        };
        let mut piece = BytesMut::new();
        let mut count = 1;
        for frame in frames {
            if piece.len().max(first.len()) + frame.len() > PIECE_BYTES {
                break;
            }
            if piece.is_empty() {
                piece.extend_from_slice(first);
            }
            piece.extend_from_slice(frame);
            count += 1;
        }
        let piece = if piece.is_empty() {
            first.clone()
        } else {
            piece.freeze()
        };
        After::Updates(piece, count)
    }

    /// Whether a reader at `last` misses nothing.
    pub(super) fn goes_on_after(&self, last: u64) -> bool {
        self.missing(last).is_some()
    }

    /// Updates kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// How many updates a reader at `last` has to be given; `None` when some are not kept any more.
    fn missing(&self, last: u64) -> Option<usize> {
        let missing = usize::try_from(self.newest.saturating_sub(last)).ok()?;
        (missing <= self.frames.len()).then_some(missing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(bytes: &'static [u8], count: u64) -> After {
        After::Updates(Bytes::from_static(bytes), count)
    }

    #[test]
    fn readers_go_on_where_they_were() {
        let mut log = Log::new(7);
        assert_eq!(log.after(7), After::Nothing);
        assert_eq!(log.after(6), After::Lost);
        log.push(8, Bytes::from_static(b"8"));
        log.push(9, Bytes::from_static(b"9"));
        assert_eq!(log.after(7), sent(b"89", 2));
        assert_eq!(log.after(8), sent(b"9", 1));
        assert_eq!(log.after(9), After::Nothing);
        assert_eq!(log.after(6), After::Lost);
    }

    #[test]
    fn a_gap_loses_all_before_it() {
        let mut log = Log::new(1);
        log.push(2, Bytes::from_static(b"2"));
        log.push(4, Bytes::from_static(b"4"));
        assert_eq!(log.after(2), After::Lost);
        assert_eq!(log.after(3), sent(b"4", 1));
        log.skip_to(5);
        assert_eq!(log.after(4), After::Lost);
        assert_eq!(log.after(5), After::Nothing);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut log = Log::new(0);
        let all = 2 * UPDATES_MAX as u64;
        for sequence in 1..=all {
            log.push(sequence, Bytes::from_static(b"x"));
        }
        assert_eq!(log.frames.len(), UPDATES_MAX);
        assert!(!log.goes_on_after(UPDATES_MAX as u64 - 1));
        assert!(log.goes_on_after(UPDATES_MAX as u64));

        let mut log = Log::new(0);
        for sequence in 1..=4 {
            log.push(sequence, Bytes::from(vec![0; BYTES_MAX / 2]));
        }
        assert_eq!((log.frames.len(), log.bytes), (2, BYTES_MAX));
        log.push(5, Bytes::from(vec![0; 2 * BYTES_MAX]));
        assert_eq!(log.frames.len(), 1);
        assert!(log.goes_on_after(4));
    }

    #[test]
    fn pieces_are_whole_updates_up_to_a_size() {
        let mut log = Log::new(0);
        for sequence in 1..=3 {
            log.push(sequence, Bytes::from(vec![0; PIECE_BYTES / 2]));
        }
        log.push(4, Bytes::from(vec![0; 2 * PIECE_BYTES]));
        let len_and_count = |last| match log.after(last) {
            After::Updates(piece, count) => (piece.len(), count),
            other => panic!("{other:?}"),
        };
        assert_eq!(len_and_count(0), (PIECE_BYTES, 2));
        assert_eq!(len_and_count(2), (PIECE_BYTES / 2, 1));
        assert_eq!(len_and_count(3), (2 * PIECE_BYTES, 1));
    }
}
