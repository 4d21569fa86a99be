//! Where every datagram, message and sample went.
//!
//! One [`Tally`] per lane and listener: plain integers, written by the lane, published once per
//! batch into [`TallyCells`], added up by whoever reads. The equations, each with remainder 0
//! whenever nothing is on its way:
//!
//! ```text
//!  datagrams_read = datagrams_parsed + truncated + frame_too_big + frame_partial
//!                 + datagrams_shutdown + datagrams_lane_panic
//!  messages       = metrics + events + service_checks + rejected (by class) + unterminated
//!  samples        = samples_aggregated + samples_timestamped + filtered + not_finite + context_limit
//!                 + origin_limit + tag_limit + memory_limit + member_limit + value_limit
//!                 + timestamped_unsupported
//!  events + service_checks = items_collected + items_limit
//! ```
//!
//! Aggregated samples can still be lost with an open bucket: [`LaneTally`] counts those.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use greyhound_telemetry::counters;
use greyhound_wire::ParseErrorKind;

use crate::context::limiter::Limit;

counters! {
    /// What one listener's packets came to on one lane.
    pub struct Tally / TallyCells {
        /// Datagrams or stream frames taken from the kernel.
        datagrams_read,
        /// Their bytes.
        bytes_read,
        /// Datagrams or frames split into messages.
        datagrams_parsed,
        /// Datagrams longer than `dogstatsd_buffer_size`: dropped whole.
        truncated,
        /// Stream frames longer than `dogstatsd_buffer_size`, or of length zero: the connection is closed.
        frame_too_big,
        /// Stream frames cut off by the end of the connection or by the idle limit.
        frame_partial,
        /// Datagrams in hand when the process had to stop.
        datagrams_shutdown,
        /// Datagrams in hand when a lane broke.
        datagrams_lane_panic,
        /// Non-empty lines.
        messages,
        /// Metric messages understood.
        metrics,
        /// Event messages understood.
        events,
        /// Service check messages understood.
        service_checks,
        /// Last lines without newline where `dogstatsd_eol_required` asks for one.
        unterminated,
        /// Values of understood metric messages; a pack of three counts three.
        samples,
        /// Samples put into a bucket.
        samples_aggregated,
        /// Samples that brought their own time and went past the buckets.
        samples_timestamped,
        /// Metric messages refused by the name filter list.
        filtered_messages,
        /// Samples of those.
        filtered,
        /// Samples that are NaN or infinite.
        not_finite,
        /// Samples of new contexts over `greyhound.limits.contexts`.
        context_limit,
        /// Samples of new contexts over `greyhound.limits.contexts_per_origin`.
        origin_limit,
        /// Samples with more tags than `greyhound.limits.tags_per_metric`.
        tag_limit,
        /// Samples that would pass `greyhound.limits.memory`.
        memory_limit,
        /// New members of a set over `greyhound.limits.set_members`.
        member_limit,
        /// Values of a histogram over `greyhound.limits.histogram_values`.
        value_limit,
        /// Timestamped samples that are neither gauge nor counter.
        timestamped_unsupported,
        /// Events and service checks kept for the flush.
        items_collected,
        /// Events and service checks over `greyhound.limits.events`.
        items_limit,
        /// Sample rates that gave no finite weight and counted as 1.
        rate_clamped,
        /// Samples whose kind differed from the one their context has in this bucket.
        type_clashes,
        /// Gauge messages.
        kind_gauge,
        /// Counter messages.
        kind_counter,
        /// Histogram messages.
        kind_histogram,
        /// Timing messages.
        kind_timing,
        /// Set messages.
        kind_set,
        /// Distribution messages.
        kind_distribution,
        /// Refused: no pipe in the message.
        rejected_metric_format,
        /// Refused: name or value missing.
        rejected_metric_name_value,
        /// Refused: unknown metric type.
        rejected_metric_type,
        /// Refused: a value is not a number.
        rejected_metric_value,
        /// Refused: the sample rate is not a number.
        rejected_metric_sample_rate,
        /// Refused: the timestamp is not a positive number of seconds.
        rejected_metric_timestamp,
        /// Refused: an event without colon.
        rejected_event_format,
        /// Refused: an event header that cannot be read.
        rejected_event_header,
        /// Refused: an event without title.
        rejected_event_empty_title,
        /// Refused: an event shorter than its header says.
        rejected_event_length,
        /// Refused: a service check with too few fields.
        rejected_service_check_format,
        /// Refused: a service check without name.
        rejected_service_check_name,
        /// Refused: a service check status outside 0 to 3.
        rejected_service_check_status,
    }
}

