//! Why settings were refused: every problem at once, each with its place.

use std::fmt;

use crate::place::Place;

/// Problems kept; a file of garbage must not print a million lines.
const PROBLEMS_MAX: usize = 100;

/// One wrong value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was set.
    pub place: Place,
    /// Which setting; empty when the source as a whole is wrong.
    pub key: String,
    /// The value as written, shortened; masked when it is secret; empty when there is none.
    pub value: String,
    /// What was expected, or what is wrong with the source.
    pub expected: String,
}

/// The settings were refused as a whole. `Display` prints one line per problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsError {
    /// At least one; at most 100 are kept.
    pub problems: Vec<Problem>,
    /// Problems beyond those kept.
    pub further: usize,
}

/// Why a single value could not be set in a running store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// No such key.
    #[error("`{0}` is not a setting")]
    UnknownKey(String),
    /// The value does not fit the setting.
    #[error("{0}")]
    Wrong(Problem),
    /// The default layer belongs to the table.
    #[error("`{0}`: the default layer cannot be changed")]
    DefaultLayer(String),
}

// === impl SettingsError ===

impl SettingsError {
    pub(crate) fn push(&mut self, problem: Problem) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(problem);
        } else {
            self.further += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

impl From<Problem> for SettingsError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
            further: 0,
        }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let line_end = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line_end}{problem}")?;
        }
        match self.further {
            0 => Ok(()),
            further => write!(formatter, "\nand {further} more"),
        }
    }
}

impl std::error::Error for SettingsError {}

// === impl Problem ===

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.place)?;
        match (self.key.is_empty(), self.value.is_empty()) {
            (true, _) => formatter.write_str(&self.expected),
            (false, true) => write!(formatter, "`{}`: {}", self.key, self.expected),
            (false, false) => {
                write!(
                    formatter,
                    "`{}` is {}, expected {}",
                    self.key, self.value, self.expected
                )
            }
        }
    }
}
