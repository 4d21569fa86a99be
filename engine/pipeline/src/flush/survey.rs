//! What the flush thread knows of every context, for whoever asks: copied in pieces, so that no flush waits
//! long. Lanes are not asked. What is open on them comes with the next flush.

use greyhound_model::context::Context;
use greyhound_model::metric::MetricKind;

use super::Flusher;

/// One context.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// Name, host and tags.
    pub context: Context,
    /// Kind of its first sample; `None` when none was flushed yet, or all brought their own time.
    pub kind: Option<MetricKind>,
    /// Second of the latest sample; 0 when none was flushed yet.
    pub last_seen: u32,
    /// Samples since counting began; 0 while nobody counts.
    pub samples: u64,
}

/// A piece of the contexts.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// What is there; may be less than was asked for, when numbers are free.
    pub contexts: Vec<Surveyed>,
    /// Where the next piece begins; `None` = there is no more.
    pub next: Option<u32>,
}

// === impl Flusher ===

impl Flusher {
    /// Contexts from number `from` on, of at most `numbers` numbers. Cost: two cache misses for each.
    pub fn survey(&self, from: u32, numbers: u32) -> Piece {
        self.contexts.survey(from, numbers)
    }

    /// Counts samples by context from now on, or forgets what was counted.
    pub fn count_contexts(&mut self, wanted: bool) {
        self.counts_contexts = wanted;
        if !wanted {
            self.contexts.forget_counts();
        }
    }
}
