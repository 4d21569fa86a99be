//! The loop: answer lanes first, then events, then what time asks for.
//!
//! A flood of events cannot starve anybody: after [`EVENTS_PER_ROUND`] the others get their turn.

mod listen;
mod place;
mod told;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use greyhound_sys::wait::WaitSet;
use mio::{Events, Poll};

use super::counts::add;
use super::view::{NamespaceView, StaleView, State, View};
use super::{Config, Mode, Shared};
use crate::attribution::{Answering, Finding, Question};
use crate::error::QueryError;
use crate::flow::{Flow, canonical};
use crate::mirror::{Mirror, MirrorConfig};
use crate::namespace::Namespace;
use crate::request::Direction;
use crate::sampling::{Sampler, Second};
use crate::stale;

use listen::Books;
use place::Place;
use told::{Ground, Told};

const TICK: Duration = Duration::from_secs(1);
const STALE_EVERY: Duration = Duration::from_secs(30);
/// Questions answered before events get their turn.
const QUESTIONS_PER_ROUND: usize = 256;
const EVENTS_PER_ROUND: u64 = 1024;

/// The thread's state.
pub(super) struct Run {
    shared: Arc<Shared>,
    poll: Poll,
    woken: Events,
    answering: Option<Answering>,
    places: Vec<Place>,
    started: Instant,
    sampler: Sampler,
    /// Questions left in this second.
    budget: u32,
    stale: StaleView,
    stale_due: Instant,
    told: Told,
    /// What was logged last, so that it is said once.
    said: Option<String>,
}

/// The mirrors a configuration asks for, one per namespace.
pub(super) fn mirrors(config: &Config) -> Vec<Mutex<Mirror>> {
    let seed = {
        use std::hash::{BuildHasher, Hasher};
        std::collections::hash_map::RandomState::new()
            .build_hasher()
            .finish()
    };
    let mirror = |namespace: &Namespace| {
        let sysctls = namespace.sysctls().unwrap_or_default();
        let settings = MirrorConfig {
            flows: config.flows,
            keep: config.keep,
            orphan_seconds: u32::try_from(config.orphan.as_secs()).unwrap_or(u32::MAX),
            all_send_events: sysctls.events == Some(1),
        };
        Mutex::new(Mirror::new(settings, seed))
    };
    config.namespaces.iter().map(mirror).collect()
}

// === impl Run ===

impl Run {
    pub(super) fn new(shared: Arc<Shared>, poll: Poll, answering: Option<Answering>) -> Self {
        let now = Instant::now();
        let config = &shared.config;
        let places = config
            .namespaces
            .iter()
            .map(|namespace| Place::new(namespace.clone(), now));
        Self {
            places: places.collect(),
            woken: Events::with_capacity(4),
            answering,
            started: now,
            sampler: Sampler::new(config.events_per_second, config.cpu_share_max),
            budget: config.questions_per_second,
            stale: StaleView::default(),
            stale_due: now + TICK,
            told: Told::default(),
            said: None,
            poll,
            shared,
        }
    }

