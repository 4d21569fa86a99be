//! One running daemon: started with settings in a file of its own, asked over its own ports, stopped with a
//! signal, and checked for lost messages at the end. Dropped without a stop it is killed, by its own id.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::command::{self, Finished};
use crate::exposition::Exposition;
use crate::ledger::Ledger;
use crate::records::Records;
use crate::{binary, http, wait};

/// The host name every daemon under test is told to have.
pub const HOSTNAME: &str = "test-host";

/// A power of two, so that dividing a sum by it, as rates are, loses no bit.
const BUCKET_SECONDS: u32 = 2048;

/// How a daemon is to be started.
#[derive(Debug)]
pub struct Setup {
    folder: TempDir,
    settings: Map<String, Value>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
}

/// A daemon that has said it is ready.
#[derive(Debug)]
pub struct Daemon {
    folder: TempDir,
    child: Child,
    ready: Ready,
}

/// Where it listens, as it wrote into the ready file.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// One per UDP listener.
    pub udp: Vec<SocketAddr>,
    /// One per datagram socket.
    pub uds_datagram: Vec<PathBuf>,
    /// One per stream socket.
    pub uds_stream: Vec<PathBuf>,
    /// The loopback port of `/metrics` and `/telemetry`.
    pub http: String,
    /// The control port; empty when there is none.
    pub control: String,
    /// The control socket; empty when there is none.
    pub control_socket: String,
}

/// What a daemon left behind.
#[derive(Debug)]
pub struct Stopped {
    /// The account of the run, already checked.
    pub ledger: Ledger,
    /// All it wrote to standard error.
    pub log: String,
    /// All it wrote to standard output.
    pub stdout: String,
    /// What the NDJSON sink wrote.
    pub records: Records,
    _folder: TempDir,
}

// === impl Setup ===

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Setup {
    /// UDP on a port the kernel picks, no sockets, Prometheus on a free port, NDJSON into the folder, and
    /// buckets so long that what a test sends stays in one, which the stop flushes.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let ndjson = folder.path().join("out.ndjson");
        let queue = folder.path().join("queue");
        let control_socket = folder.path().join("control.socket");
        let setup = Self {
            folder,
            settings: Map::new(),
            arguments: Vec::new(),
            environment: Vec::new(),
            wrapper: Vec::new(),
        };
        setup
            .with("hostname", HOSTNAME)
            .with("bind_host", "127.0.0.1")
            .with("dogstatsd_port", "__random__")
            .with("dogstatsd_socket", "")
            .with("cmd_port", 0)
            .with("greyhound.control.socket", control_socket.to_string_lossy())
            .with("forwarder_storage_path", queue.to_string_lossy())
            .with("greyhound.bucket_seconds", BUCKET_SECONDS)
            .with("greyhound.prometheus.listen", "127.0.0.1:0")
            .with("greyhound.ndjson.path", ndjson.to_string_lossy())
    }

    /// Sets `key`; dots nest.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let mut parts: Vec<&str> = key.split('.').collect();
        let last = parts.pop().expect("a key is not empty");
        let mut map = &mut self.settings;
        for part in parts {
            map = map
                .entry(part)
                .or_insert_with(|| json!({}))
                .as_object_mut()
                .expect("a key is either a value or a section");
        }
        map.insert(last.to_owned(), value.into());
        self
    }

    /// Short buckets, for what is read while the daemon runs.
    #[must_use]
    pub fn live(self) -> Self {
        self.with("greyhound.bucket_seconds", 1)
    }

    /// A datagram socket in the folder.
    #[must_use]
    pub fn uds(self) -> Self {
        let path = self.path("dsd.socket");
        self.with("dogstatsd_socket", path.to_string_lossy())
    }

    /// A stream socket in the folder.
    #[must_use]
    pub fn stream(self) -> Self {
        let path = self.path("dsd.stream");
        self.with("dogstatsd_stream_socket", path.to_string_lossy())
    }

    /// One more argument of `greyhound run`.
    #[must_use]
    pub fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A program, with arguments, that ends by becoming the daemon: `prlimit`, `unshare`.
    #[must_use]
    pub fn within(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// A path in the folder of this daemon.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Panics
    /// When it ends before, or takes too long; the message holds its log.
    pub fn start(self) -> Daemon {
        let ready_file = self.path("ready.json");
        let mut child = self.spawn();
        let folder = self.folder;
        let ready = wait::try_within(wait::PATIENCE, || {
            if let Ok(text) = std::fs::read_to_string(&ready_file) {
                return Some(Ok(Ready::parse(&text)));
            }
            child.try_wait().ok().flatten().map(Err)
        });
        match ready {
            Some(Ok(ready)) => Daemon {
                folder,
                child,
                ready,
            },
            Some(Err(status)) => {
                let log = read(&folder.path().join("stderr.log"));
                panic!("the daemon ended with {status} before it was ready:\n{log}");
            }
            None => {
                let log = read(&folder.path().join("stderr.log"));
                child.kill().expect("our own child can be killed");
                child.wait().expect("our own child can be waited for");
                panic!("the daemon was not ready in time:\n{log}");
            }
        }
    }

    /// Runs a daemon that is expected to end by itself, as one with a bad setting does.
    ///
    /// # Panics
    /// When it does not end.
    pub fn run_to_end(&self) -> Finished {
        command::finish(&mut self.command(), wait::PATIENCE).expect("the daemon ends by itself")
    }

    /// Runs a daemon that may start or refuse to, and ends it; gives its log.
    ///
    /// # Panics
    /// When it neither gets ready nor ends.
    pub fn run_briefly(&self) -> String {
        let mut child = self.spawn();
        wait::until("the daemon to be ready or to end", || {
            let ended = child.try_wait().expect("our own child can be waited for");
            (ended.is_some() || self.path("ready.json").exists()).then_some(())
        });
        // A child that has ended needs no killing.
        drop(child.kill());
        child.wait().expect("our own child can be waited for");
        read(&self.path("stderr.log"))
    }

    /// Starts a daemon and kills it as soon as `moment` says so. Asks without a pause, so that moments of
    /// microseconds can be met.
    ///
    /// # Panics
    /// When the moment does not come in time, or the daemon ends before.
    pub fn kill_when(&self, mut moment: impl FnMut() -> bool) {
        let mut child = self.spawn();
        let deadline = Instant::now() + wait::PATIENCE;
        while !moment() {
            let ended = child.try_wait().expect("our own child can be waited for");
            let log = || read(&self.path("stderr.log"));
            assert!(ended.is_none(), "the daemon ended: {ended:?}\n{}", log());
            assert!(Instant::now() < deadline, "the moment never came");
        }
        child.kill().expect("our own child can be killed");
        child.wait().expect("our own child can be waited for");
    }

    fn spawn(&self) -> Child {
        self.command()
            .stdin(Stdio::null())
            .stdout(create(&self.path("stdout.log")))
            .stderr(create(&self.path("stderr.log")))
            .spawn()
            .expect("the binary under test can be started")
    }

    fn command(&self) -> Command {
        let config = self.path("greyhound.yaml");
        if !config.exists() {
            let text = serde_json::to_string_pretty(&self.settings).expect("settings are JSON");
            std::fs::write(&config, text).expect("the folder is ours to write");
        }
        let mut command = match self.wrapper.split_first() {
            None => clean(Command::new(binary::path())),
            Some((program, arguments)) => {
                let mut command = clean(Command::new(program));
                command.args(arguments).arg(binary::path());
                command
            }
        };
        command
            .arg("run")
            .arg("--config")
            .arg(config)
            .arg("--ready-file")
            .arg(self.path("ready.json"))
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path());
        command
    }
}

