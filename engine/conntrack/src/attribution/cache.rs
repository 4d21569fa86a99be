//! What one lane remembers of the clients behind its peers: open addressing, no lock, no allocation.
//!
//! A peer lives in one of [`WAYS`] places behind its hash; when all are taken, the one silent longest goes.
//! Time is an argument. Cost of a datagram from the same peer as the one before: a comparison; else a hash
//! and some comparisons.

use std::hash::BuildHasher;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crossbeam_channel::{Receiver, Sender, bounded};
use greyhound_sys::peers::Peer;

use super::book::ClientBook;
use super::{ANSWERS, Answer, AttributionCounts, Finding, Question, Rules, Wake};

/// Peers remembered.
pub const PLACES: usize = 8192;
/// Places a peer may be in.
const WAYS: usize = 8;
/// A question without answer is put again after so long.
const ASK_AGAIN_NANOS: u64 = 1_000_000_000;

/// One lane's memory.
pub struct LaneCache {
    places: Box<[Place]>,
    hasher: foldhash::fast::RandomState,
    questions: Sender<Question>,
    answers_to_us: Sender<Answer>,
    answers: Receiver<Answer>,
    book: Arc<ClientBook>,
    counts: Arc<AttributionCounts>,
    wake: Wake,
    has_asked: bool,
    gap_nanos: u64,
    age_nanos: u64,
    refresh_nanos: u64,
    negative_nanos: u64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    peer: Peer,
    state: State,
    seen_nanos: u64,
    asked_nanos: Option<u64>,
    /// When the question was put that was answered last.
    answered_nanos: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The place is free.
    Free,
    /// Never answered, or void.
    Waiting,
    Client(u32),
    Untracked(u32),
    /// The kernel did not say.
    Unknown,
}

/// What was named in a batch, to be counted once.
#[derive(Default)]
struct Run {
    client: u32,
    datagrams: u64,
}

const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

// === impl LaneCache ===

impl LaneCache {
    pub(super) fn new(
        questions: Sender<Question>,
        book: Arc<ClientBook>,
        counts: Arc<AttributionCounts>,
        rules: Rules,
        wake: Wake,
    ) -> Self {
        let (answers_to_us, answers) = bounded(ANSWERS);
        // Some seconds in nanoseconds.
        let nanos = |time: std::time::Duration| time.as_nanos() as u64;
        Self {
            places: vec![Place::FREE; PLACES].into_boxed_slice(),
            hasher: foldhash::fast::RandomState::default(),
            questions,
            answers_to_us,
            answers,
            book,
            counts,
            wake,
            has_asked: false,
            gap_nanos: nanos(rules.gap),
            age_nanos: nanos(rules.age),
            refresh_nanos: nanos(rules.refresh),
            negative_nanos: nanos(rules.negative),
        }
    }

