//! Keeps a lane going: catches a panic at its edge, counts what was lost, starts it anew.
//!
//! The lane's sockets, connections and what it has read but not begun survive; its processor does
//! not. Lost, each with its counter: the packets in hand (`datagrams_lane_panic`) and the samples of
//! its open buckets (`samples_lane_panic`), its events, checks and samples with a time of their own
//! (`items_lane_panic`). More than [`RESTARTS_MAX`] restarts within
//! [`RESTARTS_WINDOW`], over all lanes, and the engine says it is not ready.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::Lane;
use super::desk::InHand;
use crate::ledger::{Ledger, ListenerId};
use crate::process::{Processor, ProcessorParts};

/// Restarts in the window that are borne.
const RESTARTS_MAX: usize = 5;
const RESTARTS_WINDOW: Duration = Duration::from_secs(60);

/// When lanes broke lately.
#[derive(Debug, Default)]
pub(crate) struct Restarts(Mutex<VecDeque<Instant>>);

// === impl Restarts ===

impl Restarts {
    /// A lane broke.
    fn note(&self, now: Instant) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // More than this many say no more than this many.
        while recent.len() > RESTARTS_MAX {
            recent.pop_front();
        }
        recent.push_back(now);
    }

    /// Whether lanes break too often to be relied on.
    pub(crate) fn are_too_many(&self, now: Instant) -> bool {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = recent
            .iter()
            .filter(|&&at| now.saturating_duration_since(at) < RESTARTS_WINDOW);
        lately.count() > RESTARTS_MAX
    }
}

/// The whole life of a lane's thread.
pub(crate) fn supervise(mut lane: Lane, mut parts: ProcessorParts, restarts: &Restarts) {
    loop {
        parts.origins = Arc::clone(&lane.origins);
        if let Some(rules) = &lane.rules {
            parts.rules = Arc::clone(rules);
        }
        parts.width = lane.width.unwrap_or(parts.width);
        let mut processor = Processor::new(parts.clone());
        if let Some(clients) = &lane.clients {
            processor.set_clients(Arc::clone(clients));
        }
        // The processor is thrown away after a panic; the lane's own state is sound between any two
        // calls, because it changes before the processor is called, never while.
        let run = catch_unwind(AssertUnwindSafe(|| lane.run(&mut processor)));
        if run.is_ok() {
            return;
        }
        let lost = lane.desk.take_in_hand();
        count_loss(&parts.ledger, parts.lane, lost);
        lane.put_back_taken();
        lane.desk.tally.lane_restarts += 1;
        lane.desk.publish();
        restarts.note(Instant::now());
        tracing::error!(
            lane = parts.lane,
            datagrams_lost = lost.map_or(0, |lost| lost.datagrams),
            "a lane broke and starts again"
        );
    }
}

/// Writes the loss into the lane's cells; the new processor goes on from there. What the broken one
/// had counted since it last published is forgotten with it, so the packets in hand count as lost
/// whole.
fn count_loss(ledger: &Ledger, lane: usize, lost: Option<InHand>) {
    let cells = ledger.cells(lane);
    if let Some(lost) = lost {
        let cells = &cells[usize::from(lost.listener.0)];
        let mut tally = cells.load();
        tally.datagrams_read += lost.datagrams;
        tally.bytes_read += lost.bytes;
        tally.datagrams_lane_panic += lost.datagrams;
        cells.store(&tally);
    }
    let (mut aggregated, mut items) = (0, 0);
    for cells in &cells {
        let tally = cells.load();
        aggregated += tally.samples_aggregated;
        items += tally.items_collected + tally.samples_timestamped;
    }
    let lane_cells = ledger.lane_cells(lane);
    let mut tally = lane_cells.load();
    let accounted = tally.samples_flushed + tally.samples_open_dropped + tally.samples_lane_panic;
    tally.samples_lane_panic += aggregated.saturating_sub(accounted);
    let accounted = tally.items_handed_over + tally.items_lane_panic;
    tally.items_lane_panic += items.saturating_sub(accounted);
    tally.contexts = 0;
    tally.spellings = 0;
    tally.memory_bytes = 0;
    tally.buckets = 0;
    lane_cells.store(&tally);
}

/// Datagrams that were read by nobody but sat in the shared queue when the last lane had gone.
pub(crate) fn count_left_behind(ledger: &Ledger, listener: ListenerId, datagrams: u64, bytes: u64) {
    let cells = &ledger.cells(0)[usize::from(listener.0)];
    let mut tally = cells.load();
    tally.datagrams_read += datagrams;
    tally.bytes_read += bytes;
    tally.datagrams_shutdown += datagrams;
    cells.store(&tally);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_restarts_in_a_minute_are_too_many_and_are_forgotten_after_it() {
        let restarts = Restarts::default();
        let start = Instant::now();
        for second in 0..5 {
            restarts.note(start + Duration::from_secs(second));
        }
        assert!(!restarts.are_too_many(start + Duration::from_secs(5)));
        restarts.note(start + Duration::from_secs(6));
        assert!(restarts.are_too_many(start + Duration::from_secs(7)));
        assert!(!restarts.are_too_many(start + Duration::from_secs(61)));
    }
}
