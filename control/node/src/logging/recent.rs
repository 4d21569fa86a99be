//! The last lines of the log, kept in memory: a flare has them even when nobody keeps standard error.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of all lines that are kept; the oldest go first.
const BYTES_MAX: usize = 2 << 20;
/// Bytes of one line that are kept.
const LINE_BYTES_MAX: usize = 16 << 10;

/// The last lines. Clones are the same lines.
#[derive(Clone, Debug, Default)]
pub struct Recent(Arc<Mutex<Ring>>);

#[derive(Debug, Default)]
struct Ring {
    lines: VecDeque<Box<[u8]>>,
    bytes: usize,
}

// === impl Recent ===

impl Recent {
    /// Takes a line in. Holds a lock for as long as a copy takes.
    pub(super) fn push(&self, line: &[u8]) {
        let line: Box<[u8]> = line[..line.len().min(LINE_BYTES_MAX)].into();
        let mut ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ring.bytes += line.len();
        ring.lines.push_back(line);
        while ring.bytes > BYTES_MAX {
            let oldest = ring.lines.pop_front().map_or(0, |line| line.len());
            ring.bytes -= oldest;
        }
    }

    /// All lines, oldest first, without colours.
    pub fn text(&self) -> String {
        let ring = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::with_capacity(ring.bytes);
        for line in &ring.lines {
            bytes.extend_from_slice(line);
            if !line.ends_with(b"\n") {
                bytes.push(b'\n');
            }
        }
        drop(ring);
        without_colours(&String::from_utf8_lossy(&bytes))
    }
}

/// Leaves out what only colours a terminal: `ESC [ … m`.
fn without_colours(text: &str) -> String {
    let mut pieces = text.split("\x1b[");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest =
            piece.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';');
        out.push_str(rest.strip_prefix('m').unwrap_or(rest));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_go_first() {
        let recent = Recent::default();
        let line = vec![b'x'; LINE_BYTES_MAX * 2];
        for _ in 0..BYTES_MAX / LINE_BYTES_MAX + 5 {
            recent.push(&line);
        }
        recent.push(b"\x1b[2m12:00\x1b[0m \x1b[32m INFO\x1b[0m the end\n");
        let text = recent.text();
        assert!(text.len() <= BYTES_MAX + BYTES_MAX / LINE_BYTES_MAX + 1);
        assert!(
            text.ends_with("12:00  INFO the end\n"),
            "{}",
            &text[text.len() - 60..]
        );
    }
}
