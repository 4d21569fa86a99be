//! Log lines, from any thread to standard error and a file, without anybody waiting.
//!
//! ```text
//!  tracing ──format──▶ queue (1,024 lines) ──▶ one thread ──▶ standard error, log_file
//!                  └──▶ recent: the last 2 MiB, for flares
//! ```
//!
//! Owner of the queue is the writing thread; every thread pushes. When standard error is stuck (a
//! pipe nobody reads) the queue fills and further lines are dropped: the thread says how many as
//! soon as it can write again. A closed standard error loses all lines and disturbs nobody.

pub mod file;
pub mod recent;

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use file::{FileConfig, RollingFile};
use recent::Recent;

const QUEUE_LINES: usize = 1024;
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// Libraries that tell of every frame and handshake: at `debug` they would bury what the process says itself,
/// and a line of ours would be about the request that asked for it. Only `trace` shows them.
const TALKATIVE: [&str; 8] = [
    "h2",
    "hyper",
    "hyper_util",
    "rustls",
    "tokio_rustls",
    "tokio_util",
    "tonic",
    "tower",
];

/// How logs look and which are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The least severe level that is written.
    pub level: LevelFilter,
    /// JSON objects instead of text.
    pub json: bool,
    /// Colours in text.
    pub colour: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// `log_to_console`: standard error.
    pub console: bool,
    /// The file; `None` = there is none.
    pub file: Option<FileConfig>,
}

/// Standard error and the file; either may be missing, or lose lines without harm to the other.
struct Outlets {
    console: Option<io::Stderr>,
    file: Option<RollingFile>,
}

/// The running log. Dropping it loses lines that still wait; see [`finish`](Self::finish).
#[derive(Debug)]
pub struct Logging {
    queue: Queue,
    level: Level,
}

/// The least severe level that is written. Clones are the same level; the default is of no log.
#[derive(Clone, Debug, Default)]
pub struct Level(Option<reload::Handle<Targets, Registry>>);

#[derive(Clone, Debug)]
struct Queue {
    sender: SyncSender<Line>,
    dropped: Arc<AtomicU64>,
    recent: Recent,
}

enum Line {
    Text(Vec<u8>),
    Last(Vec<u8>, SyncSender<()>),
}

/// What is written at this level.
fn wanted(level: LevelFilter) -> Targets {
    let of_libraries = if level == LevelFilter::TRACE {
        level
    } else {
        level.min(LevelFilter::INFO)
    };
    Targets::new()
        .with_default(level)
        .with_targets(TALKATIVE.map(|target| (target, of_libraries)))
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            level: LevelFilter::INFO,
            json: false,
            colour: false,
        }
    }
}

// === impl Logging ===

impl Logging {
    /// Starts the log of this process.
    ///
    /// # Errors
    /// When the file cannot be opened, its thread cannot be started, or the process already has a log.
    pub fn start(config: Config, places: Places) -> anyhow::Result<Self> {
        let (filter, handle) = reload::Layer::new(wanted(config.level));
        let file = places.file.map(|config| {
            let path = config.path.clone();
            RollingFile::open(config)
                .with_context(|| format!("cannot write `log_file` {}", path.display()))
        });
        let mut logging = Self::to(Outlets {
            console: places.console.then(io::stderr),
            file: file.transpose()?,
        })?;
        logging.level = Level(Some(handle));
        logging.install(config, filter)?;
        Ok(logging)
    }

    fn to(target: impl Write + Send + 'static) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(QUEUE_LINES);
        let dropped = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&dropped);
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_lines(&receiver, &seen, target))?;
        Ok(Self {
            queue: Queue {
                sender,
                dropped,
                recent: Recent::default(),
            },
            level: Level::default(),
        })
    }

    fn install(
        &self,
        config: Config,
        filter: reload::Layer<Targets, Registry>,
    ) -> anyhow::Result<()> {
        let lines = fmt::layer()
            .with_ansi(config.colour)
            .with_writer(self.queue.clone())
            // It would print its own troubles to standard error, and panic when that is closed.
            .log_internal_errors(false);
        let lines = if config.json {
            lines.json().flatten_event(true).boxed()
        } else {
            lines.boxed()
        };
        let installed = tracing_subscriber::registry()
            .with(filter)
            .with(lines)
            .try_init();
        installed.map_err(|error| anyhow::anyhow!("cannot start the log: {error}"))
    }

    /// The last lines, for whoever makes a flare.
    pub fn recent(&self) -> Recent {
        self.queue.recent.clone()
    }

    /// Changes the least severe level while running; for whoever follows the settings.
    pub fn level(&self) -> Level {
        self.level.clone()
    }

    /// Writes text that is no log line, in its turn. Never blocks.
    pub fn print(&self, text: &str) {
        let mut queue = self.queue.clone();
        queue
            .write_all(text.as_bytes())
            .expect("the queue takes or counts every line");
    }

    /// Writes what waits, then `last`, if there is one. Blocks until that is done, `patience` at
    /// most.
    ///
    /// Returns whether it was done.
    pub fn finish(self, last: Option<&str>, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let (done, wait) = sync_channel(1);
        let last = last.map_or_else(Vec::new, |last| format!("{last}\n").into_bytes());
        let mut line = Line::Last(last, done);
        loop {
            line = match self.queue.sender.try_send(line) {
                Ok(()) => break,
                Err(TrySendError::Disconnected(_)) => return false,
                Err(TrySendError::Full(_)) if Instant::now() >= deadline => return false,
                Err(TrySendError::Full(line)) => line,
            };
            std::thread::sleep(RETRY_INTERVAL);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        wait.recv_timeout(left).is_ok()
    }
}

