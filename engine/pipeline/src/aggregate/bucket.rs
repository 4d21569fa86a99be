//! A bucket, and the few that are open at once.

use greyhound_model::metric::MetricKind;
use greyhound_model::sketch::Sketch;
use greyhound_sys::prefetch;
use hashbrown::HashMap;

use super::cell::{Cell, HistogramCell, SetCell, Shape, SketchCell};
use super::weight::Weight;

/// Buckets open at once. One is the rule; timestamped copies of histograms can ask for more.
const OPEN_MAX: usize = 128;

/// Widths by which the clock must step back to leave the bucket of now behind. Batches that waited
/// in a queue go back less far.
const LEFT_BEHIND_WIDTHS: i64 = 6;

/// Some seconds of one lane.
#[derive(Debug, Default)]
pub struct Bucket {
    /// First second.
    pub start: i64,
    /// Everything but distributions.
    pub cells: Vec<Cell>,
    /// Members of the set cells.
    pub sets: Vec<SetCell>,
    /// Values of the histogram cells.
    pub histograms: Vec<HistogramCell>,
    /// Distributions.
    pub sketches: Vec<SketchCell>,
    /// Samples that went in, copies not counted.
    pub samples: u64,
    /// Bytes of members and values, as charged to the memory limit.
    pub charged_bytes: u64,
    /// The clock went back far behind it: it leaves with the next close.
    is_left_behind: bool,
    /// Sketches by context that were opened by the client's time, not by ours. Their contexts do not
    /// remember them.
    by_client_time: HashMap<u32, u32, foldhash::fast::RandomState>,
}

/// When a sample arrived.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arrival {
    /// Unix second.
    pub second: u32,
    /// Microseconds on the monotonic clock, wrapping.
    pub order: u32,
}

/// The open buckets of a lane.
#[derive(Debug)]
pub struct Buckets {
    open: Vec<Bucket>,
    /// The one that takes samples now.
    current: usize,
    /// No bucket before this second is opened for samples of now.
    closed_until: i64,
}

// === impl Bucket ===

impl Bucket {
    fn new(start: i64, like: Option<&Self>) -> Self {
        let mut bucket = Self {
            start,
            ..Self::default()
        };
        if let Some(like) = like {
            // What one bucket needed, the next will need.
            bucket.cells.reserve(like.cells.len());
            bucket.sketches.reserve(like.sketches.len());
        }
        bucket
    }

    /// Whether this place holds that context's cell.
    #[inline]
    pub fn is_cell_of(&self, place: u32, context: u32) -> bool {
        self.cells
            .get(place as usize)
            .is_some_and(|cell| cell.context == context)
    }

    /// That context's cell, if it is at this place.
    #[inline]
    pub fn cell_of(&mut self, place: u32, context: u32) -> Option<&mut Cell> {
        self.cells
            .get_mut(place as usize)
            .filter(|cell| cell.context == context)
    }

    /// Whether this place holds that context's sketch.
    #[inline]
    pub fn is_sketch_of(&self, place: u32, context: u32) -> bool {
        self.sketches
            .get(place as usize)
            .is_some_and(|cell| cell.context == context)
    }

    /// Asks for the memory of a cell, or of a sketch if `kind` has no cell.
    #[inline]
    pub fn prefetch(&self, place: u32, kind: MetricKind) {
        let place = place as usize;
        if kind == MetricKind::Distribution {
            if let Some(sketch) = self.sketches.get(place) {
                prefetch::read(sketch);
            }
        } else if let Some(cell) = self.cells.get(place) {
            prefetch::read(cell);
        }
    }

    /// Opens a cell; its shape follows `kind`.
    pub fn add_cell(&mut self, context: u32, kind: MetricKind) -> u32 {
        let shape = Shape::of(kind);
        let place = match shape {
            Shape::Gauge | Shape::Counter => 0,
            Shape::Set => {
                self.sets.push(SetCell::default());
                (self.sets.len() - 1) as u32
            }
            Shape::Histogram => {
                let is_timing = kind == MetricKind::Timing;
                self.histograms.push(HistogramCell {
                    is_timing,
                    ..HistogramCell::default()
                });
                (self.histograms.len() - 1) as u32
            }
        };
        self.cells.push(Cell {
            context,
            last_seen: 0,
            order_or_place: place,
            shape,
            has_value: false,
            value: 0.0,
        });
        (self.cells.len() - 1) as u32
    }

