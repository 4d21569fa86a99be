//! Answers that come late, grow old, fall silent, or never come.

use super::super::{Answering, Rules, pair};
use super::*;
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
/// A clock that did not start just now.
const START: u64 = 1000 * SECOND;

fn peer(n: u16) -> Peer {
    Peer {
        source: SocketAddr::new(IpAddr::from([10, 77, 2, 1]), n),
        local: SocketAddr::new(IpAddr::from([10, 77, 2, 2]), 8125),
    }
}

fn lane() -> (LaneCache, Answering) {
    let (asking, answering) = pair(Rules::for_timeout(Duration::from_secs(30)), Arc::new(|| {}));
    (asking.lane(), answering)
}

fn named(cache: &mut LaneCache, at: u64, peers: &[Peer]) -> Vec<u32> {
    let mut clients = Vec::new();
    cache.name(at, peers, &mut clients);
    assert_eq!(clients.len(), peers.len());
    clients
}

/// Answers all that was asked with this client; how many questions there were.
fn answer_all(answering: &Answering, finding: Finding) -> usize {
    let questions: Vec<_> = answering.questions.try_iter().collect();
    for question in &questions {
        answering.answer(question, finding);
    }
    questions.len()
}

#[test]
fn an_answer_applies_from_the_next_batch_and_is_asked_for_once() {
    let (mut cache, answering) = lane();
    let client = answering.book.number([10, 77, 1, 2].into());
    assert_eq!(
        named(&mut cache, START, &[peer(1), peer(1), peer(1)]),
        [0, 0, 0]
    );
    assert_eq!(named(&mut cache, START + 1, &[peer(1)]), [0]);
    assert_eq!(answer_all(&answering, Finding::Client(client)), 1);
    assert_eq!(
        named(&mut cache, START + 2, &[peer(1), peer(2)]),
        [client, 0]
    );
    assert_eq!(answering.book.top(1)[0].datagrams, 1);
    assert_eq!(answering.counts.unknown.load(Ordering::Relaxed), 5);
    assert_eq!(answering.counts.attributed.load(Ordering::Relaxed), 1);
}

#[test]
fn the_first_second_of_a_process_is_like_any_other() {
    let (mut cache, answering) = lane();
    assert_eq!(named(&mut cache, 5, &[peer(1)]), [0]);
    assert_eq!(answer_all(&answering, Finding::Client(4)), 1);
    assert_eq!(named(&mut cache, 6, &[peer(1)]), [4]);
}

#[test]
fn silence_as_long_as_an_entry_lives_makes_an_answer_void() {
    let (mut cache, answering) = lane();
    named(&mut cache, START, &[peer(1)]);
    answer_all(&answering, Finding::Client(1));
    assert_eq!(named(&mut cache, START + SECOND, &[peer(1)]), [1]);
    assert_eq!(named(&mut cache, START + 2 * SECOND, &[peer(1)]), [1]);
    // The entry may be gone by now, and its port another client's.
    assert_eq!(named(&mut cache, START + 28 * SECOND, &[peer(1)]), [0]);
    answer_all(&answering, Finding::Client(2));
    assert_eq!(named(&mut cache, START + 29 * SECOND, &[peer(1)]), [2]);
}

#[test]
fn an_old_answer_is_asked_again_before_it_is_void() {
    let (mut cache, answering) = lane();
    named(&mut cache, START, &[peer(1)]);
    answer_all(&answering, Finding::Client(1));
    let mut asked = 0;
    for second in 1..=60 {
        let clients = named(&mut cache, START + second * SECOND, &[peer(1)]);
        assert_eq!(clients, [1], "after {second} s");
        asked += answer_all(&answering, Finding::Client(1));
    }
    assert!((2..=3).contains(&asked), "{asked}");
    // Nobody answers any more.
    for second in 61..=80 {
        named(&mut cache, START + second * SECOND, &[peer(1)]);
    }
    assert_eq!(named(&mut cache, START + 95 * SECOND, &[peer(1)]), [0]);
}

#[test]
fn a_sender_without_an_entry_is_asked_about_now_and_then() {
    let (mut cache, answering) = lane();
    named(&mut cache, START, &[peer(1)]);
    answer_all(&answering, Finding::Untracked(9));
    assert_eq!(named(&mut cache, START + SECOND, &[peer(1)]), [9]);
    assert_eq!(answer_all(&answering, Finding::Unknown), 0);
    assert_eq!(named(&mut cache, START + 7 * SECOND, &[peer(1)]), [0]);
    assert_eq!(answer_all(&answering, Finding::Unknown), 1);
    assert_eq!(named(&mut cache, START + 8 * SECOND, &[peer(1)]), [0]);
    assert_eq!(
        answering.questions.len(),
        0,
        "no answer is an answer for a while"
    );
}

#[test]
fn an_entry_that_is_gone_is_forgotten_at_once() {
    let (mut cache, answering) = lane();
    named(&mut cache, START, &[peer(1)]);
    let question = answering.questions.try_recv().expect("a question");
    answering.answer(&question, Finding::Client(1));
    assert_eq!(named(&mut cache, START + 1, &[peer(1)]), [1]);
    answering.answer(&question, Finding::Void);
    assert_eq!(named(&mut cache, START + 2, &[peer(1)]), [0]);
    assert_eq!(answer_all(&answering, Finding::Client(3)), 1);
    assert_eq!(named(&mut cache, START + 3, &[peer(1)]), [3]);
}

#[test]
fn more_peers_than_places_cost_answers_and_nothing_else() {
    let (mut cache, answering) = lane();
    for n in 0..20_000u16 {
        named(&mut cache, START + u64::from(n), &[peer(n)]);
    }
    assert_eq!(answering.questions.len(), super::super::QUESTIONS);
    let dropped = answering.counts.questions_dropped.load(Ordering::Relaxed);
    assert_eq!(dropped, 20_000 - super::super::QUESTIONS as u64);
    // Answers beyond what a lane's queue holds are counted too.
    answer_all(&answering, Finding::Client(1));
    let lost = answering.counts.answers_dropped.load(Ordering::Relaxed);
    assert_eq!(
        lost,
        (super::super::QUESTIONS - super::super::ANSWERS) as u64
    );
}
