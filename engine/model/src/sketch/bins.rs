//! Counts by key: a sorted part, one entry per key, and behind it a tail as it came in.
//!
//! One vector holds both, and its spare room is the buffer:
//!
//! ```text
//!  | key 12 ×3 | key 15 ×1 | key 90 ×7 || 15 ×1 | 13 ×1 | 90 ×2 |  …free…  |
//!  └──────── sorted, unique ──────────┘└──────── tail ────────┘
//! ```
//!
//! 1. An entry is one `u64`, the key above the count, so that sorting compares plain integers.
//! 2. When the vector is full the tail is sorted and added in; only if more than three
//!    quarters of the room are bins after that, the room doubles. So a fold of `n` entries serves at
//!    least `n / 4` inserts, and beyond 16 entries the room is less than three times the bins.
//! 3. Where the keys lie close together, as they mostly do, a fold counts into an array with a slot
//!    for every key between the lowest and the highest, and reads the bins off it: no comparing.
//! 4. Else the tail is sorted and walked along the bins. Most of it falls into bins that exist; what
//!    does not is merged in from the back.

use std::borrow::Cow;

use super::Sketch;

/// The largest count of one bin; what does not fit is cut.
pub(super) const COUNT_MAX: u64 = (1 << KEY_SHIFT) - 1;

const KEY_SHIFT: u32 = 48;

/// Room of the first allocation, entries.
const ROOM_MIN: usize = 4;

/// Room from which it pays to fold before asking for more.
const ROOM_FOLDED: usize = 16;

/// Slots for counting, one for each key in reach: a factor of about 50 between the smallest and the
/// largest value, or of eight million.
const FEW_SLOTS: usize = 256;
const MANY_SLOTS: usize = 1024;

/// Slots for each entry up to which counting beats sorting: all of them are cleared first.
const SLOTS_PER_ENTRY: usize = 16;

/// New bins up to this many are merged through a buffer on the stack.
const MERGE_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Bins {
    entries: Vec<Bin>,
    /// How many entries, from the front, are sorted and unique.
    sorted: u32,
}

/// A key and how many values have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Bin(u64);

// === impl Bins ===

impl Bins {
    /// Adds `n` values, 1 to [`COUNT_MAX`], of one key.
    #[inline]
    pub(super) fn add(&mut self, key: i16, n: u64) {
        let bin = Bin::new(key, n);
        // Runs of one value are common: they take one entry.
        if let Some(last) = self.entries.last_mut()
            && last.has_key_of(bin)
        {
            last.add(n);
            return;
        }
        if self.entries.len() == self.entries.capacity() {
            self.make_room();
        }
        self.entries.push(bin);
    }

    /// Appends all of `other` to the tail.
    pub(super) fn append(&mut self, other: &Self) {
        self.entries.extend_from_slice(&other.entries);
        // Into an empty one the sorted part can be taken over as such.
        if self.entries.len() == other.entries.len() {
            self.sorted = other.sorted;
        }
    }

    /// Empties the tail into the sorted part and holds the limit of bins.
    pub(super) fn fold(&mut self) {
        let sorted = self.sorted as usize;
        if sorted == self.entries.len() {
            return;
        }
        if !count(&mut self.entries) {
            let (bins, tail) = self.entries.split_at_mut(sorted);
            tail.sort_unstable();
            let fresh = absorb(bins, tail);
            self.entries.truncate(sorted + fresh);
            interleave(&mut self.entries, sorted);
            collapse(&mut self.entries);
        }
        // At most BIN_COUNT_MAX entries are left.
        self.sorted = self.entries.len() as u32;
    }

    /// Keys ascending, each once.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (i16, u64)> + ExactSizeIterator {
        let bins = self.folded();
        (0..bins.len()).map(move |index| (bins[index].key(), bins[index].n()))
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.sorted = 0;
    }

    #[inline]
    pub(super) fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Bin>()
    }

    fn folded(&self) -> Cow<'_, [Bin]> {
        if self.sorted as usize == self.entries.len() {
            Cow::Borrowed(&self.entries)
        } else {
            let mut copy = self.clone();
            copy.fold();
            Cow::Owned(copy.entries)
        }
    }

    #[cold]
    fn make_room(&mut self) {
        let room = self.entries.capacity();
        if room < ROOM_FOLDED {
            let more = if room < ROOM_MIN {
                ROOM_MIN
            } else {
                ROOM_FOLDED
            };
            self.entries.reserve_exact(more - self.entries.len());
            return;
        }
        self.fold();
        if self.entries.len() > room / 4 * 3 {
            self.entries.reserve_exact(2 * room - self.entries.len());
        }
    }
}

