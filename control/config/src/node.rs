//! What a settings file or a structured environment value says, before anyone decided its types.
//!
//! Scalars stay text: only the table knows whether `0722`, `on` or `1.10` is a number, a word or a
//! name, so nothing may be rounded or turned into a boolean on the way there.

use std::fmt;

/// Line and column, both from 1; 0 where a value has no place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Line, the first is 1.
    pub line: u32,
    /// Column in characters, the first is 1.
    pub column: u32,
}

/// One value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) body: Body,
    pub(crate) at: Mark,
}

/// The four shapes of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Body {
    /// Nothing, `~` or `null`.
    Null,
    /// Text as written, quotes and escapes undone.
    Scalar(String),
    /// Items in order.
    List(Vec<Node>),
    /// Entries in order; keys are unique.
    Map(Vec<Entry>),
}

/// One key of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) at: Mark,
    pub(crate) value: Node,
}

// === impl Node ===

impl Node {
    /// A scalar that comes from no file.
    pub(crate) fn scalar(text: impl Into<String>) -> Self {
        Self {
            body: Body::Scalar(text.into()),
            at: Mark::default(),
        }
    }

    /// The same tree as JSON gave it; the recursion is bounded by serde_json's own depth limit.
    pub(crate) fn from_json(value: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let body = match value {
            Json::Null => Body::Null,
            Json::Bool(flag) => Body::Scalar(flag.to_string()),
            Json::Number(number) => Body::Scalar(number.to_string()),
            Json::String(text) => Body::Scalar(text),
            Json::Array(items) => Body::List(items.into_iter().map(Self::from_json).collect()),
            Json::Object(entries) => Body::Map(
                entries
                    .into_iter()
                    .map(|(key, value)| Entry {
                        key,
                        at: Mark::default(),
                        value: Self::from_json(value),
                    })
                    .collect(),
            ),
        };
        Self {
            body,
            at: Mark::default(),
        }
    }

    /// As JSON, scalars as text. The recursion is bounded by the parser's depth limit.
    pub(crate) fn into_json(self) -> serde_json::Value {
        match self.body {
            Body::Null => serde_json::Value::Null,
            Body::Scalar(text) => text.into(),
            Body::List(items) => items.into_iter().map(Self::into_json).collect(),
            Body::Map(entries) => entries
                .into_iter()
                .map(|entry| (entry.key, entry.value.into_json()))
                .collect(),
        }
    }

    /// How an error message shows the value: quoted, escaped, at most 60 characters.
    pub(crate) fn shown(&self) -> String {
        match &self.body {
            Body::Null => "nothing".to_owned(),
            Body::Scalar(text) => shown_text(text),
            Body::List(_) => "a list".to_owned(),
            Body::Map(_) => "a mapping".to_owned(),
        }
    }
}

// === impl Mark ===

impl fmt::Display for Mark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.line, self.column)
    }
}

/// Text for a message: quoted, escaped, at most 60 characters.
pub(crate) fn shown_text(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 60;
    let mut head: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if head.len() < text.len() {
        head.push('…');
    }
    format!("{head:?}")
}
