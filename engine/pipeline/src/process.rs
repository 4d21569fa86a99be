//! One lane's brain: packets in, buckets out. No sockets, no threads, no clock of its own.
//!
//! ```text
//!  packet ─▶ lines ─▶ parse ─▶ metric ─▶ spelling known? ─▶ cell of the open bucket
//!                        │                   └ no: admit ▸ enrich ▸ context, once
//!                        └▶ event, service check: kept for the flush
//! ```
//!
//! Per message of a known spelling: no allocation, lock, log, clock call or system call. Counts are
//! plain integers, published once per batch.

mod adapt;
mod admission;
mod ahead;
pub mod close;
pub mod count;
mod item;
mod metric;
mod sender;
mod told;

use std::sync::Arc;

use greyhound_model::context::{Context, ContextBuilder};
use greyhound_model::event::Event;
use greyhound_model::metric::MetricKind;
use greyhound_model::origin::Sender;
use greyhound_model::origin_table::OriginTable;
use greyhound_model::service_check::ServiceCheck;
use greyhound_model::time::{BucketWidth, Stamp};
use greyhound_wire::{Message, frame};

use crate::admit::cache::MapperCache;
use crate::aggregate::bucket::{Arrival, Bucket, Buckets};
use crate::context::growth::TagGrowth;
use crate::context::hash::Seed;
use crate::context::limiter::{Limit, Limiter, SharedUsage};
use crate::context::table::ContextTable;
use crate::ledger::{LaneCells, LaneTally, Ledger, ListenerId, Tally, TallyCells};
use crate::rules::Rules;

use ahead::{AHEAD_FROM, Ahead};
use close::Sweep;
use count::{Counted, Counts};
use sender::Origins;
use told::Told;

/// One datagram or frame, whole.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Who sent it, if the kernel said so.
    pub sender: Sender,
}

/// A lane without its sockets.
#[derive(Debug)]
pub struct Processor {
    lane: usize,
    rules: Arc<Rules>,
    width: BucketWidth,
    listeners: Vec<Listener>,
    lane_tally: LaneTally,
    lane_cells: Arc<LaneCells>,
    contexts: ContextTable,
    limiter: Limiter,
    growth: TagGrowth,
    refusals: Vec<Refusal>,
    buckets: Buckets,
    arrival: Arrival,
    origins: Origins,
    mapper_cache: MapperCache,
    /// Spellings from which messages are looked up ahead.
    ahead_from: usize,
    builder: ContextBuilder,
    sweep: Sweep,
    name_scratch: Vec<u8>,
    copy_scratch: Vec<u8>,
    hostname: Arc<[u8]>,
    events: Vec<Event>,
    service_checks: Vec<ServiceCheck>,
    /// Bytes charged for events and service checks.
    item_bytes: u64,
    timestamped: Vec<Timestamped>,
    counts: Counts,
    told: Told,
    /// Nothing was handed over yet.
    starts_anew: bool,
}

#[derive(Debug)]
struct Listener {
    eol_required: bool,
    tally: Tally,
    /// Metric messages by kind, folded into the tally when it is published.
    kinds: [u64; MetricKind::ALL.len()],
    cells: Arc<TallyCells>,
}

/// What a new processor is made of.
#[derive(Clone, Debug)]
pub struct ProcessorParts {
    /// Which lane it is.
    pub lane: usize,
    /// Where it counts.
    pub ledger: Arc<Ledger>,
    /// What messages meet.
    pub rules: Arc<Rules>,
    /// Tags by origin.
    pub origins: Arc<OriginTable>,
    /// Length of a bucket.
    pub width: BucketWidth,
    /// What all lanes use together.
    pub usage: Arc<SharedUsage>,
    /// Secret of the process.
    pub seed: Seed,
    /// The engine's own host name.
    pub hostname: Arc<[u8]>,
}

/// A sample that brought its own time: it leaves as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Timestamped {
    /// Name, host and tags.
    pub context: Context,
    /// Gauge or counter.
    pub kind: MetricKind,
    /// The client's time.
    pub unix_seconds: i64,
    /// As sent; the sample rate does not count.
    pub value: f64,
}

