//! How often each context was sampled, for `dogstatsd-stats`: only while somebody wants to know.
//!
//! Whether to count is looked at once per batch, and the loop over messages exists twice, so a lane that does
//! not count does nothing for it. What is counted is bounded by the contexts: 8 bytes for each.

use super::Processor;

/// What one context got since the last hand-over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// Samples; a message with three values has three.
    pub samples: u32,
    /// Second of the latest.
    pub last_seen: u32,
}

/// By the lane's number of the context; empty while nobody wants to know.
#[derive(Debug, Default)]
pub(super) struct Counts(Vec<Counted>);

// === impl Counts ===

impl Counts {
    #[inline]
    pub(super) fn add(&mut self, context: u32, samples: u64, second: u32) {
        let at = context as usize;
        if at >= self.0.len() {
            self.0.resize(at + 1, Counted::default());
        }
        let counted = &mut self.0[at];
        let samples = u32::try_from(samples).unwrap_or(u32::MAX);
        counted.samples = counted.samples.saturating_add(samples);
        counted.last_seen = second;
    }

    /// What was counted, by number; nothing is counted afterwards.
    fn take(&mut self) -> Vec<(u32, Counted)> {
        let counts = std::mem::take(&mut self.0);
        let numbered = (0..).zip(counts);
        numbered
            .filter(|(_, counted)| counted.samples > 0)
            .collect()
    }
}

// === impl Processor ===

impl Processor {
    /// Whether samples are to be counted by context.
    pub(super) fn counts_contexts(&self) -> bool {
        self.limiter.counts_contexts()
    }

    /// What was counted since the last time.
    pub(super) fn take_counts(&mut self) -> Vec<(u32, Counted)> {
        self.counts.take()
    }
}
