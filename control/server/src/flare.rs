//! An archive of everything somebody far away needs to help, without the secrets in it.
//!
//! ```text
//!  POST /agent/flare ─▶ sources, one after the other, each with its time ─▶ names confined ▸ scrubbed
//!                         ▸ temporary file, mode 0600 ▸ read back: planted canaries gone? ▸ renamed
//! ```
//!
//! One flare at a time. A source that takes too long is left behind with a line about it; what it finds
//! later goes nowhere. A process killed on the way leaves a temporary file, which the next one removes.

mod archive;
pub(crate) mod profile;
pub mod remote_agents;
pub mod routes;
pub mod scrub;
mod selftest;

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tracing::{info, warn};

use crate::register::{FlareFiles, FlareSource};
use archive::Archive;
use scrub::Scrubber;

/// What all sources may take together.
const DEADLINE: Duration = Duration::from_secs(120);
/// What one source may take when nobody says (`flare_provider_timeout`).
const SOURCE_TIMEOUT: Duration = Duration::from_secs(10);

/// Makes a scrubber that knows the secrets of this moment.
pub type ScrubberMaker = Box<dyn Fn() -> Scrubber + Send + Sync>;

/// What an archive is called and where it goes.
#[derive(Clone, Debug)]
pub struct Config {
    /// A folder that is ours alone; made when it is missing.
    pub folder: PathBuf,
    /// Names the folder inside the archive; empty when unknown.
    pub hostname: String,
    /// Files whose owner and mode are worth a line.
    pub originals: Vec<PathBuf>,
}

/// What this archive is about.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Profiles the client took.
    pub profiles: Vec<(String, Vec<u8>)>,
    /// What a source may take.
    pub source_timeout: Option<Duration>,
    /// Why the archive is made without the daemon; goes into the file `local`.
    pub local: Option<String>,
    /// Level of the log, for the name.
    pub log_level: String,
}

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum FlareError {
    /// The folder or the file.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The format.
    #[error("cannot write the archive: {0}")]
    Archive(String),
    /// A planted secret was found in the finished archive, which was removed.
    #[error("a planted secret survived in {0}, the archive was removed")]
    Leak(String),
}

/// Makes archives.
pub struct FlareMaker {
    config: Config,
    sources: Vec<Arc<dyn FlareSource>>,
    scrubber: ScrubberMaker,
    log_level: Box<dyn Fn() -> String + Send + Sync>,
    /// Held while one is made.
    turn: Mutex<()>,
    /// Sources that were left behind and still work.
    stuck: Arc<Mutex<HashSet<String>>>,
}

// === impl FlareMaker ===

impl FlareMaker {
    /// A maker over these sources. Removes what a killed process left in the folder.
    pub fn new(
        config: Config,
        sources: Vec<Arc<dyn FlareSource>>,
        scrubber: ScrubberMaker,
        log_level: Box<dyn Fn() -> String + Send + Sync>,
    ) -> Self {
        archive::tidy(&config.folder);
        Self {
            config,
            sources,
            scrubber,
            log_level,
            turn: Mutex::default(),
            stuck: Arc::default(),
        }
    }

