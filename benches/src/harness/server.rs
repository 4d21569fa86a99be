//! Servers under test: ours, any other, and the one that throws everything away.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use super::page::Page;
use super::place::{Class, Place};
use super::proc::UdpPort;

const START_MAX: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(1);

/// How messages get to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// Datagrams on the loopback.
    Udp,
    /// Unix datagrams, with the sender's credentials.
    Unixgram,
    /// A Unix stream.
    UnixStream,
}

/// What to start.
#[derive(Clone, Debug)]
pub enum Kind {
    /// Ours: the path of the binary, and settings beside the usual ones.
    Greyhound {
        /// The binary.
        binary: PathBuf,
        /// Environment.
        settings: Vec<(String, String)>,
    },
    /// The harness itself in the part of [`super::discard`].
    Discard,
    /// Any command; it listens for UDP on that port once it is up.
    Other {
        /// For a shell.
        command: String,
        /// Its UDP port.
        port: u16,
    },
}

/// A running server; killed when dropped, by its own id.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// What `greyhound bench --to` takes.
    to: String,
    /// The UDP port, when it has one.
    port: Option<u16>,
    /// Where our own counters are.
    http: Option<String>,
    /// From the start of the process to the moment it was ready.
    pub started_in: Duration,
    _folder: TempDir,
}

/// What a server has counted so far, in messages if nothing else is said.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Split out of datagrams; `None` when the server does not tell.
    pub received: Option<f64>,
    /// Refused by the parser, or given up for a reason (in samples).
    pub dropped: f64,
    /// Datagrams and frames read; `None` when the server does not tell.
    pub packets: Option<f64>,
    /// Of these, cut or given up whole.
    pub packets_dropped: f64,
    /// Datagrams the kernel dropped.
    pub kernel_drops: f64,
    /// What the ledger cannot explain.
    pub remainder: f64,
}

// === impl Transport ===

impl Transport {
    /// The word of the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Unixgram => "unixgram",
            Self::UnixStream => "unixstream",
        }
    }
}

// === impl Kind ===

impl Kind {
    /// Ours, as an operator would run it with every feature in use: origins, limits, a mapper and filters
    /// that match nothing.
    pub fn greyhound(binary: PathBuf) -> Self {
        let settings = [
            ("DD_DOGSTATSD_ORIGIN_DETECTION", "true"),
            ("DD_DOGSTATSD_ORIGIN_DETECTION_CLIENT", "true"),
            ("DD_METRIC_FILTERLIST", "never.one never.two.*"),
            (
                "DD_DOGSTATSD_MAPPER_PROFILES",
                r#"[{"name":"p","prefix":"never.","mappings":[{"match":"never.*","name":"n","tags":{"a":"$1"}}]}]"#,
            ),
            ("GREYHOUND_LIMITS_CONTEXTS", "2000000"),
            ("GREYHOUND_LIMITS_CONTEXTS_PER_ORIGIN", "2000000"),
            ("GREYHOUND_LIMITS_TAGS_PER_METRIC", "200"),
            ("GREYHOUND_LIMITS_MEMORY", "8GiB"),
            ("GREYHOUND_PROMETHEUS_SERIES_MAX", "10000000"),
            ("GREYHOUND_PROMETHEUS_LISTEN", "127.0.0.1:0"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Self::Greyhound {
            binary,
            settings: settings.into(),
        }
    }

    /// With one more setting, when it is ours.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        if let Self::Greyhound { settings, .. } = &mut self {
            settings.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Starts it and waits until it takes packets.
    ///
    /// # Errors
    ///
    /// When it cannot be started, ends, or is not ready in 20 seconds.
    pub fn start(&self, transport: Transport, place: &Place, class: Class) -> Result<Server> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        match self {
            Self::Greyhound { binary, settings } => {
                let program = binary
                    .to_str()
                    .context("the path of the binary is no text")?;
                let mut command = place.server(program, class);
                command
                    .args(["run", "--ready-file"])
                    .arg(folder.path().join("ready.json"));
                for (name, _) in std::env::vars_os() {
                    let text = name.to_string_lossy();
                    if text.starts_with("DD_") || text.starts_with("GREYHOUND_") {
                        command.env_remove(&name);
                    }
                }
                let socket = folder.path().join("s");
                let listen = |wanted| {
                    if transport == wanted {
                        socket.as_os_str()
                    } else {
                        "".as_ref()
                    }
                };
                command
                    .env("DD_HOSTNAME", "harness")
                    .env("DD_BIND_HOST", "127.0.0.1")
                    .env("DD_DOGSTATSD_SOCKET", listen(Transport::Unixgram))
                    .env("DD_DOGSTATSD_STREAM_SOCKET", listen(Transport::UnixStream))
                    .env(
                        "DD_DOGSTATSD_PORT",
                        if transport == Transport::Udp {
                            "__random__"
                        } else {
                            "0"
                        },
                    )
                    .envs(settings.iter().cloned());
                start_greyhound(command, folder, transport)
            }
            Self::Discard => {
                let program = std::env::current_exe()?;
                let program = program
                    .to_str()
                    .context("the path of the harness is no text")?;
                let mut command = place.server(program, class);
                command
                    .args(["discard", transport.as_str()])
                    .arg(folder.path().join("s"));
                start_discard(command, folder, transport)
            }
            Self::Other {
                command: line,
                port,
            } => {
                let mut command = place.server("sh", class);
                command.args(["-c", &format!("exec {line}")]);
                start_other(command, folder, *port)
            }
        }
    }
}

fn start_greyhound(mut command: Command, folder: TempDir, transport: Transport) -> Result<Server> {
    let log = folder.path().join("log");
    let ready_file = folder.path().join("ready.json");
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(&log)?)
        .spawn()
        .context("cannot start the server; is taskset there?")?;
    let ready = wait_for(&mut child, || fs::read_to_string(&ready_file).ok())
        .with_context(|| fs::read_to_string(&log).unwrap_or_default())?;
    let started_in = start.elapsed();
    let ready: serde_json::Value = serde_json::from_str(&ready).context("the ready file")?;
    let first = |key: &str| ready[key][0].as_str().map(str::to_owned);
    let (to, port) = match transport {
        Transport::Udp => {
            let address = first("udp").context("the server has no UDP port")?;
            let port = address
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse().ok());
            (format!("udp://{address}"), port)
        }
        _ => (
            format!(
                "{}://{}",
                transport.as_str(),
                folder.path().join("s").display()
            ),
            None,
        ),
    };
    Ok(Server {
        child,
        to,
        port,
        http: ready["http"].as_str().map(str::to_owned),
        started_in,
        _folder: folder,
    })
}

