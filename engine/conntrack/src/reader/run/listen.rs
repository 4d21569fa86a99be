//! Listening in one namespace: events into the mirror, losses counted and repaired.
//!
//! A loss is followed by a load of the whole table: a second later, so that a burst is one loss, and not sooner
//! than half a minute after the last. So is sampling, once it is over: what began outside the sample is missing.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::super::Config;
use super::super::counts::{Counts, add};
use super::super::view::{LoadView, NamespaceView};
use super::told::Told;
use crate::attribution::Answering;
use crate::error::QueryError;
use crate::events::{EventConfig, EventSocket};
use crate::exchange::Exchange;
use crate::filter::Filter;
use crate::flow::{Flow, Status};
use crate::mirror::{Keep, Mirror};
use crate::namespace::Namespace;
use crate::request::{Direction, DumpFilter};
use crate::sampling::Sampler;
use crate::walk::{Kind, Message};

const LOAD_AFTER_LOSS: Duration = Duration::from_secs(1);
const LOAD_DEADLINE: Duration = Duration::from_secs(30);
/// Entries beyond which the kernel is asked to filter a dump by itself.
const FILTER_ABOVE: u32 = 20_000;
/// Rows the kernel is asked about in a second.
const VERIFIED_PER_SECOND: usize = 2000;
/// Events read between two pieces of a dump.
const EVENTS_BETWEEN: u64 = 65_536;

/// What events are written into.
pub(super) struct Books<'a> {
    /// Which namespace it is.
    pub(super) place: usize,
    pub(super) mirror: &'a Mutex<Mirror>,
    pub(super) counts: &'a Counts,
    pub(super) told: &'a mut Told,
    pub(super) answering: Option<&'a Answering>,
    /// Now, by the clock of deadlines.
    pub(super) second: u32,
}

/// How events are counted that came in by their id.
#[derive(Clone, Copy)]
struct Share {
    /// Ids below it count, whatever the kernel let in; `None` = all do.
    cutoff: Option<u32>,
    /// Entries each stands for.
    weight: f64,
    filter: Filter,
}

/// A joined socket and what is planned for it.
pub(super) struct Listening {
    pub(super) socket: EventSocket,
    buffer_bytes: usize,
    filter: Filter,
    /// Weight of an event that was let in by its id.
    weight: f64,
    /// Ids below it count, whatever the kernel let in; `None` = all do.
    own_cutoff: Option<u32>,
    /// Cutoff and weight from when the socket was empty once.
    coming: Option<(Option<u32>, f64)>,
    events: u64,
    /// Time between two loads after losses.
    load_pause: Duration,
    load_at: Option<(Instant, &'static str)>,
    loaded_at: Option<Instant>,
    load: Option<LoadView>,
    told_loss: Option<Instant>,
}

/// The mirror. A panic elsewhere leaves it as sound as it was.
pub(super) fn lock(mirror: &Mutex<Mirror>) -> MutexGuard<'_, Mirror> {
    mirror.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What may reach the socket.
fn filter(config: &Config, sampler: &Sampler) -> Filter {
    match (config.only_port, config.keep, sampler.cutoff()) {
        (0, Keep::All, None) => Filter::All,
        (0, Keep::All, Some(cutoff)) => Filter::NatOrSampled(cutoff),
        // Nothing but what is translated.
        (0, Keep::Nat, None) => Filter::NatOrSampled(0),
        (0, Keep::Nat, Some(cutoff)) => Filter::Sampled(cutoff),
        (port, ..) => Filter::UdpPort(port),
    }
}

// === impl Listening ===

impl Listening {
    pub(super) fn start(
        namespace: &Namespace,
        config: &Config,
        sampler: &Sampler,
        now: Instant,
    ) -> Result<Self, QueryError> {
        let filter = filter(config, sampler);
        let socket = namespace.listen(&EventConfig {
            receive_buffer_bytes: config.receive_buffer_bytes,
            filter,
            updates: config.tcp_states,
        })?;
        Ok(Self {
            socket,
            buffer_bytes: config.receive_buffer_bytes,
            filter,
            weight: 1.0 / sampler.rate(),
            own_cutoff: sampler.cutoff(),
            coming: None,
            events: 0,
            load_pause: config.load_pause,
            load_at: Some((now, "start")),
            loaded_at: None,
            load: None,
            told_loss: None,
        })
    }