// === impl Bin ===

impl Bin {
    #[inline]
    fn new(key: i16, n: u64) -> Self {
        debug_assert!((1..=COUNT_MAX).contains(&n));
        // Flipping the sign bit makes the order of the keys that of unsigned integers.
        Self::at(key.cast_unsigned() ^ (1 << 15), n)
    }

    #[inline]
    fn at(place: u16, n: u64) -> Self {
        Self((u64::from(place) << KEY_SHIFT) | n)
    }

    /// Where the key stands among all keys, from 0.
    #[inline]
    fn place(self) -> u16 {
        (self.0 >> KEY_SHIFT) as u16
    }

    #[inline]
    fn key(self) -> i16 {
        (self.place() ^ (1 << 15)).cast_signed()
    }

    #[inline]
    fn n(self) -> u64 {
        self.0 & COUNT_MAX
    }

    #[inline]
    fn has_key_of(self, other: Self) -> bool {
        (self.0 ^ other.0) <= COUNT_MAX
    }

    /// Adds to the count, which stops at [`COUNT_MAX`].
    #[inline]
    fn add(&mut self, n: u64) {
        self.0 += n.min(COUNT_MAX - self.n());
    }
}

/// Sorts and unites entries, in whatever order, if their keys are close and they are many. Returns
/// false, with nothing done, for others.
fn count(entries: &mut Vec<Bin>) -> bool {
    let affordable = entries.len() * SLOTS_PER_ENTRY;
    if affordable < FEW_SLOTS {
        return false;
    }
    let (lowest, highest) = entries.iter().fold((u16::MAX, 0), |(low, high), bin| {
        (bin.place().min(low), bin.place().max(high))
    });
    match usize::from(highest - lowest) {
        0..FEW_SLOTS => count_in::<FEW_SLOTS>(entries, lowest),
        FEW_SLOTS..MANY_SLOTS if affordable >= MANY_SLOTS => {
            count_in::<MANY_SLOTS>(entries, lowest);
        }
        _ => return false,
    }
    true
}

/// Counts entries whose places are `lowest` and the `N` − 1 after it.
fn count_in<const N: usize>(entries: &mut Vec<Bin>, lowest: u16) {
    let mut slots = [0u64; N];
    let mut last = 0;
    for bin in entries.iter() {
        let at = usize::from(bin.place() - lowest);
        slots[at] = (slots[at] + bin.n()).min(COUNT_MAX);
        last = last.max(at);
    }
    let mut unique = 0;
    for (at, n) in slots[..=last].iter().enumerate() {
        // Written always and kept if there is something: a branch here would be a coin toss. There
        // is room, because the last slot is not empty and each kept bin stands for an entry.
        entries[unique] = Bin::at(lowest + at as u16, *n);
        unique += usize::from(*n > 0);
    }
    entries.truncate(unique);
}

/// Adds a sorted `tail` to the `bins` that have its keys. The others gather at the front of `tail`,
/// sorted and unique; returns how many.
fn absorb(bins: &mut [Bin], tail: &mut [Bin]) -> usize {
    let (mut at, mut fresh) = (0, 0);
    for index in 0..tail.len() {
        let bin = tail[index];
        while at < bins.len() && bins[at].place() < bin.place() {
            at += 1;
        }
        if at < bins.len() && bins[at].has_key_of(bin) {
            bins[at].add(bin.n());
        } else if fresh > 0 && tail[fresh - 1].has_key_of(bin) {
            tail[fresh - 1].add(bin.n());
        } else {
            tail[fresh] = bin;
            fresh += 1;
        }
    }
    fresh
}

/// Merges two sorted runs that share no key and meet at `middle`.
fn interleave(entries: &mut [Bin], middle: usize) {
    let fresh = entries.len() - middle;
    if fresh == 0 || middle == 0 || entries[middle - 1] < entries[middle] {
        return;
    }
    if fresh > MERGE_MAX {
        // The stable sort sees the two runs and merges them, with memory of its own if they are
        // long. Only sketches that grow fast come here.
        entries.sort();
        return;
    }
    let mut buffer = [Bin(0); MERGE_MAX];
    buffer[..fresh].copy_from_slice(&entries[middle..]);
    let (mut old, mut new) = (middle, fresh);
    while new > 0 {
        let to = old + new - 1;
        if old > 0 && entries[old - 1] > buffer[new - 1] {
            entries[to] = entries[old - 1];
            old -= 1;
        } else {
            entries[to] = buffer[new - 1];
            new -= 1;
        }
    }
}