fn start_discard(mut command: Command, folder: TempDir, transport: Transport) -> Result<Server> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let place = line.trim();
    let port = match transport {
        Transport::Udp => Some(place.parse().context("the baseline did not start")?),
        _ => None,
    };
    let to = match port {
        Some(port) => format!("udp://127.0.0.1:{port}"),
        None => format!("{}://{place}", transport.as_str()),
    };
    Ok(Server {
        child,
        to,
        port,
        http: None,
        started_in: start.elapsed(),
        _folder: folder,
    })
}

fn start_other(mut command: Command, folder: TempDir, port: u16) -> Result<Server> {
    let start = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .current_dir(folder.path())
        .spawn()?;
    let suffix = format!(":{port:04X} ");
    wait_for(&mut child, || {
        let tables = ["/proc/net/udp", "/proc/net/udp6"].map(fs::read_to_string);
        let bound = tables.iter().flatten().any(|table| table.contains(&suffix));
        bound.then_some(())
    })?;
    Ok(Server {
        child,
        to: format!("udp://127.0.0.1:{port}"),
        port: Some(port),
        http: None,
        started_in: start.elapsed(),
        _folder: folder,
    })
}

fn wait_for<T>(child: &mut Child, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + START_MAX;
    loop {
        if let Some(ready) = ready() {
            return Ok(ready);
        }
        if let Some(status) = child.try_wait()? {
            bail!("the server ended with {status}");
        }
        if Instant::now() > deadline {
            bail!("the server was not ready in {} s", START_MAX.as_secs());
        }
        thread::sleep(POLL);
    }
}

// === impl Server ===

impl Server {
    /// Where to send.
    pub fn to(&self) -> &str {
        &self.to
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it and the kernel have counted.
    ///
    /// # Errors
    ///
    /// When its counters cannot be read.
    pub fn counts(&self) -> Result<Counts> {
        let mut counts = Counts::default();
        if let Some(address) = &self.http {
            let text = get(address, "/telemetry")?;
            let page = Page::parse(&text);
            let messages = "greyhound__ledger__messages";
            counts.received = Some(page.sum(messages, &[]));
            counts.dropped = page.sum(messages, &[("outcome", "rejected")])
                + page.sum("greyhound__ledger__items", &[("outcome", "dropped")]);
            counts.packets = Some(page.sum("greyhound__ledger__datagrams", &[]));
            counts.packets_dropped =
                page.sum("greyhound__ledger__datagrams", &[("outcome", "dropped")]);
            counts.remainder = page.sum("greyhound__ledger__remainder", &[]);
        }
        counts.kernel_drops = self.udp_port()?.drops as f64;
        Ok(counts)
    }

    /// Its receive queues and what the kernel dropped there.
    ///
    /// # Errors
    ///
    /// When the kernel does not tell.
    pub fn udp_port(&self) -> Result<UdpPort> {
        self.port.map_or(Ok(UdpPort::default()), UdpPort::of)
    }

    /// One of its own gauges or counters, summed over labels; `None` for other servers.
    ///
    /// # Errors
    ///
    /// When its counters cannot be read.
    pub fn telemetry(&self, name: &str) -> Result<Option<f64>> {
        let Some(address) = &self.http else {
            return Ok(None);
        };
        Ok(Some(
            Page::parse(&get(address, "/telemetry")?).sum(name, &[]),
        ))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that ended by itself needs no killing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// One plain request over a connection of its own.
fn get(address: &str, path: &str) -> Result<String> {
    let address = address.trim_start_matches("http://").trim_end_matches('/');
    let mut stream =
        TcpStream::connect(address).with_context(|| format!("no answer at {address}"))?;
    stream.set_read_timeout(Some(START_MAX))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: harness\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text
        .split_once("\r\n\r\n")
        .context("an answer without end of header")?;
    Ok(body.to_owned())
}
