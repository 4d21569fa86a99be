//! The contexts of the running engine, for the commands that list them: dump, largest names, statistics.
//!
//! Everything comes from the flush thread, a piece at a time, and is as old as the last flush: lanes notice
//! nothing. One question is worked on at a time, so that ten askers do not need ten times the memory.

mod dump;
mod stats;
mod top;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use greyhound_config::live::Live;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_server::register::{Contexts, DogstatsdStats, NoStats, TopContexts};
use serde_json::Value;

use crate::places;

pub use top::{TagKey, Top};

/// How long the flush thread may take for all pieces.
const PATIENCE: Duration = Duration::from_secs(20);
/// The status page shows what is at most this old.
const STATUS_AGE_MAX: Duration = Duration::from_secs(10);
/// Names and tag keys on the status page.
const STATUS_ROWS: usize = 5;

const BUSY: &str = "the flush thread does not answer";

/// The contexts, as far as the flush thread knows them.
pub struct ContextBook {
    engine: Arc<OnceLock<Handle>>,
    live: Live,
    /// What the status page showed, and when it was counted. Also keeps questions apart.
    shown: Mutex<Option<(Instant, Top)>>,
}

// === impl ContextBook ===

impl ContextBook {
    /// A book of an engine that may not run yet.
    pub fn new(engine: Arc<OnceLock<Handle>>, live: Live) -> Self {
        Self {
            engine,
            live,
            shown: Mutex::default(),
        }
    }

    /// The largest names and tag keys, counted within the last seconds. `None` while nobody answers.
    pub fn largest(&self) -> Option<Top> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = shown
            .as_ref()
            .filter(|(at, _)| at.elapsed() < STATUS_AGE_MAX);
        if let Some((_, top)) = fresh {
            return Some(top.clone());
        }
        let top = self.count(STATUS_ROWS, STATUS_ROWS).ok()?;
        *shown = Some((Instant::now(), top.clone()));
        Some(top)
    }

    fn engine(&self) -> Result<&Handle, String> {
        self.engine.get().ok_or_else(|| "starting".to_owned())
    }

    fn count(&self, metrics: usize, tags: usize) -> Result<Top, String> {
        let engine = self.engine()?;
        top::count(metrics, tags, |visit| {
            engine
                .survey(PATIENCE, |surveyed| {
                    let context = surveyed.context;
                    visit(context.name(), &mut context.tags());
                })
                .ok_or_else(|| BUSY.to_owned())
        })
    }

    fn dump_path(&self) -> PathBuf {
        let folder = places::run_folder(&self.live.settings().control);
        folder.join(dump::FILE)
    }
}

impl Contexts for ContextBook {
    fn dump(&self) -> Result<PathBuf, String> {
        let engine = self.engine()?;
        let _one_at_a_time = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.dump_path();
        dump::write(&path, |visit| {
            engine
                .survey(PATIENCE, visit)
                .ok_or_else(|| BUSY.to_owned())
        })
        .map_err(|why| format!("cannot write {}: {why}", path.display()))?;
        Ok(path)
    }

    fn top(&self, query: &TopContexts) -> Result<Value, String> {
        let _one_at_a_time = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let (metrics, tags) = (query.metrics, query.tags);
        let top = if query.from_dump {
            let path = self.dump_path();
            top::count(metrics, tags, |visit| dump::read(&path, visit))
                .map_err(|why| format!("cannot read {}: {why}", path.display()))?
        } else {
            self.count(metrics, tags)?
        };
        Ok(top.json())
    }
}

impl DogstatsdStats for ContextBook {
    fn stats(&self) -> Result<Value, NoStats> {
        if !self.live.settings().listen.enabled {
            return Err(NoStats::NoServer);
        }
        let engine = self.engine.get().filter(|engine| engine.counts_contexts());
        let engine = engine.ok_or(NoStats::NotEnabled)?;
        let _one_at_a_time = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut most = stats::MostSampled::default();
        engine
            .survey(PATIENCE, |surveyed| most.take(surveyed))
            .ok_or(NoStats::NoServer)?;
        Ok(most.json())
    }
}
