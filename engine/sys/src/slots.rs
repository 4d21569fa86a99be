//! The buffers the kernel writes datagrams into: one slab cut into slots of one size.
//!
//! ```text
//!  slab     | slot 0        | slot 1        | slot 2        | …        one allocation
//!  received | 93 B, pid 411 | 60 B, pid 411 |     (free)    |          what the kernel said
//!             └──── filled: read them with `packet` ──┘ └── the next receive appends here
//! ```
//!
//! Slots are filled in order and emptied all at once, so a slab that is half full can take more
//! datagrams before the first is looked at. A slab is owned by one thread at a time and moves between
//! threads whole. Made once and used again: nothing here allocates after `new`.

use std::ops::Range;

use crate::cmsg::Control;
use crate::peer::Credentials;
use crate::peers::{Peer, PeerRoom};

/// Most slots one call may fill; beyond it larger batches gained nothing.
pub const SLOTS_PER_CALL_MAX: usize = 64;

/// Whether the kernel is asked who sent a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Senders {
    /// Not asked: UDP, or origin detection off.
    Ignored,
    /// Asked; the socket must have credentials switched on.
    Read,
}

/// Buffers for datagrams, and what the kernel said about each.
pub struct Slots {
    pub(crate) slab: Box<[u8]>,
    pub(crate) slot_bytes: usize,
    /// From one slot to the next; see [`stride`].
    pub(crate) stride_bytes: usize,
    pub(crate) received: Box<[Received]>,
    pub(crate) filled: usize,
    pub(crate) headers: Box<[Header]>,
    pub(crate) vectors: Box<[Vector]>,
    pub(crate) control: Box<[Control]>,
    /// Room for addresses; `None` unless somebody asked for them.
    pub(crate) room: Option<Box<PeerRoom>>,
}

/// What the kernel said about one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Length as it was sent, in bytes; more than a slot holds when `truncated`.
    pub len_bytes: u32,
    /// The datagram did not fit: what is in the slot is not what was sent.
    pub truncated: bool,
    /// Who sent it; pid 0 = not known.
    pub sender: Credentials,
}

/// Header of one datagram for the kernel; its pointers mean something only during a call.
#[derive(Clone, Copy)]
pub(crate) struct Header(pub(crate) libc::mmsghdr);

/// Where one datagram goes; its pointer means something only during a call.
#[derive(Clone, Copy)]
pub(crate) struct Vector(pub(crate) libc::iovec);

// SAFETY: the pointers inside are rewritten at the start of each call that uses them and read by
// nobody outside it (see `mmsg`), so moving the value to another thread moves no live pointer.
unsafe impl Send for Header {}
// SAFETY: no method reads the pointers through a shared reference.
unsafe impl Sync for Header {}
// SAFETY: as for `Header`.
unsafe impl Send for Vector {}
// SAFETY: as for `Header`.
unsafe impl Sync for Vector {}

// === impl Slots ===

impl Slots {
    /// `count` slots of `slot_bytes` each, both at least 1. The one allocation in the life of a slab;
    /// pages the kernel never wrote to cost nothing.
    pub fn new(count: usize, slot_bytes: usize, senders: Senders) -> Self {
        let count = count.max(1);
        let slot_bytes = slot_bytes.max(1);
        let per_call = count.min(SLOTS_PER_CALL_MAX);
        let control = match senders {
            Senders::Ignored => 0,
            Senders::Read => per_call,
        };
        let stride_bytes = stride(slot_bytes);
        Self {
            slab: vec![0; count.saturating_mul(stride_bytes)].into_boxed_slice(),
            slot_bytes,
            stride_bytes,
            received: vec![Received::default(); count].into_boxed_slice(),
            filled: 0,
            headers: vec![Header::empty(); per_call].into_boxed_slice(),
            vectors: vec![Vector::EMPTY; per_call].into_boxed_slice(),
            control: vec![Control::EMPTY; control].into_boxed_slice(),
            room: None,
        }
    }

    /// Makes room for the addresses of UDP datagrams: 152 bytes a slot.
    #[must_use]
    pub fn with_peers(mut self) -> Self {
        let room = PeerRoom::new(self.capacity(), self.headers.len());
        self.room = Some(Box::new(room));
        self
    }

    /// Where the first datagrams came from and went to. Shorter than [`len`](Self::len) when they did not
    /// come by UDP, or nobody asked.
    #[inline]
    pub fn peers(&self) -> &[Peer] {
        match &self.room {
            Some(room) => &room.peers[..room.filled],
            None => &[],
        }
    }

    /// How many datagrams it can hold.
    pub fn capacity(&self) -> usize {
        self.received.len()
    }

