//! What a mapping rule matches: a wildcard pattern or a regular expression.
//!
//! Wildcards have a matcher of their own ([`wildcard`]). Regular expressions are written in Go's
//! syntax, which [`go_syntax`] turns into that of the `regex` crate.
//!
//! Go reads a name as code points, each byte that is not valid UTF-8 being one U+FFFD. A name with
//! such bytes is matched in that form, and the places found are led back to the name as it came;
//! all other names are matched as they are.

pub mod go_syntax;
pub mod wildcard;

use super::template::Span;
use go_syntax::SyntaxError;
use wildcard::{Wildcard, WildcardError};

/// Most memory one compiled regular expression may take, in bytes.
const COMPILED_SIZE_BYTES_MAX: usize = 4 << 20;

/// A compiled pattern.
///
/// A clone shares the compiled program but not the memory it searches with, so lanes that each hold
/// a clone do not meet.
#[derive(Clone, Debug)]
pub struct Pattern {
    matcher: Matcher,
    groups: Box<[Option<String>]>,
}

#[derive(Clone, Debug)]
enum Matcher {
    Wildcard(Wildcard),
    Regex(regex::bytes::Regex),
}

/// Why a pattern does not compile.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Not a wildcard pattern.
    #[error(transparent)]
    Wildcard(#[from] WildcardError),
    /// Not a regular expression in Go's syntax.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// Right in Go's syntax, but more than the engine takes.
    #[error("the regular expression is too large or uses what is not supported: {0}")]
    Regex(#[from] Box<regex::Error>),
}

// === impl Pattern ===

impl Pattern {
    /// Compiles `*` as "any run of bytes but dots", everything else as itself, anchored at both
    /// ends.
    ///
    /// # Errors
    /// When the pattern is empty, holds `**`, or anything but `[a-zA-Z0-9_*.-]`.
    pub fn wildcard(pattern: &str) -> Result<Self, PatternError> {
        let wildcard = Wildcard::new(pattern)?;
        let groups = vec![None; wildcard.stars() + 1].into();
        Ok(Self {
            matcher: Matcher::Wildcard(wildcard),
            groups,
        })
    }

    /// Compiles `^pattern$` in Go's syntax.
    ///
    /// The two anchors are put around the text, as the Agent does: of `a|b` the first half is
    /// anchored at the start only, the second at the end only.
    ///
    /// # Errors
    /// When Go would refuse it, when it takes more than 4 MiB compiled, or when it names a Unicode
    /// class this build has no table for.
    pub fn regex(pattern: &str) -> Result<Self, PatternError> {
        let translated = go_syntax::translate(&format!("^{pattern}$"))?;
        let regex = regex::bytes::RegexBuilder::new(&translated.pattern)
            .size_limit(COMPILED_SIZE_BYTES_MAX)
            .dfa_size_limit(COMPILED_SIZE_BYTES_MAX)
            .build()
            .map_err(Box::new)?;
        Ok(Self {
            matcher: Matcher::Regex(regex),
            groups: translated.groups.into(),
        })
    }

    /// Names of the groups, group 0 (the whole match, never named) first.
    pub fn groups(&self) -> &[Option<String>] {
        &self.groups
    }

    /// Tries `name`; if it matches, `spans` holds where each group did, group 0 first.
    ///
    /// Cost: linear in the length of the name. No allocation for a wildcard once `spans` has grown,
    /// nor for a name that a regular expression does not match.
    pub fn matches(&self, name: &[u8], spans: &mut Vec<Span>) -> bool {
        match &self.matcher {
            Matcher::Wildcard(wildcard) => wildcard.matches(name, spans),
            Matcher::Regex(regex) if std::str::from_utf8(name).is_ok() => {
                find(regex, name, spans, |place| place)
            }
            Matcher::Regex(regex) => {
                let (text, places) = as_code_points(name);
                find(regex, text.as_bytes(), spans, |place| places[place])
            }
        }
    }
}

fn find(
    regex: &regex::bytes::Regex,
    text: &[u8],
    spans: &mut Vec<Span>,
    place: impl Fn(usize) -> usize,
) -> bool {
    // Most names match no rule: asking first spares them the memory for the groups.
    if !regex.is_match(text) {
        return false;
    }
    let mut locations = regex.capture_locations();
    let found = regex.captures_read(&mut locations, text).is_some();
    spans.clear();
    spans.extend((0..locations.len()).map(|group| {
        locations
            .get(group)
            .map(|(start, end)| (place(start), place(end)))
    }));
    found
}

/// The name with U+FFFD for each byte that is not valid UTF-8, and for every place between two code
/// points of that text the place in the name.
fn as_code_points(name: &[u8]) -> (String, Vec<usize>) {
    let mut text = String::with_capacity(name.len() * 3);
    let mut places = Vec::with_capacity(name.len() * 3 + 1);
    let mut read = 0;
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        places.extend(read..read + chunk.valid().len());
        read += chunk.valid().len();
        for _ in chunk.invalid() {
            text.push(char::REPLACEMENT_CHARACTER);
            places.resize(text.len(), read);
            read += 1;
        }
    }
    places.push(read);
    (text, places)
}

#[cfg(test)]
mod tests;
