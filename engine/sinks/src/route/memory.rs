//! What was decided for a context, remembered while the context lives.
//!
//! Two generations: what is asked for moves to the young one, and every few flushes the old one goes with
//! all that nobody asked for. Bounded: beyond the bound nothing is remembered, and decided anew.

use greyhound_model::context::Context;
use hashbrown::HashMap;

/// Contexts of one generation; about 24 bytes each, and what keeps the context itself alive.
const ENTRIES_MAX: usize = 1 << 20;
/// Flushes of a generation.
const FLUSHES: u32 = 4;

/// Contexts and what was decided for them.
#[derive(Debug)]
pub(crate) struct Memory<V> {
    young: HashMap<Context, V, foldhash::fast::RandomState>,
    old: HashMap<Context, V, foldhash::fast::RandomState>,
    entries_max: usize,
    age: u32,
}

// === impl Memory ===

impl<V: Clone> Memory<V> {
    pub(crate) fn new() -> Self {
        Self::bounded(ENTRIES_MAX)
    }

    fn bounded(entries_max: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            entries_max,
            age: 0,
        }
    }

    /// What was decided for `context`, or `decide` and remember.
    pub(crate) fn get(&mut self, context: &Context, decide: impl FnOnce() -> V) -> V {
        if let Some(value) = self.young.get(context) {
            return value.clone();
        }
        let value = self.old.remove(context).unwrap_or_else(decide);
        if self.young.len() < self.entries_max {
            self.young.insert(context.clone(), value.clone());
        }
        value
    }

    /// A flush is through.
    pub(crate) fn end_flush(&mut self) {
        self.age += 1;
        if self.age >= FLUSHES {
            self.age = 0;
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_model::context::Host;

    fn context(name: &str) -> Context {
        Context::new(name.as_bytes(), Host::Own, [])
    }

    #[test]
    fn what_is_asked_for_stays_and_the_rest_goes() {
        let mut memory = Memory::bounded(10);
        memory.get(&context("asked"), || 1);
        memory.get(&context("silent"), || 2);
        for _ in 0..3 * FLUSHES {
            assert_eq!(memory.get(&context("asked"), || 9), 1);
            memory.end_flush();
        }
        assert_eq!(memory.get(&context("silent"), || 3), 3);
    }

    #[test]
    fn beyond_the_bound_it_is_decided_anew() {
        let mut memory = Memory::bounded(1);
        memory.get(&context("a"), || 1);
        memory.get(&context("b"), || 2);
        assert_eq!(memory.get(&context("b"), || 3), 3);
        assert_eq!(memory.get(&context("a"), || 4), 1);
        assert_eq!(memory.young.len(), 1);
    }
}