    /// Opens a sketch.
    pub fn add_sketch(&mut self, context: u32, is_first: bool) -> u32 {
        let sketch = Sketch::default();
        self.sketches.push(SketchCell {
            context,
            last_seen: 0,
            is_first,
            sketch,
        });
        (self.sketches.len() - 1) as u32
    }

    /// The sketch of a context that a client's own time led here, opened when needed.
    pub fn sketch_by_client_time(&mut self, context: u32) -> u32 {
        if let Some(&place) = self.by_client_time.get(&context) {
            return place;
        }
        let place = self.add_sketch(context, true);
        self.by_client_time.insert(context, place);
        place
    }

    /// Whether contexts remember all that is in here.
    pub fn is_remembered(&self) -> bool {
        self.by_client_time.is_empty()
    }

    /// Feeds a finite number to a cell, whatever its shape: the first sample of a bucket decides,
    /// later ones are taken as if they were of its kind.
    #[inline]
    pub fn apply_number(&mut self, place: u32, value: f64, weight: Weight, arrival: Arrival) {
        let cell = &mut self.cells[place as usize];
        cell.has_value = true;
        cell.last_seen = arrival.second;
        match cell.shape {
            Shape::Gauge => {
                cell.value = value;
                cell.order_or_place = arrival.order;
            }
            Shape::Counter => cell.value += value * weight.exact,
            Shape::Histogram => {
                let histogram = &mut self.histograms[cell.place()];
                histogram.insert(value, weight.exact, weight.whole);
            }
            // A number has no raw text of its own.
            Shape::Set => {
                self.sets[cell.place()]
                    .members
                    .get_or_insert_with(&[][..], |_| [].into());
            }
        }
    }

    /// Values in a histogram cell, 0 for other shapes.
    #[inline]
    pub fn histogram_len(&self, place: u32) -> usize {
        let cell = &self.cells[place as usize];
        match cell.shape {
            Shape::Histogram => self.histograms[cell.place()].values.len(),
            Shape::Gauge | Shape::Counter | Shape::Set => 0,
        }
    }

    /// The members behind a cell, when it is a set.
    #[inline]
    pub fn set(&mut self, place: u32) -> Option<&mut SetCell> {
        let cell = &self.cells[place as usize];
        match cell.shape {
            Shape::Set => self.sets.get_mut(cell.place()),
            Shape::Gauge | Shape::Counter | Shape::Histogram => None,
        }
    }
}

// === impl Buckets ===

impl Default for Buckets {
    fn default() -> Self {
        Self {
            open: Vec::new(),
            current: 0,
            closed_until: i64::MIN,
        }
    }
}

impl Buckets {
    /// Turns to the bucket that starts here, opening it when needed. Says whether the wall clock
    /// went back behind buckets that are already gone.
    ///
    /// A step back of less than one bucket stays in the bucket after the last closed one, so that
    /// none is sent twice; after a longer one the new time is believed.
    pub fn turn_to(&mut self, start: i64, width_seconds: i64) -> bool {
        let went_back = start < self.closed_until;
        let start = if went_back && self.closed_until - start <= width_seconds {
            self.closed_until
        } else {
            if went_back {
                self.closed_until = start;
            }
            start
        };
        if self
            .open
            .get(self.current)
            .is_none_or(|bucket| bucket.start != start)
        {
            self.leave_behind(start.saturating_add(LEFT_BEHIND_WIDTHS * width_seconds));
            self.current = self
                .position(start)
                .unwrap_or_else(|| self.add(start, true));
            self.open[self.current].is_left_behind = false;
        }
        went_back
    }

    /// The bucket of now. [`turn_to`](Self::turn_to) comes first.
    #[inline]
    pub fn current(&mut self) -> &mut Bucket {
        &mut self.open[self.current]
    }

    /// The bucket that starts there, opened if there is room, else the one of now.
    pub fn at(&mut self, start: i64) -> &mut Bucket {
        let at = match self.position(start) {
            Some(at) => at,
            None if self.open.len() < OPEN_MAX => self.add(start, false),
            None => self.current,
        };
        &mut self.open[at]
    }

    /// The open buckets.
    pub fn open(&self) -> &[Bucket] {
        &self.open
    }

    /// The bucket of now, if any is open.
    pub fn peek(&self) -> Option<&Bucket> {
        self.open.get(self.current)
    }

