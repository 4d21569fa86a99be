//! The rule of every item of one flush, found once for all sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_model::flush::{FlushBatch, FlushCause};

use super::memory::Memory;
use super::{Nowhere, Routing, RuleNumber};

/// Finds rules. Belongs to whoever hands flushes to the sinks.
#[derive(Debug)]
pub(crate) struct Router {
    routing: Arc<Routing>,
    memory: Memory<RuleNumber>,
    tally: Arc<RouteTally>,
}

/// What was sent nowhere, since the start.
#[derive(Debug, Default)]
pub(crate) struct RouteTally {
    nowhere: [AtomicU64; Nowhere::ALL.len()],
}

/// One flush with the rule of each item.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) routing: Arc<Routing>,
    /// In the order of [`Part`]; empty when there are no rules.
    rules: Vec<RuleNumber>,
    /// Where each part begins in `rules`.
    starts: [usize; Part::COUNT],
    /// By rule: items and points.
    sums: Vec<(u64, u64)>,
}

/// The lists of a flush.
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
pub(crate) enum Part {
    Series,
    Sketches,
    Histograms,
    Sets,
    Events,
    ServiceChecks,
}

// === impl Router ===

impl Router {
    pub(crate) fn new(routing: Routing) -> Self {
        Self {
            routing: Arc::new(routing),
            memory: Memory::new(),
            tally: Arc::default(),
        }
    }

    /// The rules in force.
    pub(crate) fn routing(&self) -> &Arc<Routing> {
        &self.routing
    }

    /// What was sent nowhere.
    pub(crate) fn tally(&self) -> &Arc<RouteTally> {
        &self.tally
    }

    /// Other rules, from the next flush on.
    pub(crate) fn set(&mut self, routing: Routing) {
        self.routing = Arc::new(routing);
        self.memory = Memory::new();
    }

    /// Finds the rule of everything; `None` when every sink gets the flush as it is.
    ///
    /// Cost: one look-up per item; a new context is held against the rules.
    pub(crate) fn select(&mut self, batch: &FlushBatch) -> Option<Selection> {
        if self.routing.is_plain() {
            return None;
        }
        let mut selection = Selection {
            routing: Arc::clone(&self.routing),
            rules: Vec::new(),
            starts: [0; Part::COUNT],
            sums: vec![(0, 0); self.routing.rules.len() + 1],
        };
        if self.routing.rules.is_empty() {
            selection.sums[0] = (1, batch.point_count());
        } else {
            self.ask(batch, &mut selection);
        }
        for (rule, &(_, points)) in selection.sums.iter().enumerate() {
            if points > 0
                && let Some(reason) = self.routing.count(rule as RuleNumber, points)
            {
                self.tally.nowhere[reason as usize].fetch_add(points, Ordering::Relaxed);
            }
        }
        if batch.cause != FlushCause::Timestamped {
            self.memory.end_flush();
        }
        Some(selection)
    }

    fn ask(&mut self, batch: &FlushBatch, selection: &mut Selection) {
        let (routing, memory) = (&self.routing, &mut self.memory);
        let hostname = &*batch.hostname;
        let mut of = |context| memory.get(context, || routing.rule_of_context(context, hostname));
        selection.begin(Part::Series);
        for series in &batch.series {
            selection.push(of(&series.context), series.points.as_slice().len());
        }
        selection.begin(Part::Sketches);
        for sketch in &batch.sketches {
            selection.push(of(&sketch.context), sketch.points.len());
        }
        // Their points stand in the series.
        selection.begin(Part::Histograms);
        for histogram in &batch.histograms {
            selection.push(of(&histogram.context), 0);
        }
        selection.begin(Part::Sets);
        for set in &batch.sets {
            selection.push(of(&set.context), 0);
        }
        selection.begin(Part::Events);
        for event in &batch.events {
            let tags = || event.tags.iter().map(Vec::as_slice);
            selection.push(routing.rule_of(b"", &event.host, tags), 1);
        }
        selection.begin(Part::ServiceChecks);
        for check in &batch.service_checks {
            let tags = || check.tags.iter().map(Vec::as_slice);
            selection.push(routing.rule_of(&check.name, &check.host, tags), 1);
        }
    }
}

// === impl RouteTally ===

impl RouteTally {
    /// Points sent nowhere for this reason.
    pub(crate) fn nowhere(&self, reason: Nowhere) -> u64 {
        self.nowhere[reason as usize].load(Ordering::Relaxed)
    }
}

// === impl Selection ===

impl Selection {
    /// Points that are for a sink.
    pub(crate) fn points(&self, sink: usize) -> u64 {
        let rules = self.sums.iter().enumerate();
        rules
            .filter(|(rule, _)| self.routing.takes(*rule as RuleNumber, sink))
            .map(|(_, (_, points))| points)
            .sum()
    }

    /// Whether a sink takes everything.
    pub(crate) fn is_whole(&self, sink: usize) -> bool {
        let mut rules = self.sums.iter().enumerate();
        rules.all(|(rule, (items, _))| *items == 0 || self.routing.takes(rule as RuleNumber, sink))
    }

    /// Whether a sink takes the item at this place of its part.
    pub(crate) fn takes(&self, sink: usize, part: Part, at: usize) -> bool {
        let rule = self.rules.get(self.starts[part as usize] + at);
        self.routing.takes(rule.copied().unwrap_or(0), sink)
    }

    fn begin(&mut self, part: Part) {
        self.starts[part as usize] = self.rules.len();
    }

    fn push(&mut self, rule: RuleNumber, points: usize) {
        self.rules.push(rule);
        if let Some((items, sum)) = self.sums.get_mut(usize::from(rule)) {
            *items += 1;
            *sum += points as u64;
        }
    }
}

// === impl Part ===

impl Part {
    const COUNT: usize = Self::ServiceChecks as usize + 1;
}