    /// Makes one archive and names its file. Blocks, for [`DEADLINE`] and the writing at most; a second
    /// caller waits for the first.
    ///
    /// # Errors
    /// See [`FlareError`]; nothing is left behind then.
    pub fn make(&self, order: Order) -> Result<PathBuf, FlareError> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = Instant::now();
        let scrubber = (self.scrubber)();
        let level = if order.log_level.is_empty() {
            (self.log_level)()
        } else {
            order.log_level.clone()
        };
        let mut archive = Archive::create(&self.config.folder, &self.config.hostname, &level)?;
        let canaries = selftest::plant(&mut archive, &scrubber)?;
        let mut log = format!(
            "flare made {} by greyhound {}\n",
            humantime::format_rfc3339_seconds(SystemTime::now()),
            env!("CARGO_PKG_VERSION")
        );
        if let Some(reason) = &order.local {
            archive.add("local", reason.as_bytes(), &scrubber)?;
        }
        let timeout = order.source_timeout.unwrap_or(SOURCE_TIMEOUT);
        for source in &self.sources {
            let left = DEADLINE.saturating_sub(begin.elapsed());
            let line = match self.ask(source, timeout.min(left)) {
                Ok(files) => {
                    let cut = files.cut().join(", ");
                    for (path, bytes) in files.into_files() {
                        archive.add(&path, &bytes, &scrubber)?;
                    }
                    if cut.is_empty() {
                        "done".to_owned()
                    } else {
                        format!("done, cut short: {cut}")
                    }
                }
                Err(why) => why,
            };
            writeln!(log, "{} (timeout {timeout:?}): {line}", source.name())
                .expect("a string takes everything");
        }
        for (name, bytes) in &order.profiles {
            archive.add_profile(name, bytes, &scrubber)?;
        }
        archive.add(
            "permissions.log",
            permissions(&self.config.originals).as_bytes(),
            &scrubber,
        )?;
        for line in archive.notes() {
            writeln!(log, "{line}").expect("a string takes everything");
        }
        writeln!(log, "took {:?}", begin.elapsed()).expect("a string takes everything");
        archive.add("flare_creation.log", log.as_bytes(), &scrubber)?;
        let path = archive.finish(|content, name| canaries.check(content, name))?;
        info!(path = %path.display(), "flare made");
        Ok(path)
    }

    /// Asks one source on a thread of its own and waits so long.
    fn ask(&self, source: &Arc<dyn FlareSource>, timeout: Duration) -> Result<FlareFiles, String> {
        let name = source.name().to_owned();
        let stuck = || self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if timeout.is_zero() {
            return Err("skipped, no time left".to_owned());
        }
        if !stuck().insert(name.clone()) {
            return Err("skipped, it still works on an earlier flare".to_owned());
        }
        let (done, wait) = sync_channel(1);
        let (asked, all_stuck) = (Arc::clone(source), Arc::clone(&self.stuck));
        let own_name = name.clone();
        // Other programs are asked over connections of the server's threads.
        let runtime = Handle::try_current().ok();
        let started = thread::Builder::new()
            .name("flare".to_owned())
            .spawn(move || {
                let _leave = Leave(all_stuck, own_name);
                let _inside = runtime.as_ref().map(Handle::enter);
                let mut files = FlareFiles::new();
                asked.collect(&mut files);
                // Nobody waits any more when it took too long.
                done.send(files).ok();
            });
        if let Err(error) = started {
            stuck().remove(&name);
            return Err(format!("skipped, no thread: {error}"));
        }
        wait.recv_timeout(timeout).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                warn!(source = %name, ?timeout, "a source of the flare takes too long");
                "skipped, it took too long".to_owned()
            }
            RecvTimeoutError::Disconnected => "skipped, it broke".to_owned(),
        })
    }
}

/// Takes a source off the list of busy ones, however its thread ends.
struct Leave(Arc<Mutex<HashSet<String>>>, String);

impl Drop for Leave {
    fn drop(&mut self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.1);
    }
}

/// Owner and mode of files, one per line.
fn permissions(paths: &[PathBuf]) -> String {
    let mut out = String::new();
    for path in paths {
        let line = describe(path).unwrap_or_else(|error| error.to_string());
        writeln!(out, "{}: {line}", path.display()).expect("a string takes everything");
    }
    out
}

fn describe(path: &Path) -> io::Result<String> {
    let found = fs::symlink_metadata(path)?;
    let kind = if found.is_dir() {
        "folder"
    } else if found.is_file() {
        "file"
    } else {
        "other"
    };
    Ok(format!(
        "{kind} mode {:04o} uid {} gid {} {} bytes",
        found.mode() & 0o7777,
        found.uid(),
        found.gid(),
        found.len()
    ))
}

#[cfg(test)]
mod tests;
