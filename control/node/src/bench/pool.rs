//! Packets in one piece of memory, with running totals: what any row of them holds is two look-ups.

use std::ops::Range;

use greyhound_model::metric::MetricKind;
use greyhound_wire::corpus::Corpus;
use greyhound_wire::{Message, Options};

/// Bytes a pool may take; with long lines it holds fewer messages than asked for.
const POOL_BYTES_MAX: usize = 512 << 20;

/// Whether each packet has its length in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// Datagrams: none.
    Bare,
    /// Streams: four bytes, least significant first.
    Length,
}

/// What is in some packets.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Packets, or frames of a stream.
    pub packets: u64,
    /// Messages.
    pub messages: u64,
    /// Samples, events and service checks.
    pub samples: u64,
    /// Bytes of payload, without the lengths of a stream.
    pub bytes: u64,
    /// Sum of all increments of counters, sample rates reckoned in.
    pub increments: f64,
}

/// Packets ready to be sent, at least one.
#[derive(Debug)]
pub struct Pool {
    bytes: Vec<u8>,
    /// One more than packets: what is before each, and at last in all.
    marks: Vec<Mark>,
    framing: Framing,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    start: usize,
    messages: u64,
    samples: u64,
    increments: f64,
}

// === impl Framing ===

impl Framing {
    const fn len(self) -> usize {
        match self {
            Self::Bare => 0,
            Self::Length => 4,
        }
    }
}

// === impl Tally ===

impl Tally {
    /// Adds what is in other packets.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.messages += other.messages;
        self.samples += other.samples;
        self.bytes += other.bytes;
        self.increments += other.increments;
    }
}

// === impl Pool ===

impl Pool {
    /// Packs lines in this order into packets of at most `pack_bytes`, one each when that is 0. A longer
    /// line goes alone.
    pub fn build(
        corpus: &Corpus,
        order: impl IntoIterator<Item = usize>,
        pack_bytes: usize,
        framing: Framing,
    ) -> Self {
        let contents: Vec<(u32, f64)> = corpus.lines.iter().map(|line| contents(line)).collect();
        let mut pool = Self {
            bytes: Vec::new(),
            marks: vec![Mark::default()],
            framing,
        };
        let mut open = Mark::default();
        for index in order {
            let line = corpus.lines[index].as_bytes();
            let (samples, increments) = contents[index];
            let len = pool.bytes.len() - open.start;
            if len > framing.len() {
                if len - framing.len() + 1 + line.len() > pack_bytes {
                    pool.close(&mut open);
                } else {
                    pool.bytes.push(b'\n');
                }
            }
            if pool.bytes.len() == open.start {
                if open.start > POOL_BYTES_MAX {
                    return pool;
                }
                pool.bytes.extend(std::iter::repeat_n(0, framing.len()));
            }
            pool.bytes.extend_from_slice(line);
            open.messages += 1;
            open.samples += u64::from(samples);
            open.increments += increments;
        }
        pool.close(&mut open);
        pool
    }

    /// Ends the packet that begins at `open.start`.
    fn close(&mut self, open: &mut Mark) {
        if self.framing == Framing::Length {
            let len = self.bytes.len() - open.start - self.framing.len();
            let len = u32::try_from(len).expect("a pool is smaller than 4 GiB");
            self.bytes[open.start..][..4].copy_from_slice(&len.to_le_bytes());
        }
        open.start = self.bytes.len();
        self.marks.push(*open);
    }

    /// How many packets.
    #[expect(
        clippy::len_without_is_empty,
        reason = "there is always at least one packet"
    )]
    pub fn len(&self) -> usize {
        self.marks.len() - 1
    }

    /// A row of packets as it is written to a stream, or one datagram.
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.bytes[self.marks[range.start].start..self.marks[range.end].start]
    }

    /// What is in a row of packets.
    pub fn sum(&self, range: Range<usize>) -> Tally {
        let (from, to) = (&self.marks[range.start], &self.marks[range.end]);
        let packets = range.len() as u64;
        Tally {
            packets,
            messages: to.messages - from.messages,
            samples: to.samples - from.samples,
            bytes: (to.start - from.start) as u64 - packets * self.framing.len() as u64,
            increments: to.increments - from.increments,
        }
    }

    /// Where the row ends that holds at least `messages`, if that is before its end.
    pub fn cut(&self, range: Range<usize>, messages: u64) -> usize {
        let wanted = self.marks[range.start].messages.saturating_add(messages);
        let marks = &self.marks[range.start..range.end];
        range.start + marks.partition_point(|mark| mark.messages < wanted)
    }

    /// Mean number of messages in a packet.
    pub fn messages_per_packet(&self) -> f64 {
        self.sum(0..self.len()).messages as f64 / self.len() as f64
    }

    /// Mean number of bytes of payload in a packet.
    pub fn bytes_per_packet(&self) -> f64 {
        self.sum(0..self.len()).bytes as f64 / self.len() as f64
    }
}

/// Samples of a line, and by how much it moves a counter.
fn contents(line: &str) -> (u32, f64) {
    match greyhound_wire::parse(line.as_bytes(), Options::default()) {
        Ok(Message::Metric(metric)) => {
            let increments = match metric.kind {
                MetricKind::Counter => metric.values.iter().sum::<f64>() / metric.sample_rate,
                _ => 0.0,
            };
            let samples = u32::try_from(metric.values.len()).unwrap_or(u32::MAX);
            (samples, increments)
        }
        Ok(_) => (1, 0.0),
        Err(_) => (0, 0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(lines: &[&str]) -> Corpus {
        Corpus {
            lines: lines.iter().map(|&line| line.to_owned()).collect(),
        }
    }

    #[test]
    fn packets_keep_their_bound_and_sums_are_exact() {
        let corpus = corpus(&["a:1|c", "b:2|c|@0.5", "c:1:2:3|h", "_sc|d|1"]);
        let pool = Pool::build(&corpus, [0, 1, 2, 3, 2], 16, Framing::Bare);
        let packets: Vec<&[u8]> = (0..pool.len()).map(|at| pool.bytes(at..at + 1)).collect();
        assert_eq!(
            packets,
            [
                &b"a:1|c\nb:2|c|@0.5"[..],
                b"c:1:2:3|h",
                b"_sc|d|1",
                b"c:1:2:3|h"
            ]
        );
        let tally = pool.sum(0..3);
        assert_eq!((tally.packets, tally.messages, tally.samples), (3, 4, 6));
        assert_eq!((tally.bytes, tally.increments), (16 + 9 + 7, 5.0));
        assert_eq!(pool.cut(0..4, 1), 1);
        assert_eq!(pool.cut(0..4, 3), 2);
        assert_eq!(pool.cut(0..4, 99), 4);
        assert_eq!(pool.cut(1..3, 1), 2);
    }

    #[test]
    fn one_message_a_packet_and_frames() {
        let corpus = corpus(&["a:1|c", "bb:1|c"]);
        let pool = Pool::build(&corpus, [1, 0], 0, Framing::Length);
        assert_eq!(pool.bytes(0..2), b"\x06\0\0\0bb:1|c\x05\0\0\0a:1|c");
        assert_eq!(pool.sum(0..2).bytes, 11);
        assert_eq!(pool.messages_per_packet(), 1.0);
        assert_eq!(pool.bytes_per_packet(), 5.5);
    }
}
