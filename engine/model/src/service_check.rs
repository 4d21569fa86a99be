//! Service checks: collected, not aggregated; they leave with the next flush.

/// A service check as it leaves: time and host filled in, tags final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceCheck {
    /// Never empty.
    pub name: Vec<u8>,
    /// What the check found.
    pub status: Status,
    /// Unix seconds.
    pub unix_seconds: i64,
    /// Host, may be empty.
    pub host: Vec<u8>,
    /// Free text, kept as sent.
    pub message: Vec<u8>,
    /// Sorted, unique.
    pub tags: Vec<Vec<u8>>,
}

/// The outcome of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// 0
    Ok = 0,
    /// 1
    Warning = 1,
    /// 2
    Critical = 2,
    /// 3
    Unknown = 3,
}

// === impl Status ===

impl Status {
    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Unknown => "unknown",
        }
    }
}
