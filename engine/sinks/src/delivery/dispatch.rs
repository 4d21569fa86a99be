//! The loop of one destination: what may be sent is sent, what comes back is judged.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use tokio::task::JoinSet;
use tracing::warn;

use super::answer::{self, Verdict};
use super::queue::{Job, Queue, Step};
use super::{Judgement, Payload, Shared, count};
use crate::client::{Answer, FailureKind};
use crate::sink::{Reason, Receipt};

/// The loop looks around at least this often, for what grew old.
const LOOK: Duration = Duration::from_secs(5);

/// The same error of one destination is logged at most this often.
const LOG_INTERVAL_SECONDS: i64 = 60;

/// Sends until the queue is told to stop and is empty, or the deadline passes.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut sends = JoinSet::new();
    loop {
        let (step, settled, dropped, stop_at) = {
            let mut queue = shared.lock();
            let step = queue.next(Instant::now(), unix_now());
            let settled = std::mem::take(&mut queue.settled);
            (step, settled, queue.take_dropped(), queue.stop_at)
        };
        shared.settle(&dropped);
        if !settled.is_empty() {
            let shared = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || shared.disk.settle(&settled));
        }
        if stop_at.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        let until = match step {
            Step::Done => break,
            Step::Send(job) => {
                sends.spawn(send(Arc::clone(&shared), job));
                continue;
            }
            Step::Wait(until) => {
                let look = Instant::now() + LOOK;
                let until = until.map_or(look, |until| until.min(look));
                stop_at.map_or(until, |stop_at| until.min(stop_at))
            }
        };
        tokio::select! {
            () = shared.work.notified() => {}
            Some(_) = sends.join_next() => {}
            () = tokio::time::sleep_until(until.into()) => {}
        }
    }
    // What is still on its way may arrive; it is sent again after the next start.
    let (payloads, points) = shared.lock().flying();
    sends.shutdown().await;
    count(&shared.counts.resent_payloads, payloads);
    count(&shared.counts.resent_points, points);
    let (ended, changed) = &shared.ended;
    *ended.lock().unwrap_or_else(PoisonError::into_inner) = true;
    changed.notify_all();
}

async fn send(shared: Arc<Shared>, job: Job) {
    let body = match (&job.entry.body, job.entry.place) {
        (Some(body), _) => Some(body.clone()),
        (None, Some(place)) => {
            let reader = Arc::clone(&shared);
            tokio::task::spawn_blocking(move || reader.disk.read(&place))
                .await
                .ok()
                .flatten()
        }
        (None, None) => None,
    };
    let Some(body) = body else {
        let mut receipt = Receipt::default();
        let mut queue = shared.lock();
        let reason = match queue.is_evicted(&job) {
            true => Reason::DiskFull,
            false => Reason::DiskCorrupt,
        };
        count(
            &shared.counts.corrupt_records,
            u64::from(reason == Reason::DiskCorrupt),
        );
        receipt.drop_points(reason, u64::from(job.entry.points));
        queue.finish(&job);
        queue.classes[usize::from(job.entry.class)]
            .breaker
            .succeeded(job.permit);
        drop(queue);
        shared.settle(&receipt);
        return;
    };
    let (uri, headers) = shared.target.request(job.entry.class, job.entry.encoding);
    let sending = shared.client.post_whole(&uri, &headers, body.clone());
    let (answer, whole) = sending.await;
    let judgement = whole.and_then(|whole| shared.target.judge(job.entry.encoding, &whole));
    shared.conclude(&job, body, &answer, judgement);
}

// === impl Shared ===

