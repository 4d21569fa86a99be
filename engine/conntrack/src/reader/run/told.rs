//! Which answers an event may make void: the flows they came from, and the lanes that were told.
//!
//! An answer outlives its flow by some seconds at most, because lanes ask again after a silence. In mode `events`
//! the end of the flow says so at once. Bounded: [`TOLD_MAX`] flows, each for as long as a lane may believe
//! the answer; what does not fit is left to the silence rule.

use std::collections::HashMap;
use std::net::SocketAddr;

use crossbeam_channel::Sender;
use greyhound_sys::peers::Peer;

use crate::attribution::{Answer, Answering, Question};
use crate::flow::{Flow, Protocol, Tuple};

/// Flows remembered.
const TOLD_MAX: usize = 65_536;
/// Seconds a lane believes an answer, and one.
const BELIEVED_SECONDS: u32 = 31;
/// Seconds between two looks for what is too old.
const SWEEP_SECONDS: u32 = 5;

/// By namespace and by the tuple of the flow that was asked with.
#[derive(Debug, Default)]
pub(super) struct Told {
    by_tuple: HashMap<(usize, Tuple), Entry, foldhash::fast::RandomState>,
    swept: u32,
}

#[derive(Debug)]
struct Entry {
    id: u32,
    peer: Peer,
    second: u32,
    lanes: Vec<Sender<Answer>>,
}

/// A flow an answer rests on: where, the tuple asked with, its id.
pub(super) type Ground = (usize, Tuple, u32);

// === impl Told ===

impl Told {
    /// Remembers who was told on these grounds.
    pub(super) fn note(
        &mut self,
        answering: &Answering,
        question: &Question,
        grounds: &[Ground],
        second: u32,
    ) {
        for &(place, tuple, id) in grounds {
            let is_full = self.by_tuple.len() >= TOLD_MAX;
            let key = (place, tuple);
            if is_full && !self.by_tuple.contains_key(&key) {
                continue;
            }
            let entry = self.by_tuple.entry(key).or_insert_with(|| Entry {
                id,
                peer: question.peer,
                second,
                lanes: Vec::new(),
            });
            let is_known = |lane: &Sender<Answer>| lane.same_channel(&question.answers);
            if entry.id != id {
                // Another flow by now, whose predecessor's end is still to be read or was lost.
                for lane in entry.lanes.drain(..).filter(|lane| !is_known(lane)) {
                    answering.void(&lane, entry.peer);
                }
            }
            (entry.id, entry.second) = (id, second);
            if !entry.lanes.iter().any(is_known) {
                entry.lanes.push(question.answers.clone());
            }
        }
    }

    /// A flow ended: whoever was told of it, is told that it is over.
    pub(super) fn end(&mut self, place: usize, flow: &Flow, answering: Option<&Answering>) {
        if self.by_tuple.is_empty() || flow.original.protocol() != Protocol::Udp {
            return;
        }
        for tuple in [flow.reply, flow.original] {
            let key = (place, tuple);
            if self
                .by_tuple
                .get(&key)
                .is_none_or(|entry| entry.id != flow.id)
            {
                continue;
            }
            if let (Some(entry), Some(answering)) = (self.by_tuple.remove(&key), answering) {
                for lane in &entry.lanes {
                    answering.void(lane, entry.peer);
                }
            }
        }
    }

    /// Forgets what no lane believes any more. Cheap: one pass in five seconds.
    pub(super) fn sweep(&mut self, second: u32) {
        if second.saturating_sub(self.swept) >= SWEEP_SECONDS {
            self.swept = second;
            self.by_tuple
                .retain(|_, entry| second.saturating_sub(entry.second) <= BELIEVED_SECONDS);
        }
    }
}

/// The tuple of the answer to a datagram as it was seen; `None` when its addresses are of two families.
pub(super) fn answer_tuple(source: SocketAddr, local: SocketAddr) -> Option<Tuple> {
    Tuple::new(Protocol::Udp, local, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribution::{Finding, Rules, pair};
    use crate::flow::Status;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    fn flow(id: u32) -> Flow {
        let reply = answer_tuple(socket("10.77.2.1:47000"), socket("10.77.2.2:8125"));
        let original = Tuple::new(
            Protocol::Udp,
            socket("10.77.1.2:47000"),
            socket("10.77.100.1:8125"),
        );
        Flow {
            original: original.expect("one family"),
            reply: reply.expect("one family"),
            id,
            status: Status::default(),
            timeout_seconds: None,
            mark: 0,
            tcp_state: None,
            counters: None,
            duration_nanos: None,
        }
    }

    #[test]
    fn only_those_who_were_told_of_this_very_flow_hear_of_its_end() {
        let rules = Rules::for_timeout(Duration::from_secs(30));
        let (_asking, answering) = pair(rules, Arc::new(|| {}));
        let (lane, heard) = crossbeam_channel::bounded(8);
        let peer = Peer {
            source: socket("10.77.2.1:47000"),
            local: socket("10.77.2.2:8125"),
        };
        let question = Question {
            peer,
            asked_nanos: 1,
            answers: lane,
        };
        let mut told = Told::default();
        let ground = |id| [(0, flow(id).reply, id)];
        told.note(&answering, &question, &ground(7), 0);
        told.note(&answering, &question, &ground(7), 1);
        // Another flow, another namespace.
        told.end(0, &flow(8), Some(&answering));
        told.end(1, &flow(7), Some(&answering));
        assert!(heard.try_recv().is_err());
        told.end(0, &flow(7), Some(&answering));
        let answer = heard.try_recv().expect("void");
        assert_eq!((answer.peer, answer.finding), (peer, Finding::Void));
        assert!(heard.try_recv().is_err());
        assert_eq!(answering.counts.voided.load(Ordering::Relaxed), 1);
        // The pair belongs to a new flow before the old one's end is read.
        told.note(&answering, &question, &ground(7), 2);
        told.note(&answering, &question, &ground(9), 3);
        told.end(0, &flow(7), Some(&answering));
        assert!(heard.try_recv().is_err());
        told.sweep(100);
        told.end(0, &flow(9), Some(&answering));
        assert!(heard.try_recv().is_err());
    }

    #[test]
    fn another_lane_hears_when_the_pair_is_another_flow() {
        let rules = Rules::for_timeout(Duration::from_secs(30));
        let (_asking, answering) = pair(rules, Arc::new(|| {}));
        let peer = Peer {
            source: socket("10.77.2.1:47000"),
            local: socket("10.77.2.2:8125"),
        };
        let asker = || {
            let (answers, heard) = crossbeam_channel::bounded(8);
            let question = Question {
                peer,
                asked_nanos: 1,
                answers,
            };
            (question, heard)
        };
        let ((first, first_heard), (second, second_heard)) = (asker(), asker());
        let mut told = Told::default();
        told.note(&answering, &first, &[(0, flow(7).reply, 7)], 0);
        told.note(&answering, &second, &[(0, flow(9).reply, 9)], 1);
        assert_eq!(
            first_heard.try_recv().map(|it| it.finding),
            Ok(Finding::Void)
        );
        assert!(second_heard.try_recv().is_err());
    }
}
