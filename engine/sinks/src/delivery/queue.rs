//! What waits, in the order it is to be sent.
//!
//! Per class two lines: fresh payloads that were never tried, and old ones that were, or that lay for
//! half a minute. Fresh goes first, so that a long outage does not delay what happens now; of the
//! requests at once, old ones get half.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::DeliveryConfig;
use super::breaker::{Breaker, Permit};
use crate::sink::{Reason, Receipt};
use crate::spool::{Evicted, Place, Spool};

/// Fresh becomes old after this many seconds.
const FRESH_SECONDS: i64 = 30;

/// Payloads known at once, about 64 bytes each without their bodies.
const ENTRIES_MAX: usize = 262_144;

/// Requests at once to begin with.
const CONCURRENCY_START: f64 = 2.0;

/// Weight of the last flush in the running rate.
const RATE_WEIGHT: f64 = 0.3;

/// One payload that waits.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Position in time; given by the queue.
    pub(super) seq: u64,
    pub(super) class: u8,
    pub(super) encoding: u8,
    pub(super) points: u32,
    pub(super) made_at: i64,
    pub(super) len_bytes: u32,
    /// `None`: on disk only.
    pub(super) body: Option<Bytes>,
    /// `None`: in memory only.
    pub(super) place: Option<Place>,
    /// Half of a payload that was too large; it is not halved again.
    pub(super) is_half: bool,
}

/// A payload on its way, with the state of the breaker it left under.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) entry: Entry,
    pub(super) permit: u64,
    is_old: bool,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    Send(Job),
    /// Nothing before this moment, unless something changes.
    Wait(Option<Instant>),
    /// Nothing is left and nobody pushes any more.
    Done,
}

#[derive(Debug)]
pub(super) struct Class {
    fresh: VecDeque<Entry>,
    old: VecDeque<Entry>,
    flying: BTreeMap<u64, Entry>,
    pub(super) breaker: Breaker,
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) classes: Vec<Class>,
    /// One at a time of each class, the oldest first.
    is_ordered: bool,
    memory_bytes_max: u64,
    concurrency_max: f64,
    concurrency: f64,
    age_max_seconds: i64,
    next_seq: u64,
    pub(super) memory_bytes: u64,
    pub(super) queued_bytes: u64,
    pub(super) queued_points: u64,
    pub(super) entries: usize,
    pub(super) in_flight: usize,
    old_in_flight: usize,
    /// Class to look at first, so that each gets its turn.
    turn: usize,
    pub(super) stop_at: Option<Instant>,
    /// Not told to the ledger yet.
    pub(super) dropped: Receipt,
    /// On disk and not wanted any more.
    pub(super) settled: Vec<Place>,
    pub(super) last_error: Option<(i64, String)>,
    pub(super) last_success: Option<i64>,
    flush_bytes: u64,
    flushed_at: Option<Instant>,
    /// Bytes per second pushed, running.
    pub(super) rate: f64,
}

// === impl Queue ===

impl Queue {
    pub(super) fn new(classes: usize, is_ordered: bool, config: &DeliveryConfig) -> Self {
        Self {
            classes: (0..classes)
                .map(|_| Class {
                    fresh: VecDeque::new(),
                    old: VecDeque::new(),
                    flying: BTreeMap::new(),
                    breaker: Breaker::new(config.backoff),
                })
                .collect(),
            is_ordered,
            memory_bytes_max: config.memory_bytes_max,
            concurrency_max: f64::from(config.concurrency_max.max(1)),
            concurrency: CONCURRENCY_START.min(f64::from(config.concurrency_max.max(1))),
            age_max_seconds: i64::try_from(config.age_max.as_secs()).unwrap_or(i64::MAX),
            next_seq: 0,
            memory_bytes: 0,
            queued_bytes: 0,
            queued_points: 0,
            entries: 0,
            in_flight: 0,
            old_in_flight: 0,
            turn: 0,
            stop_at: None,
            dropped: Receipt::default(),
            settled: Vec::new(),
            last_error: None,
            last_success: None,
            flush_bytes: 0,
            flushed_at: None,
            rate: 0.0,
        }
    }

