//! Where a value was written, so that an operator finds it.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::node::Mark;

/// The origin of a value within its layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The table itself.
    Table,
    /// A settings file.
    File {
        /// As it was named.
        path: Arc<Path>,
        /// Line and column; line 0 = the file as a whole.
        at: Mark,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        name: String,
    },
    /// A command-line flag.
    Flag {
        /// The flag as typed, with its dashes.
        name: String,
    },
    /// Something else while running, named by whoever sets it.
    Other {
        /// For the listing.
        name: String,
    },
}

// === impl Place ===

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => formatter.write_str("built in"),
            Self::File { path, at } if at.line == 0 => write!(formatter, "{}", path.display()),
            Self::File { path, at } => write!(formatter, "{}:{at}", path.display()),
            Self::Environment { name } => write!(formatter, "environment {name}"),
            Self::Flag { name } => write!(formatter, "flag {name}"),
            Self::Other { name } => formatter.write_str(name),
        }
    }
}
