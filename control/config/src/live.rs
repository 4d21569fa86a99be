//! The running settings: changed while the process runs, one generation at a time.
//!
//! ```text
//!  SIGHUP, file, API ─▶ reload ─┐  read ▸ validate ▸ differences ▸ every part prepares
//!  API, stream ─▶ set, unset ───┼─▶ one refusal: nothing changed, and who refused
//!  API ─▶ rollback ─────────────┘   none: parts commit ▸ publish ▸ feed ▸ history
//! ```
//!
//! A reload reads the file again and replaces the layers that come from it and from the environment;
//! what was set while running stays on top. Changes are made one after the other, under one lock, and
//! readers never wait for them: they hold an immutable generation.

pub mod apply;
pub mod change;
pub mod feed;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use crate::error::SettingsError;
use crate::layer::Layer;
use crate::load::{self, Loaded, Sources};
use crate::place::Place;
use crate::report::Report;
use crate::secrets::SecretReport;
use crate::settings::Settings;
use crate::store::{Difference, Store};
use crate::table::{self, Applies};
use crate::value::Value;

use apply::{Apply, Prepared};
use change::{Cause, Change, ChangeError, KeyResult, Outcome, ReloadError};
use feed::Feed;

/// Generations kept for the history and for going back; the oldest goes first.
pub const HISTORY_MAX: usize = 32;

/// Layers a reload reads anew. Flags are read once: a command may have replaced them since.
const RELOADED: [Layer; 3] = [Layer::File, Layer::Environment, Layer::Secret];

/// The running settings. Clones are the same settings; every method may be called on any thread.
#[derive(Clone)]
pub struct Live(Arc<Inner>);

/// What never changes: one state of all settings.
#[derive(Clone, Debug)]
pub struct Generation {
    /// 1 at start.
    pub number: u64,
    /// Values with their origins.
    pub store: Arc<Store>,
    /// The same, typed.
    pub settings: Arc<Settings>,
    /// What is worth a word.
    pub report: Arc<Report>,
}

/// How reloads went since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadState {
    /// That were taken, whether or not they changed anything.
    pub taken: u64,
    /// That were given up.
    pub refused: u64,
    /// Why the last was given up; `None` after one that was taken.
    pub last_error: Option<String>,
}

struct Inner {
    current: RwLock<Generation>,
    /// Who follows. Held for the whole of a change, which may wait for files, programs and lanes.
    changing: Mutex<Vec<Arc<dyn Apply>>>,
    /// Held for moments only, so that whoever asks what happened never waits for a change.
    book: Mutex<Book>,
    feed: Feed,
    sources: Sources,
    file: Option<PathBuf>,
}

/// What happened so far.
struct Book {
    history: VecDeque<(Arc<Change>, Arc<Store>)>,
    /// Keys that wait for a restart, with the value the process runs with.
    waiting: BTreeMap<&'static str, Value>,
    reloads: ReloadState,
}

// === impl Live ===

impl Live {
    /// The first generation. `sources` is what a reload reads; when settings came from a file, that
    /// very file.
    pub fn new(loaded: Loaded, sources: Sources) -> Self {
        Self::at(loaded, sources, SystemTime::now())
    }

    fn at(loaded: Loaded, mut sources: Sources, now: SystemTime) -> Self {
        let store = Arc::new(loaded.store);
        let feed = Feed::new(Arc::clone(&store), now);
        let start = Change {
            generation: 1,
            sequence: feed.sequence(),
            at: now,
            cause: Cause::Start,
            keys: Vec::new(),
        };
        if loaded.file.is_some() {
            sources.file.clone_from(&loaded.file);
        }
        Self(Arc::new(Inner {
            current: RwLock::new(Generation {
                number: 1,
                store: Arc::clone(&store),
                settings: Arc::new(loaded.settings),
                report: Arc::new(loaded.report),
            }),
            changing: Mutex::new(Vec::new()),
            book: Mutex::new(Book {
                history: VecDeque::from([(Arc::new(start), store)]),
                waiting: BTreeMap::new(),
                reloads: ReloadState::default(),
            }),
            feed,
            sources,
            file: loaded.file,
        }))
    }

    /// What counts, typed.
    pub fn settings(&self) -> Arc<Settings> {
        self.generation().settings
    }

    /// What counts and where it comes from.
    pub fn store(&self) -> Arc<Store> {
        self.generation().store
    }