    /// Makes room for a body, and says whether it may stay in memory. Bodies that lie on disk are
    /// let go first, oldest first; then, if the new one has no other place, the oldest payloads.
    pub(super) fn admit(&mut self, bytes: u64, is_on_disk: bool) -> bool {
        while self.entries >= ENTRIES_MAX {
            let Some(oldest) = self.oldest(|_| true) else {
                break;
            };
            let reason = match oldest.2 {
                true => Reason::DiskFull,
                false => Reason::MemoryFull,
            };
            self.drop_waiting(oldest.0, oldest.1, reason);
        }
        while self.memory_bytes + bytes > self.memory_bytes_max {
            if let Some((class, seq, _)) =
                self.oldest(|entry| entry.body.is_some() && entry.place.is_some())
            {
                self.let_body_go(class, seq);
            } else if is_on_disk {
                return false;
            } else if let Some((class, seq, _)) = self.oldest(|entry| entry.body.is_some()) {
                self.drop_waiting(class, seq, Reason::MemoryFull);
            } else {
                return false;
            }
        }
        true
    }

    /// Adds a payload; in front when it is half of one whose turn it was.
    pub(super) fn push(&mut self, mut entry: Entry, in_front: bool) {
        entry.seq = self.next_seq;
        self.next_seq += 1;
        self.enter(&entry);
        self.flush_bytes += u64::from(entry.len_bytes);
        let class = &mut self.classes[usize::from(entry.class)];
        if in_front && self.is_ordered {
            class.old.push_front(entry);
        } else if in_front {
            class.fresh.push_front(entry);
        } else {
            class.fresh.push_back(entry);
        }
    }

    /// Adds what an earlier run left, which is older than anything here.
    pub(super) fn push_recovered(&mut self, mut entry: Entry) {
        entry.seq = self.next_seq;
        self.next_seq += 1;
        self.enter(&entry);
        self.classes[usize::from(entry.class)].old.push_back(entry);
    }

    /// The next payload to send, if one may be sent now.
    pub(super) fn next(&mut self, now: Instant, now_unix: i64) -> Step {
        if self.stop_at.is_some() && self.entries == 0 {
            return Step::Done;
        }
        if self.in_flight >= self.concurrency as usize {
            return Step::Wait(None);
        }
        let mut wake: Option<Instant> = None;
        for offset in 0..self.classes.len() {
            let number = (self.turn + offset) % self.classes.len();
            self.age(number, now_unix);
            let Some(is_old) = self.has_next(number) else {
                continue;
            };
            let class = &mut self.classes[number];
            match class.breaker.permit(now) {
                Permit::Go(permit) => {
                    let line = if is_old {
                        &mut class.old
                    } else {
                        &mut class.fresh
                    };
                    let entry = line.pop_front().expect("the line was looked at");
                    class.flying.insert(entry.seq, entry.clone());
                    self.in_flight += 1;
                    self.old_in_flight += usize::from(is_old);
                    self.turn = number + 1;
                    return Step::Send(Job {
                        entry,
                        permit,
                        is_old,
                    });
                }
                Permit::Wait(until) => {
                    wake = match (wake, until) {
                        (Some(wake), Some(until)) => Some(wake.min(until)),
                        (wake, until) => wake.or(until),
                    };
                }
            }
        }
        // A stop does not wait for a destination that is known not to answer while nothing can be lost.
        if self.stop_at.is_some() && self.in_flight == 0 && self.is_all_on_disk() {
            return Step::Done;
        }
        Step::Wait(wake)
    }

    fn is_all_on_disk(&self) -> bool {
        self.classes
            .iter()
            .flat_map(|class| class.fresh.iter().chain(&class.old))
            .all(|entry| entry.place.is_some())
    }

    /// Ends a send: the payload is gone for good. The receipt goes to the ledger.
    pub(super) fn finish(&mut self, job: &Job) {
        if let Some(entry) = self.land(job) {
            self.leave(&entry);
            self.settled.extend(entry.place);
        }
    }