    /// Events since the last call.
    pub(super) fn take_events(&mut self) -> u64 {
        std::mem::take(&mut self.events)
    }

    /// Reads at most `limit` events; whether the socket is empty.
    pub(super) fn read(&mut self, books: &mut Books<'_>, limit: u64) -> io::Result<bool> {
        let mut mirror = lock(books.mirror);
        let share = Share {
            cutoff: self.own_cutoff,
            weight: self.weight,
            filter: self.filter,
        };
        let round = self.socket.read(limit, |message| {
            apply(message, books, &mut mirror, share);
        })?;
        self.events += round.events;
        if round.is_drained
            && let Some((cutoff, weight)) = self.coming.take()
        {
            (self.own_cutoff, self.weight) = (cutoff, weight);
        }
        Ok(round.is_drained)
    }

    /// Counts what was lost since the last call, and sees to it that it is repaired.
    pub(super) fn note_losses(&mut self, config: &Config, counts: &Counts, now: Instant) -> u64 {
        let lost = self.socket.take_lost().unwrap_or(0);
        if lost == 0 {
            return 0;
        }
        add(&counts.lost, lost);
        self.plan_load("loss", now + LOAD_AFTER_LOSS);
        let wanted = (self.buffer_bytes * 2).min(config.receive_buffer_bytes_max);
        if wanted > self.buffer_bytes && self.socket.set_receive_buffer(wanted).is_ok() {
            self.buffer_bytes = wanted;
        }
        if self
            .told_loss
            .is_none_or(|at| now - at >= Duration::from_secs(60))
        {
            self.told_loss = Some(now);
            tracing::warn!(
                events = lost,
                buffer_bytes = self.socket.receive_buffer().effective_bytes,
                setting = "greyhound.conntrack.receive_buffer",
                "the kernel had to drop events about connections"
            );
        }
        lost
    }

    pub(super) fn plan_load(&mut self, cause: &'static str, at: Instant) {
        let earliest = match (cause, self.loaded_at) {
            ("loss" | "sampled", Some(loaded)) => at.max(loaded + self.load_pause),
            _ => at,
        };
        if self.load_at.is_none_or(|(planned, _)| earliest < planned) {
            self.load_at = Some((earliest, cause));
        }
    }

    /// Loads the whole table, if that is due. Blocks for a dump.
    pub(super) fn load_if_due(
        &mut self,
        exchange: &mut Exchange,
        books: &mut Books<'_>,
        now: Instant,
    ) -> Result<(), QueryError> {
        let (mirror, counts) = (books.mirror, books.counts);
        let Some((_, cause)) = self.load_at.filter(|&(at, _)| at <= now) else {
            return Ok(());
        };
        self.load_at = None;
        self.loaded_at = Some(now);
        lock(mirror).begin_load();
        add(&counts.loads, 1);
        let loaded = self.dump(exchange, books);
        let rows = match loaded {
            Ok(rows) => rows,
            Err(error) => {
                lock(mirror).abandon_load();
                self.plan_load("failed load", now + self.load_pause);
                return Err(error);
            }
        };
        // What waited belongs to the time of the dump.
        let drained = self.read(books, EVENTS_BETWEEN);
        if let Err(error) = drained {
            lock(mirror).abandon_load();
            return Err(QueryError::from_io(error));
        }
        let is_complete = lock(mirror).end_load();
        let lost = self.socket.take_lost().unwrap_or(0);
        add(&counts.lost, lost);
        if lost > 0 || !is_complete {
            self.plan_load("loss", now + LOAD_AFTER_LOSS);
        }
        self.load = Some(LoadView {
            at: SystemTime::now(),
            cause,
            rows,
            // A dump has a deadline of half a minute.
            millis: now.elapsed().as_millis() as u64,
            is_lossy: lost > 0 || !is_complete,
        });
        Ok(())
    }

