//! The config stream: every subscriber has all settings, and every change of them, in order.
//!
//! ```text
//!  feed ──update──▶ encode once ──▶ log (bounded, shared) ──▶ cursor of subscriber 1 ──▶ its stream
//!    │                                                   └──▶ cursor of subscriber n ──▶ its stream
//!    └──snapshot──▶ encode once ──▶ shared by all who need one
//! ```
//!
//! A subscriber is a cursor into one log of encoded updates, so it costs no queue, and one that stands
//! still costs nothing at all. A cursor that fell off the end of the log gets a snapshot as its next
//! event, as soon as its connection has room again: nobody stays wrong, however slow. What such a
//! subscriber missed is counted as `configstream.dropped_updates`.
//!
//! Numbers on one stream only rise. An update is the last number plus one; everything else is a
//! snapshot. This module knows no sockets and no clock.

mod encode;
mod log;
pub mod subscriber;
pub mod telemetry;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use bytes::Bytes;
use greyhound_config::live::feed::{Feed, SubscriptionGuard, Update};

use log::{After, Log};
use subscriber::Subscriber;
use telemetry::ConfigStreamTelemetry;

/// Streams open at once. Each is a cursor here and a stream on some connection.
pub const SUBSCRIBERS_MAX: usize = 1024;
/// The config stream of this process.
pub struct ConfigStream {
    shared: Arc<Shared>,
    /// Ends the subscription to the feed with this value. Not in `shared`: the feed holds that one,
    /// and must never be the one who drops the guard.
    _subscription: SubscriptionGuard,
}

/// Too many streams are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManySubscribers;

struct Shared {
    feed: Feed,
    origin: Box<str>,
    state: Mutex<State>,
    /// Never taken while `state` is held, nor inside the feed.
    snapshot: Mutex<Option<Encoded>>,
    telemetry: Arc<ConfigStreamTelemetry>,
}

struct State {
    log: Log,
    /// Who waits for the next update, by id; `None` = reading, or waiting for its connection.
    subscribers: HashMap<u64, Option<Waker>>,
    next_id: u64,
    stopped: bool,
}

/// A snapshot as it goes over the wire.
#[derive(Clone)]
struct Encoded {
    sequence: u64,
    frame: Bytes,
}

/// What a subscriber gets next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// One or more whole messages.
    Messages(Bytes),
    /// Nothing new; the waker is kept.
    Wait,
    /// The stream is over.
    Stopped,
}

// === impl ConfigStream ===

impl ConfigStream {
    /// Follows `feed` from here on. `origin` is the base name of the settings file.
    pub fn new(feed: &Feed, origin: &str) -> Self {
        let shared = Arc::new(Shared {
            feed: feed.clone(),
            origin: origin.into(),
            state: Mutex::new(State {
                log: Log::new(feed.sequence()),
                subscribers: HashMap::new(),
                next_id: 0,
                stopped: false,
            }),
            snapshot: Mutex::new(None),
            telemetry: Arc::default(),
        });
        let follower = Arc::clone(&shared);
        let subscription = feed.subscribe(Box::new(move |update| follower.follow(update)));
        // What was published between the two calls above has left a gap that the log notices.
        Self {
            shared,
            _subscription: subscription,
        }
    }

    /// A new subscriber; its first event is a snapshot.
    ///
    /// # Errors
    /// When [`SUBSCRIBERS_MAX`] are there.
    pub fn subscribe(&self) -> Result<Subscriber, TooManySubscribers> {
        let mut state = self.shared.state();
        if state.subscribers.len() >= SUBSCRIBERS_MAX {
            return Err(TooManySubscribers);
        }
        let id = state.next_id;
        state.next_id += 1;
        state.subscribers.insert(id, None);
        drop(state);
        self.shared.telemetry.subscribers.add(1);
        Ok(Subscriber::new(Arc::clone(&self.shared), id))
    }

    /// Streams open now.
    pub fn subscribers(&self) -> usize {
        self.shared.state().subscribers.len()
    }

    /// Has every stream look again whether its session is alive.
    pub fn wake_all(&self) {
        self.shared.wake_all();
    }

    /// Ends all streams, those opened later at once.
    pub fn stop(&self) {
        self.shared.state().stopped = true;
        self.shared.wake_all();
    }

    /// Its counters.
    pub fn telemetry(&self) -> Arc<ConfigStreamTelemetry> {
        Arc::clone(&self.shared.telemetry)
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        // Each method leaves the state whole before it calls anything that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an update of the feed. Called while the change is being made: encodes once, wakes those
    /// who wait, and never waits itself.
    fn follow(&self, update: &Arc<Update>) {
        let mut state = self.state();
        if state.subscribers.is_empty() {
            // Whoever comes gets a snapshot anyway.
            state.log.skip_to(update.sequence);
            return;
        }
        drop(state);
        let frame = encode::update(&self.origin, update);
        state = self.state();
        state.log.push(update.sequence, frame);
        let waiting = state.take_wakers();
        drop(state);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn wake_all(&self) {
        let waiting = self.state().take_wakers();
        waiting.into_iter().for_each(Waker::wake);
    }

    /// What subscriber `id` gets after update `last`, and moves `last` behind it. Nothing yet: `waker`
    /// is called when there is.
    fn next(&self, id: u64, last: &mut Option<u64>, waker: &Waker) -> Next {
        let mut state = self.state();
        if state.stopped {
            return Next::Stopped;
        }
        if let Some(at) = *last {
            match state.log.after(at) {
                After::Nothing => {
                    state.subscribers.insert(id, Some(waker.clone()));
                    return Next::Wait;
                }
                After::Updates(piece, count) => {
                    drop(state);
                    *last = Some(at + count);
                    self.telemetry.updates_sent.add(count);
                    return Next::Messages(piece);
                }
                After::Lost => {}
            }
        }
        drop(state);
        let snapshot = self.snapshot_after(last.unwrap_or(0));
        if let Some(at) = *last {
            let missed = snapshot.sequence.saturating_sub(at);
            self.telemetry.discontinuities.add(1);
            self.telemetry.dropped_updates.add(missed);
            tracing::warn!(
                subscriber = id,
                missed,
                "config stream: subscriber was too slow, resynchronizing with a snapshot"
            );
        }
        self.telemetry.snapshots_sent.add(1);
        *last = Some(snapshot.sequence);
        Next::Messages(snapshot.frame)
    }

    /// A snapshot with a number above `last` that the log goes on from. Built by the first who asks,
    /// then shared until the log has moved past it.
    fn snapshot_after(&self, last: u64) -> Encoded {
        let mut kept = self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(snapshot) = &*kept
            && snapshot.sequence > last
            && self.state().log.goes_on_after(snapshot.sequence)
        {
            return snapshot.clone();
        }
        let current = self.feed.snapshot();
        let snapshot = Encoded {
            sequence: current.sequence,
            frame: encode::snapshot(&self.origin, &current),
        };
        *kept = Some(snapshot.clone());
        snapshot
    }

    fn remove(&self, id: u64) {
        let mut state = self.state();
        state.subscribers.remove(&id);
        self.telemetry.subscribers.add(-1);
        let is_last = state.subscribers.is_empty();
        if is_last {
            state.log.clear();
        }
        drop(state);
        if is_last {
            *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

// === impl State ===

impl State {
    fn take_wakers(&mut self) -> Vec<Waker> {
        self.subscribers
            .values_mut()
            .filter_map(Option::take)
            .collect()
    }
}

#[cfg(test)]
mod tests;