impl Shared {
    /// Settles a payload or keeps it, and tells the breaker.
    fn conclude(
        self: &Arc<Self>,
        job: &Job,
        body: Bytes,
        answer: &Answer,
        judgement: Option<Judgement>,
    ) {
        let now = Instant::now();
        let verdict = match &judgement {
            Some(judgement) => answer::of_judgement(judgement),
            None => answer::judge(answer, self.config.drop_on_auth_error, unix_now()),
        };
        self.count_answer(answer);
        if verdict != Verdict::Delivered {
            self.note(match judgement {
                Some(Judgement::Partly { rejected, words }) => {
                    format!("accepted without {rejected} points: {words}")
                }
                Some(
                    Judgement::Later(_, words)
                    | Judgement::Refused(words)
                    | Judgement::Unauthorized(words),
                ) if !words.is_empty() => words,
                Some(Judgement::Rewrite) => "not understood, sent in an older form".to_owned(),
                _ => answer::words(answer),
            });
        }
        let points = u64::from(job.entry.points);
        let mut receipt = Receipt::default();
        let mut queue = self.lock();
        match verdict {
            Verdict::Delivered => {
                receipt.deliver(points);
                count(&self.counts.delivered_payloads, 1);
                count(&self.counts.delivered_bytes, body.len() as u64);
                queue.last_success = Some(unix_now());
                settle_well(&mut queue, job);
            }
            Verdict::Partly(rejected) => {
                let rejected = rejected.min(points);
                receipt.deliver(points - rejected);
                receipt.drop_points(Reason::Invalid, rejected);
                count(&self.counts.delivered_payloads, 1);
                count(&self.counts.delivered_bytes, body.len() as u64);
                queue.last_success = Some(unix_now());
                settle_well(&mut queue, job);
            }
            Verdict::Refused(reason) => {
                receipt.drop_points(reason, points);
                count(&self.counts.refused_payloads, 1);
                settle_well(&mut queue, job);
            }
            Verdict::TooLarge | Verdict::Rewrite => {
                let is_rewrite = verdict == Verdict::Rewrite;
                let payload = Payload {
                    class: job.entry.class,
                    encoding: job.entry.encoding,
                    points: job.entry.points,
                    body,
                };
                if job.entry.is_half && !is_rewrite {
                    receipt.drop_points(Reason::Http413, points);
                    count(&self.counts.refused_payloads, 1);
                    settle_well(&mut queue, job);
                } else {
                    drop(queue);
                    self.replace(job, payload, is_rewrite);
                    return;
                }
            }
            Verdict::Unauthorized(wait) => {
                breaker(&mut queue, job).hold(job.permit, now, wait);
                queue.again(job);
            }
            Verdict::Later(wait) => {
                count(&self.counts.retries, 1);
                breaker(&mut queue, job).failed(job.permit, now, wait);
                queue.adapt(false);
                queue.again(job);
            }
            Verdict::Unknown => {
                count(&self.counts.retries, 1);
                count(&self.counts.resent_payloads, 1);
                count(&self.counts.resent_points, points);
                breaker(&mut queue, job).failed(job.permit, now, None);
                queue.adapt(false);
                queue.again(job);
            }
        }
        drop(queue);
        self.settle(&receipt);
    }

    /// Halves a payload, or writes it anew, away from the egress thread: it is unpacked, packed, and written
    /// to disk.
    fn replace(self: &Arc<Self>, job: &Job, payload: Payload, is_rewrite: bool) {
        let shared = Arc::clone(self);
        let (points, made_at, class) = (payload.points, job.entry.made_at, job.entry.class);
        let job = job.clone();
        tokio::task::spawn_blocking(move || {
            let mut receipt = Receipt::default();
            let others = match is_rewrite {
                true => shared.target.rewrite(&payload).map(|other| vec![other]),
                false => shared.target.split(&payload).map(Vec::from),
            };
            match others {
                Some(others) => {
                    for other in others {
                        shared.push(other, made_at, true);
                    }
                }
                None => {
                    receipt.drop_points(Reason::Http413, u64::from(points));
                    count(&shared.counts.refused_payloads, 1);
                }
            }
            let mut queue = shared.lock();
            queue.finish(&job);
            queue.classes[usize::from(class)]
                .breaker
                .succeeded(job.permit);
            drop(queue);
            shared.settle(&receipt);
            shared.work.notify_one();
        });
    }

    fn count_answer(&self, answer: &Answer) {
        match answer {
            Answer::Status { status, .. } => {
                let class = match status / 100 {
                    class @ 1..=5 => usize::from(class),
                    _ => 0,
                };
                count(&self.counts.answers[class], 1);
            }
            Answer::Failed { failure, .. } => {
                let kind = FailureKind::ALL
                    .iter()
                    .position(|kind| *kind == failure.kind)
                    .expect("all kinds are listed");
                self.counts.failures[kind].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Keeps the last error for status, and logs one a minute.
    fn note(&self, words: String) {
        let now = unix_now();
        let mut queue = self.lock();
        let is_news = queue
            .last_error
            .as_ref()
            .is_none_or(|(at, _)| now.abs_diff(*at) >= LOG_INTERVAL_SECONDS as u64);
        if is_news {
            warn!(address = %self.target.address(), why = %words, "payload was not accepted");
            queue.last_error = Some((now, words));
        } else if let Some((_, last)) = &mut queue.last_error {
            *last = words;
        }
    }
}

fn settle_well(queue: &mut Queue, job: &Job) {
    queue.finish(job);
    queue.adapt(true);
    breaker(queue, job).succeeded(job.permit);
}

fn breaker<'q>(queue: &'q mut Queue, job: &Job) -> &'q mut super::breaker::Breaker {
    &mut queue.classes[usize::from(job.entry.class)].breaker
}

fn unix_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |span| span.as_secs().cast_signed())
}
