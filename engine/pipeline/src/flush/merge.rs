//! One bucket over all lanes.

use super::contexts::{Contexts, UNKNOWN};
use crate::aggregate::bucket::Bucket;
use crate::aggregate::cell::{Cell, HistogramCell, SetCell, Shape, SketchCell};

/// Cells and sketches with common context numbers.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// `context` is the common number here.
    pub(super) cells: Vec<Cell>,
    pub(super) sets: Vec<SetCell>,
    pub(super) histograms: Vec<HistogramCell>,
    /// As in `cells`.
    pub(super) sketches: Vec<SketchCell>,
    /// Contexts whose shape differed between lanes.
    pub(super) clashes: u64,
}

/// What a lane's cell holds.
enum Held {
    Number(f64),
    Set(SetCell),
    Histogram(HistogramCell),
}

// === impl Merged ===

impl Merged {
    /// Adds one lane's bucket, in which common numbers stand.
    pub(super) fn add(&mut self, mut bucket: Bucket, contexts: &mut Contexts) {
        if self.cells.is_empty() && self.sketches.is_empty() {
            match self.take_over(bucket, contexts) {
                None => return,
                Some(refused) => bucket = refused,
            }
        }
        for cell in &bucket.cells {
            let number = cell.context;
            if number == UNKNOWN {
                continue;
            }
            let held = match cell.shape {
                Shape::Gauge | Shape::Counter => Held::Number(cell.value),
                Shape::Set => Held::Set(std::mem::take(&mut bucket.sets[cell.place()])),
                Shape::Histogram => {
                    Held::Histogram(std::mem::take(&mut bucket.histograms[cell.place()]))
                }
            };
            let (place, _) = contexts.places(number);
            match self.cells.get(*place as usize) {
                Some(known) if known.context == number => self.join(*place, cell, held),
                _ => *place = self.push(cell, held),
            }
        }
        for cell in bucket.sketches {
            let number = cell.context;
            if number == UNKNOWN {
                continue;
            }
            let (_, place) = contexts.places(number);
            match self.sketches.get_mut(*place as usize) {
                Some(known) if known.context == number => known.sketch.merge(&cell.sketch),
                _ => {
                    *place = self.sketches.len() as u32;
                    self.sketches.push(cell);
                }
            }
        }
    }

    /// The first bucket is taken as it is, with nothing copied: with one lane that is all of them. Handed
    /// back when a number in it means nothing, or two mean the same.
    fn take_over(&mut self, bucket: Bucket, contexts: &mut Contexts) -> Option<Bucket> {
        for (place, cell) in bucket.cells.iter().enumerate() {
            if cell.context == UNKNOWN {
                return Some(bucket);
            }
            let (known, _) = contexts.places(cell.context);
            let before = bucket.cells[..place].get(*known as usize);
            if before.is_some_and(|before| before.context == cell.context) {
                return Some(bucket);
            }
            *known = place as u32;
        }
        for (place, cell) in bucket.sketches.iter().enumerate() {
            if cell.context == UNKNOWN {
                return Some(bucket);
            }
            let (_, known) = contexts.places(cell.context);
            let before = bucket.sketches[..place].get(*known as usize);
            if before.is_some_and(|before| before.context == cell.context) {
                return Some(bucket);
            }
            *known = place as u32;
        }
        self.cells = bucket.cells;
        self.sets = bucket.sets;
        self.histograms = bucket.histograms;
        self.sketches = bucket.sketches;
        None
    }

    /// A sample of 0 from a silent counter. `place` is where the context may stand.
    pub(super) fn zero(&mut self, number: u32, place: &mut u32) {
        let Some(cell) = self
            .cells
            .get_mut(*place as usize)
            .filter(|cell| cell.context == number)
        else {
            *place = self.cells.len() as u32;
            if self.cells.len() == self.cells.capacity() {
                // Doubling a million cells would ask for 32 MB that nobody needs.
                self.cells.reserve_exact(self.cells.len() / 8 + 64);
            }
            self.cells.push(Cell {
                context: number,
                last_seen: 0,
                shape: Shape::Counter,
                has_value: true,
                value: 0.0,
                order_or_place: 0,
            });
            return;
        };
        cell.has_value = true;
        match cell.shape {
            Shape::Counter => {}
            // It began as a counter and is something else in this bucket: the Agent feeds the zero
            // to whatever is there.
            Shape::Gauge => cell.value = 0.0,
            Shape::Set => {
                self.sets[cell.place()].members.insert(Box::default());
            }
            Shape::Histogram => self.histograms[cell.place()].insert(0.0, 1.0, 1),
        }
    }

    fn push(&mut self, cell: &Cell, held: Held) -> u32 {
        let mut cell = *cell;
        match held {
            Held::Number(_) => {}
            Held::Set(set) => {
                cell.order_or_place = self.sets.len() as u32;
                self.sets.push(set);
            }
            Held::Histogram(histogram) => {
                cell.order_or_place = self.histograms.len() as u32;
                self.histograms.push(histogram);
            }
        }
        self.cells.push(cell);
        (self.cells.len() - 1) as u32
    }

    /// Another lane's cell of the same context. Where the shapes differ, the first lane's stays, and
    /// takes from the other what the Agent would have fed it.
    fn join(&mut self, place: u32, other: &Cell, held: Held) {
        let cell = &mut self.cells[place as usize];
        self.clashes += u64::from(cell.shape != other.shape);
        let has_value = cell.has_value;
        cell.has_value |= other.has_value;
        cell.last_seen = cell.last_seen.max(other.last_seen);
        match (cell.shape, held) {
            (Shape::Gauge, Held::Number(value)) => {
                // The clock behind `order` wraps; two lanes' batches are never 35 minutes apart.
                let is_later = other
                    .order_or_place
                    .wrapping_sub(cell.order_or_place)
                    .cast_signed()
                    >= 0;
                if other.has_value && (is_later || !has_value) {
                    cell.value = value;
                    cell.order_or_place = other.order_or_place;
                }
            }
            (Shape::Counter, Held::Number(value)) => cell.value += value,
            (Shape::Counter, Held::Histogram(histogram)) => cell.value += histogram.sum,
            (Shape::Gauge, Held::Histogram(histogram)) => {
                cell.value = histogram.values.last().copied().unwrap_or(cell.value);
            }
            (Shape::Gauge | Shape::Counter, Held::Set(_)) => {}
            (Shape::Set, Held::Set(set)) => {
                let members = &mut self.sets[cell.place()].members;
                if members.len() < set.members.len() {
                    let smaller = std::mem::replace(members, set.members);
                    members.extend(smaller);
                } else {
                    members.extend(set.members);
                }
            }
            (Shape::Set, Held::Number(_) | Held::Histogram(_)) => {
                self.sets[cell.place()].members.insert(Box::default());
            }
            (Shape::Histogram, Held::Histogram(histogram)) => {
                self.histograms[cell.place()].append(&histogram);
            }
            (Shape::Histogram, Held::Number(value)) => {
                self.histograms[cell.place()].insert(value, 1.0, 1);
            }
            (Shape::Histogram, Held::Set(_)) => {
                self.histograms[cell.place()].insert(0.0, 1.0, 1);
            }
        }
    }
}
