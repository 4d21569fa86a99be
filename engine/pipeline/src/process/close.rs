//! Handing over: closed buckets, what is new, what is forgotten.

use std::collections::HashSet;

use greyhound_model::context::ContextBuilder;
use greyhound_model::time::Stamp;

use super::{LaneFlush, Processor, Refusal};
use crate::aggregate::bucket::Bucket;
use crate::aggregate::cell::Shape;
use crate::context::limiter::Limit;
use crate::context::table::Slot;

/// Contexts gone before a look at shared texts can pay.
const SWEEP_MIN: usize = 256;
/// Closes after which shared texts are looked at in any case.
const SWEEP_CLOSES: u32 = 32;

/// Which buckets a flush takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseScope {
    /// Those that are over.
    Over,
    /// All of them: the last flush, with `flush_open_bucket_on_stop`.
    All,
    /// Those that are over; the open ones are dropped and counted: the last flush without it.
    OverDropOpen,
}

/// Where letting go of shared texts stands.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// Contexts gone since the last round began.
    gone: usize,
    /// Closes since then.
    closes: u32,
    /// Steps until the round is done.
    steps_left: u32,
}

impl Processor {
    /// Hands over every bucket that ended by `now`, and forgets contexts that fell silent.
    ///
    /// Cost: moving some vectors, and one pass over the contexts to find the silent ones.
    pub fn close(&mut self, now: Stamp, scope: CloseScope) -> LaneFlush {
        let second = now.unix_seconds();
        let cutoff = self.width.containing(second).0;
        let buckets = match scope {
            CloseScope::All => self.buckets.close_all(),
            CloseScope::Over => self.buckets.close(cutoff, self.width.seconds()),
            CloseScope::OverDropOpen => {
                let over = self.buckets.close(cutoff, self.width.seconds());
                self.drop_open();
                over
            }
        };
        for bucket in &buckets {
            self.lane_tally.samples_flushed += bucket.samples;
            self.limiter.give(bucket.charged_bytes);
        }
        self.limiter.give(std::mem::take(&mut self.item_bytes));
        let created = self.contexts.take_created();
        let open_counters = self.open_counters();
        let counts = self.take_counts();
        let expired = self.expire(second);
        let refusals = self.take_refusals();
        let items = self.events.len() + self.service_checks.len() + self.timestamped.len();
        self.lane_tally.items_handed_over += items as u64;
        self.publish_lane();
        LaneFlush {
            lane: self.lane,
            starts_anew: std::mem::take(&mut self.starts_anew),
            created,
            buckets,
            open_counters,
            expired,
            events: std::mem::take(&mut self.events),
            service_checks: std::mem::take(&mut self.service_checks),
            timestamped: std::mem::take(&mut self.timestamped),
            counts,
            refusals,
        }
    }

    /// Only what goes past the buckets; contexts stay as they are.
    pub fn take_timestamped(&mut self) -> Vec<super::Timestamped> {
        self.lane_tally.items_handed_over += self.timestamped.len() as u64;
        self.publish_lane();
        std::mem::take(&mut self.timestamped)
    }

    /// What limits said no to, with the tag that is behind most of it.
    fn take_refusals(&mut self) -> Vec<Refusal> {
        let fastest = self
            .growth
            .fastest()
            .map(|(key, count)| (key.to_vec(), count));
        self.growth.clear();
        let mut refusals = std::mem::take(&mut self.refusals);
        for refusal in &mut refusals {
            refusal.fastest_tag = match refusal.limit {
                Limit::Contexts | Limit::ContextsPerOrigin | Limit::Memory => fastest.clone(),
                Limit::Tags | Limit::SetMembers | Limit::HistogramValues | Limit::Events => None,
            };
        }
        refusals
    }

    fn drop_open(&mut self) {
        for bucket in self.buckets.close_all() {
            self.lane_tally.samples_open_dropped += bucket.samples;
            self.limiter.give(bucket.charged_bytes);
        }
    }

    /// Counters in open buckets go on living and sending zeros, though nothing of them is flushed.
    fn open_counters(&self) -> Vec<(u32, u32)> {
        self.buckets
            .open()
            .iter()
            .flat_map(|bucket| &bucket.cells)
            .filter(|cell| cell.shape == Shape::Counter)
            .map(|cell| (cell.context, cell.last_seen))
            .collect()
    }

    fn expire(&mut self, second: i64) -> Vec<u32> {
        let silent = self.rules.context_expiry_seconds;
        let silent_counter = silent.saturating_add(self.rules.counter_expiry_seconds);
        let width = self.width.seconds();
        let open = self.buckets.open();
        // Only strange clocks leave a silent context in an open bucket; its number must then stay.
        let held: Option<HashSet<u32>> = match open {
            [] => None,
            [bucket] if bucket.is_remembered() => None,
            several => Some(several.iter().flat_map(contexts_in).collect()),
        };
        let is_held = |number: u32, slot: &Slot| match (&held, open) {
            (Some(held), _) => held.contains(&number),
            (None, [bucket]) => {
                bucket.is_cell_of(slot.cell, number) || bucket.is_sketch_of(slot.sketch, number)
            }
            (None, _) => false,
        };
        let held_bytes = self.contexts.all_spelling_bytes();
        let gone = self.contexts.expire(|number, slot| {
            let life = if slot.is_counter {
                silent_counter
            } else {
                silent
            };
            let last_seen = i64::from(slot.last_seen);
            // Only a clock that was ahead and is set back makes it later than that.
            let is_ahead = last_seen > second.saturating_add(2 * width);
            (last_seen.saturating_add(life) < second || is_ahead) && !is_held(number, slot)
        });
        let spelling_bytes = held_bytes.saturating_sub(self.contexts.all_spelling_bytes());
        self.limiter.give(spelling_bytes);
        self.lane_tally.contexts_expired += gone.len() as u64;
        for &(_, origin, bytes) in &gone {
            self.limiter.release_context(origin, bytes);
        }
        self.sweep(gone.len());
        gone.into_iter().map(|(number, ..)| number).collect()
    }

    /// Lets go of texts that no context shares any more, now and then and in steps: a look at all of
    /// them for each context gone would be a lane's time, and at one go a stall. Contexts live on behind
    /// the lane for a while, so what is not free now is looked at again.
    fn sweep(&mut self, gone: usize) {
        let sweep = &mut self.sweep;
        sweep.gone += gone;
        sweep.closes += 1;
        let left = self.contexts.context_count();
        if left == 0 || sweep.gone >= (left / 4).max(SWEEP_MIN) || sweep.closes >= SWEEP_CLOSES {
            *sweep = Sweep {
                steps_left: ContextBuilder::SWEEP_STEPS,
                ..Sweep::default()
            };
        }
        if sweep.steps_left == 0 {
            return;
        }
        sweep.steps_left -= 1;
        let held = self.builder.shared_bytes();
        self.builder.sweep_step();
        self.limiter
            .give((held - self.builder.shared_bytes()) as u64);
    }
}

/// Numbers of all contexts a bucket holds.
fn contexts_in(bucket: &Bucket) -> impl Iterator<Item = u32> {
    let cells = bucket.cells.iter().map(|cell| cell.context);
    cells.chain(bucket.sketches.iter().map(|cell| cell.context))
}