// === impl Outlets ===

/// One call is one line. Fails when a place it should go to did not take it.
impl Write for Outlets {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let filed = match &mut self.file {
            Some(file) => file.write_line(line),
            None => Ok(()),
        };
        if let Some(console) = &mut self.console {
            console.write_all(line)?;
        }
        filed.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.console {
            Some(console) => console.flush(),
            None => Ok(()),
        }
    }
}

// === impl Level ===

impl Level {
    /// Writes lines from this level on.
    pub fn set(&self, level: LevelFilter) {
        if let Some(handle) = &self.0 {
            // Fails when the log is gone, and then there is nothing to change.
            handle.modify(|present| *present = wanted(level)).ok();
        }
    }
}

// === impl Queue ===

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// One call is one line: that is how the formatter writes. Never fails, never blocks.
impl Write for Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.recent.push(line);
        if self.sender.try_send(Line::Text(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes lines until the last one. A target that refuses costs lines, not the process.
fn write_lines(lines: &Receiver<Line>, dropped: &AtomicU64, mut target: impl Write) {
    for line in lines {
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            writeln!(
                target,
                "{lost} log lines were dropped, standard error was stuck"
            )
            .ok();
        }
        match line {
            Line::Text(text) => {
                target.write_all(&text).ok();
            }
            Line::Last(text, done) => {
                target.write_all(&text).ok();
                target.flush().ok();
                done.send(()).ok();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    }

    /// Blocks until its channel is dropped.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().ok();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_tell_of_frames_at_trace_only() {
        use tracing::Level as Severity;
        for (level, ours, theirs) in [
            (LevelFilter::DEBUG, true, false),
            (LevelFilter::TRACE, true, true),
            (LevelFilter::INFO, false, false),
        ] {
            let filter = wanted(level);
            let shows = |target| filter.would_enable(target, &Severity::DEBUG);
            assert_eq!(shows("greyhound::lifecycle"), ours, "{level}");
            for target in ["h2::codec", "hyper_util::client", "rustls::conn"] {
                assert_eq!(shows(target), theirs, "{target} at {level}");
            }
        }
        assert!(wanted(LevelFilter::WARN).would_enable("h2", &Severity::WARN));
        assert!(!wanted(LevelFilter::OFF).would_enable("h2", &Severity::ERROR));
    }

    #[test]
    fn the_last_line_comes_last() {
        let text = Shared::default();
        let logging = Logging::to(text.clone()).expect("a thread");
        let mut queue = logging.queue.clone();
        for number in 0..100 {
            writeln!(queue, "{number}").expect("never fails");
        }
        assert!(logging.finish(Some("ledger: remainder=0"), Duration::from_secs(10)));
        let text = String::from_utf8(text.0.lock().expect("no panic").clone()).expect("utf-8");
        assert_eq!(text.lines().last(), Some("ledger: remainder=0"));
        assert!(text.lines().count() > 100);
    }

    #[test]
    fn a_closed_target_disturbs_nobody() {
        let logging = Logging::to(Closed).expect("a thread");
        let mut queue = logging.queue.clone();
        writeln!(queue, "lost").expect("never fails");
        assert!(logging.finish(Some("lost too"), Duration::from_secs(10)));
    }

    #[test]
    fn a_stuck_target_costs_lines_and_no_time() {
        let (release, stuck) = sync_channel(0);
        let logging = Logging::to(Stuck(stuck)).expect("a thread");
        let mut queue = logging.queue.clone();
        for number in 0..QUEUE_LINES * 2 {
            writeln!(queue, "{number}").expect("never fails");
        }
        assert!(queue.dropped.load(Ordering::Relaxed) > 0);
        assert!(!logging.finish(Some("never seen"), Duration::from_millis(20)));
        drop(release);
    }
}
