//! The thread that reloads: on SIGHUP, when the settings file changed, and when secrets are due to be
//! fetched again.
//!
//! The file is looked at once a second: first its metadata, its content only when those differ. A
//! change counts when the metadata stayed the same for one more second, so that a file which is being
//! written is not taken half. Requests that come while a reload runs are one request.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::Hasher;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use greyhound_config::live::Live;
use greyhound_config::live::change::{Cause, Change, Outcome, ReloadError};
use tracing::{error, info, warn};

const LOOK: Duration = Duration::from_secs(1);
/// Reloads at most so often; signals in between are one.
const REST: Duration = Duration::from_millis(100);

/// Asks for a reload.
#[derive(Clone, Debug)]
pub(super) struct Reloads(SyncSender<()>);

/// A file as it was when last looked at.
struct FileWatch {
    path: PathBuf,
    /// Metadata and content that were loaded, or refused.
    known: Option<(Metadata, u64)>,
    /// Metadata of a change that is not old enough.
    fresh: Option<Metadata>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Metadata {
    device: u64,
    inode: u64,
    len_bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

/// Starts the thread. It ends with the process, or when nobody can ask any more.
pub(super) fn start(live: &Live) -> anyhow::Result<Reloads> {
    let (sender, requests) = sync_channel(1);
    let live = live.clone();
    let file = live.file().cloned().map(FileWatch::new);
    thread::Builder::new()
        .name("settings".to_owned())
        .spawn(move || run(&live, file, &requests))
        .context("cannot start the thread that reloads settings")?;
    Ok(Reloads(sender))
}

fn run(live: &Live, mut file: Option<FileWatch>, requests: &Receiver<()>) {
    let mut fetched = Instant::now();
    loop {
        let cause = match requests.recv_timeout(LOOK) {
            Ok(()) => Some(Cause::Signal),
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => None,
        };
        // Looked at in any case: what a signal has loaded is no news a second later.
        let watched = live.settings().watch_file;
        let has_changed = file.as_mut().is_some_and(|file| file.look(cause.is_some()));
        let cause = cause.or((has_changed && watched).then_some(Cause::FileChanged));
        if let Some(cause) = cause {
            told(live.reload(cause));
            thread::sleep(REST);
        }
        let interval = live.settings().secrets.refresh_interval;
        if !interval.is_zero() && fetched.elapsed() >= interval {
            fetched = Instant::now();
            told(live.refresh_secrets());
        }
    }
}

/// Says in the log what came of a reload.
fn told(result: Result<Change, ReloadError>) {
    match result {
        Ok(change) => tell(&change),
        Err(refused) => {
            for line in refused.to_string().lines() {
                error!("settings stay as they are: {line}");
            }
        }
    }
}

fn tell(change: &Change) {
    let count = |is_wanted: fn(&Outcome) -> bool| change.count(is_wanted);
    info!(
        cause = %change.cause,
        generation = change.generation,
        applied = count(|outcome| *outcome == Outcome::Applied),
        needs_restart = count(|outcome| *outcome == Outcome::NeedsRestart),
        "settings reloaded"
    );
    for result in &change.keys {
        if result.outcome == Outcome::NeedsRestart {
            warn!(setting = result.key, "changed, and needs a restart");
        }
    }
}

// === impl Reloads ===

impl Reloads {
    /// For a process whose settings do not change.
    pub(super) fn to_nobody() -> Self {
        Self(sync_channel(1).0)
    }

    /// Asks for one. Never blocks: one that already waits will read what is there then.
    pub(super) fn ask(&self) {
        self.0.try_send(()).ok();
    }
}

// === impl FileWatch ===

impl FileWatch {
    fn new(path: PathBuf) -> Self {
        let mut watch = Self {
            path,
            known: None,
            fresh: None,
        };
        watch.look(true);
        watch
    }

    /// Whether the content is another than at the last time this was true. With `at_once`, whatever is
    /// there is known from now on.
    fn look(&mut self, at_once: bool) -> bool {
        // A file that is gone for a moment is about to be replaced; for longer, nothing changes.
        let Some(metadata) = Metadata::of(&self.path) else {
            return false;
        };
        if !at_once {
            if self.known.is_some_and(|(known, _)| known == metadata) {
                self.fresh = None;
                return false;
            }
            if self.fresh != Some(metadata) {
                self.fresh = Some(metadata);
                return false;
            }
        }
        self.fresh = None;
        let Ok(content) = fs::read(&self.path) else {
            return false;
        };
        let mut hasher = DefaultHasher::new();
        hasher.write(&content);
        let hash = hasher.finish();
        let is_other = self.known.is_none_or(|(_, known)| known != hash);
        self.known = Some((metadata, hash));
        is_other
    }
}

// === impl Metadata ===

impl Metadata {
    fn of(path: &PathBuf) -> Option<Self> {
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_once_and_when_it_is_a_look_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("datadog.yaml");
        fs::write(&path, "log_level: info\n").expect("a file");
        let mut watch = FileWatch::new(path.clone());
        assert!(!watch.look(false));
        fs::write(&path, "").expect("a file");
        assert!(!watch.look(false), "it may be being written");
        fs::write(&path, "log_level: debug\n").expect("a file");
        assert!(!watch.look(false));
        assert!(watch.look(false));
        assert!(!watch.look(false));
        fs::remove_file(&path).expect("it was there");
        assert!(!watch.look(false));
        // The same text in another file is no change.
        fs::write(&path, "log_level: debug\n").expect("a file");
        assert!(!watch.look(false));
        assert!(!watch.look(false));
    }
}