counters! {
    /// What a lane did that belongs to no single listener.
    pub struct LaneTally / LaneCells {
        /// Samples handed to the flush with a closed bucket.
        samples_flushed,
        /// Samples of open buckets dropped at stop (`dogstatsd_flush_incomplete_buckets`).
        samples_open_dropped,
        /// Samples of open buckets lost when the lane broke.
        samples_lane_panic,
        /// Events, service checks and samples with a time of their own handed to the flush.
        items_handed_over,
        /// Those lost when the lane broke.
        items_lane_panic,
        /// Contexts this lane knows.
        contexts,
        /// Spellings (raw names and tags as sent) this lane knows.
        spellings,
        /// Contexts made since the start.
        contexts_created,
        /// Contexts forgotten since the start.
        contexts_expired,
        /// Bytes of contexts and open buckets.
        memory_bytes,
        /// Buckets open.
        buckets,
        /// Mapper cache hits.
        mapper_hits,
        /// Mapper cache misses.
        mapper_misses,
        /// Wall clock jumps seen.
        clock_jumps,
    }
}

/// Index of a listener in [`Ledger::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ListenerId(pub u16);

/// How packets arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// UDP datagrams.
    Udp,
    /// Unix datagrams.
    Unixgram,
    /// Frames on a Unix stream.
    UnixStream,
}

/// What the ledger and the processor know of a listener.
#[derive(Clone, Debug)]
pub struct ListenerInfo {
    /// The Agent's listener id: `udp`, `uds-unixgram`, `uds-unix`.
    pub id: String,
    /// Address or path.
    pub address: String,
    /// How packets arrive.
    pub transport: Transport,
    /// The last line needs its newline.
    pub eol_required: bool,
}

/// The cells of all lanes and listeners. Shared; only owners write.
#[derive(Debug)]
pub struct Ledger {
    roll: ArcSwap<Roll>,
    /// Held by whoever adds to the roll.
    adding: Mutex<()>,
    lanes: Vec<Arc<LaneCells>>,
}

/// Listeners and their cells; replaced as a whole when a listener joins. None ever leaves: what it
/// counted stays.
#[derive(Debug)]
struct Roll {
    listeners: Arc<[ListenerInfo]>,
    /// `[lane][listener]`
    tallies: Vec<Vec<Arc<TallyCells>>>,
}

/// Listeners a process can have had.
pub const LISTENERS_MAX: usize = 1024;

/// Sums over all lanes at one time.
#[derive(Clone, Debug, Default)]
pub struct LedgerReading {
    /// Over all listeners.
    pub total: Tally,
    /// Over all lanes.
    pub lanes: LaneTally,
}

// === impl Transport ===

impl Transport {
    /// The Agent's label value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Unixgram => "unixgram",
            Self::UnixStream => "unix",
        }
    }
}

// === impl Tally ===

impl Tally {
    /// The counter of a refusal class.
    pub fn rejected_mut(&mut self, kind: ParseErrorKind) -> &mut u64 {
        match kind {
            ParseErrorKind::MetricFormat => &mut self.rejected_metric_format,
            ParseErrorKind::MetricNameValue => &mut self.rejected_metric_name_value,
            ParseErrorKind::MetricType => &mut self.rejected_metric_type,
            ParseErrorKind::MetricValue => &mut self.rejected_metric_value,
            ParseErrorKind::MetricSampleRate => &mut self.rejected_metric_sample_rate,
            ParseErrorKind::MetricTimestamp => &mut self.rejected_metric_timestamp,
            ParseErrorKind::EventFormat => &mut self.rejected_event_format,
            ParseErrorKind::EventHeader => &mut self.rejected_event_header,
            ParseErrorKind::EventEmptyTitle => &mut self.rejected_event_empty_title,
            ParseErrorKind::EventLength => &mut self.rejected_event_length,
            ParseErrorKind::ServiceCheckFormat => &mut self.rejected_service_check_format,
            ParseErrorKind::ServiceCheckName => &mut self.rejected_service_check_name,
            ParseErrorKind::ServiceCheckStatus => &mut self.rejected_service_check_status,
        }
    }

    /// The counter of what a limit refused.
    pub fn limit_mut(&mut self, limit: Limit) -> &mut u64 {
        match limit {
            Limit::Contexts => &mut self.context_limit,
            Limit::ContextsPerOrigin => &mut self.origin_limit,
            Limit::Tags => &mut self.tag_limit,
            Limit::Memory => &mut self.memory_limit,
            Limit::SetMembers => &mut self.member_limit,
            Limit::HistogramValues => &mut self.value_limit,
            Limit::Events => &mut self.items_limit,
        }
    }

    /// Refused messages by class, in the order of [`ParseErrorKind::ALL`].
    pub fn rejected(&self) -> impl Iterator<Item = (ParseErrorKind, u64)> + Clone + use<> {
        let mut copy = *self;
        ParseErrorKind::ALL
            .into_iter()
            .map(move |kind| (kind, *copy.rejected_mut(kind)))
    }

