//! The flush thread: asks the lanes for their closed buckets right after each boundary of the bucket
//! grid, merges, delivers.
//!
//! The grid is the wall clock's. When that jumps ahead, one flush follows and the buckets between
//! stay unborn; when it jumps back, the next boundary is taken anew. The thread looks at the clock at
//! least once a second, so neither takes longer to be noticed. In the same rhythm it reads what the
//! kernel dropped.
//!
//! A lane that does not answer within [`ANSWER_MAX`] is left out; what it closes comes with the next
//! flush, and until then the engine is not ready.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select};
use greyhound_model::flush::{FlushBatch, FlushCause};
use greyhound_model::time::{BucketWidth, Clock, Stamp};

use super::Output;
use super::following::Following;
use super::handle::Shown;
use crate::flush::Flusher;
use crate::flush::survey::Piece;
use crate::lane::command::{Command, Report};
use crate::lane::shared::Shared;
use crate::ledger::ListenerId;
use crate::process::{LaneFlush, Timestamped};
use crate::receive::drops::{DropWatch, Watched};
use crate::rules::Rules;

const TICK: Duration = Duration::from_secs(1);
/// How long a flush waits for the slowest lane.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// Samples that brought their own time wait so long for those of other lanes: a sink's queue holds two
/// batches, and each lane hands over its own.
const GATHER: Duration = Duration::from_millis(100);
/// When so many are gathered, they leave at once.
const GATHERED_MAX: usize = 1 << 18;
const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// To the flush thread.
#[derive(Debug)]
pub(super) enum Control {
    /// Flush now.
    Flush { done: Sender<()> },
    /// Other rules, and their generation.
    Rules(u64, Arc<Rules>),
    /// Sockets whose drops are to be read as well.
    Watch(Vec<Watched>),
    /// Listeners whose sockets are let go of.
    Unwatch(Vec<ListenerId>),
    /// Points of our own, for the outputs.
    Own(Vec<Timestamped>),
    /// A copy of what is known of some contexts: from this number on, so many numbers.
    Survey(u32, u32, Sender<Piece>),
    /// Samples are counted by context, or no more.
    CountContexts(bool),
    /// Another bucket width, as soon as no bucket is cut by it.
    Width(BucketWidth),
    /// The last flush; then end.
    Stop {
        drain_until: Instant,
        end: Instant,
        keep_open_buckets: bool,
    },
}

/// The thread and what it owns.
pub(super) struct FlushThread {
    pub(super) flusher: Flusher,
    pub(super) output: Box<dyn Output>,
    pub(super) drops: DropWatch,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) width: BucketWidth,
    pub(super) shared: Arc<Shared>,
    pub(super) shown: Arc<Shown>,
    pub(super) control: Receiver<Control>,
    pub(super) reports: Receiver<Report>,
    /// By lane: an answer is still to come.
    pub(super) owed: Vec<bool>,
    /// Changes of the settings on their way to lanes.
    pub(super) following: Following,
    /// Answers for the next merge.
    pub(super) received: Vec<LaneFlush>,
    /// Samples that brought their own time, of all lanes.
    pub(super) timestamped: Vec<Timestamped>,
    /// When they leave.
    pub(super) timestamped_due: Option<Instant>,
}

/// What woke the thread.
enum Woken {
    Control(Control),
    Report(Report),
    /// Every lane and every handle is gone.
    Alone,
    Timer,
}

// === impl FlushThread ===

impl FlushThread {
    /// Runs until the stop.
    pub(super) fn run(mut self) {
        let mut next = self.boundary_after(self.clock.now());
        let mut tick = Instant::now() + TICK;
        loop {
            let now = self.clock.now();
            let due = self.timestamped_due.unwrap_or(tick);
            match self.wait(self.until(next, now).min(tick).min(due)) {
                Woken::Control(Control::Flush { done }) => {
                    self.round(self.clock.now());
                    // Whoever asked may have gone.
                    done.send(()).ok();
                }
                Woken::Control(Control::Rules(generation, rules)) => {
                    self.flusher.set_rules(Arc::clone(&rules));
                    self.following.rules(generation, rules);
                    self.following.tell(&self.shared);
                }
                Woken::Control(Control::Watch(sockets)) => self.drops.add(sockets),
                Woken::Control(Control::Unwatch(listeners)) => self.drops.remove(&listeners),
                Woken::Control(Control::Own(samples)) => self.gather(samples),
                Woken::Control(Control::Survey(from, numbers, reply)) => {
                    // Whoever asked may have gone.
                    reply.try_send(self.flusher.survey(from, numbers)).ok();
                }
                Woken::Control(Control::CountContexts(wanted)) => {
                    self.flusher.count_contexts(wanted);
                }
                Woken::Control(Control::Width(width)) => self.following.coming = Some(width),
                Woken::Control(Control::Stop {
                    drain_until,
                    end,
                    keep_open_buckets,
                }) => return self.stop(drain_until, end, keep_open_buckets),
                Woken::Report(report) => self.take(report),
                Woken::Alone => return,
                Woken::Timer => {}
            }
            let monotonic = Instant::now();
            if self.timestamped_due.is_some_and(|due| monotonic >= due) {
                self.deliver_timestamped();
            }
            if monotonic >= tick {
                tick = monotonic + TICK;
                self.tick();
            }
            let now = self.clock.now();
            let coming = self.boundary_after(now);
            if now.unix_seconds() >= next {
                self.round(now);
                next = self.boundary_after(now);
            } else if coming < next {
                // The clock went back.
                next = coming;
            }
        }
    }