/// Folds the lowest bins into the lowest one that stays.
fn collapse(entries: &mut Vec<Bin>) {
    let Some(excess) = entries.len().checked_sub(Sketch::BIN_COUNT_MAX) else {
        return;
    };
    for index in 0..excess {
        let n = entries[index].n();
        entries[excess].add(n);
    }
    entries.drain(..excess);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// The slow obvious one.
    #[derive(Default)]
    struct Model(BTreeMap<i16, u64>);

    impl Model {
        fn add(&mut self, key: i16, n: u64) {
            *self.0.entry(key).or_default() += n;
        }

        fn collapsed(mut self) -> Vec<(i16, u64)> {
            while self.0.len() > Sketch::BIN_COUNT_MAX {
                let (_, n) = self.0.pop_first().expect("more than the limit");
                *self.0.first_entry().expect("one stays").get_mut() += n;
            }
            self.0.into_iter().collect()
        }
    }

    fn check(adds: &[(i16, u64)]) {
        let (mut bins, mut model) = (Bins::default(), Model::default());
        for &(key, n) in adds {
            bins.add(key, n);
            model.add(key, n);
        }
        let expected = model.collapsed();
        assert_eq!(bins.iter().collect::<Vec<_>>(), expected, "unfolded");
        bins.fold();
        assert_eq!(bins.iter().collect::<Vec<_>>(), expected, "folded");
    }

    #[test]
    fn keys_come_out_in_order_whatever_order_they_came_in() {
        check(&[
            (5, 1),
            (-5, 2),
            (0, 3),
            (i16::MIN, 1),
            (i16::MAX, 9),
            (5, 1),
        ]);
        check(&[]);
    }

    #[test]
    fn every_way_of_merging_new_keys() {
        let all: Vec<_> = (0..2000).map(|i| (i * 7 % 2000, 1)).collect();
        check(&all);
        let evens_then_few_odds: Vec<_> = (0..600)
            .map(|i| (i * 2, 1))
            .chain((0..30).map(|i| (i * 38 + 1, 2)))
            .collect();
        check(&evens_then_few_odds);
        let falling: Vec<_> = (0..300).rev().map(|i| (i, 1)).collect();
        check(&falling);
    }

    #[test]
    fn the_lowest_bins_give_way() {
        let rising: Vec<_> = (-5000..5000).map(|key| (key, 2)).collect();
        check(&rising);
        let falling: Vec<_> = rising.iter().rev().copied().collect();
        check(&falling);
        let mut bins = Bins::default();
        rising.iter().for_each(|&(key, n)| bins.add(key, n));
        bins.fold();
        assert_eq!(bins.iter().len(), 4096);
        assert_eq!(bins.iter().next(), Some((904, 2 * 5905)));
        assert!(bins.heap_bytes() <= 8192 * 8);
    }

    #[test]
    fn a_run_of_one_key_takes_one_entry() {
        let mut bins = Bins::default();
        (0..100_000).for_each(|_| bins.add(7, 3));
        assert_eq!(bins.iter().collect::<Vec<_>>(), [(7, 300_000)]);
        assert_eq!(bins.heap_bytes(), ROOM_MIN * 8);
    }

    #[test]
    fn room_follows_the_bins_in_use_not_the_values() {
        let mut bins = Bins::default();
        (0..100_000u32).for_each(|i| bins.add((i % 100) as i16, 1));
        assert!(bins.heap_bytes() <= 256 * 8, "{}", bins.heap_bytes());
    }

    #[test]
    fn counts_stop_at_their_limit() {
        let mut bins = Bins::default();
        for key in [1, 2, 1, 2, 1] {
            bins.add(key, COUNT_MAX);
        }
        assert!(bins.iter().eq([(1, COUNT_MAX), (2, COUNT_MAX)]));
    }

    #[test]
    fn keys_as_far_apart_as_there_are_slots() {
        for reach in [FEW_SLOTS, MANY_SLOTS] {
            for span in [reach - 2, reach - 1, reach] {
                for lowest in [i16::MIN, -40, 0, i16::MAX - span as i16] {
                    let highest = lowest + span as i16;
                    let adds = (0..200).map(|i| (if i % 2 == 0 { highest } else { lowest }, 1 + i));
                    check(&adds.collect::<Vec<_>>());
                }
            }
        }
    }

    proptest! {
        #[test]
        fn bins_match_the_model(
            adds in proptest::collection::vec((any::<i16>(), 1..9u64), 0..1500),
            width in prop_oneof![1..40i16, 200..300i16, 900..1100i16, Just(i16::MAX)],
            offset in -100..100i16,
        ) {
            let near = (adds.iter()).map(|&(key, n)| ((key % width).saturating_add(offset), n));
            check(&near.collect::<Vec<_>>());
        }
    }
}