    /// Appends the number of the client behind each peer, 0 where it is not known now. `now_nanos` is the
    /// lane's monotonic clock. Never blocks.
    pub fn name(&mut self, now_nanos: u64, peers: &[Peer], clients: &mut Vec<u32>) {
        for _ in 0..ANSWERS {
            let Ok(answer) = self.answers.try_recv() else {
                break;
            };
            self.learn(&answer);
        }
        let (mut attributed, mut untracked, mut unknown) = (0, 0, 0);
        let mut run = Run::default();
        let mut last: Option<(Peer, State)> = None;
        for &peer in peers {
            let state = match last {
                Some((same, state)) if same == peer => state,
                _ => self.look_up(now_nanos, peer),
            };
            last = Some((peer, state));
            let client = match state {
                State::Client(client) => {
                    attributed += 1;
                    client
                }
                State::Untracked(client) => {
                    untracked += 1;
                    client
                }
                State::Free | State::Waiting | State::Unknown => {
                    unknown += 1;
                    0
                }
            };
            run.add(client, &self.book);
            clients.push(client);
        }
        run.end(&self.book);
        if std::mem::take(&mut self.has_asked) {
            (self.wake)();
        }
        let add = |counter: &std::sync::atomic::AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.counts.attributed, attributed);
        add(&self.counts.untracked, untracked);
        add(&self.counts.unknown, unknown);
    }

    /// What holds for this peer now; asks when nothing does, or not for much longer.
    fn look_up(&mut self, now: u64, peer: Peer) -> State {
        let at = self.find_or_take(peer);
        let place = &mut self.places[at];
        let silent = now.saturating_sub(place.seen_nanos);
        let age = now.saturating_sub(place.answered_nanos);
        place.seen_nanos = now;
        let (holds, wants_news) = match place.state {
            State::Client(_) => (
                silent <= self.gap_nanos && age <= self.age_nanos,
                age > self.refresh_nanos,
            ),
            State::Untracked(_) | State::Unknown => (age <= self.negative_nanos, false),
            State::Free | State::Waiting => (false, true),
        };
        if !holds {
            place.state = State::Waiting;
        }
        let state = place.state;
        if !holds || wants_news {
            self.ask(now, at);
        }
        state
    }

    fn ask(&mut self, now: u64, at: usize) {
        let place = &mut self.places[at];
        let was_just = |asked: u64| now.saturating_sub(asked) < ASK_AGAIN_NANOS;
        if place.asked_nanos.is_some_and(was_just) {
            return;
        }
        place.asked_nanos = Some(now);
        self.has_asked = true;
        let question = Question {
            peer: place.peer,
            asked_nanos: now,
            answers: self.answers_to_us.clone(),
        };
        if self.questions.try_send(question).is_err() {
            self.counts
                .questions_dropped
                .fetch_add(1, Ordering::Relaxed);
        }
    }

    fn learn(&mut self, answer: &Answer) {
        let Some(at) = self.find(answer.peer) else {
            return;
        };
        let place = &mut self.places[at];
        place.answered_nanos = answer.asked_nanos;
        place.state = match answer.finding {
            Finding::Client(client) => State::Client(client),
            Finding::Untracked(client) => State::Untracked(client),
            Finding::Unknown => State::Unknown,
            Finding::Void => {
                place.asked_nanos = None;
                State::Waiting
            }
        };
    }

    fn start(&self, peer: Peer) -> usize {
        (self.hasher.hash_one(peer) as usize) % PLACES
    }

    fn find(&self, peer: Peer) -> Option<usize> {
        let start = self.start(peer);
        (start..start + WAYS)
            .map(|at| at % PLACES)
            .find(|&at| self.places[at].state != State::Free && self.places[at].peer == peer)
    }

    /// The place of this peer, made now if it has none.
    fn find_or_take(&mut self, peer: Peer) -> usize {
        let start = self.start(peer);
        let mut oldest = start % PLACES;
        for at in (start..start + WAYS).map(|at| at % PLACES) {
            let place = &self.places[at];
            if place.state == State::Free {
                oldest = at;
                break;
            }
            if place.peer == peer {
                return at;
            }
            if place.seen_nanos < self.places[oldest].seen_nanos {
                oldest = at;
            }
        }
        self.places[oldest] = Place {
            peer,
            state: State::Waiting,
            ..Place::FREE
        };
        oldest
    }
}

impl std::fmt::Debug for LaneCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LaneCache").finish_non_exhaustive()
    }
}

// === impl Place ===

impl Place {
    const FREE: Self = Self {
        peer: Peer {
            source: NOBODY,
            local: NOBODY,
        },
        state: State::Free,
        seen_nanos: 0,
        asked_nanos: None,
        answered_nanos: 0,
    };
}

// === impl Run ===

impl Run {
    fn add(&mut self, client: u32, book: &ClientBook) {
        if client != self.client {
            self.end(book);
            self.client = client;
        }
        self.datagrams += 1;
    }

    fn end(&mut self, book: &ClientBook) {
        if self.client != 0 && self.datagrams > 0 {
            book.count(self.client, self.datagrams);
        }
        self.datagrams = 0;
    }
}

#[cfg(test)]
mod tests;
