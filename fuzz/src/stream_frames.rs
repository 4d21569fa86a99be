//! Stream frames: the same in whatever chunks the bytes come.
//!
//! Input: one byte that chooses the longest frame, four that seed the sizes of the chunks, then
//! everything a client writes on one connection.

use greyhound_wire::frame::{StreamDecoder, StreamEnd};

/// Longest frames to try, in bytes.
const FRAME_LEN_MAX: [usize; 8] = [1, 2, 7, 64, 1432, 8192, 65_535, 200_000];
/// What the decoder promises not to exceed, unless one frame is longer.
const BUFFER_LEN_MAX: usize = 64 * 1024;

/// Panics if frames or the end of the connection depend on how the bytes came in.
pub fn check(data: &[u8]) {
    let Some((head, stream)) = data.split_first_chunk::<5>() else {
        return;
    };
    let frame_len_max = FRAME_LEN_MAX[usize::from(head[0] % 8)];
    let expected = slow(stream, frame_len_max);
    let seed = u32::from_le_bytes([head[1], head[2], head[3], head[4]]);
    for sizes in [
        Sizes::Whole,
        Sizes::Bytes,
        Sizes::Random(u64::from(seed) | 1),
    ] {
        assert_eq!(decode(stream, frame_len_max, sizes), expected, "{sizes:?}");
    }
}

#[derive(Clone, Copy, Debug)]
enum Sizes {
    Whole,
    Bytes,
    Random(u64),
}

fn decode(mut stream: &[u8], frame_len_max: usize, mut sizes: Sizes) -> (Vec<Vec<u8>>, StreamEnd) {
    let mut decoder = StreamDecoder::new(frame_len_max);
    let mut frames = Vec::new();
    while !stream.is_empty() {
        let space = decoder.space();
        assert!(!space.is_empty(), "there is always room for a byte");
        let len = sizes.next().clamp(1, stream.len().min(space.len()));
        space[..len].copy_from_slice(&stream[..len]);
        decoder.advance(len);
        stream = &stream[len..];
        assert!(decoder.capacity() <= BUFFER_LEN_MAX.max(frame_len_max + 4));
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(decoder.next_frame(), Err(error), "an error stays");
                    return (frames, decoder.finish());
                }
            }
        }
    }
    (frames, decoder.finish())
}

/// Everything at hand at once.
fn slow(mut stream: &[u8], frame_len_max: usize) -> (Vec<Vec<u8>>, StreamEnd) {
    let mut frames = Vec::new();
    loop {
        let Some((header, rest)) = stream.split_first_chunk::<4>() else {
            let end = if stream.is_empty() {
                StreamEnd::Eof
            } else {
                StreamEnd::EofInHeader
            };
            return (frames, end);
        };
        let len = u32::from_le_bytes(*header) as usize;
        if len == 0 {
            return (frames, StreamEnd::DroppedZeroLength);
        }
        if len > frame_len_max {
            return (frames, StreamEnd::DroppedOversized);
        }
        let Some((frame, rest)) = rest.split_at_checked(len) else {
            return (frames, StreamEnd::EofInPayload);
        };
        frames.push(frame.to_vec());
        stream = rest;
    }
}

// === impl Sizes ===

impl Sizes {
    fn next(&mut self) -> usize {
        match self {
            Self::Whole => usize::MAX,
            Self::Bytes => 1,
            // Marsaglia's xorshift; mostly small sizes, some of a few thousand.
            Self::Random(state) => {
                *state ^= *state << 13;
                *state ^= *state >> 7;
                *state ^= *state << 17;
                1 + (*state as usize >> 8) % (1 << (*state % 13))
            }
        }
    }
}
