//! The loop: answer lanes first, then events, then what time asks for.
//!
//! A flood of events cannot starve anybody: after [`EVENTS_PER_ROUND`] the others get their turn.

mod listen;

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
use crate::exchange::Exchange;
use crate::flow::{Flow, Protocol, Tuple, canonical};
use crate::mirror::{Mirror, MirrorConfig};
use crate::namespace::{Namespace, Sysctls};
use crate::request::Direction;
use crate::sampling::{Sampler, Second};
use crate::stale;
use crate::stats::{CpuStats, Totals};

use listen::Listening;

const TICK: Duration = Duration::from_secs(1);
const STALE_EVERY: Duration = Duration::from_secs(30);
/// Questions answered before events get their turn.
const QUESTIONS_PER_ROUND: usize = 256;
const EVENTS_PER_ROUND: u64 = 1024;
const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_secs(60);

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
    told: bool,
}

/// One namespace.
struct Place {
    namespace: Namespace,
    exchange: Option<Exchange>,
    listening: Option<Listening>,
    state: State,
    sysctls: Sysctls,
    retry_at: Instant,
    retry_in: Duration,
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
        let places = config.namespaces.iter().map(|namespace| Place {
            namespace: namespace.clone(),
            exchange: None,
            listening: None,
            state: State::Starting,
            sysctls: Sysctls::default(),
            retry_at: now,
            retry_in: RETRY_MIN,
        });
        Self {
            places: places.collect(),
            woken: Events::with_capacity(4),
            answering,
            started: now,
            sampler: Sampler::new(config.events_per_second, config.cpu_share_max),
            budget: config.questions_per_second,
            stale: StaleView::default(),
            stale_due: now + TICK,
            told: false,
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
                let cpu_now = cpu_nanos();
                self.tick(now, cpu_now.saturating_sub(cpu));
                cpu = cpu_now;
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

    /// Asks every namespace for the entry whose answer goes from our address to the visible sender.
    fn find_client(&mut self, answering: &Answering, question: &Question) -> Finding {
        let peer = &question.peer;
        let Some(reply) = Tuple::new(Protocol::Udp, peer.local, peer.source) else {
            return Finding::Unknown;
        };
        let mut is_answered = false;
        for place in &mut self.places {
            let Some(exchange) = &mut place.exchange else {
                continue;
            };
            match exchange.get(&reply, Direction::Reply) {
                Ok(flow) => {
                    let number = answering.book.number(flow.original.source());
                    return number.map_or(Finding::Unknown, Finding::Client);
                }
                Err(QueryError::NotFound) => is_answered = true,
                Err(error) if error.is_final() => place.give_up(&error),
                Err(_) => {}
            }
        }
        let number = answering.book.number(canonical(peer.source.ip()));
        match number {
            Some(number) if is_answered => Finding::Untracked(number),
            _ => Finding::Unknown,
        }
    }

    fn tick(&mut self, now: Instant, cpu_nanos: u64) {
        let config = &self.shared.config;
        self.budget = config.questions_per_second;
        for place in &mut self.places {
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
        for (place, mirror) in self.places.iter_mut().zip(&self.shared.mirrors) {
            place.listen(config, &self.sampler, now);
            let Some(listening) = &mut place.listening else {
                continue;
            };
            events += listening.take_events();
            lost += listening.note_losses(config, &self.shared.counts, now);
            if wants_load {
                listening.plan_load("asked", now);
            }
            if let Some(exchange) = &mut place.exchange {
                if let Err(error) =
                    listening.load_if_due(exchange, mirror, &self.shared.counts, second, now)
                {
                    tracing::warn!(namespace = place.namespace.name, %error, "cannot load the table of flows");
                }
                listening.verify(exchange, mirror, &self.shared.counts, second);
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
                listening.resample(config, &self.sampler);
            }
        }
    }

    /// Reads what waits on each socket; whether there is more.
    fn read_events(&mut self) -> bool {
        let second = self.second();
        let mut busy = false;
        for (place, mirror) in self.places.iter_mut().zip(&self.shared.mirrors) {
            if let Some(listening) = &mut place.listening {
                match listening.read(mirror, &self.shared.counts, second, EVENTS_PER_ROUND) {
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
            .map(|(at, place)| place.view(mirrors.get(at)))
            .collect();
        let state = overall(&namespaces);
        if let Some(reason) = state.reason().filter(|_| !self.told) {
            self.told = true;
            tracing::warn!("connection tracking: {reason}");
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

// === impl Place ===

impl Place {
    /// Opens the socket for requests, if there is none and it may be tried again.
    fn open(&mut self, now: Instant) {
        if self.exchange.is_some()
            || now < self.retry_at
            || matches!(self.state, State::Unsupported(_))
        {
            return;
        }
        let opened = self
            .namespace
            .exchange()
            .map_err(QueryError::from_io)
            .and_then(|mut exchange| {
                // Whoever may not ask may open a socket all the same.
                exchange.totals()?;
                Ok(exchange)
            });
        match opened {
            Ok(exchange) => {
                self.sysctls = self.namespace.sysctls().unwrap_or_default();
                self.exchange = Some(exchange);
                self.state = State::Ready;
                self.retry_in = RETRY_MIN;
            }
            Err(error) if error.is_final() => self.give_up(&error),
            Err(error) => self.fail(&error.to_string(), now),
        }
    }

    /// Joins, if it has not yet.
    fn listen(&mut self, config: &Config, sampler: &Sampler, now: Instant) {
        if self.listening.is_some() || self.exchange.is_none() || now < self.retry_at {
            return;
        }
        match Listening::start(&self.namespace, config, sampler, now) {
            Ok(listening) => {
                self.listening = Some(listening);
                self.state = match self.sysctls.events {
                    Some(0) => State::Degraded(
                        "net.netfilter.nf_conntrack_events is 0: no events come".into(),
                    ),
                    _ => State::Ready,
                };
            }
            Err(error) => self.fail(&format!("cannot listen: {error}"), now),
        }
    }

    fn fail(&mut self, reason: &str, now: Instant) {
        self.state = State::Degraded(format!("namespace {}: {reason}", self.namespace.name));
        self.retry_at = now + self.retry_in;
        self.retry_in = (self.retry_in * 2).min(RETRY_MAX);
    }

    fn give_up(&mut self, error: &QueryError) {
        self.exchange = None;
        self.listening = None;
        self.state = State::Unsupported(format!("namespace {}: {error}", self.namespace.name));
    }

    fn view(&mut self, mirror: Option<&Mutex<Mirror>>) -> NamespaceView {
        let mut view = NamespaceView {
            name: self.namespace.name.clone(),
            inode: self.namespace.inode().ok(),
            state: self.state.clone(),
            sysctls: self.sysctls,
            ..NamespaceView::default()
        };
        let asked = self
            .exchange
            .as_mut()
            .and_then(|exchange| Some((exchange.totals().ok()?, exchange.per_cpu().ok()?)));
        let is_own = self.namespace == Namespace::own();
        match asked {
            Some((totals, per_cpu)) => {
                view.totals = Some(totals);
                view.per_cpu = per_cpu;
            }
            // Everybody may read these.
            None if is_own => {
                view.totals = Totals::of_proc().ok();
                view.per_cpu = CpuStats::of_proc().unwrap_or_default();
            }
            None => {}
        }
        if let Some(listening) = &self.listening {
            listening.describe(&mut view);
        }
        if let Some(mirror) = mirror {
            let mirror = listen::lock(mirror);
            view.rows = mirror.table().len();
            view.table_bytes = mirror.table().bytes();
            view.mirror = *mirror.counts();
        }
        view
    }
}

/// Nanoseconds this thread has run; 0 where the kernel does not say.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}