    /// Takes the buckets that end at or before `cutoff`, oldest first.
    pub fn close(&mut self, cutoff: i64, width_seconds: i64) -> Vec<Bucket> {
        self.closed_until = self.closed_until.max(cutoff);
        self.take(|bucket| {
            bucket.is_left_behind || bucket.start.saturating_add(width_seconds) <= cutoff
        })
    }

    /// Takes all buckets, oldest first.
    pub fn close_all(&mut self) -> Vec<Bucket> {
        self.take(|_| true)
    }

    /// Marks the bucket of now if it starts after `last`: it would else wait until the clock is there
    /// again.
    fn leave_behind(&mut self, last: i64) {
        if let Some(bucket) = self.open.get_mut(self.current) {
            bucket.is_left_behind = bucket.start > last;
        }
    }

    fn take(&mut self, mut is_over: impl FnMut(&Bucket) -> bool) -> Vec<Bucket> {
        let now = self.peek().map(|bucket| bucket.start);
        let (mut over, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|bucket| is_over(bucket));
        self.open = open;
        // Past the end when the bucket of now was taken: the next turn opens one.
        self.current = now
            .and_then(|start| self.position(start))
            .unwrap_or(usize::MAX);
        over.sort_by_key(|bucket| bucket.start);
        over
    }

    fn position(&self, start: i64) -> Option<usize> {
        self.open.iter().position(|bucket| bucket.start == start)
    }

    fn add(&mut self, start: i64, is_of_now: bool) -> usize {
        let bucket = Bucket::new(start, self.peek().filter(|_| is_of_now));
        self.open.push(bucket);
        self.open.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sample_decides_the_shape() {
        let mut bucket = Bucket::default();
        let place = bucket.add_cell(1, MetricKind::Counter);
        bucket.apply_number(place, 3.0, Weight::of_rate(0.5), Arrival::default());
        bucket.apply_number(place, 4.0, Weight::ONE, Arrival::default());
        assert_eq!(bucket.cells[0].value, 10.0);
        let place = bucket.add_cell(2, MetricKind::Set);
        bucket.apply_number(place, 4.0, Weight::ONE, Arrival::default());
        assert_eq!(bucket.sets[0].members.len(), 1);
    }

    #[test]
    fn closing_takes_what_is_over_and_keeps_the_rest_open() {
        let mut buckets = Buckets::default();
        for start in [0, 10, 20] {
            buckets.turn_to(start, 10);
            buckets.current().samples = start as u64;
        }
        let over: Vec<_> = buckets
            .close(20, 10)
            .iter()
            .map(|bucket| bucket.start)
            .collect();
        assert_eq!(over, [0, 10]);
        assert_eq!(buckets.current().samples, 20);
        assert_eq!(buckets.close_all().len(), 1);
        assert!(buckets.peek().is_none());
    }

    #[test]
    fn a_small_step_back_of_the_clock_sends_no_bucket_twice() {
        let mut buckets = Buckets::default();
        buckets.turn_to(10, 10);
        buckets.close(20, 10);
        assert!(buckets.turn_to(10, 10));
        assert_eq!(buckets.current().start, 20);
        assert!(!buckets.turn_to(20, 10));
    }

    #[test]
    fn a_long_step_back_is_believed() {
        let mut buckets = Buckets::default();
        buckets.turn_to(7200, 10);
        buckets.close(7210, 10);
        assert!(buckets.turn_to(3600, 10));
        assert_eq!(buckets.current().start, 3600);
        assert!(!buckets.turn_to(3610, 10));
        assert_eq!(buckets.current().start, 3610);
    }

    #[test]
    fn a_bucket_the_clock_left_far_behind_does_not_wait_for_it() {
        let mut buckets = Buckets::default();
        buckets.turn_to(1_000_000, 10);
        buckets.turn_to(1000, 10);
        let starts = |over: Vec<Bucket>| over.iter().map(|bucket| bucket.start).collect::<Vec<_>>();
        assert_eq!(starts(buckets.close(1000, 10)), [1_000_000]);
        buckets.turn_to(1060, 10);
        buckets.turn_to(1000, 10);
        assert_eq!(starts(buckets.close(1010, 10)), [1000]);
    }

    #[test]
    fn strange_times_do_not_open_buckets_without_end() {
        let mut buckets = Buckets::default();
        buckets.turn_to(0, 10);
        for start in (0..10_000).step_by(10) {
            buckets.at(start).samples += 1;
        }
        assert_eq!(buckets.open().len(), OPEN_MAX);
    }
}
