//! What the NDJSON sink wrote, one object per line, and questions a test has about it.

use serde_json::Value;

/// All lines of a run.
#[derive(Clone, Debug, Default)]
pub struct Records {
    /// In the order of the file.
    pub lines: Vec<Value>,
}

// === impl Records ===

impl Records {
    /// Reads the text of a file.
    ///
    /// # Panics
    /// When a line is not JSON.
    pub fn parse(text: &str) -> Self {
        let read = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
        };
        Self {
            lines: text.lines().map(read).collect(),
        }
    }
}
