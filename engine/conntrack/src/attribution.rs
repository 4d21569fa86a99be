//! Who really sent a UDP datagram: asked of the kernel once, remembered per lane while it must be true.
//!
//! ```text
//!  lane: LaneCache ──Question──▶ (4,096, all lanes) ──▶ reader: budget ▸ GET reply tuple ▸ ClientBook
//!            ▲                                             │
//!            └──────────── Answer (1,024 a lane) ──────────┘     applies from the next batch on
//! ```
//!
//! A lane sees a datagram after translation: sender V, our address L. The entry's reply tuple is L to V, its
//! original source the client. A lane never waits: what it does not know yet is number 0, and counted.
//!
//! An answer must not outlive the kernel's entry: once that is gone another client may get the same V. So it
//! holds only while datagrams of the pair keep the entry alive ([`Rules::gap`] apart at most), and is asked
//! again before it is [`Rules::age`] old.
//!
//! | queue | size | when full | counter |
//! |---|---|---|---|
//! | questions | [`QUESTIONS`] | not asked, again after a second | `questions_dropped` |
//! | answers, per lane | [`ANSWERS`] | dropped, asked again after a second | `answers_dropped` |

pub mod book;
pub mod cache;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use greyhound_sys::peers::Peer;

use book::ClientBook;
use cache::LaneCache;

/// Questions of all lanes that may wait for the reader.
pub const QUESTIONS: usize = 4096;
/// Answers that may wait for a lane.
pub const ANSWERS: usize = 1024;

/// A lane wants to know who is behind a pair.
#[derive(Debug)]
pub struct Question {
    /// V and L.
    pub peer: Peer,
    /// When, by the lane's monotonic clock: the answer is as old as this.
    pub asked_nanos: u64,
    /// Where the answer goes.
    pub answers: Sender<Answer>,
}

/// Who is behind a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// V and L.
    pub peer: Peer,
    /// When it was asked.
    pub asked_nanos: u64,
    /// What came of it.
    pub finding: Finding,
}

/// What the kernel knew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// An entry: its client has this number.
    Client(u32),
    /// No entry: not tracked, or translated elsewhere. The visible sender has this number.
    Untracked(u32),
    /// No answer. Asked again after a while.
    Unknown,
    /// The entry is gone: what was answered before is void.
    Void,
}

/// How long an answer is good.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Longest silence of a pair. Must be shorter than the kernel keeps a one-way UDP entry.
    pub gap: Duration,
    /// Greatest age.
    pub age: Duration,
    /// Age from which it is asked again while it still holds.
    pub refresh: Duration,
    /// Greatest age of "not tracked" and of "no answer".
    pub negative: Duration,
}

/// What lanes found, all of them together. Written once per batch.
#[derive(Debug, Default)]
pub struct AttributionCounts {
    /// Datagrams whose client the kernel named.
    pub attributed: AtomicU64,
    /// Datagrams of senders without an entry: the visible address is the client.
    pub untracked: AtomicU64,
    /// Datagrams read before there was an answer, or without one.
    pub unknown: AtomicU64,
    /// Questions that found the queue full.
    pub questions_dropped: AtomicU64,
    /// Answers that found the queue full.
    pub answers_dropped: AtomicU64,
    /// Questions put to the kernel.
    pub asked: AtomicU64,
    /// Questions beyond the budget, not put.
    pub skipped: AtomicU64,
    /// Questions the kernel did not answer.
    pub errors: AtomicU64,
    /// Nanoseconds spent asking.
    pub nanos: AtomicU64,
    /// Answers taken back because their flow ended (mode `events`).
    pub voided: AtomicU64,
}

/// Wakes the reader. Called at most once per batch, and only after a question.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The lanes' end: makes a cache for each lane.
#[derive(Clone)]
pub struct Asking {
    questions: Sender<Question>,
    book: Arc<ClientBook>,
    counts: Arc<AttributionCounts>,
    rules: Rules,
    wake: Wake,
}

/// The reader's end.
#[derive(Debug)]
pub struct Answering {
    /// What lanes want to know.
    pub questions: Receiver<Question>,
    /// Numbers of clients.
    pub book: Arc<ClientBook>,
    /// Shared with the lanes.
    pub counts: Arc<AttributionCounts>,
}

/// Both ends; `wake` wakes whoever holds the second.
pub fn pair(rules: Rules, wake: Wake) -> (Asking, Answering) {
    let (sender, questions) = bounded(QUESTIONS);
    let book = Arc::new(ClientBook::new());
    let counts = Arc::new(AttributionCounts::default());
    let asking = Asking {
        questions: sender,
        book: Arc::clone(&book),
        counts: Arc::clone(&counts),
        rules,
        wake,
    };
    let answering = Answering {
        questions,
        book,
        counts,
    };
    (asking, answering)
}

// === impl Rules ===

impl Rules {
    /// For a kernel that keeps one-way UDP entries for so long (`nf_conntrack_udp_timeout`).
    pub fn for_timeout(udp_timeout: Duration) -> Self {
        const MARGIN: Duration = Duration::from_secs(5);
        const AGE: Duration = Duration::from_secs(30);
        Self {
            gap: udp_timeout.saturating_sub(MARGIN).max(udp_timeout / 2),
            age: AGE,
            refresh: AGE * 2 / 3,
            negative: MARGIN,
        }
    }
}

// === impl Asking ===

impl Asking {
    /// A cache for a lane. Allocates 0.9 MB, once.
    pub fn lane(&self) -> LaneCache {
        LaneCache::new(
            self.questions.clone(),
            Arc::clone(&self.book),
            Arc::clone(&self.counts),
            self.rules,
            Arc::clone(&self.wake),
        )
    }

    /// Numbers of clients.
    pub fn book(&self) -> &Arc<ClientBook> {
        &self.book
    }

    /// What lanes found.
    pub fn counts(&self) -> &Arc<AttributionCounts> {
        &self.counts
    }
}

impl std::fmt::Debug for Asking {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asking")
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

// === impl Answering ===

impl Answering {
    /// Sends an answer to the lane that asked; never waits.
    pub fn answer(&self, question: &Question, finding: Finding) {
        let answer = Answer {
            peer: question.peer,
            asked_nanos: question.asked_nanos,
            finding,
        };
        self.send(&question.answers, answer);
    }

    /// Takes back what a lane was told of a pair; never waits. When the lane's queue is full the answer
    /// stays good for as long as [`Rules`] say.
    pub fn void(&self, lane: &Sender<Answer>, peer: Peer) {
        self.counts.voided.fetch_add(1, Ordering::Relaxed);
        let answer = Answer {
            peer,
            asked_nanos: 0,
            finding: Finding::Void,
        };
        self.send(lane, answer);
    }

    fn send(&self, lane: &Sender<Answer>, answer: Answer) {
        if lane.try_send(answer).is_err() {
            self.counts.answers_dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}