// === impl Daemon ===

impl Daemon {
    /// Where it listens.
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The first UDP address.
    ///
    /// # Panics
    /// When there is none.
    pub fn udp(&self) -> SocketAddr {
        *self.ready.udp.first().expect("the daemon listens on UDP")
    }

    /// The first datagram socket.
    ///
    /// # Panics
    /// When there is none.
    pub fn uds(&self) -> &Path {
        self.ready
            .uds_datagram
            .first()
            .expect("the daemon has a datagram socket")
    }

    /// The first stream socket.
    ///
    /// # Panics
    /// When there is none.
    pub fn stream(&self) -> &Path {
        self.ready
            .uds_stream
            .first()
            .expect("the daemon has a stream socket")
    }

    /// A path in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to standard error so far.
    pub fn log(&self) -> String {
        read(&self.path("stderr.log"))
    }

    /// What it has written to standard output so far.
    pub fn stdout(&self) -> String {
        read(&self.path("stdout.log"))
    }

    /// The page of our own counters.
    ///
    /// # Panics
    /// When it cannot be fetched or read.
    pub fn telemetry(&self) -> Exposition {
        self.page("/telemetry")
    }

    /// The page Prometheus scrapes.
    ///
    /// # Panics
    /// When it cannot be fetched or read.
    pub fn metrics(&self) -> Exposition {
        self.page("/metrics")
    }

    /// Samples, events, service checks and refused messages so far.
    pub fn processed(&self) -> f64 {
        self.telemetry().sum("dogstatsd__processed", &[])
    }

