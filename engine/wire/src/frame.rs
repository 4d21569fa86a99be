//! From packets to lines, and from a byte stream to packets.

mod stream;

use memchr::memchr;

pub use stream::{StreamDecoder, StreamEnd, StreamError};

/// The lines of one packet that hold something. See [`lines`].
#[derive(Clone, Debug)]
pub struct Lines<'a> {
    rest: &'a [u8],
    eol_required: bool,
    unterminated: bool,
}

/// Splits a packet into lines: cut at every newline, one carriage return before it or at the end
/// taken off, empty ones skipped.
///
/// With `eol_required` (`dogstatsd_eol_required`) a last line without newline is dropped; ask
/// [`Lines::unterminated`] afterwards.
#[inline]
pub const fn lines(packet: &[u8], eol_required: bool) -> Lines<'_> {
    Lines {
        rest: packet,
        eol_required,
        unterminated: false,
    }
}

// === impl Lines ===

impl Lines<'_> {
    /// Whether a last line was dropped because its newline was missing. Known after the end.
    #[inline]
    pub const fn unterminated(&self) -> bool {
        self.unterminated
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let line = match memchr(b'\n', self.rest) {
                Some(end) => {
                    let line = &self.rest[..end];
                    self.rest = &self.rest[end + 1..];
                    line
                }
                None => {
                    let line = self.rest;
                    self.rest = b"";
                    if self.eol_required {
                        self.unterminated = true;
                        return None;
                    }
                    line
                }
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.is_empty() {
                return Some(line);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packet: &str, eol_required: bool, expected: &[&str], unterminated: bool) {
        let mut lines = lines(packet.as_bytes(), eol_required);
        let found: Vec<_> = lines.by_ref().collect();
        let expected: Vec<_> = expected.iter().map(|line| line.as_bytes()).collect();
        assert_eq!(found, expected, "{packet:?}");
        assert_eq!(lines.unterminated(), unterminated, "{packet:?}");
    }

    #[test]
    fn the_last_line_needs_no_newline() {
        check("", false, &[], false);
        check("a", false, &["a"], false);
        check("a\nb", false, &["a", "b"], false);
        check("a\nb\n", false, &["a", "b"], false);
    }

    #[test]
    fn blank_lines_do_not_exist_but_blanks_do() {
        check("\n\na\n\n\nb\n\n", false, &["a", "b"], false);
        check(" \na", false, &[" ", "a"], false);
    }

    #[test]
    fn one_carriage_return_is_taken_off() {
        check("a\r\nb\r", false, &["a", "b"], false);
        check("a\r\r\n", false, &["a\r"], false);
        check("a\rb\n\r\n\r", false, &["a\rb"], false);
    }

    #[test]
    fn a_required_newline_guards_the_last_line_only() {
        check("a\nb", true, &["a"], true);
        check("a\nb\n", true, &["a", "b"], false);
        check("a", true, &[], true);
        check("a\n\r", true, &["a"], true);
        check("", true, &[], false);
        check("\n", true, &[], false);
    }

    #[test]
    fn only_a_newline_cuts() {
        check(
            "a\0b\u{2028}c\u{b}d",
            false,
            &["a\0b\u{2028}c\u{b}d"],
            false,
        );
    }
}