    /// Ends a send: the payload waits for another.
    pub(super) fn again(&mut self, job: &Job) {
        let Some(mut entry) = self.land(job) else {
            return;
        };
        match (entry.place, &entry.body) {
            // Its segment had to go while it was on its way.
            (None, None) => {
                self.leave(&entry);
                self.dropped
                    .drop_points(Reason::DiskFull, u64::from(entry.points));
                return;
            }
            (Some(_), Some(body)) => {
                self.memory_bytes -= body.len() as u64;
                entry.body = None;
            }
            _ => {}
        }
        let old = &mut self.classes[usize::from(entry.class)].old;
        let at = old.partition_point(|other| other.seq < entry.seq);
        old.insert(at, entry);
    }

    /// Whether the payload, on its way, lost its place on disk to the bound of the disk queue.
    pub(super) fn is_evicted(&self, job: &Job) -> bool {
        let flying = &self.classes[usize::from(job.entry.class)].flying;
        flying
            .get(&job.entry.seq)
            .is_some_and(|entry| entry.place.is_none())
    }

    /// Payloads on their way, and points in them.
    pub(super) fn flying(&self) -> (u64, u64) {
        let flying = self.classes.iter().flat_map(|class| class.flying.values());
        flying.fold((0, 0), |(payloads, points), entry| {
            (payloads + 1, points + u64::from(entry.points))
        })
    }

    /// One more or half as many requests at once.
    pub(super) fn adapt(&mut self, is_good: bool) {
        self.concurrency = if is_good {
            (self.concurrency + 1.0 / self.concurrency).min(self.concurrency_max)
        } else {
            (self.concurrency / 2.0).max(1.0)
        };
    }

    /// Requests at once, as things stand.
    pub(super) fn concurrency(&self) -> usize {
        self.concurrency as usize
    }

    /// Forgets what lay in segments that had to go.
    pub(super) fn evict(&mut self, evicted: &[Evicted]) {
        if evicted.is_empty() {
            return;
        }
        let is_gone = |place: &Place| {
            evicted
                .iter()
                .any(|evicted| Spool::is_gone(place, *evicted))
        };
        for number in 0..self.classes.len() {
            let mut lost = Vec::new();
            let class = &mut self.classes[number];
            let waiting = class.old.iter_mut().chain(&mut class.fresh);
            for entry in waiting.chain(class.flying.values_mut()) {
                if entry.place.as_ref().is_some_and(is_gone) {
                    entry.place = None;
                    if entry.body.is_none() {
                        lost.push(entry.seq);
                    }
                }
            }
            for seq in lost {
                self.drop_waiting(number, seq, Reason::DiskFull);
            }
        }
    }

    /// Takes everything, flying ones included.
    pub(super) fn drain(&mut self) -> Vec<Entry> {
        let mut all = Vec::with_capacity(self.entries);
        for class in &mut self.classes {
            all.extend(class.old.drain(..).chain(class.fresh.drain(..)));
            all.extend(std::mem::take(&mut class.flying).into_values());
        }
        for entry in &all {
            self.leave(entry);
        }
        (self.in_flight, self.old_in_flight) = (0, 0);
        all
    }

    pub(super) fn take_dropped(&mut self) -> Receipt {
        std::mem::take(&mut self.dropped)
    }

    /// Keeps the rate.
    pub(super) fn end_flush(&mut self) {
        let now = Instant::now();
        let bytes = std::mem::take(&mut self.flush_bytes) as f64;
        if let Some(before) = self.flushed_at.replace(now) {
            let seconds = now
                .duration_since(before)
                .max(Duration::from_millis(1))
                .as_secs_f64();
            self.rate += RATE_WEIGHT * (bytes / seconds - self.rate);
        }
    }

    fn enter(&mut self, entry: &Entry) {
        self.entries += 1;
        self.queued_points += u64::from(entry.points);
        self.queued_bytes += u64::from(entry.len_bytes);
        self.memory_bytes += entry.body.as_ref().map_or(0, |body| body.len() as u64);
    }