    /// Waits until that many samples, events, service checks and refused messages went through.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_processed(&self, count: u64) {
        let mut seen = 0.0;
        let reached = wait::try_within(wait::PATIENCE, || {
            seen = self.processed();
            (seen >= count as f64).then_some(())
        });
        assert!(
            reached.is_some(),
            "{seen} of {count} messages came through; the log:\n{}",
            self.log()
        );
        assert_eq!(
            seen, count as f64,
            "more messages came through than were sent"
        );
    }

    /// Waits until `/metrics` shows exactly `value` under `name` and `labels`.
    ///
    /// # Panics
    /// When it never does; the message holds the lines with that name.
    pub fn wait_metric(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let mut page = Exposition::default();
        let shown = wait::try_within(wait::PATIENCE, || {
            page = self.metrics();
            (page.value(name, labels) == Some(value)).then_some(())
        });
        if shown.is_none() {
            let near: Vec<_> = page.matching(name, &[]).collect();
            panic!("/metrics never showed {name} {labels:?} as {value}, but {near:?}");
        }
    }

    /// Waits for a line of the log that holds `words`.
    ///
    /// # Panics
    /// When it never comes.
    pub fn wait_log(&self, words: &str) -> String {
        let line = wait::try_within(wait::PATIENCE, || {
            let log = self.log();
            log.lines()
                .find(|line| line.contains(words))
                .map(str::to_owned)
        });
        line.unwrap_or_else(|| panic!("the log never said {words:?}:\n{}", self.log()))
    }

    /// Sends it a signal, by name. The process stays known until it is waited for, so the id is its own.
    ///
    /// # Panics
    /// When the process was already waited for.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.pid());
        command::succeed(Command::new("sh").arg("-c").arg(kill), wait::PATIENCE)
            .expect("our own child can be signalled");
    }

    /// Stops it with SIGTERM. Checks that it ends with code 0 and that no message is unaccounted for.
    ///
    /// # Panics
    /// Otherwise; the message holds its log.
    pub fn stop(self) -> Stopped {
        self.signal("TERM");
        self.stopped()
    }

    /// [`stop`](Self::stop) after the signal: waits for the end, checks it and collects what is left.
    ///
    /// # Panics
    /// As [`stop`](Self::stop).
    pub fn stopped(self) -> Stopped {
        self.stopped_with(0)
    }

    /// [`stop`](Self::stop) of one that is expected to end with another code, 3 for a loss that was counted.
    ///
    /// # Panics
    /// As [`stop`](Self::stop).
    pub fn stop_with(self, code: i32) -> Stopped {
        self.signal("TERM");
        self.stopped_with(code)
    }

    fn stopped_with(mut self, code: i32) -> Stopped {
        let status = wait::try_within(wait::PATIENCE, || {
            self.child
                .try_wait()
                .expect("our own child can be waited for")
        });
        let log = self.log();
        let status = status.unwrap_or_else(|| panic!("the daemon did not stop:\n{log}"));
        assert_eq!(status.code(), Some(code), "{status}:\n{log}");
        assert!(!log.contains("panicked at"), "a thread panicked:\n{log}");
        let ledger = Ledger::from_log(&log).unwrap_or_else(|why| panic!("{why}; the log:\n{log}"));
        ledger.check();
        let records = Records::parse(&read(&self.path("out.ndjson")));
        let stdout = self.stdout();
        let folder = std::mem::replace(
            &mut self.folder,
            tempfile::tempdir().expect("a temporary folder can be made"),
        );
        Stopped {
            ledger,
            log,
            stdout,
            records,
            _folder: folder,
        }
    }

    fn page(&self, path: &str) -> Exposition {
        let response = http::get(&self.ready.http, path)
            .unwrap_or_else(|why| panic!("{why}; the log:\n{}", self.log()));
        assert_eq!(response.status, 200, "{path}: {}", response.body);
        Exposition::parse(&response.body).unwrap_or_else(|why| panic!("{path}: {why}"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            if std::thread::panicking() {
                eprintln!("the daemon's log:\n{}", self.log());
            }
            // A child that is already gone needs no killing.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}

// === impl Ready ===

impl Ready {
    fn parse(text: &str) -> Self {
        let value: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("the ready file is not JSON ({error}): {text:?}"));
        let list = |key: &str| -> Vec<String> {
            let entries = value[key].as_array().cloned().unwrap_or_default();
            entries
                .iter()
                .filter_map(|entry| entry.as_str().map(str::to_owned))
                .collect()
        };
        Self {
            udp: list("udp")
                .iter()
                .map(|address| {
                    address
                        .parse()
                        .unwrap_or_else(|error| panic!("{address}: {error}"))
                })
                .collect(),
            uds_datagram: list("uds_datagram")
                .into_iter()
                .map(PathBuf::from)
                .collect(),
            uds_stream: list("uds_stream").into_iter().map(PathBuf::from).collect(),
            http: value["http"].as_str().unwrap_or_default().to_owned(),
            control: value["control"].as_str().unwrap_or_default().to_owned(),
            control_socket: value["control_socket"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        }
    }
}

/// `command` without the settings of whoever runs the tests.
pub fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("DD_") || text.starts_with("GREYHOUND_") || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs `greyhound` with these arguments to its end, `input` on its standard input.
///
/// # Panics
/// When it does not end in time.
pub fn greyhound(arguments: &[&str], input: &str) -> Finished {
    let mut file = tempfile::tempfile().expect("a temporary file can be made");
    std::io::Write::write_all(&mut file, input.as_bytes()).expect("a temporary file is writable");
    std::io::Seek::rewind(&mut file).expect("a temporary file can be rewound");
    let mut command = clean(Command::new(binary::path()));
    command.args(arguments);
    command::finish_with(&mut command, Stdio::from(file), Duration::from_secs(30))
        .expect("the command ends by itself")
}

fn create(path: &Path) -> std::fs::File {
    std::fs::File::create(path).expect("the folder is ours to write")
}

fn read(path: &Path) -> String {
    match std::fs::read(path) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(_) => String::new(),
    }
}
