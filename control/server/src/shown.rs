//! Text that came from a client, on its way into a log line, an error or a page for people.

use std::fmt;

/// Bytes of such a text that are shown.
const BYTES_MAX: usize = 256;

/// Escaped and cut: no control letters, no letters that change direction, no line breaks.
pub(crate) struct Shown<'t>(&'t str);

/// As it may be shown.
pub(crate) fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

// === impl Shown ===

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.floor_char_boundary(BYTES_MAX);
        for letter in self.0[..end].chars() {
            match letter {
                // Embeddings, overrides and isolates of direction.
                '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write!(formatter, "{}", letter.escape_unicode())?;
                }
                letter if letter.is_control() => write!(formatter, "{}", letter.escape_default())?,
                letter => write!(formatter, "{letter}")?,
            }
        }
        if end < self.0.len() {
            formatter.write_str("…")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_a_client_sends_can_move_the_cursor() {
        assert_eq!(shown("a\r\nb\x1b[2J").to_string(), "a\\r\\nb\\u{1b}[2J");
        assert_eq!(shown("x\u{202e}y").to_string(), "x\\u{202e}y");
        assert_eq!(shown("grün").to_string(), "grün");
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        let text = "ü".repeat(BYTES_MAX);
        let cut = shown(&text).to_string();
        assert_eq!(cut.chars().count(), BYTES_MAX / 2 + 1);
        assert!(cut.ends_with('…'));
    }
}
