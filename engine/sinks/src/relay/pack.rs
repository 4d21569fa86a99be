//! Lines into packets.

use crate::sink::{Reason, Receipt};

/// Receivers read at least this much of a datagram unless told otherwise.
const LINE_LEN_MAX: usize = 8192;

/// Lines for one datagram, or one frame of a stream.
#[derive(Debug)]
pub(super) struct Packet {
    /// Lines with a newline between them, none at the end.
    pub(super) bytes: Vec<u8>,
    /// Points whose last line is in it.
    pub(super) points: u64,
}

/// Fills packets.
pub(super) struct Packer<'a> {
    len_max: usize,
    bytes: Vec<u8>,
    points: u64,
    pub(super) receipt: &'a mut Receipt,
    push: &'a mut dyn FnMut(Packet),
}

// === impl Packer ===

impl<'a> Packer<'a> {
    pub(super) fn new(
        len_max: usize,
        receipt: &'a mut Receipt,
        push: &'a mut dyn FnMut(Packet),
    ) -> Self {
        Self {
            len_max: len_max.max(1),
            bytes: Vec::new(),
            points: 0,
            receipt,
            push,
        }
    }

    /// Longest line that shares a packet.
    pub(super) fn len_max(&self) -> usize {
        self.len_max
    }

    /// Adds a line and the points that are through with it. A line longer than a packet goes alone, one no
    /// receiver takes is dropped.
    pub(super) fn add(&mut self, line: &[u8], points: u64) {
        if line.len() > self.len_max.max(LINE_LEN_MAX) {
            self.receipt.drop_points(Reason::TooLarge, points);
            return;
        }
        if !self.bytes.is_empty() && self.bytes.len() + 1 + line.len() > self.len_max {
            self.close();
        }
        if !self.bytes.is_empty() {
            self.bytes.push(b'\n');
        }
        self.bytes.extend_from_slice(line);
        self.points += points;
    }

    /// Points that come to nothing.
    pub(super) fn refuse(&mut self, points: u64) {
        self.receipt.drop_points(Reason::Invalid, points);
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) {
        self.close();
    }

    fn close(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let capacity = self.bytes.capacity();
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(capacity));
        let points = std::mem::take(&mut self.points);
        (self.push)(Packet { bytes, points });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_filled_and_no_line_is_cut() {
        let mut receipt = Receipt::default();
        let mut packets = Vec::new();
        let mut push = |packet: Packet| packets.push(packet);
        let mut packer = Packer::new(10, &mut receipt, &mut push);
        for line in ["aaaa", "bbbbb", "c", "longer than a packet", "d"] {
            packer.add(line.as_bytes(), 1);
        }
        packer.add(&[b'x'; LINE_LEN_MAX + 1], 7);
        packer.finish();
        let texts: Vec<_> = packets
            .iter()
            .map(|packet| {
                (
                    String::from_utf8_lossy(&packet.bytes).into_owned(),
                    packet.points,
                )
            })
            .collect();
        let expected = [
            ("aaaa\nbbbbb", 2),
            ("c", 1),
            ("longer than a packet", 1),
            ("d", 1),
        ];
        assert_eq!(
            texts,
            expected.map(|(text, points)| (text.to_owned(), points))
        );
        assert_eq!(receipt.dropped(Reason::TooLarge), 7);
    }
}
