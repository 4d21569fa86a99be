//! What became of an item offered to a queue.

/// The answer to a push.
#[must_use = "a refused item is still yours"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push<T> {
    /// It is in the queue.
    Queued,
    /// There was no room; here it is again.
    Full(T),
}

// === impl Push ===

impl<T> Push<T> {
    /// The item, if it was refused.
    pub fn refused(self) -> Option<T> {
        match self {
            Self::Queued => None,
            Self::Full(item) => Some(item),
        }
    }
}
