//! How many contexts and bytes there may be. Full means: the newest is refused, what exists goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::config::LimitsConfig;

/// Credit is taken from the common pot in pieces of this size, so that lanes rarely meet there.
const CREDIT_BYTES: u64 = 64 << 10;

/// What all lanes use together.
#[derive(Debug, Default)]
pub struct SharedUsage {
    contexts: AtomicU64,
    bytes: AtomicU64,
    /// Somebody wants to know how often each context is sampled.
    counts_contexts: AtomicBool,
}

/// One lane's view of the limits.
#[derive(Debug)]
pub struct Limiter {
    shared: Arc<SharedUsage>,
    /// Bytes taken from the pot and not yet used.
    credit: u64,
    /// `greyhound.limits.memory` as the last refill found it.
    memory_bytes: u64,
    used: u64,
    contexts: u64,
    contexts_by_origin: Vec<u32>,
}

/// Which limit said no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// `greyhound.limits.contexts`
    Contexts,
    /// `greyhound.limits.contexts_per_origin`
    ContextsPerOrigin,
    /// `greyhound.limits.tags_per_metric`
    Tags,
    /// `greyhound.limits.memory`
    Memory,
    /// `greyhound.limits.set_members`
    SetMembers,
    /// `greyhound.limits.histogram_values`
    HistogramValues,
    /// `greyhound.limits.events`
    Events,
}

// === impl Limit ===

impl Limit {
    /// The setting to change.
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Contexts => "greyhound.limits.contexts",
            Self::ContextsPerOrigin => "greyhound.limits.contexts_per_origin",
            Self::Tags => "greyhound.limits.tags_per_metric",
            Self::Memory => "greyhound.limits.memory",
            Self::SetMembers => "greyhound.limits.set_members",
            Self::HistogramValues => "greyhound.limits.histogram_values",
            Self::Events => "greyhound.limits.events",
        }
    }
}

// === impl SharedUsage ===

impl SharedUsage {
    /// Contexts over all lanes; one known to two lanes counts twice.
    pub fn contexts(&self) -> u64 {
        self.contexts.load(Ordering::Relaxed)
    }

    /// Whether lanes count samples by context.
    pub fn counts_contexts(&self) -> bool {
        self.counts_contexts.load(Ordering::Relaxed)
    }

    /// Lanes count samples by context, or stop to, from their next batch on.
    pub fn count_contexts(&self, wanted: bool) {
        self.counts_contexts.store(wanted, Ordering::Relaxed);
    }

    fn take(&self, bytes: u64, limit: u64) -> bool {
        let after = self
            .bytes
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        if limit != 0 && after > limit {
            self.bytes.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        true
    }
}

// === impl Limiter ===

impl Limiter {
    /// A lane's view.
    pub fn new(shared: Arc<SharedUsage>) -> Self {
        Self {
            shared,
            credit: 0,
            memory_bytes: 0,
            used: 0,
            contexts: 0,
            contexts_by_origin: Vec::new(),
        }
    }

    /// Whether samples are counted by context.
    pub(crate) fn counts_contexts(&self) -> bool {
        self.shared.counts_contexts()
    }

    /// Bytes this lane uses.
    pub fn used_bytes(&self) -> u64 {
        self.used
    }

    /// Room for one more context of this origin.
    pub fn admit_context(
        &mut self,
        limits: &LimitsConfig,
        origin: u32,
        bytes: u64,
    ) -> Result<(), Limit> {
        let origin = origin as usize;
        if origin >= self.contexts_by_origin.len() {
            // Origin numbers are bounded by whoever gives them out.
            self.contexts_by_origin.resize(origin + 1, 0);
        }
        let of_origin = self.contexts_by_origin[origin];
        if limits.contexts_per_origin != 0 && of_origin >= limits.contexts_per_origin {
            return Err(Limit::ContextsPerOrigin);
        }
        let before = self.shared.contexts.fetch_add(1, Ordering::Relaxed);
        if limits.contexts != 0 && before >= limits.contexts {
            self.shared.contexts.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::Contexts);
        }
        if !self.take(limits, bytes) {
            self.shared.contexts.fetch_sub(1, Ordering::Relaxed);
            return Err(Limit::Memory);
        }
        self.contexts += 1;
        self.contexts_by_origin[origin] = of_origin.saturating_add(1);
        Ok(())
    }

    /// A context is gone.
    pub fn release_context(&mut self, origin: u32, bytes: u64) {
        self.contexts = self.contexts.saturating_sub(1);
        self.shared.contexts.fetch_sub(1, Ordering::Relaxed);
        if let Some(count) = self.contexts_by_origin.get_mut(origin as usize) {
            *count = count.saturating_sub(1);
        }
        self.give(bytes);
    }