    /// All of one moment. Cheap: four counters.
    pub fn generation(&self) -> Generation {
        self.0
            .current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The file settings came from.
    pub fn file(&self) -> Option<&PathBuf> {
        self.0.file.as_ref()
    }

    /// Numbered changes.
    pub fn feed(&self) -> &Feed {
        &self.0.feed
    }

    /// From here on `applier` is asked about every change.
    pub fn attach(&self, applier: Arc<dyn Apply>) {
        self.changing().push(applier);
    }

    /// Puts a value in the notation of the environment into a layer.
    ///
    /// # Errors
    /// An unknown key, a wrong value, or a part of the process that cannot follow. Nothing changed.
    pub fn set(
        &self,
        key: &str,
        layer: Layer,
        text: &str,
        by: Place,
        cause: Cause,
    ) -> Result<Change, ChangeError> {
        let parts = self.changing();
        let mut store = Store::clone(&self.store());
        store.set_text(key, layer, text, by)?;
        let change = self.change(&parts, store, cause);
        change.map_err(ChangeError::Refused)
    }

    /// The same with a typed value.
    ///
    /// # Errors
    /// As [`Live::set`].
    pub fn set_value(
        &self,
        key: &str,
        layer: Layer,
        value: Value,
        by: Place,
        cause: Cause,
    ) -> Result<Change, ChangeError> {
        let parts = self.changing();
        let mut store = Store::clone(&self.store());
        store.set(key, layer, value, by)?;
        let change = self.change(&parts, store, cause);
        change.map_err(ChangeError::Refused)
    }

    /// Takes a layer's value away.
    ///
    /// # Errors
    /// An unknown key, or a part of the process that cannot follow. Nothing changed.
    pub fn unset(&self, key: &str, layer: Layer, cause: Cause) -> Result<Change, ChangeError> {
        let parts = self.changing();
        let mut store = Store::clone(&self.store());
        store.unset(key, layer)?;
        let change = self.change(&parts, store, cause);
        change.map_err(ChangeError::Refused)
    }

    /// Makes several steps one generation, for a source that sends its whole state.
    ///
    /// # Errors
    /// What `edit` refuses, or a part of the process that cannot follow. Nothing changed.
    pub fn edit(
        &self,
        cause: Cause,
        edit: impl FnOnce(&mut Store) -> Result<(), ChangeError>,
    ) -> Result<Change, ChangeError> {
        let parts = self.changing();
        let mut store = Store::clone(&self.store());
        edit(&mut store)?;
        let change = self.change(&parts, store, cause);
        change.map_err(ChangeError::Refused)
    }

    /// Reads the file and the environment again. Blocks on the file.
    ///
    /// # Errors
    /// Every wrong value with its place, or a part of the process that cannot follow. Nothing changed.
    pub fn reload(&self, cause: Cause) -> Result<Change, ReloadError> {
        let parts = self.changing();
        let result = self.reload_locked(&parts, cause);
        let mut book = self.book();
        match &result {
            Ok(_) => {
                book.reloads.taken += 1;
                book.reloads.last_error = None;
            }
            Err(error) => {
                book.reloads.refused += 1;
                book.reloads.last_error = Some(error.to_string());
            }
        }
        result
    }

    /// Fetches every secret again and reloads with them. Blocks while the program runs.
    ///
    /// # Errors
    /// As [`Live::reload`]; what was fetched before stays.
    pub fn refresh_secrets(&self) -> Result<Change, ReloadError> {
        self.0.sources.secrets.forget();
        self.reload(Cause::SecretRefresh)
    }

    /// What is known of secrets, without any.
    pub fn secrets(&self) -> SecretReport {
        self.0.sources.secrets.report()
    }

    /// What a reload would find, without taking it. Blocks as one does.
    ///
    /// # Errors
    /// Every wrong value with its place.
    pub fn preview(&self) -> Result<Store, SettingsError> {
        let fresh = load::load(&self.0.sources)?;
        let mut store = Store::clone(&self.store());
        store.take_layers(&fresh.store, &RELOADED);
        Ok(store)
    }

    fn reload_locked(&self, parts: &[Arc<dyn Apply>], cause: Cause) -> Result<Change, ReloadError> {
        let fresh = load::load(&self.0.sources)?;
        let mut store = Store::clone(&self.store());
        store.take_layers(&fresh.store, &RELOADED);
        self.change(parts, store, cause)
            .map_err(ReloadError::Refused)
    }

    /// Back to all values of an earlier generation, those set while running included. The file on
    /// disk stays as it is: the next reload reads it again.
    ///
    /// # Errors
    /// The generation is not kept any more, or a part of the process cannot follow. Nothing changed.
    pub fn rollback(&self, generation: u64) -> Result<Change, ReloadError> {
        let parts = self.changing();
        let kept = self.store_of(generation);
        let store = kept.ok_or(ReloadError::NoGeneration(generation))?;
        let store = Store::clone(&store);
        self.change(&parts, store, Cause::Rollback(generation))
            .map_err(ReloadError::Refused)
    }

    /// The last [`HISTORY_MAX`] generations, oldest first.
    pub fn history(&self) -> Vec<Arc<Change>> {
        let book = self.book();
        book.history
            .iter()
            .map(|(change, _)| Arc::clone(change))
            .collect()
    }

    /// The values of a generation that is still kept.
    pub fn store_of(&self, generation: u64) -> Option<Arc<Store>> {
        let book = self.book();
        let kept = book
            .history
            .iter()
            .find(|(change, _)| change.generation == generation);
        kept.map(|(_, store)| Arc::clone(store))
    }

    /// Keys whose new value waits for a restart.
    pub fn waiting_for_restart(&self) -> Vec<&'static str> {
        self.book().waiting.keys().copied().collect()
    }