    /// Refused messages in all.
    pub fn rejected_total(&self) -> u64 {
        self.rejected().map(|(_, count)| count).sum()
    }

    /// Datagrams dropped, by reason.
    pub fn datagram_drops(&self) -> [(&'static str, u64); 5] {
        [
            ("truncated", self.truncated),
            ("frame_too_big", self.frame_too_big),
            ("frame_partial", self.frame_partial),
            ("shutdown", self.datagrams_shutdown),
            ("lane_panic", self.datagrams_lane_panic),
        ]
    }

    /// Samples, events and checks dropped, by reason.
    pub fn item_drops(&self) -> [(&'static str, u64); 10] {
        [
            ("filtered", self.filtered),
            ("not_finite", self.not_finite),
            ("context_limit", self.context_limit),
            ("origin_limit", self.origin_limit),
            ("tag_limit", self.tag_limit),
            ("memory_limit", self.memory_limit),
            ("member_limit", self.member_limit),
            ("value_limit", self.value_limit),
            ("timestamped_unsupported", self.timestamped_unsupported),
            ("items_limit", self.items_limit),
        ]
    }

    /// Datagrams that are nowhere. 0 when quiet.
    pub fn datagram_remainder(&self) -> i64 {
        let drops: u64 = self.datagram_drops().iter().map(|(_, count)| count).sum();
        difference(self.datagrams_read, self.datagrams_parsed + drops)
    }

    /// Messages that are nowhere. 0 when quiet.
    pub fn message_remainder(&self) -> i64 {
        let known = self.metrics + self.events + self.service_checks + self.unterminated;
        difference(self.messages, known + self.rejected_total())
    }

    /// Samples, events and checks that are nowhere. 0 when quiet.
    pub fn item_remainder(&self) -> i64 {
        let drops: u64 = self.item_drops().iter().map(|(_, count)| count).sum();
        let kept = self.samples_aggregated + self.samples_timestamped + self.items_collected;
        difference(
            self.samples + self.events + self.service_checks,
            kept + drops,
        )
    }
}

/// `a - b`, where counters stay far below 2^63.
fn difference(a: u64, b: u64) -> i64 {
    a.wrapping_sub(b).cast_signed()
}

// === impl Ledger ===

impl Ledger {
    /// Empty cells for `lanes` lanes.
    pub fn new(listeners: Vec<ListenerInfo>, lanes: usize) -> Self {
        let tallies = (0..lanes)
            .map(|_| {
                listeners
                    .iter()
                    .map(|_| Arc::new(TallyCells::default()))
                    .collect()
            })
            .collect();
        let lanes = (0..lanes).map(|_| Arc::new(LaneCells::default())).collect();
        Self {
            roll: ArcSwap::from_pointee(Roll {
                listeners: listeners.into(),
                tallies,
            }),
            adding: Mutex::new(()),
            lanes,
        }
    }

    /// What listens or has listened, by [`ListenerId`].
    pub fn listeners(&self) -> Arc<[ListenerInfo]> {
        Arc::clone(&self.roll.load().listeners)
    }

    /// Adds a listener; one that was here before under the same address counts on. `None` when there
    /// have been [`LISTENERS_MAX`].
    pub fn add_listener(&self, info: ListenerInfo) -> Option<ListenerId> {
        let _adding = self.adding.lock().unwrap_or_else(PoisonError::into_inner);
        let roll = self.roll.load_full();
        let is_same = |known: &ListenerInfo| {
            known.transport == info.transport && known.address == info.address
        };
        let at = match roll.listeners.iter().position(is_same) {
            Some(at) => at,
            None if roll.listeners.len() >= LISTENERS_MAX => return None,
            None => {
                let mut tallies = roll.tallies.clone();
                for lane in &mut tallies {
                    lane.push(Arc::default());
                }
                let listeners = roll.listeners.iter().cloned().chain([info]).collect();
                self.roll.store(Arc::new(Roll { listeners, tallies }));
                roll.listeners.len()
            }
        };
        u16::try_from(at).ok().map(ListenerId)
    }

    /// How many lanes write here.
    pub fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    /// The cells a lane writes, one per listener.
    pub fn cells(&self, lane: usize) -> Vec<Arc<TallyCells>> {
        self.roll.load().tallies[lane].clone()
    }

    /// The cells a lane writes for itself.
    pub fn lane_cells(&self, lane: usize) -> Arc<LaneCells> {
        Arc::clone(&self.lanes[lane])
    }

    /// One listener over all lanes.
    pub fn listener(&self, listener: ListenerId) -> Tally {
        let mut sum = Tally::default();
        for lane in &self.roll.load().tallies {
            sum.add(&lane[usize::from(listener.0)].load());
        }
        sum
    }

    /// One lane by itself.
    pub fn lane(&self, lane: usize) -> LaneTally {
        self.lanes[lane].load()
    }

    /// Everything.
    pub fn read(&self) -> LedgerReading {
        let mut reading = LedgerReading::default();
        for cells in self.roll.load().tallies.iter().flatten() {
            reading.total.add(&cells.load());
        }
        for cells in &self.lanes {
            reading.lanes.add(&cells.load());
        }
        reading
    }
}

// === impl LedgerReading ===

impl LedgerReading {
    /// Items that came in: samples, events, checks, refused and unterminated messages. An item is
    /// the unit in which all of the ledger can be added up.
    pub fn items_received(&self) -> u64 {
        let t = &self.total;
        t.samples + t.events + t.service_checks + t.rejected_total() + t.unterminated
    }

    /// Items that were lost after they had been aggregated, by reason.
    pub fn late_drops(&self) -> [(&'static str, u64); 2] {
        [
            ("open_bucket", self.lanes.samples_open_dropped),
            (
                "lane_panic",
                self.lanes.samples_lane_panic + self.lanes.items_lane_panic,
            ),
        ]
    }

    /// Items that reached a flush, wait in an open bucket, or passed the buckets by.
    pub fn items_aggregated(&self) -> u64 {
        let late: u64 = self.late_drops().iter().map(|(_, count)| count).sum();
        let t = &self.total;
        (t.samples_aggregated + t.samples_timestamped + t.items_collected).saturating_sub(late)
    }

    /// Samples in open buckets.
    pub fn samples_open(&self) -> i64 {
        let lanes = &self.lanes;
        difference(
            self.total.samples_aggregated,
            lanes.samples_flushed + lanes.samples_open_dropped + lanes.samples_lane_panic,
        )
    }

    /// What cannot be explained, over all equations. 0 when quiet; anything else is a bug.
    pub fn remainder(&self) -> i64 {
        let total = &self.total;
        total.datagram_remainder().abs()
            + total.message_remainder().abs()
            + total.item_remainder().abs()
    }
}

impl fmt::Display for LedgerReading {
    /// The line the process ends with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = &self.total;
        write!(
            f,
            "received={} aggregated={}",
            self.items_received(),
            self.items_aggregated()
        )?;
        let rejected = total
            .rejected()
            .map(|(kind, count)| (kind.as_str(), count))
            .chain([("unterminated", total.unterminated)]);
        write_group(f, "rejected", rejected)?;
        write_group(
            f,
            "dropped",
            total.item_drops().into_iter().chain(self.late_drops()),
        )?;
        write_group(f, "datagrams_dropped", total.datagram_drops().into_iter())?;
        write!(f, " remainder={}", self.remainder())
    }
}

/// ` name=sum (reason=n, …)`, reasons that are 0 left out.
fn write_group(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    reasons: impl Iterator<Item = (&'static str, u64)> + Clone,
) -> fmt::Result {
    write!(
        f,
        " {name}={}",
        reasons.clone().map(|(_, count)| count).sum::<u64>()
    )?;
    let mut open = false;
    for (reason, count) in reasons.filter(|(_, count)| *count > 0) {
        write!(f, "{}{reason}={count}", if open { ", " } else { " (" })?;
        open = true;
    }
    if open { f.write_str(")") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unexplained_message_shows_as_a_remainder() {
        let mut reading = LedgerReading::default();
        reading.total.messages = 3;
        reading.total.metrics = 1;
        reading.total.samples = 1;
        reading.total.samples_aggregated = 1;
        reading.total.rejected_metric_value = 1;
        assert_eq!(reading.remainder(), 1);
        reading.total.unterminated = 1;
        assert_eq!(reading.remainder(), 0);
    }

    #[test]
    fn the_last_line_names_classes_and_reasons() {
        let mut reading = LedgerReading::default();
        reading.total.messages = 2;
        reading.total.samples = 5;
        reading.total.samples_aggregated = 4;
        reading.total.not_finite = 1;
        reading.total.rejected_metric_type = 2;
        reading.lanes.samples_open_dropped = 1;
        assert_eq!(
            reading.to_string(),
            "received=7 aggregated=3 rejected=2 (metric_type=2) \
             dropped=2 (not_finite=1, open_bucket=1) datagrams_dropped=0 remainder=0"
        );
    }

    #[test]
    fn every_refusal_class_has_its_own_counter() {
        let mut tally = Tally::default();
        for (index, kind) in ParseErrorKind::ALL.into_iter().enumerate() {
            *tally.rejected_mut(kind) += index as u64 + 1;
        }
        let counts: Vec<_> = tally.rejected().map(|(_, count)| count).collect();
        assert_eq!(counts, (1..=13).collect::<Vec<_>>());
    }
}
