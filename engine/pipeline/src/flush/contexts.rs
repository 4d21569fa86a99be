//! Contexts over all lanes, and which counters still send zeros.
//!
//! A context lives here at least as long as on any lane, and a silent counter lives on, because its
//! zeros belong to the engine, not to the lane that saw it last.

use greyhound_model::context::Context;
use greyhound_model::metric::MetricKind;

use super::clients::ClientReports;
use super::merge::Merged;
use super::survey::{Piece, Surveyed};
use crate::aggregate::bucket::Bucket;
use crate::context::index::Index;
use crate::process::count::Counted;

/// A number that means nothing.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// What was seen longer than this after now was seen by a clock that is set back since.
const AHEAD_SECONDS_MAX: i64 = 60;

/// All contexts.
#[derive(Debug)]
pub(super) struct Contexts {
    index: Index,
    all: Vec<Known>,
    free: Vec<u32>,
    /// `[lane][lane's number]`
    by_lane: Vec<Vec<u32>>,
    /// Came to life in this flush.
    born: Vec<u32>,
    /// By common number: samples, and second of the latest. Empty while nobody counts.
    counts: Vec<(u64, u32)>,
}

#[derive(Debug)]
struct Known {
    /// `None` while the number is free.
    context: Option<Context>,
    /// Second of the latest sample.
    last_seen: u32,
    /// Kind of the first sample since it came to life; `None` = forgotten.
    first_kind: Option<MetricKind>,
    /// It came to life in this flush.
    is_new: bool,
    /// Lanes that have a number for it.
    lanes: u16,
    /// Where it may stand in the bucket being merged.
    place: u32,
    /// Where its sketch may stand there.
    sketch: u32,
}

// There is one for each context of the process.
const _: () = assert!(size_of::<Known>() <= 32);

// === impl Contexts ===