    fn dump(&mut self, exchange: &mut Exchange, books: &mut Books<'_>) -> Result<u64, QueryError> {
        let (mirror, second) = (books.mirror, books.second);
        let only_nat = !matches!(self.filter, Filter::All);
        let entries = exchange.totals()?.entries;
        let filters: &[u32] = match only_nat && entries > FILTER_ABOVE {
            // All bits asked for must be set, so there are two questions.
            true => &[Status::SRC_NAT, Status::DST_NAT],
            false => &[0],
        };
        let deadline = Instant::now() + LOAD_DEADLINE;
        let mut rows = 0;
        for &status in filters {
            let end = exchange.dump(
                DumpFilter { status },
                deadline,
                |flow| lock(mirror).row(flow, second),
                || {
                    // A socket that fails here fails in the next round too, and is told of there.
                    self.read(books, EVENTS_BETWEEN).ok();
                },
            )?;
            add(&books.counts.unreadable, end.unreadable);
            rows += end.rows;
        }
        Ok(rows)
    }

    /// Asks the kernel about rows that may have ended unseen.
    pub(super) fn verify(&mut self, exchange: &mut Exchange, books: &Books<'_>) {
        let (mirror, counts, second) = (books.mirror, books.counts, books.second);
        let due = lock(mirror).due(second, VERIFIED_PER_SECOND);
        add(&counts.verifications, due.len() as u64);
        for (original, id) in due {
            let found: Option<Flow> = match exchange.get(&original, Direction::Original) {
                Ok(flow) => Some(flow),
                Err(QueryError::NotFound) => None,
                // Asked again in the next round.
                Err(_) => return,
            };
            lock(mirror).verified(&original, id, found.as_ref(), second);
        }
    }

    /// Takes the sampler's new rate over into the kernel. What waits in the socket came in under the old one,
    /// so the smaller share of both holds for it.
    pub(super) fn resample(&mut self, config: &Config, sampler: &Sampler, now: Instant) {
        let wanted = filter(config, sampler);
        if let Err(error) = self.socket.set_filter(wanted) {
            tracing::warn!(%error, "cannot sample events about connections");
            return;
        }
        self.filter = wanted;
        let (cutoff, weight) = (sampler.cutoff(), 1.0 / sampler.rate());
        if weight < self.weight {
            self.coming = Some((cutoff, weight));
            if cutoff.is_none() {
                // Flows that began outside the sample are still missing.
                self.plan_load("sampled", now + LOAD_AFTER_LOSS);
            }
        } else {
            self.coming = None;
            (self.own_cutoff, self.weight) = (cutoff, weight);
        }
    }

    pub(super) fn describe(&self, view: &mut NamespaceView) {
        view.receive_buffer_bytes = self.socket.receive_buffer().effective_bytes;
        view.lost_events = self.socket.lost();
        view.load.clone_from(&self.load);
    }
}

/// One event.
fn apply(message: &Message<'_>, books: &mut Books<'_>, mirror: &mut Mirror, share: Share) {
    let counts = books.counts;
    let Some(flow) = message.flow() else {
        add(&counts.unreadable, 1);
        return;
    };
    let is_sampled = !(share.filter.passes_all_nat() && flow.status.says_nat());
    if is_sampled && share.cutoff.is_some_and(|cutoff| flow.id >= cutoff) {
        return;
    }
    // Weights of at most 1024.
    let weight = if is_sampled {
        share.weight.round() as u64
    } else {
        1
    };
    match message.kind {
        Kind::New => {
            counts.note_new(&flow, weight);
            mirror.event(&flow, books.second);
        }
        Kind::Destroy => {
            counts.note_destroyed(&flow, weight);
            mirror.destroy(&flow);
            books.told.end(books.place, &flow, books.answering);
        }
        _ => {
            counts.note_update(&flow);
            mirror.event(&flow, books.second);
        }
    }
}