    /// First second of the bucket after the one this moment is in.
    fn boundary_after(&self, now: Stamp) -> i64 {
        let start = self.width.containing(now.unix_seconds()).0;
        start.saturating_add(self.width.seconds())
    }

    fn until(&self, boundary: i64, now: Stamp) -> Instant {
        let boundary = u64::try_from(boundary).unwrap_or(0);
        let nanos = boundary
            .saturating_mul(NANOS_PER_SECOND)
            .saturating_sub(now.wall_nanos);
        Instant::now() + Duration::from_nanos(nanos).min(TICK)
    }

    fn wait(&self, until: Instant) -> Woken {
        let timer = crossbeam_channel::at(until);
        select! {
            recv(self.control) -> control => control.map_or(Woken::Alone, Woken::Control),
            recv(self.reports) -> report => report.map_or(Woken::Alone, Woken::Report),
            recv(timer) -> _ => Woken::Timer,
        }
    }

    /// One flush: ask, collect, merge, deliver.
    fn round(&mut self, now: Stamp) {
        for lane in 0..self.owed.len() {
            if !self.owed[lane] && self.shared.tell(lane, Command::Close(now)).is_ok() {
                self.owed[lane] = true;
            }
        }
        self.collect(Instant::now() + ANSWER_MAX);
        let stuck = self.owed.contains(&true);
        if stuck && !self.shown.stuck.swap(stuck, Ordering::Relaxed) {
            tracing::error!("a lane does not answer, its buckets come with a later flush");
        }
        self.shown.stuck.store(stuck, Ordering::Relaxed);
        self.merge(now, FlushCause::Interval);
        self.turn_width(now);
    }

    /// Takes another width up, if the bucket that begins now would not begin where one already was.
    fn turn_width(&mut self, now: Stamp) {
        let boundary = self.width.containing(now.unix_seconds()).0;
        let is_cut =
            |width: &BucketWidth| boundary.rem_euclid(width.seconds()) >= self.width.seconds();
        if let Some(width) = self.following.coming.take_if(|width| !is_cut(width)) {
            tracing::info!(seconds = width.seconds(), "buckets have another length");
            self.width = width;
            self.flusher.set_width(width);
            self.following.width(width);
            self.following.tell(&self.shared);
        }
    }

    /// Takes reports until nobody owes any.
    fn collect(&mut self, until: Instant) {
        while self.owed.contains(&true) {
            match self.reports.recv_deadline(until) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, report: Report) {
        match report {
            Report::Closed(flush) | Report::Stopped(flush) => {
                if let Some(owed) = self.owed.get_mut(flush.lane) {
                    *owed = false;
                }
                self.received.push(flush);
            }
            Report::Timestamped(samples) => self.gather(samples),
        }
    }

    /// Keeps points with a time of their own until there are enough of them, or for a moment.
    fn gather(&mut self, samples: Vec<Timestamped>) {
        self.timestamped.extend(samples);
        if self.timestamped.len() >= GATHERED_MAX {
            self.deliver_timestamped();
        } else if self.timestamped_due.is_none() {
            self.timestamped_due = Some(Instant::now() + GATHER);
        }
    }

    fn merge(&mut self, now: Stamp, cause: FlushCause) {
        let start = Instant::now();
        let received = std::mem::take(&mut self.received);
        let batch = self.flusher.flush(now, cause, received);
        self.deliver(batch);
        let took = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.flusher.took(took);
    }

    fn deliver_timestamped(&mut self) {
        self.timestamped_due = None;
        let samples = std::mem::take(&mut self.timestamped);
        if !samples.is_empty() {
            let batch = self.flusher.timestamped(self.clock.now(), samples);
            self.deliver(batch);
        }
    }

    fn deliver(&mut self, batch: FlushBatch) {
        self.output.deliver(Arc::new(batch));
    }

    fn tick(&mut self) {
        self.drops.look();
        self.following.tell(&self.shared);
        for lane in 0..self.shared.lanes() {
            if self.shared.take_timestamped(lane) {
                // With a full inbox the close brings them.
                drop(self.shared.tell(lane, Command::Timestamped));
            }
        }
    }

    /// Lanes drain and hand over everything; one last merge.
    fn stop(mut self, drain_until: Instant, end: Instant, keep_open_buckets: bool) {
        for lane in 0..self.owed.len() {
            let mut command = Command::Stop {
                drain_until,
                keep_open_buckets,
            };
            while let Err(refused) = self.shared.tell(lane, command) {
                if Instant::now() >= end {
                    break;
                }
                command = refused;
                std::thread::yield_now();
            }
        }
        // A lane that still owes a close answers that first; the channel ends with the last lane.
        loop {
            match self.reports.recv_deadline(end) {
                Ok(report) => self.take(report),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tracing::error!("a lane did not end in time, its last buckets are lost");
                    break;
                }
            }
        }
        self.drops.look();
        self.deliver_timestamped();
        self.merge(self.clock.now(), FlushCause::Stop);
    }
}