/// What a lane hands to the flush.
#[derive(Debug)]
pub struct LaneFlush {
    /// Which lane.
    pub lane: usize,
    /// The first of a processor: what its lane's numbers meant before is void.
    pub starts_anew: bool,
    /// Contexts that are new since the last time: number and text. Comes before `buckets`.
    pub created: Vec<(u32, Context)>,
    /// Closed buckets, oldest first.
    pub buckets: Vec<Bucket>,
    /// Counters in buckets that stay open: number and second of the latest sample.
    pub open_counters: Vec<(u32, u32)>,
    /// Numbers that mean nothing any more, from now on. Comes after `buckets`.
    pub expired: Vec<u32>,
    /// Events, in order of arrival.
    pub events: Vec<Event>,
    /// Service checks, in order of arrival.
    pub service_checks: Vec<ServiceCheck>,
    /// Samples that go past the buckets.
    pub timestamped: Vec<Timestamped>,
    /// How often contexts were sampled, by number, while that is counted. Numbers are those of before `expired`.
    pub counts: Vec<(u32, Counted)>,
    /// Limits that said no since the last time.
    pub refusals: Vec<Refusal>,
}

/// A limit that said no, with the first case and a suspect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Which one.
    pub limit: Limit,
    /// How many samples or items.
    pub count: u64,
    /// Name of the first metric refused.
    pub metric: Vec<u8>,
    /// Tag key with the most new values lately, and how many.
    pub fastest_tag: Option<(Vec<u8>, u32)>,
}

// === impl Processor ===

impl Processor {
    /// A processor that has seen nothing.
    pub fn new(parts: ProcessorParts) -> Self {
        let listeners = parts
            .ledger
            .listeners()
            .iter()
            .zip(parts.ledger.cells(parts.lane))
            .map(|(info, cells)| Listener {
                eol_required: info.eol_required,
                // A lane that starts again goes on from what its cells say.
                tally: cells.load(),
                kinds: [0; MetricKind::ALL.len()],
                cells,
            })
            .collect();
        let lane_cells = parts.ledger.lane_cells(parts.lane);
        Self {
            lane: parts.lane,
            mapper_cache: MapperCache::new(parts.rules.mapper_cache_entries),
            origins: Origins::new(parts.origins),
            width: parts.width,
            listeners,
            lane_tally: lane_cells.load(),
            lane_cells,
            contexts: ContextTable::new(parts.seed),
            limiter: Limiter::new(parts.usage),
            growth: TagGrowth::default(),
            refusals: Vec::new(),
            buckets: Buckets::default(),
            ahead_from: AHEAD_FROM,
            arrival: Arrival::default(),
            builder: ContextBuilder::default(),
            sweep: Sweep::default(),
            name_scratch: Vec::new(),
            copy_scratch: Vec::new(),
            hostname: parts.hostname,
            events: Vec::new(),
            service_checks: Vec::new(),
            item_bytes: 0,
            timestamped: Vec::new(),
            counts: Counts::default(),
            told: Told::default(),
            starts_anew: true,
            rules: parts.rules,
        }
    }

    /// The running counts of a listener, for whoever reads its socket.
    pub fn tally_mut(&mut self, listener: ListenerId) -> &mut Tally {
        &mut self.listeners[usize::from(listener.0)].tally
    }

    /// Samples that go past the buckets and wait to be handed over.
    pub fn timestamped_len(&self) -> usize {
        self.timestamped.len()
    }

    /// Publishes what was counted, for readers on other threads.
    pub fn publish(&mut self) {
        for listener in &mut self.listeners {
            listener.publish();
        }
        self.publish_lane();
    }

