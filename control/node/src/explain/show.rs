//! Bytes from a client, made fit for a terminal: what a message may do to a terminal is nothing.
//!
//! Printable text passes, everything else becomes an escape; and a caret can be put under any byte.

use std::fmt::Write;

/// Columns of a line that are shown around the caret.
const WINDOW_COLUMNS: usize = 160;
/// How many of them stand before it.
const LEAD_COLUMNS: usize = 60;
const CUT: &str = "…";

/// A line, and a second one that points at a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pointed {
    /// The line, escaped and perhaps cut at both ends.
    pub(crate) line: String,
    /// Spaces, a caret and tildes.
    pub(crate) pointer: String,
}

/// `bytes` with control characters and broken UTF-8 escaped.
pub(crate) fn printable(bytes: &[u8]) -> String {
    cells(bytes).map(|cell| cell.text).collect()
}

/// `bytes` in one line, with a caret under the byte at `offset` and tildes up to `end`.
pub(crate) fn point_at(bytes: &[u8], offset: usize, end: usize) -> Pointed {
    let mut columns = Vec::new();
    let mut column = 0;
    for cell in cells(bytes) {
        let width = cell.text.chars().count();
        columns.push((cell.start, column, width, cell.text));
        column += width;
    }
    let caret = columns
        .iter()
        .rev()
        .find(|&&(start, ..)| start <= offset && offset < bytes.len())
        .map_or(column, |&(_, column, ..)| column);
    let tail = columns
        .iter()
        .find(|&&(start, ..)| start >= end)
        .map_or(column, |&(_, column, ..)| column);

    let (from, to) = if column <= WINDOW_COLUMNS {
        (0, usize::MAX)
    } else {
        let from = caret.saturating_sub(LEAD_COLUMNS);
        (from, from + WINDOW_COLUMNS)
    };
    let mut line = String::new();
    let mut shift = 0;
    if from > 0 {
        line.push_str(CUT);
        shift = CUT.chars().count();
    }
    let mut first = None;
    let mut cut_behind = false;
    for (_, column, width, text) in &columns {
        if *column < from {
            continue;
        }
        if column + width > to {
            cut_behind = true;
            break;
        }
        first.get_or_insert(*column);
        line.push_str(text);
    }
    if cut_behind {
        line.push_str(CUT);
    }
    let origin = first.unwrap_or(from);
    let mut pointer = " ".repeat(caret.saturating_sub(origin) + shift);
    pointer.push('^');
    let tildes = tail.min(to).saturating_sub(caret + 1);
    pointer.push_str(&"~".repeat(tildes));
    Pointed { line, pointer }
}

/// What one character or one broken byte looks like, and where it starts.
struct Cell {
    start: usize,
    text: String,
}

fn cells(bytes: &[u8]) -> impl Iterator<Item = Cell> {
    let mut position = 0;
    bytes.utf8_chunks().flat_map(move |chunk| {
        let mut cells = Vec::new();
        for (at, character) in chunk.valid().char_indices() {
            cells.push(Cell {
                start: position + at,
                text: character_text(character),
            });
        }
        position += chunk.valid().len();
        for &byte in chunk.invalid() {
            cells.push(Cell {
                start: position,
                text: format!("\\x{byte:02x}"),
            });
            position += 1;
        }
        cells
    })
}

fn character_text(character: char) -> String {
    let mut text = String::new();
    // Controls move the cursor; bidirectional marks and other format characters change the order
    // of what is read. `escape_debug` knows both, and leaves quotes to us.
    match character {
        '"' | '\'' | '\\' => text.push(character),
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => {
            write!(text, "{}", character.escape_unicode()).expect("a string takes everything");
        }
        other => text.extend(other.escape_debug()),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_safe_from_messages() {
        assert_eq!(printable(b"a\x1b[31mred\x07"), "a\\u{1b}[31mred\\u{7}");
        assert_eq!(printable("né \u{202e}x".as_bytes()), "né \\u{202e}x");
        assert_eq!(printable(b"bad\xff\"q\\"), "bad\\xff\"q\\");
    }

    #[test]
    fn the_caret_stands_under_its_byte() {
        for (bytes, offset, end, pointer) in [
            (&b"a:x|g"[..], 2, 3, "  ^"),
            (b"a:xyz|g", 2, 5, "  ^~~"),
            (b"a\xff:xyz|g", 3, 6, "      ^~~"),
            ("é:x|g".as_bytes(), 3, 4, "  ^"),
            (b"abc", 3, 3, "   ^"),
            (b"", 0, 0, "^"),
        ] {
            assert_eq!(point_at(bytes, offset, end).pointer, pointer, "{bytes:?}");
        }
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let mut line = vec![b'a'; 5000];
        line[3000] = b'!';
        let pointed = point_at(&line, 3000, 3001);
        assert!(pointed.line.chars().count() <= WINDOW_COLUMNS + 2);
        let column = pointed.pointer.chars().count() - 1;
        assert_eq!(pointed.line.chars().nth(column), Some('!'));
        assert!(pointed.line.starts_with(CUT) && pointed.line.ends_with(CUT));
    }
}
