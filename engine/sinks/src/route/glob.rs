//! Patterns of names, tags and hosts: literal bytes, and `*` for any run of them.

/// One compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    /// What must be there, in order; between two of them anything may stand. Never empty.
    pieces: Vec<Box<[u8]>>,
}

// === impl Glob ===

impl Glob {
    /// Compiles a pattern. Every text is one.
    pub fn new(pattern: &str) -> Self {
        let pieces = pattern.split('*').map(|piece| piece.as_bytes().into());
        Self {
            pieces: pieces.collect(),
        }
    }

    /// Whether it fits every text.
    pub fn is_any(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(|piece| piece.is_empty())
    }

    /// Whether the whole of `text` fits.
    ///
    /// Cost: a comparison for a literal, a prefix or a suffix; text length times pattern length at worst.
    pub fn matches(&self, text: &[u8]) -> bool {
        let Some((first, rest)) = self.pieces.split_first() else {
            return false;
        };
        let Some((last, middle)) = rest.split_last() else {
            return **first == *text;
        };
        let Some(text) = text.strip_prefix(&**first) else {
            return false;
        };
        let Some(mut text) = text.strip_suffix(&**last) else {
            return false;
        };
        // The leftmost place of each piece leaves the most for the next.
        for piece in middle.iter().filter(|piece| !piece.is_empty()) {
            let Some(at) = text.windows(piece.len()).position(|part| *part == **piece) else {
                return false;
            };
            text = &text[at + piece.len()..];
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, as slow as it may be.
    fn fits(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|skip| fits(rest, &text[skip..])),
            Some((byte, rest)) => text.first() == Some(byte) && fits(rest, &text[1..]),
        }
    }

    #[test]
    fn a_star_is_any_run_and_all_else_is_literal() {
        assert!(Glob::new("app.*.time").matches(b"app.db.x.time"));
        assert!(Glob::new("app.*").matches(b"app."));
        assert!(!Glob::new("app.*").matches(b"app"));
        assert!(!Glob::new("a*a").matches(b"a"));
        assert!(Glob::new("").matches(b"") && !Glob::new("").matches(b"x"));
        assert!(Glob::new("**").is_any() && !Glob::new("").is_any() && !Glob::new("*a").is_any());
    }

    proptest! {
        #[test]
        fn agrees_with_its_definition(pattern in "[ab*]{0,8}", text in "[ab]{0,12}") {
            let glob = Glob::new(&pattern);
            prop_assert_eq!(glob.matches(text.as_bytes()), fits(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