    /// Longest datagram kept whole, in bytes.
    pub fn slot_bytes(&self) -> usize {
        self.slot_bytes
    }

    /// How many datagrams are in it.
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no datagram is in it.
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Whether every slot is taken.
    pub fn is_full(&self) -> bool {
        self.filled == self.capacity()
    }

    /// Forgets all datagrams.
    pub fn clear(&mut self) {
        self.filled = 0;
        if let Some(room) = &mut self.room {
            room.filled = 0;
        }
    }

    /// The datagrams in the order of arrival: what the kernel said, and the bytes that fitted.
    pub fn iter(&self) -> impl Iterator<Item = (Received, &[u8])> {
        self.range(0..self.filled)
    }

    /// As [`iter`](Self::iter), for some of them.
    ///
    /// # Panics
    ///
    /// When the range goes past the last datagram.
    pub fn range(&self, range: Range<usize>) -> impl Iterator<Item = (Received, &[u8])> {
        let received = &self.received[..self.filled][range.clone()];
        let slots = self.slab[range.start * self.stride_bytes..].chunks_exact(self.stride_bytes);
        received
            .iter()
            .zip(slots)
            .map(|(&received, slot)| (received, &slot[..received.kept_bytes(self.slot_bytes)]))
    }

    /// Bytes kept in all datagrams together.
    pub fn bytes(&self) -> usize {
        self.received[..self.filled]
            .iter()
            .map(|received| received.kept_bytes(self.slot_bytes))
            .sum()
    }

    /// Puts a datagram in by hand, as if the kernel had; `false` when there is no slot left. For
    /// packets that come another way and travel in the same slabs.
    pub fn push(&mut self, bytes: &[u8], sender: Credentials) -> bool {
        if self.is_full() {
            return false;
        }
        let start = self.filled * self.stride_bytes;
        let kept = bytes.len().min(self.slot_bytes);
        self.slab[start..start + kept].copy_from_slice(&bytes[..kept]);
        self.received[self.filled] = Received {
            len_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            truncated: kept < bytes.len(),
            sender,
        };
        self.filled += 1;
        true
    }
}

impl std::fmt::Debug for Slots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slots")
            .field("slot_bytes", &self.slot_bytes)
            .field("capacity", &self.capacity())
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

// === impl Received ===

impl Received {
    fn kept_bytes(self, slot_bytes: usize) -> usize {
        (self.len_bytes as usize).min(slot_bytes)
    }
}

// === impl Header ===

impl Header {
    /// All zero: no address, no vectors, no control space.
    pub(crate) fn empty() -> Self {
        // SAFETY: mmsghdr is plain integers and raw pointers (recvmmsg(2)), for which zero is valid.
        Self(unsafe { std::mem::zeroed() })
    }
}

// === impl Vector ===

impl Vector {
    const EMPTY: Self = Self(libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    });
}

/// The distance between slots: whole cache lines, an odd number of them. With 8 KiB exactly, the start
/// of every slot would fall into the same few lines of the first-level cache.
const fn stride(slot_bytes: usize) -> usize {
    const LINE_BYTES: usize = 64;
    let lines = slot_bytes.div_ceil(LINE_BYTES);
    (lines | 1) * LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_put_in_by_hand_come_out_in_order() {
        let mut slots = Slots::new(2, 4, Senders::Ignored);
        let sender = Credentials {
            pid: 7,
            ..Credentials::default()
        };
        assert!(slots.push(b"ab", sender));
        assert!(slots.push(b"too long", Credentials::default()));
        assert!(!slots.push(b"c", sender));
        assert!(slots.is_full());
        assert_eq!(slots.bytes(), 6);
        let all: Vec<_> = slots.iter().collect();
        assert_eq!(all[0].1, b"ab");
        assert_eq!(all[0].0.sender.pid, 7);
        assert_eq!(all[1].1, b"too ");
        assert!(all[1].0.truncated);
        assert_eq!(all[1].0.len_bytes, 8);
        slots.clear();
        assert!(slots.is_empty());
    }

    #[test]
    fn a_range_starts_where_it_says() {
        let mut slots = Slots::new(4, 100, Senders::Ignored);
        for text in [b"a", b"b", b"c"] {
            assert!(slots.push(text, Credentials::default()));
        }
        let some: Vec<_> = slots.range(1..3).map(|(_, bytes)| bytes).collect();
        assert_eq!(some, [b"b", b"c"]);
        assert_eq!(slots.range(3..3).count(), 0);
    }

    #[test]
    fn nothing_is_too_small() {
        let slots = Slots::new(0, 0, Senders::Read);
        assert_eq!((slots.capacity(), slots.slot_bytes()), (1, 1));
    }
}