    fn leave(&mut self, entry: &Entry) {
        self.entries -= 1;
        self.queued_points -= u64::from(entry.points);
        self.queued_bytes -= u64::from(entry.len_bytes);
        self.memory_bytes -= entry.body.as_ref().map_or(0, |body| body.len() as u64);
    }

    /// Moves what is no longer fresh; drops what is too old to be wanted.
    fn age(&mut self, number: usize, now_unix: i64) {
        let class = &mut self.classes[number];
        let mut freed = 0;
        while class
            .fresh
            .front()
            .is_some_and(|entry| now_unix.saturating_sub(entry.made_at) > FRESH_SECONDS)
        {
            let Some(mut entry) = class.fresh.pop_front() else {
                break;
            };
            if entry.place.is_some()
                && let Some(body) = entry.body.take()
            {
                freed += body.len() as u64;
            }
            class.old.push_back(entry);
        }
        self.memory_bytes -= freed;
        while let Some(entry) = self.classes[number].old.front()
            && now_unix.saturating_sub(entry.made_at) > self.age_max_seconds
        {
            let seq = entry.seq;
            self.drop_waiting(number, seq, Reason::TooOld);
        }
    }

    /// Whether something waits whose turn may come now, and whether it is old.
    fn has_next(&self, number: usize) -> Option<bool> {
        let class = &self.classes[number];
        if self.is_ordered {
            let is_free = class.flying.is_empty();
            let next = match class.old.is_empty() {
                false => Some(true),
                true => (!class.fresh.is_empty()).then_some(false),
            };
            return next.filter(|_| is_free);
        }
        if !class.fresh.is_empty() {
            return Some(false);
        }
        let share = (self.concurrency as usize).div_ceil(2);
        (!class.old.is_empty() && self.old_in_flight < share).then_some(true)
    }

    fn land(&mut self, job: &Job) -> Option<Entry> {
        let class = &mut self.classes[usize::from(job.entry.class)];
        let entry = class.flying.remove(&job.entry.seq)?;
        self.in_flight -= 1;
        self.old_in_flight -= usize::from(job.is_old);
        Some(entry)
    }

    /// Class, position and whether it is on disk, of the oldest waiting payload.
    fn oldest(&self, mut wanted: impl FnMut(&Entry) -> bool) -> Option<(usize, u64, bool)> {
        let mut best: Option<(usize, u64, bool)> = None;
        for (number, class) in self.classes.iter().enumerate() {
            let found = class
                .old
                .iter()
                .chain(&class.fresh)
                .find(|entry| wanted(entry));
            if let Some(entry) = found
                && best.is_none_or(|(_, seq, _)| entry.seq < seq)
            {
                best = Some((number, entry.seq, entry.place.is_some()));
            }
        }
        best
    }

    fn let_body_go(&mut self, number: usize, seq: u64) {
        let class = &mut self.classes[number];
        let mut waiting = class.old.iter_mut().chain(&mut class.fresh);
        if let Some(body) = waiting
            .find(|entry| entry.seq == seq)
            .and_then(|entry| entry.body.take())
        {
            self.memory_bytes -= body.len() as u64;
        }
    }

    fn drop_waiting(&mut self, number: usize, seq: u64, reason: Reason) {
        let class = &mut self.classes[number];
        let mut removed = None;
        for line in [&mut class.old, &mut class.fresh] {
            if let Some(at) = line.iter().position(|entry| entry.seq == seq) {
                removed = line.remove(at);
                break;
            }
        }
        if let Some(entry) = removed {
            self.leave(&entry);
            self.dropped.drop_points(reason, u64::from(entry.points));
            self.settled.extend(entry.place);
        }
    }
}

// === impl Class ===

impl Class {
    /// Payloads that wait or fly.
    pub(super) fn len(&self) -> usize {
        self.fresh.len() + self.old.len() + self.flying.len()
    }
}