impl Contexts {
    pub(super) fn new(lanes: usize) -> Self {
        Self {
            index: Index::default(),
            all: Vec::new(),
            free: Vec::new(),
            by_lane: vec![Vec::new(); lanes],
            born: Vec::new(),
            counts: Vec::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    pub(super) fn context(&self, number: u32) -> Option<&Context> {
        self.all
            .get(number as usize)
            .and_then(|known| known.context.as_ref())
    }

    pub(super) fn begin(&mut self) {
        for number in std::mem::take(&mut self.born) {
            self.all[number as usize].is_new = false;
        }
    }

    /// A lane gives numbers to contexts.
    pub(super) fn meet(
        &mut self,
        lane: usize,
        created: Vec<(u32, Context)>,
        clients: &mut ClientReports,
    ) {
        for (lane_number, context) in created {
            let number = self.find_or_add(context, clients);
            let known = &mut self.all[number as usize];
            // A lane has one number for a context, and lanes are fewer than this holds.
            known.lanes = known.lanes.saturating_add(1);
            let numbers = &mut self.by_lane[lane];
            let at = lane_number as usize;
            if at >= numbers.len() {
                numbers.resize(at + 1, UNKNOWN);
            }
            numbers[at] = number;
        }
    }

    /// A lane takes numbers back. What they meant is put on `left`, for [`let_go`](Self::let_go).
    pub(super) fn leave(&mut self, lane: usize, lane_numbers: &[u32], left: &mut Vec<u32>) {
        for &lane_number in lane_numbers {
            if let Some(number) = self.by_lane[lane].get_mut(lane_number as usize) {
                left.push(std::mem::replace(number, UNKNOWN));
            }
        }
    }

    /// A lane takes all its numbers back.
    pub(super) fn forget_lane(&mut self, lane: usize, left: &mut Vec<u32>) {
        left.append(&mut self.by_lane[lane]);
    }

    /// Lanes need these no more. Comes when all of the flush has been seen.
    pub(super) fn let_go(&mut self, left: &[u32]) {
        for &number in left {
            self.let_go_one(number);
        }
    }

    /// The common number of a lane's number, or [`UNKNOWN`].
    #[inline]
    pub(super) fn number(&self, lane: usize, lane_number: u32) -> u32 {
        let numbers = &self.by_lane[lane];
        numbers
            .get(lane_number as usize)
            .copied()
            .unwrap_or(UNKNOWN)
    }

    /// Puts common numbers in place of the lane's.
    pub(super) fn translate(&self, lane: usize, bucket: &mut Bucket) {
        for cell in &mut bucket.cells {
            cell.context = self.number(lane, cell.context);
        }
        for cell in &mut bucket.sketches {
            cell.context = self.number(lane, cell.context);
        }
    }

    /// A sample of this kind was seen.
    #[inline]
    pub(super) fn touch(&mut self, number: u32, second: u32, kind: MetricKind) {
        let Some(known) = self.all.get_mut(number as usize) else {
            return;
        };
        if known.first_kind.is_none() {
            known.first_kind = Some(kind);
            known.is_new = true;
            self.born.push(number);
            known.last_seen = second;
        }
        known.last_seen = known.last_seen.max(second);
    }

    /// Where a context may stand in the bucket being merged: of its cell and of its sketch.
    #[inline]
    pub(super) fn places(&mut self, number: u32) -> (&mut u32, &mut u32) {
        let known = &mut self.all[number as usize];
        (&mut known.place, &mut known.sketch)
    }

    /// Feeds 0 to every counter that was seen within `expiry` seconds before `start`, as the Agent
    /// does: whether it has samples in this bucket or not, and whatever shape it has there.
    pub(super) fn zero_fill(
        &mut self,
        start: i64,
        expiry: i64,
        only_older: bool,
        merged: &mut Merged,
    ) {
        for (number, known) in self.all.iter_mut().enumerate() {
            let is_due = known.first_kind == Some(MetricKind::Counter)
                && i64::from(known.last_seen).saturating_add(expiry) > start
                && !(only_older && known.is_new);
            if is_due {
                merged.zero(number as u32, &mut known.place);
            }
        }
    }

    /// Forgets what fell silent, and counts what is left by the kind of its first sample.
    pub(super) fn expire(
        &mut self,
        second: i64,
        silent: i64,
        counter_expiry: i64,
    ) -> [u64; MetricKind::ALL.len()] {
        let mut by_kind = [0; MetricKind::ALL.len()];
        let latest = u32::try_from(second.saturating_add(AHEAD_SECONDS_MAX)).unwrap_or(u32::MAX);
        for number in 0..self.all.len() {
            let known = &mut self.all[number];
            let Some(kind) = known.first_kind else {
                continue;
            };
            // A clock that was ahead and is set back must not keep it alive until then.
            known.last_seen = known.last_seen.min(latest);
            let life = match kind {
                MetricKind::Counter => silent.saturating_add(counter_expiry),
                _ => silent,
            };
            if i64::from(known.last_seen).saturating_add(life) < second {
                known.first_kind = None;
                if known.lanes == 0 {
                    self.remove(number as u32);
                }
            } else {
                by_kind[kind as usize] += 1;
            }
        }
        by_kind
    }

    /// Adds what a lane counted.
    pub(super) fn count(&mut self, lane: usize, counts: &[(u32, Counted)]) {
        self.counts.resize(self.all.len(), (0, 0));
        for &(lane_number, counted) in counts {
            let number = self.number(lane, lane_number);
            if let Some((samples, last_seen)) = self.counts.get_mut(number as usize) {
                *samples = samples.saturating_add(u64::from(counted.samples));
                *last_seen = counted.last_seen.max(*last_seen);
            }
        }
    }

    pub(super) fn forget_counts(&mut self) {
        self.counts = Vec::new();
    }

    /// A copy of what is known of at most `numbers` numbers.
    pub(super) fn survey(&self, from: u32, numbers: u32) -> Piece {
        let end = (from as usize)
            .saturating_add(numbers as usize)
            .min(self.all.len());
        let from = (from as usize).min(end);
        let contexts = (from..end).filter_map(|number| {
            let known = &self.all[number];
            let (samples, counted_at) = self.counts.get(number).copied().unwrap_or_default();
            Some(Surveyed {
                context: known.context.clone()?,
                kind: known.first_kind,
                last_seen: known.last_seen.max(counted_at),
                samples,
            })
        });
        Piece {
            contexts: contexts.collect(),
            next: (end < self.all.len()).then_some(end as u32),
        }
    }

    fn let_go_one(&mut self, number: u32) {
        if number == UNKNOWN {
            return;
        }
        let known = &mut self.all[number as usize];
        known.lanes = known.lanes.saturating_sub(1);
        if known.lanes == 0 && known.first_kind.is_none() {
            self.remove(number);
        }
    }

    fn find_or_add(&mut self, context: Context, clients: &mut ClientReports) -> u32 {
        let hash = index_hash(&context);
        let all = &self.all;
        let found = self.index.find(hash, |number| {
            all[number as usize].context.as_ref() == Some(&context)
        });
        if let Some(number) = found {
            return number;
        }
        let known = Known {
            context: Some(context),
            last_seen: 0,
            first_kind: None,
            is_new: false,
            lanes: 0,
            place: UNKNOWN,
            sketch: UNKNOWN,
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.all[number as usize] = known;
                number
            }
            None => {
                self.all.push(known);
                (self.all.len() - 1) as u32
            }
        };
        self.index.insert(hash, number);
        if let Some(context) = &self.all[number as usize].context {
            clients.meet(number, context.name());
        }
        number
    }

    fn remove(&mut self, number: u32) {
        if let Some(context) = self.all[number as usize].context.take() {
            let hash = index_hash(&context);
            self.index.remove(hash, number);
            if let Some(counted) = self.counts.get_mut(number as usize) {
                *counted = (0, 0);
            }
            self.free.push(number);
        }
    }
}

/// The index looks at the upper half.
fn index_hash(context: &Context) -> u64 {
    u64::from(context.hash32()) << 32
}
