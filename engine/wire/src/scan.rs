//! Finding a byte in short text.
//!
//! A line is searched a few times over 5 to 60 bytes. At that length the calls in front of a vector
//! search cost as much as the search itself, so these are small enough to be inlined and need
//! nothing particular of the processor. A whole packet is for `memchr`.
//!
//! 1. Blocks of 32 bytes are asked whether they hold a hit at all. The answer has no early way out,
//!    so the compiler makes it a few vector comparisons.
//! 2. In the block that does, the place is found eight bytes at a time, as one number: after an
//!    exclusive or with the needle in every byte, `(word - 0x01…) & !word & 0x80…` has a bit set for
//!    every zero byte. A borrow can set more, but only behind the first one.
//! 3. The last block overlaps the one before, which is known to hold no hit.

const BLOCK_LEN: usize = 32;
const ONES: u64 = 0x0101_0101_0101_0101;
const TOPS: u64 = 0x8080_8080_8080_8080;

/// Where `needle` is first.
#[inline]
pub(crate) fn find(needle: u8, text: &[u8]) -> Option<usize> {
    let pattern = u64::from(needle) * ONES;
    scan(
        text,
        |byte| byte == needle,
        |word| zero_bytes(word ^ pattern),
    )
}

/// Where one of two bytes is first.
#[inline]
pub(crate) fn find_either(a: u8, b: u8, text: &[u8]) -> Option<usize> {
    let (pattern_a, pattern_b) = (u64::from(a) * ONES, u64::from(b) * ONES);
    scan(
        text,
        |byte| (byte == a) | (byte == b),
        |word| zero_bytes(word ^ pattern_a) | zero_bytes(word ^ pattern_b),
    )
}

/// `hits` marks the first byte looked for, and perhaps more behind it, by their top bits.
#[inline(always)]
fn scan(text: &[u8], is_hit: impl Fn(u8) -> bool, hits: impl Fn(u64) -> u64) -> Option<usize> {
    let Some(last) = text.last_chunk::<BLOCK_LEN>() else {
        return scan_words(text, &is_hit, &hits);
    };
    // Without a way out of the loop, so that it becomes a comparison of all bytes.
    let any = |block: &[u8; BLOCK_LEN]| block.iter().fold(false, |hit, &byte| hit | is_hit(byte));
    let (blocks, _) = text.as_chunks::<BLOCK_LEN>();
    let (block, start) = match blocks.iter().position(any) {
        Some(index) => (&blocks[index], index * BLOCK_LEN),
        None if any(last) => (last, text.len() - BLOCK_LEN),
        None => return None,
    };
    scan_words(block, &is_hit, &hits).map(|at| start + at)
}

#[inline(always)]
fn scan_words(
    text: &[u8],
    is_hit: impl Fn(u8) -> bool,
    hits: impl Fn(u64) -> u64,
) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let found = hits(u64::from_le_bytes(*word));
        if found != 0 {
            return Some(8 * index + first(found));
        }
    }
    let start = 8 * words.len();
    rest.iter()
        .position(|&byte| is_hit(byte))
        .map(|at| start + at)
}

#[inline(always)]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & TOPS
}

#[inline(always)]
fn first(hits: u64) -> usize {
    (hits.trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_first_one_is_found_at_any_length(
            text in proptest::collection::vec(
                prop_oneof![Just(b'|'), Just(b':'), Just(b'{'), Just(b'}'), Just(b';'), any::<u8>()],
                0..80,
            ),
            from in 0usize..80,
        ) {
            let text = &text[from.min(text.len())..];
            let slow = |wanted: &[u8]| text.iter().position(|byte| wanted.contains(byte));
            prop_assert_eq!(find(b'|', text), slow(b"|"));
            prop_assert_eq!(find(0, text), slow(b"\0"));
            prop_assert_eq!(find(0xff, text), slow(b"\xff"));
            prop_assert_eq!(find_either(b':', b'|', text), slow(b":|"));
        }

        #[test]
        fn a_long_run_without_it_is_passed(len in 0usize..200, tail in 0usize..40) {
            let mut text = vec![b'a'; len];
            prop_assert_eq!(find(b'|', &text), None);
            text.push(b'|');
            text.resize(len + 1 + tail, b'|');
            prop_assert_eq!(find(b'|', &text), Some(len));
            prop_assert_eq!(find_either(b'|', b'a', &text), Some(0));
        }
    }
}
