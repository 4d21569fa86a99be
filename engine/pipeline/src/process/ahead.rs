//! Looking ahead: with many contexts a lane mostly waits for memory, so it asks for that of many
//! messages before it applies the first.
//!
//! ```text
//!  parse, hash ─▶ place in the index ─▶ spelling ─▶ text and cell ─▶ apply, one by one, in order
//!                 └───────── asked for, for all that wait ──────────┘
//! ```
//!
//! What is asked for is a guess and changes nothing: each message is looked up in full when its turn
//! comes, in the order of arrival. Nothing can be lost here.

use greyhound_wire::Metric;

use super::Processor;
use super::metric::raw_key;
use crate::ledger::Tally;

/// Spellings from which looking ahead pays: below, all of them stay in the caches beside what the kernel
/// copies. In memory alone it gains from 30,000 on; receiving, from the first thousands (benches/DECISIONS.md).
pub(super) const AHEAD_FROM: usize = 2_000;

/// Messages that wait at most. Beyond what a processor can have under way (10 to 20 lines) more gains
/// little.
const WAITING_MAX: usize = 32;

/// Messages that are parsed and not yet applied.
#[derive(Debug)]
pub(super) struct Ahead<'a> {
    waiting: [Option<Waiting<'a>>; WAITING_MAX],
    len: usize,
}

#[derive(Debug)]
struct Waiting<'a> {
    metric: Metric<'a>,
    sender: u32,
    hash: u64,
}

// === impl Ahead ===

impl<'a> Ahead<'a> {
    pub(super) fn new() -> Self {
        Self {
            waiting: [const { None }; WAITING_MAX],
            len: 0,
        }
    }
}

// === impl Processor ===

impl Processor {
    /// Keeps a metric until enough others are there.
    #[inline]
    pub(super) fn defer<'a, const COUNTS: bool>(
        &mut self,
        ahead: &mut Ahead<'a>,
        metric: &Metric<'a>,
        sender: u32,
        tally: &mut Tally,
    ) {
        let hash = self.contexts.hash(&raw_key(metric, sender));
        self.contexts.prefetch_place(hash);
        ahead.waiting[ahead.len] = Some(Waiting {
            metric: *metric,
            sender,
            hash,
        });
        ahead.len += 1;
        if ahead.len == WAITING_MAX {
            self.catch_up::<COUNTS>(ahead, tally);
        }
    }

    /// Applies what waits.
    pub(super) fn catch_up<const COUNTS: bool>(
        &mut self,
        ahead: &mut Ahead<'_>,
        tally: &mut Tally,
    ) {
        let waiting = &ahead.waiting[..ahead.len];
        let mut entries = [None; WAITING_MAX];
        for (entry, waiting) in entries.iter_mut().zip(waiting.iter().flatten()) {
            *entry = self.contexts.prefetch_spelling(waiting.hash);
        }
        let bucket = self.buckets.current();
        for (entry, waiting) in entries.iter().zip(waiting.iter().flatten()) {
            if let Some(entry) = *entry {
                let place = self.contexts.prefetch_key(entry);
                bucket.prefetch(place, waiting.metric.kind);
            }
        }
        for (guess, waiting) in entries.iter().zip(waiting.iter().flatten()) {
            let Waiting {
                metric,
                sender,
                hash,
            } = waiting;
            let key = raw_key(metric, *sender);
            self.hashed_metric::<COUNTS>(metric, &key, *hash, *guess, tally);
        }
        ahead.len = 0;
    }
}
