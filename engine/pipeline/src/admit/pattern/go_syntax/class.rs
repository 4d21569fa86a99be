//! Classes of characters, as ranges of code points.
//!
//! All of Go's ASCII classes end up as plain ranges, so that nothing of what they mean depends on
//! the tables or flags of the `regex` crate. Unicode classes are passed on by name.

use super::write_code_point;

/// A wide range holds both cases of its letters as a rule; only narrow ones are folded one by one.
const FOLDED_RANGE_LEN_MAX: u32 = 1024;

const PERL: [(char, &[(char, char)]); 3] = [
    ('d', &[('0', '9')]),
    ('s', &[('\t', '\n'), ('\x0c', '\r'), (' ', ' ')]),
    ('w', &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
];

const POSIX: [(&str, &[(char, char)]); 14] = [
    ("alnum", &[('0', '9'), ('A', 'Z'), ('a', 'z')]),
    ("alpha", &[('A', 'Z'), ('a', 'z')]),
    ("ascii", &[('\0', '\x7f')]),
    ("blank", &[('\t', '\t'), (' ', ' ')]),
    ("cntrl", &[('\0', '\x1f'), ('\x7f', '\x7f')]),
    ("digit", &[('0', '9')]),
    ("graph", &[('!', '~')]),
    ("lower", &[('a', 'z')]),
    ("print", &[(' ', '~')]),
    ("punct", &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
    ("space", &[('\t', '\r'), (' ', ' ')]),
    ("upper", &[('A', 'Z')]),
    ("word", &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    ("xdigit", &[('0', '9'), ('A', 'F'), ('a', 'f')]),
];

/// A class being put together.
#[derive(Clone, Debug, Default)]
pub(super) struct Class {
    pub(super) negated: bool,
    ranges: Vec<(char, char)>,
    /// Unicode classes, as `\p{Name}`.
    named: String,
}

// === impl Class ===

impl Class {
    pub(super) fn add(&mut self, from: char, to: char) {
        self.ranges.push((from, to));
    }

    /// Adds what `\d`, `\D`, `\s`, `\S`, `\w`, `\W` stand for; false for any other letter.
    pub(super) fn add_perl(&mut self, letter: char) -> bool {
        let found = PERL
            .iter()
            .find(|(name, _)| *name == letter.to_ascii_lowercase());
        if let Some((_, ranges)) = found {
            self.add_all(ranges, letter.is_ascii_uppercase());
        }
        found.is_some()
    }

    /// Adds a class by its POSIX name, `^` before it for all others; false if there is none.
    pub(super) fn add_posix(&mut self, name: &str) -> bool {
        let plain = name.strip_prefix('^').unwrap_or(name);
        let found = POSIX.iter().find(|(posix, _)| *posix == plain);
        if let Some((_, ranges)) = found {
            self.add_all(ranges, plain != name);
        }
        found.is_some()
    }

    pub(super) fn add_unicode(&mut self, name: &str, negated: bool) {
        self.named.push_str(if negated { "\\P{" } else { "\\p{" });
        self.named.push_str(name);
        self.named.push('}');
    }

    /// Adds the other case of every letter.
    pub(super) fn fold_case(&mut self) {
        for place in 0..self.ranges.len() {
            let (from, to) = self.ranges[place];
            // The two letters outside ASCII that fold into it.
            for (ascii, wide) in [('k', '\u{212a}'), ('K', '\u{212a}'), ('s', 'ſ'), ('S', 'ſ')] {
                if (from..=to).contains(&ascii) {
                    self.add(wide, wide);
                }
                if (from..=to).contains(&wide) {
                    self.add(ascii, ascii);
                }
            }
            let narrow = u32::from(to) - u32::from(from) < FOLDED_RANGE_LEN_MAX;
            let to = if narrow { to } else { to.min('\x7f') };
            if from > to {
                continue;
            }
            for letter in (from..=to).filter(|c| c.is_alphabetic()) {
                let cases = [only(letter.to_lowercase()), only(letter.to_uppercase())];
                for case in cases.into_iter().flatten().filter(|case| *case != letter) {
                    self.add(case, case);
                }
            }
        }
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push('[');
        if self.negated {
            out.push('^');
        }
        for &(from, to) in &self.ranges {
            write_code_point(from, out);
            if from != to {
                out.push('-');
                write_code_point(to, out);
            }
        }
        out.push_str(&self.named);
        out.push(']');
    }

    /// `ranges` are in order and apart from each other.
    fn add_all(&mut self, ranges: &[(char, char)], negated: bool) {
        if !negated {
            self.ranges.extend_from_slice(ranges);
            return;
        }
        // All of these classes are ASCII, so neighbours are always characters.
        let mut next = 0;
        for &(from, to) in ranges {
            if let Some(before) = u32::from(from)
                .checked_sub(1)
                .filter(|before| *before >= next)
            {
                let ends = char::from_u32(next).zip(char::from_u32(before));
                self.ranges.extend(ends);
            }
            next = u32::from(to) + 1;
        }
        self.ranges
            .extend(char::from_u32(next).zip(Some(char::MAX)));
    }
}

/// The character a case mapping gives, if it gives just one.
fn only(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    if mapped.next().is_some() { None } else { first }
}
