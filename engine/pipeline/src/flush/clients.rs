//! What clients say of themselves, tapped on its way through.
//!
//! Official clients count what they sent and what they had to drop, and send that as ordinary counters
//! (`datadog.dogstatsd.client.…`). Set against what arrived, they show losses nobody else can see: in
//! the kernel, at a full Unix socket, inside the application. They are forwarded like any other.

use super::contexts::Contexts;
use super::merge::Merged;
use crate::aggregate::cell::Shape;

const PREFIX: &[u8] = b"datadog.dogstatsd.client.";
/// Contexts watched; an application has some twenty.
const WATCHED_MAX: usize = 16_384;

/// What clients count, behind the prefix.
pub const REPORTED: [&str; 13] = [
    "metrics",
    "events",
    "service_checks",
    "metric_dropped_on_receive",
    "packets_sent",
    "packets_dropped",
    "packets_dropped_queue",
    "packets_dropped_writer",
    "bytes_sent",
    "bytes_dropped",
    "bytes_dropped_queue",
    "bytes_dropped_writer",
    "aggregated_context",
];

/// Sums over all clients since the start.
#[derive(Debug, Default)]
pub(super) struct ClientReports {
    /// Common number of a context, and what it reports.
    watched: Vec<(u32, usize)>,
    totals: [f64; REPORTED.len()],
}

// === impl ClientReports ===

impl ClientReports {
    /// Watches a context that is new, when its name is one of theirs.
    pub(super) fn meet(&mut self, number: u32, name: &[u8]) {
        let Some(what) = name.strip_prefix(PREFIX) else {
            return;
        };
        let index = REPORTED
            .iter()
            .position(|reported| reported.as_bytes() == what);
        if let Some(index) = index.filter(|_| self.watched.len() < WATCHED_MAX) {
            self.watched.push((number, index));
        }
    }

    /// Adds what one bucket holds of them, and forgets contexts that are gone.
    pub(super) fn add(&mut self, merged: &Merged, contexts: &mut Contexts) {
        let totals = &mut self.totals;
        self.watched.retain(|&(number, index)| {
            let place = *contexts.places(number).0;
            let cell = merged
                .cells
                .get(place as usize)
                .filter(|cell| cell.context == number);
            if let Some(cell) = cell.filter(|cell| cell.shape == Shape::Counter) {
                totals[index] += cell.value;
            }
            // A number that was given to another context is no longer theirs.
            contexts.context(number).is_some_and(|context| {
                context.name().strip_prefix(PREFIX) == Some(REPORTED[index].as_bytes())
            })
        });
    }

    /// Whole counts, in the order of [`REPORTED`].
    pub(super) fn totals(&self) -> [u64; REPORTED.len()] {
        // `as` stops at the bounds of u64.
        self.totals.map(|total| total.round() as u64)
    }
}