    /// How reloads went.
    pub fn reloads(&self) -> ReloadState {
        self.book().reloads.clone()
    }

    /// Makes `store` the next generation, or names the keys the process cannot follow.
    fn change(
        &self,
        parts: &[Arc<dyn Apply>],
        store: Store,
        cause: Cause,
    ) -> Result<Change, Vec<KeyResult>> {
        let old = self.generation();
        let differences = old.store.differences(&store);
        let mut report = Report::default();
        let settings = Settings::read(&store, &mut report);
        let mut change = Change {
            generation: old.number,
            sequence: self.0.feed.sequence(),
            at: SystemTime::now(),
            cause,
            keys: Vec::new(),
        };
        let store = Arc::new(store);
        let settings = Arc::new(settings);
        if !differences.is_empty() {
            let changed = changed_keys(&old.store, &store, &differences);
            let prepared = prepare(parts, &old.settings, &settings, &changed)?;
            let results = prepared.into_iter().flat_map(Prepared::commit).collect();
            change.generation += 1;
            change.keys = self
                .book()
                .outcomes(&old.store, &store, &differences, &changed, results);
        }
        let next = Generation {
            number: change.generation,
            store: Arc::clone(&store),
            settings,
            report: Arc::new(report),
        };
        *self
            .0
            .current
            .write()
            .unwrap_or_else(PoisonError::into_inner) = next;
        change.sequence = self.0.feed.publish(Arc::clone(&store), &differences);
        if !change.is_empty() {
            let mut book = self.book();
            if book.history.len() >= HISTORY_MAX {
                book.history.pop_front();
            }
            book.history.push_back((Arc::new(change.clone()), store));
        }
        Ok(change)
    }

    fn changing(&self) -> MutexGuard<'_, Vec<Arc<dyn Apply>>> {
        let changing = &self.0.changing;
        changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Live")
            .field("generation", &self.generation().number)
            .finish_non_exhaustive()
    }
}

/// Keys whose value that counts differs, in the order of the table.
fn changed_keys(old: &Store, new: &Store, differences: &[Difference]) -> Vec<&'static str> {
    let mut keys: Vec<&'static str> = differences
        .iter()
        .filter(|difference| {
            old.resolve(difference.index).value != new.resolve(difference.index).value
        })
        .map(|difference| table::table().rows()[difference.index].key)
        .collect();
    keys.dedup();
    keys
}

fn prepare(
    parts: &[Arc<dyn Apply>],
    old: &Settings,
    new: &Settings,
    changed: &[&'static str],
) -> Result<Vec<Box<dyn Prepared>>, Vec<KeyResult>> {
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    parts
        .iter()
        .map(|applier| applier.prepare(old, new, changed))
        .collect()
}

// === impl Book ===

impl Book {
    /// What came of every key some layer changed, and which keys wait for a restart now.
    fn outcomes(
        &mut self,
        old: &Store,
        new: &Store,
        differences: &[Difference],
        changed: &[&'static str],
        results: Vec<KeyResult>,
    ) -> Vec<KeyResult> {
        let results: BTreeMap<_, _> = results
            .into_iter()
            .map(|result| (result.key, result.outcome))
            .collect();
        let mut indexes: Vec<usize> = differences
            .iter()
            .map(|difference| difference.index)
            .collect();
        indexes.dedup();
        let outcome = |index: usize| {
            let row = table::table().rows()[index];
            let key = row.key;
            let outcome = match results.get(key) {
                _ if !changed.contains(&key) => Outcome::Unchanged,
                Some(outcome) => outcome.clone(),
                None if row.applies == Applies::NoEffect => Outcome::NoEffect,
                None if row.reloadable => Outcome::Applied,
                None => Outcome::NeedsRestart,
            };
            let value = new.resolve(index).value;
            let outcome = match (outcome, self.waiting.get(key)) {
                // Back to what the process runs with: nothing waits any more.
                (Outcome::NeedsRestart, Some(running)) if running == value => {
                    self.waiting.remove(key);
                    Outcome::Applied
                }
                (Outcome::NeedsRestart, None) => {
                    let running = old.resolve(index).value.clone();
                    self.waiting.insert(key, running);
                    Outcome::NeedsRestart
                }
                (Outcome::Applied, Some(_)) => {
                    self.waiting.remove(key);
                    Outcome::Applied
                }
                (outcome, _) => outcome,
            };
            KeyResult { key, outcome }
        };
        indexes.into_iter().map(outcome).collect()
    }
}

#[cfg(test)]
mod tests;
