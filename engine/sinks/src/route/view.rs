//! What one sink sees of a flush. Made on the sink's own thread.

use std::sync::Arc;

use greyhound_model::flush::FlushBatch;

use super::Routing;
use super::select::{Part, Selection};
use crate::policy::reduce::Reducer;

/// Makes the flushes of one sink.
#[derive(Debug)]
pub(crate) struct View {
    sink: usize,
    /// Its policies, compiled for the rules last seen.
    reducer: Option<(Arc<Routing>, Reducer)>,
}

// === impl View ===

impl View {
    pub(crate) fn new(sink: usize) -> Self {
        Self {
            sink,
            reducer: None,
        }
    }

    /// The sink's part of a flush, its tags as the sink's policies have them.
    pub(crate) fn of(&mut self, batch: &Arc<FlushBatch>, selection: &Selection) -> Arc<FlushBatch> {
        let policies = selection.routing.policies(self.sink);
        if policies.is_empty() {
            self.reducer = None;
            return match selection.is_whole(self.sink) {
                true => Arc::clone(batch),
                false => Arc::new(part_of(batch, selection, self.sink)),
            };
        }
        let is_current =
            |(known, _): &(Arc<Routing>, Reducer)| Arc::ptr_eq(known, &selection.routing);
        let known = self.reducer.take().filter(is_current);
        let (_, reducer) = self.reducer.insert(
            known.unwrap_or_else(|| (Arc::clone(&selection.routing), Reducer::new(policies))),
        );
        let part;
        let seen = match selection.is_whole(self.sink) {
            true => &**batch,
            false => {
                part = part_of(batch, selection, self.sink);
                &part
            }
        };
        Arc::new(reducer.reduce(seen))
    }
}

/// Copies what the sink takes. Contexts are shared, points and sketches copied.
fn part_of(batch: &FlushBatch, selection: &Selection, sink: usize) -> FlushBatch {
    fn taken<T: Clone>(items: &[T], takes: impl Fn(usize) -> bool) -> Vec<T> {
        let items = items.iter().enumerate();
        items
            .filter(|(at, _)| takes(*at))
            .map(|(_, item)| item.clone())
            .collect()
    }
    let takes = |part| move |at| selection.takes(sink, part, at);
    FlushBatch {
        unix_seconds: batch.unix_seconds,
        interval_seconds: batch.interval_seconds,
        hostname: Arc::clone(&batch.hostname),
        cause: batch.cause,
        series: taken(&batch.series, takes(Part::Series)),
        sketches: taken(&batch.sketches, takes(Part::Sketches)),
        histograms: taken(&batch.histograms, takes(Part::Histograms)),
        sets: taken(&batch.sets, takes(Part::Sets)),
        events: taken(&batch.events, takes(Part::Events)),
        service_checks: taken(&batch.service_checks, takes(Part::ServiceChecks)),
    }
}