    /// Runs until it is told to stop. Blocks in `ppoll`, in requests, and in dumps.
    pub(super) fn run(mut self) {
        let mut tick = Instant::now();
        let mut cpu = cpu_nanos();
        while !self.shared.stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if now >= tick {
                tick = now + TICK;
                self.tick(now, cpu_nanos().saturating_sub(cpu));
                // What the tick did itself is no fault of events: a load that made them be sampled would
                // have to be repeated for it.
                cpu = cpu_nanos();
            }
            let mut busy = self.answer();
            busy |= self.read_events();
            if !busy {
                self.sleep(tick.saturating_duration_since(Instant::now()));
            }
        }
    }

    /// Seconds since the start, the clock of deadlines.
    fn second(&self) -> u32 {
        // More than a century.
        u32::try_from(self.started.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    fn sleep(&mut self, left: Duration) {
        let mut wait = WaitSet::default();
        wait.add(&self.poll);
        for listening in self
            .places
            .iter()
            .filter_map(|place| place.listening.as_ref())
        {
            wait.add(&listening.socket);
        }
        let all = 1 + self.places.len();
        // Out of kernel memory at worst; then the next round is early.
        wait.wait(all, Some(left)).ok();
        self.poll.poll(&mut self.woken, Some(Duration::ZERO)).ok();
    }

    /// Answers lanes; whether there may be more to answer.
    fn answer(&mut self) -> bool {
        let Some(answering) = self.answering.take() else {
            return false;
        };
        let mut answered = 0;
        for question in answering.questions.try_iter().take(QUESTIONS_PER_ROUND) {
            answered += 1;
            if self.budget == 0 {
                add(&answering.counts.skipped, 1);
                continue;
            }
            self.budget -= 1;
            let began = Instant::now();
            let finding = self.find_client(&answering, &question);
            add(&answering.counts.asked, 1);
            // A request takes microseconds.
            add(&answering.counts.nanos, began.elapsed().as_nanos() as u64);
            if finding == Finding::Unknown {
                add(&answering.counts.errors, 1);
            }
            answering.answer(&question, finding);
        }
        self.answering = Some(answering);
        answered == QUESTIONS_PER_ROUND
    }

    /// Follows a datagram back through the namespaces, the nearest first: what one of them translated is asked
    /// of the next as it was before.
    fn find_client(&mut self, answering: &Answering, question: &Question) -> Finding {
        let peer = &question.peer;
        let Some(mut answer) = told::answer_tuple(peer.source, peer.local) else {
            return Finding::Unknown;
        };
        let mut client = None;
        let mut grounds: Vec<Ground> = Vec::new();
        let mut is_answered = false;
        let now = Instant::now();
        for (at, place) in self.places.iter_mut().enumerate() {
            let Some(exchange) = &mut place.exchange else {
                continue;
            };
            match exchange.get(&answer, Direction::Reply) {
                Ok(flow) => {
                    grounds.push((at, answer, flow.id));
                    // The kernel finds a flow by either tuple: the datagram may itself be an answer.
                    let sent = match flow.original == answer {
                        true => flow.reply,
                        false => flow.original,
                    };
                    client = Some(sent.source());
                    answer = sent.reversed();
                }
                Err(QueryError::NotFound) => is_answered = true,
                Err(error) if error.is_final() => place.give_up(&error, now),
                Err(_) => {}
            }
        }
        if let Some(client) = client {
            if self.shared.config.mode == Mode::Events {
                self.told.note(answering, question, &grounds, self.second());
            }
            return Finding::Client(answering.book.number(client));
        }
        match is_answered {
            true => Finding::Untracked(answering.book.number(canonical(peer.source.ip()))),
            false => Finding::Unknown,
        }
    }

    fn tick(&mut self, now: Instant, cpu_nanos: u64) {
        let config = &self.shared.config;
        self.budget = config.questions_per_second;
        for (at, place) in self.places.iter_mut().enumerate() {
            if place.leave_if_gone(now)
                && let Some(mirror) = self.shared.mirrors.get(at)
            {
                listen::lock(mirror).forget();
            }
            place.open(now);
        }
        if config.mode == Mode::Events {
            self.tick_events(now, cpu_nanos);
        }
        if now >= self.stale_due && !self.shared.config.ports.is_empty() {
            self.stale_due = now + STALE_EVERY;
            self.look_for_stale();
        }
        self.publish();
    }

    fn tick_events(&mut self, now: Instant, cpu_nanos: u64) {
        let second = self.second();
        let config = &self.shared.config;
        let wants_load = self.shared.resync.swap(false, Ordering::AcqRel);
        let mut events = 0;
        let mut lost = 0;
        self.told.sweep(second);
        for (at, (place, mirror)) in self.places.iter_mut().zip(&self.shared.mirrors).enumerate() {
            place.listen(config, &self.sampler, now);
            let Some(listening) = &mut place.listening else {
                continue;
            };
            events += listening.take_events();
            lost += listening.note_losses(config, &self.shared.counts, now);
            if wants_load {
                listening.plan_load("asked", now);
            }
            let mut books = Books {
                place: at,
                mirror,
                counts: &self.shared.counts,
                told: &mut self.told,
                answering: self.answering.as_ref(),
                second,
            };
            if let Some(exchange) = &mut place.exchange {
                if let Err(error) = listening.load_if_due(exchange, &mut books, now) {
                    tracing::warn!(namespace = place.namespace.name, %error, "cannot load the table of flows");
                }
                listening.verify(exchange, &books);
            }
        }
        // A nanosecond of a second is a share of a core.
        let changed = self.sampler.tick(Second {
            events,
            lost,
            cpu_share: cpu_nanos as f64 / 1e9,
        });
        if changed {
            for listening in self
                .places
                .iter_mut()
                .filter_map(|place| place.listening.as_mut())
            {
                listening.resample(config, &self.sampler, now);
            }
        }
    }

    /// Reads what waits on each socket; whether there is more.
    fn read_events(&mut self) -> bool {
        let second = self.second();
        let mut busy = false;
        for (at, (place, mirror)) in self.places.iter_mut().zip(&self.shared.mirrors).enumerate() {
            if let Some(listening) = &mut place.listening {
                let mut books = Books {
                    place: at,
                    mirror,
                    counts: &self.shared.counts,
                    told: &mut self.told,
                    answering: self.answering.as_ref(),
                    second,
                };
                match listening.read(&mut books, EVENTS_PER_ROUND) {
                    Ok(is_drained) => busy |= !is_drained,
                    Err(error) => {
                        tracing::warn!(namespace = place.namespace.name, %error, "stopped listening to connection tracking");
                        place.listening = None;
                    }
                }
            }
        }
        busy
    }

    fn look_for_stale(&mut self) {
        let Ok(ours) = stale::own_addresses() else {
            return;
        };
        let mut view = StaleView {
            at: Some(SystemTime::now()),
            ..StaleView::default()
        };
        for place in &mut self.places {
            let Some(exchange) = &mut place.exchange else {
                continue;
            };
            match stale::find(exchange, &ours, &self.shared.config.ports) {
                Ok(found) => {
                    view.count += found.count;
                    let name = &place.namespace.name;
                    let named = |flow: Flow| (name.clone(), flow);
                    view.flows.extend(found.flows.into_iter().map(named));
                }
                Err(error) => tracing::debug!(%error, "cannot look for stale flows"),
            }
        }
        view.flows.truncate(stale::LISTED_MAX);
        self.stale = view;
    }

    fn publish(&mut self) {
        let mirrors = &self.shared.mirrors;
        let namespaces: Vec<NamespaceView> = self
            .places
            .iter_mut()
            .enumerate()
            .map(|(at, place)| place.view(mirrors.get(at), &self.shared.config))
            .collect();
        let state = overall(&namespaces);
        let trouble = state.trouble().cloned().or_else(|| {
            let mut hints = namespaces.iter().filter_map(|view| view.hint.clone());
            hints.next()
        });
        if let Some(trouble) = trouble.filter(|trouble| self.said.as_ref() != Some(&trouble.what)) {
            tracing::warn!(cure = trouble.cure, "connection tracking: {}", trouble.what);
            self.said = Some(trouble.what);
        }
        self.shared.view.store(Arc::new(View {
            mode: self.shared.config.mode,
            state,
            namespaces,
            sampling_rate: self.sampler.rate(),
            stale: self.stale.clone(),
        }));
    }
}

/// Well when all are, useless when all are.
fn overall(namespaces: &[NamespaceView]) -> State {
    let worst = namespaces
        .iter()
        .find(|view| view.state != State::Ready)
        .map(|view| view.state.clone());
    match worst {
        None => State::Ready,
        Some(State::Unsupported(reason))
            if namespaces
                .iter()
                .any(|view| !matches!(view.state, State::Unsupported(_))) =>
        {
            State::Degraded(reason)
        }
        Some(state) => state,
    }
}

/// Nanoseconds this thread has run; 0 where the kernel does not say.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}