    /// Room for so many bytes. Cost: a subtraction, now and then an atomic add.
    #[inline]
    pub fn take(&mut self, limits: &LimitsConfig, bytes: u64) -> bool {
        if self.credit < bytes && !self.refill(limits, bytes) {
            return false;
        }
        self.credit -= bytes;
        self.used += bytes;
        true
    }

    /// Charges bytes that are in use already, whatever the limit, and returns them. The next
    /// [`take`](Self::take) finds that much less.
    #[inline]
    pub fn charge(&mut self, bytes: u64) -> u64 {
        if self.credit < bytes {
            let missing = bytes - self.credit;
            self.shared.bytes.fetch_add(missing, Ordering::Relaxed);
            self.credit = bytes;
        }
        self.credit -= bytes;
        self.used += bytes;
        bytes
    }

    /// Bytes are free again. They stay at hand only while the pot is not overdrawn: what was charged past
    /// the limit and comes back must not be taken by the next.
    pub fn give(&mut self, bytes: u64) {
        let bytes = bytes.min(self.used);
        self.used -= bytes;
        self.credit += bytes;
        if self.memory_bytes != 0 && self.shared.bytes.load(Ordering::Relaxed) > self.memory_bytes {
            self.shared.bytes.fetch_sub(self.credit, Ordering::Relaxed);
            self.credit = 0;
        }
        if self.credit > 2 * CREDIT_BYTES {
            let back = self.credit - CREDIT_BYTES;
            self.shared.bytes.fetch_sub(back, Ordering::Relaxed);
            self.credit = CREDIT_BYTES;
        }
    }

    #[cold]
    fn refill(&mut self, limits: &LimitsConfig, bytes: u64) -> bool {
        self.memory_bytes = limits.memory_bytes;
        let missing = bytes - self.credit;
        let wanted = [missing.max(CREDIT_BYTES), missing];
        for piece in wanted {
            if self.shared.take(piece, limits.memory_bytes) {
                self.credit += piece;
                return true;
            }
        }
        false
    }
}

impl Drop for Limiter {
    fn drop(&mut self) {
        // A lane that broke gives back what it held.
        self.shared
            .contexts
            .fetch_sub(self.contexts, Ordering::Relaxed);
        self.shared
            .bytes
            .fetch_sub(self.used + self.credit, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(contexts: u64, contexts_per_origin: u32, memory_bytes: u64) -> LimitsConfig {
        LimitsConfig {
            contexts,
            contexts_per_origin,
            memory_bytes,
            ..LimitsConfig::default()
        }
    }

    #[test]
    fn what_was_charged_past_the_limit_is_no_credit_when_it_comes_back() {
        let shared = Arc::new(SharedUsage::default());
        let mut lane = Limiter::new(Arc::clone(&shared));
        let limits = limits(0, 0, 10_000);
        while lane.take(&limits, 100) {}
        let full = shared.bytes.load(Ordering::Relaxed);
        for _ in 0..100 {
            lane.charge(3_000);
            lane.give(3_000);
            assert!(!lane.take(&limits, 3_000));
        }
        assert!(shared.bytes.load(Ordering::Relaxed) <= full);
    }

    #[test]
    fn the_newest_is_refused_over_all_lanes() {
        let shared = Arc::new(SharedUsage::default());
        let mut one = Limiter::new(Arc::clone(&shared));
        let mut two = Limiter::new(Arc::clone(&shared));
        let limits = limits(2, 0, 0);
        assert_eq!(one.admit_context(&limits, 0, 1), Ok(()));
        assert_eq!(two.admit_context(&limits, 0, 1), Ok(()));
        assert_eq!(one.admit_context(&limits, 0, 1), Err(Limit::Contexts));
        two.release_context(0, 1);
        assert_eq!(one.admit_context(&limits, 0, 1), Ok(()));
    }

    #[test]
    fn one_origin_does_not_take_the_room_of_another() {
        let mut limiter = Limiter::new(Arc::default());
        let limits = limits(0, 1, 0);
        assert_eq!(limiter.admit_context(&limits, 1, 1), Ok(()));
        assert_eq!(
            limiter.admit_context(&limits, 1, 1),
            Err(Limit::ContextsPerOrigin)
        );
        assert_eq!(limiter.admit_context(&limits, 2, 1), Ok(()));
    }

    #[test]
    fn bytes_are_bounded_exactly_and_come_back() {
        let shared = Arc::new(SharedUsage::default());
        let mut limiter = Limiter::new(Arc::clone(&shared));
        let limits = limits(0, 0, 100);
        assert!(limiter.take(&limits, 60));
        assert!(!limiter.take(&limits, 41));
        assert!(limiter.take(&limits, 40));
        limiter.give(100);
        assert!(limiter.take(&limits, 100));
        drop(limiter);
        assert_eq!(shared.bytes.load(Ordering::Relaxed), 0);
    }
}
