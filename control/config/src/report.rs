//! What an operator should know about settings that are not wrong: names nobody knows, names that
//! do nothing here, values that were put aside. Never a reason to stop.

pub(crate) mod nearest;

use std::fmt;

use crate::kind::read::Aside;
use crate::place::Place;
use crate::report::nearest::Nearest;

/// Unknown names kept; a foreign file may hold any number.
const UNKNOWN_MAX: usize = 100;

/// Warnings kept; the rest would say the same of further items.
const WARNINGS_MAX: usize = 100;

/// Notices from loading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Names no row has; at most 100 are kept.
    pub unknown: Vec<UnknownKey>,
    /// Unknown names beyond those kept.
    pub unknown_further: usize,
    /// Known settings that were set although this version ignores them.
    pub unsupported: Vec<UnsupportedKey>,
    /// Anything else; at most 100.
    pub warnings: Vec<Warning>,
}

/// A name that is no setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// As written, with the keys above it.
    pub key: String,
    /// Where.
    pub place: Place,
    /// The known name most like it.
    pub nearest: Option<String>,
}

/// A setting that does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedKey {
    /// Its key.
    pub key: &'static str,
    /// Where it was set.
    pub place: Place,
}

/// A value that was read but not taken as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Which setting.
    pub key: String,
    /// Where.
    pub place: Place,
    /// What was done and why.
    pub message: String,
}

// === impl Report ===

impl Report {
    pub(crate) fn push_unknown(&mut self, key: &str, place: Place, names: &Nearest) {
        if self.unknown.len() >= UNKNOWN_MAX {
            self.unknown_further += 1;
            return;
        }
        let nearest = names.find(key);
        self.unknown.push(UnknownKey {
            key: key.to_owned(),
            place,
            nearest,
        });
    }

    pub(crate) fn push_aside(&mut self, key: &str, place: Place, aside: &Aside) {
        if self.warnings.len() >= WARNINGS_MAX {
            return;
        }
        let Aside { mismatch, effect } = aside;
        let message = format!(
            "{effect}: found {}, expected {}",
            mismatch.shown, mismatch.expected
        );
        self.warnings.push(Warning {
            key: key.to_owned(),
            place,
            message,
        });
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.unknown.is_empty() && self.unsupported.is_empty() && self.warnings.is_empty()
    }

    /// One sentence per notice, warnings first.
    pub fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(self.warnings.iter().map(ToString::to_string));
        lines.extend(self.unknown.iter().map(ToString::to_string));
        if self.unknown_further > 0 {
            lines.push(format!("and {} more unknown names", self.unknown_further));
        }
        lines.extend(self.unsupported.iter().map(ToString::to_string));
        lines
    }
}

// === impl UnknownKey ===

impl fmt::Display for UnknownKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.key.chars().take(100).collect();
        write!(
            formatter,
            "{}: `{}` is not a setting",
            self.place,
            shown.escape_debug()
        )?;
        match &self.nearest {
            Some(nearest) => write!(formatter, ", did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

// === impl UnsupportedKey ===

impl fmt::Display for UnsupportedKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: `{}` has no effect in this version",
            self.place, self.key
        )
    }
}

// === impl Warning ===

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}: `{}`: {}",
            self.place, self.key, self.message
        )
    }
}
