//! Any way of cutting a stream into reads gives the same frames and the same end.

use proptest::prelude::*;

use super::*;

/// The protocol read from one piece of memory.
fn slow(mut bytes: &[u8], frame_len_max: usize) -> (Vec<Vec<u8>>, StreamEnd) {
    let mut frames = Vec::new();
    loop {
        if bytes.is_empty() {
            return (frames, StreamEnd::Eof);
        }
        if bytes.len() < 4 {
            return (frames, StreamEnd::EofInHeader);
        }
        let len = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize;
        if len == 0 {
            return (frames, StreamEnd::DroppedZeroLength);
        }
        if len > frame_len_max {
            return (frames, StreamEnd::DroppedOversized);
        }
        if bytes.len() - 4 < len {
            return (frames, StreamEnd::EofInPayload);
        }
        frames.push(bytes[4..4 + len].to_vec());
        bytes = &bytes[4 + len..];
    }
}

/// The same through the decoder, in reads of at most the given lengths, over and over.
fn decode(bytes: &[u8], frame_len_max: usize, reads: &[usize]) -> (Vec<Vec<u8>>, StreamEnd, usize) {
    let mut decoder = StreamDecoder::new(frame_len_max);
    let mut frames = Vec::new();
    let mut rest = bytes;
    let mut reads = reads.iter().cycle();
    'connection: while !rest.is_empty() {
        let space = decoder.space();
        let &wanted = reads.next().expect("a cycle does not end");
        let len = wanted.min(space.len()).min(rest.len());
        assert!(len > 0, "there is always room while frames are taken");
        space[..len].copy_from_slice(&rest[..len]);
        decoder.advance(len);
        rest = &rest[len..];
        loop {
            match decoder.next_frame() {
                Ok(Some(frame)) => frames.push(frame.to_vec()),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(
                        decoder.next_frame(),
                        Err(error),
                        "a broken stream stays broken"
                    );
                    break 'connection;
                }
            }
        }
    }
    (frames, decoder.finish(), decoder.capacity())
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn rows() {
    let long = vec![b'x'; 100_000];
    for (bytes, frame_len_max, count, end) in [
        (vec![], 8, 0, StreamEnd::Eof),
        (frame(b"a:1|c"), 8, 1, StreamEnd::Eof),
        ([frame(b"a"), frame(b"b")].concat(), 8, 2, StreamEnd::Eof),
        (frame(b"12345678"), 8, 1, StreamEnd::Eof),
        (frame(b"123456789"), 8, 0, StreamEnd::DroppedOversized),
        (frame(b""), 8, 0, StreamEnd::DroppedZeroLength),
        (vec![1], 8, 0, StreamEnd::EofInHeader),
        (vec![1, 0, 0, 0], 8, 0, StreamEnd::EofInPayload),
        (vec![2, 0, 0, 0, 0], 8, 0, StreamEnd::EofInPayload),
        (vec![0xff; 9], 8, 0, StreamEnd::DroppedOversized),
        (frame(&long), 100_000, 1, StreamEnd::Eof),
    ] {
        for read in [1, 3, 4096, 1 << 20] {
            let (frames, found, _) = decode(&bytes, frame_len_max, &[read]);
            assert_eq!((frames.len(), found), (count, end), "reads of {read}");
        }
    }
}

#[test]
fn a_claimed_length_costs_nothing_until_bytes_come() {
    let mut decoder = StreamDecoder::new(1 << 30);
    assert_eq!(decoder.capacity(), 0);
    decoder.space()[..4].copy_from_slice(&(1u32 << 30).to_le_bytes());
    decoder.advance(4);
    assert_eq!(decoder.next_frame(), Ok(None));
    assert!(!decoder.space().is_empty());
    assert_eq!(decoder.capacity(), READ_LEN_MIN);
}

#[test]
fn the_buffer_grows_for_full_reads_but_not_beyond_its_bound() {
    let bytes = frame(&[b'x'; 1000]).repeat(1000);
    let (frames, end, capacity) = decode(&bytes, 8192, &[usize::MAX]);
    assert_eq!(
        (frames.len(), end, capacity),
        (1000, StreamEnd::Eof, READ_LEN_MAX)
    );
    let (_, _, capacity) = decode(&bytes, 8192, &[100]);
    assert_eq!(capacity, READ_LEN_MIN);
    let bytes = frame(&[b'x'; 200_000]).repeat(3);
    let (frames, _, capacity) = decode(&bytes, 200_000, &[usize::MAX]);
    assert_eq!((frames.len(), capacity), (3, 200_004));
}

#[test]
fn frames_left_behind_are_not_lost() {
    let mut decoder = StreamDecoder::new(8);
    let bytes = frame(b"abc");
    for _ in 0..3 {
        decoder.space()[..bytes.len()].copy_from_slice(&bytes);
        decoder.advance(bytes.len());
    }
    for _ in 0..3 {
        assert_eq!(decoder.next_frame(), Ok(Some(&b"abc"[..])));
    }
    assert_eq!(decoder.next_frame(), Ok(None));
    assert_eq!(decoder.pending_len(), 0);
}

#[test]
fn advancing_too_far_is_harmless() {
    let mut decoder = StreamDecoder::new(8);
    decoder.space().fill(1);
    decoder.advance(usize::MAX);
    assert_eq!(
        decoder.next_frame(),
        Err(StreamError::Oversized { len: 0x0101_0101 })
    );
}

proptest! {
    #[test]
    fn the_way_of_reading_does_not_matter(
        frames in proptest::collection::vec(
            prop_oneof![
                8 => proptest::collection::vec(any::<u8>(), 1..40),
                2 => (1usize..9000).prop_map(|len| vec![b'x'; len]),
                1 => Just(Vec::new()),
            ],
            0..12,
        ),
        frame_len_max in prop_oneof![Just(30usize), Just(8192), Just(9000)],
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
        reads in proptest::collection::vec(prop_oneof![1usize..8, 1usize..10_000], 1..8),
    ) {
        let mut bytes: Vec<u8> = frames.iter().flat_map(|payload| frame(payload)).collect();
        if !whole && !bytes.is_empty() {
            bytes.truncate(cut.index(bytes.len()));
        }
        let (found, end, capacity) = decode(&bytes, frame_len_max, &reads);
        prop_assert_eq!((found, end), slow(&bytes, frame_len_max));
        prop_assert!(capacity <= READ_LEN_MAX.max(4 + frame_len_max));
    }
}
