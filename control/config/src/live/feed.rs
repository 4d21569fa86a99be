//! Every change of every layer as a numbered update, and the whole as a snapshot: what a settings
//! stream is made of.
//!
//! Numbers start at the whole seconds since the beginning of 2026 and rise by exactly one with every
//! key a layer changed, so they never go back over a restart while changes come more slowly than one
//! a second. Applying updates in order to a snapshot gives the later snapshot, sources included: an
//! update says what counts after it, and which layer that comes from.
//!
//! Values are those of the Agent's stream: numbers where a setting counts something (seconds,
//! nanoseconds, bytes), and credentials in clear. Whoever subscribes has to be allowed to see them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::secret::MASK;
use crate::store::{Difference, Store};
use crate::table;

/// The beginning of 2026, in seconds since 1970.
const EPOCH_SECONDS: u64 = 1_767_225_600;

/// One changed key.
#[derive(Clone, PartialEq)]
pub struct Update {
    /// One more than the update before.
    pub sequence: u64,
    /// Dotted key.
    pub key: &'static str,
    /// What counts now. Credentials stand in clear; `Debug` masks them.
    pub value: serde_json::Value,
    /// The layer it comes from, in the Agent's words.
    pub source: &'static str,
    /// The layer that no longer has a value, when that is what happened.
    pub unset_source: Option<&'static str>,
}

/// What counts for every key at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The last update it holds.
    pub sequence: u64,
    /// Every key of the table, in its order.
    pub settings: Vec<Setting>,
}

/// One key of a snapshot.
#[derive(Clone, PartialEq)]
pub struct Setting {
    /// Dotted key.
    pub key: &'static str,
    /// What counts. Credentials stand in clear; `Debug` masks them.
    pub value: serde_json::Value,
    /// The layer it comes from, in the Agent's words.
    pub source: &'static str,
}

/// Called for every update, in order, while the change is being made: must not block, and must not
/// come back to the feed.
pub type Subscriber = Box<dyn Fn(&Arc<Update>) + Send + Sync>;

/// The numbered changes of the running settings.
#[derive(Clone)]
pub struct Feed {
    state: Arc<Mutex<State>>,
}

/// Ends its subscription when dropped.
#[must_use = "dropping it ends the subscription"]
pub struct SubscriptionGuard {
    state: Arc<Mutex<State>>,
    id: u64,
}

struct State {
    sequence: u64,
    store: Arc<Store>,
    /// Made when somebody asks, kept until the next update.
    snapshot: Option<Arc<Snapshot>>,
    subscribers: BTreeMap<u64, Subscriber>,
    next_id: u64,
}

// === impl Feed ===

impl Feed {
    pub(crate) fn new(store: Arc<Store>, now: SystemTime) -> Self {
        let since_1970 = now
            .duration_since(UNIX_EPOCH)
            .map_or(0, |span| span.as_secs());
        let state = State {
            sequence: since_1970.saturating_sub(EPOCH_SECONDS).max(1),
            store,
            snapshot: None,
            subscribers: BTreeMap::new(),
            next_id: 0,
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The number of the last update.
    pub fn sequence(&self) -> u64 {
        lock(&self.state).sequence
    }

    /// Everything as it is. Shared by all who ask between two updates; the first pays about 100 µs.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        lock(&self.state).snapshot()
    }

    /// Calls `subscriber` for every later update, until the guard is dropped.
    pub fn subscribe(&self, subscriber: Subscriber) -> SubscriptionGuard {
        let id = lock(&self.state).subscribe(subscriber);
        self.guard(id)
    }

    /// Both, with no update between them.
    pub fn snapshot_and_subscribe(
        &self,
        subscriber: Subscriber,
    ) -> (Arc<Snapshot>, SubscriptionGuard) {
        let mut state = lock(&self.state);
        let snapshot = state.snapshot();
        let id = state.subscribe(subscriber);
        drop(state);
        (snapshot, self.guard(id))
    }

    fn guard(&self, id: u64) -> SubscriptionGuard {
        SubscriptionGuard {
            state: Arc::clone(&self.state),
            id,
        }
    }

    /// Hands out the differences between the store of the feed and `store`, which takes its place.
    /// The number of the last update.
    pub(crate) fn publish(&self, store: Arc<Store>, differences: &[Difference]) -> u64 {
        let mut state = lock(&self.state);
        state.store = store;
        for difference in differences {
            state.sequence += 1;
            state.snapshot = None;
            let update = Arc::new(state.update(difference));
            for subscriber in state.subscribers.values() {
                subscriber(&update);
            }
        }
        state.sequence
    }
}

impl fmt::Debug for Feed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        formatter
            .debug_struct("Feed")
            .field("sequence", &state.sequence)
            .field("subscribers", &state.subscribers.len())
            .finish_non_exhaustive()
    }
}

/// A subscriber that panicked left nothing half done here.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl State ===

impl State {
    fn subscribe(&mut self, subscriber: Subscriber) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.subscribers.insert(id, subscriber);
        id
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        if let Some(snapshot) = &self.snapshot {
            return Arc::clone(snapshot);
        }
        let settings = self.store.iter().map(|resolved| Setting {
            key: resolved.row.key,
            value: resolved.value.revealed_json(&resolved.row.kind),
            source: resolved.layer.as_str(),
        });
        let snapshot = Arc::new(Snapshot {
            sequence: self.sequence,
            settings: settings.collect(),
        });
        self.snapshot = Some(Arc::clone(&snapshot));
        snapshot
    }

    fn update(&self, difference: &Difference) -> Update {
        let resolved = self.store.resolve(difference.index);
        Update {
            sequence: self.sequence,
            key: resolved.row.key,
            value: resolved.value.revealed_json(&resolved.row.kind),
            source: resolved.layer.as_str(),
            unset_source: difference.is_unset.then(|| difference.layer.as_str()),
        }
    }
}

// === impl SubscriptionGuard ===

impl Drop for SubscriptionGuard {
    fn drop(&mut self) {
        let subscriber = lock(&self.state).subscribers.remove(&self.id);
        // Outside the lock: what it owns may have something of its own to end.
        drop(subscriber);
    }
}

impl fmt::Debug for SubscriptionGuard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "SubscriptionGuard({})", self.id)
    }
}

// === impl Update ===

impl fmt::Debug for Update {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Update")
            .field("sequence", &self.sequence)
            .field("key", &self.key)
            .field("value", &shown(self.key, &self.value))
            .field("source", &self.source)
            .field("unset_source", &self.unset_source)
            .finish()
    }
}

// === impl Setting ===

impl fmt::Debug for Setting {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Setting")
            .field("key", &self.key)
            .field("value", &shown(self.key, &self.value))
            .field("source", &self.source)
            .finish()
    }
}

fn shown(key: &str, value: &serde_json::Value) -> String {
    let is_secret = table::table().row(key).is_none_or(table::Row::is_secret);
    if is_secret {
        MASK.to_owned()
    } else {
        value.to_string()
    }
}