    /// Parses and aggregates packets that were received together, at `stamp`.
    ///
    /// A bad message costs only itself: its neighbours are not affected.
    pub fn process<'a>(
        &mut self,
        listener: ListenerId,
        stamp: Stamp,
        packets: impl IntoIterator<Item = Packet<'a>>,
    ) {
        match self.counts_contexts() {
            false => self.process_as::<false>(listener, stamp, packets),
            true => self.process_as::<true>(listener, stamp, packets),
        }
    }

    /// The same, and whether samples are counted by context.
    fn process_as<'a, const COUNTS: bool>(
        &mut self,
        listener: ListenerId,
        stamp: Stamp,
        packets: impl IntoIterator<Item = Packet<'a>>,
    ) {
        self.turn_to(stamp);
        let index = usize::from(listener.0);
        let eol_required = self.listeners[index].eol_required;
        let options = self.rules.wire;
        // A copy on the stack: counting goes to registers and one cache line.
        let mut tally = self.listeners[index].tally;
        let mut kinds = self.listeners[index].kinds;
        let aggregated_before = tally.samples_aggregated;
        let looks_ahead = self.contexts.spelling_count() >= self.ahead_from;
        let mut ahead = looks_ahead.then(Ahead::new);
        for packet in packets {
            tally.datagrams_parsed += 1;
            let origin = self.origins.of_sender(packet.sender);
            let mut lines = frame::lines(packet.bytes, eol_required);
            for line in &mut lines {
                tally.messages += 1;
                // By reference: a message is 150 bytes, and moving them can be measured.
                match &greyhound_wire::parse(line, options) {
                    Ok(Message::Metric(metric)) => {
                        kinds[metric.kind as usize] += 1;
                        match &mut ahead {
                            None => self.metric::<COUNTS>(metric, origin, &mut tally),
                            Some(ahead) => {
                                self.defer::<COUNTS>(ahead, metric, origin, &mut tally);
                            }
                        }
                    }
                    Ok(Message::Event(event)) => {
                        // Limits are met in the order of arrival.
                        self.catch_up_all::<COUNTS>(&mut ahead, &mut tally);
                        self.event(event, origin, &mut tally);
                    }
                    Ok(Message::ServiceCheck(check)) => {
                        self.catch_up_all::<COUNTS>(&mut ahead, &mut tally);
                        self.service_check(check, origin, &mut tally);
                    }
                    Err(error) => {
                        *tally.rejected_mut(error.kind) += 1;
                        self.tell_refused(line, error);
                    }
                }
            }
            if lines.unterminated() {
                tally.messages += 1;
                tally.unterminated += 1;
            }
        }
        self.catch_up_all::<COUNTS>(&mut ahead, &mut tally);
        // One call, one bucket: `turn_to` chose it.
        self.buckets.current().samples += tally.samples_aggregated - aggregated_before;
        let listener = &mut self.listeners[index];
        listener.tally = tally;
        listener.kinds = kinds;
        listener.publish();
    }

    fn catch_up_all<const COUNTS: bool>(
        &mut self,
        ahead: &mut Option<Ahead<'_>>,
        tally: &mut Tally,
    ) {
        if let Some(ahead) = ahead {
            self.catch_up::<COUNTS>(ahead, tally);
        }
    }

    /// Makes the bucket of this time the one that takes samples.
    fn turn_to(&mut self, stamp: Stamp) {
        let second = stamp.unix_seconds();
        let start = self.width.containing(second).0;
        if self.buckets.turn_to(start, self.width.seconds()) {
            self.lane_tally.clock_jumps += 1;
        }
        self.arrival = Arrival {
            // Until the year 2106.
            second: u32::try_from(second).unwrap_or(u32::MAX),
            order: (stamp.monotonic_nanos / 1000) as u32,
        };
    }

    fn publish_lane(&mut self) {
        let tally = &mut self.lane_tally;
        tally.contexts = self.contexts.context_count() as u64;
        tally.spellings = self.contexts.spelling_count() as u64;
        tally.memory_bytes = self.limiter.used_bytes();
        tally.buckets = self.buckets.open().len() as u64;
        tally.mapper_hits = self.mapper_cache.hits();
        tally.mapper_misses = self.mapper_cache.misses();
        self.lane_cells.store(tally);
    }
}

// === impl Listener ===

impl Listener {
    fn publish(&mut self) {
        let [gauge, counter, histogram, timing, set, distribution] = self.kinds;
        self.kinds = [0; MetricKind::ALL.len()];
        let tally = &mut self.tally;
        tally.kind_gauge += gauge;
        tally.kind_counter += counter;
        tally.kind_histogram += histogram;
        tally.kind_timing += timing;
        tally.kind_set += set;
        tally.kind_distribution += distribution;
        self.cells.store(tally);
    }
}

#[cfg(test)]
mod tests;
