//! Events: collected, not aggregated; they leave with the next flush.

/// An event as it leaves: time and host filled in, tags final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Never empty.
    pub title: Vec<u8>,
    /// May be empty.
    pub text: Vec<u8>,
    /// Unix seconds; clients may send negative ones.
    pub unix_seconds: i64,
    /// Normal unless the client said low.
    pub priority: Priority,
    /// How bad it is.
    pub alert_type: AlertType,
    /// Host, may be empty.
    pub host: Vec<u8>,
    /// Events with one key are shown as one; empty = none.
    pub aggregation_key: Vec<u8>,
    /// Where it comes from; empty = none.
    pub source_type: Vec<u8>,
    /// Sorted, unique.
    pub tags: Vec<Vec<u8>>,
}

/// How prominent an event is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Priority {
    /// The default.
    #[default]
    Normal,
    /// Shown less.
    Low,
}

/// What an event announces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertType {
    /// The default.
    #[default]
    Info,
    /// Something went well.
    Success,
    /// Something may go wrong.
    Warning,
    /// Something went wrong.
    Error,
}

// === impl Priority ===

impl Priority {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }
}

// === impl AlertType ===

impl AlertType {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Success => "success",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
