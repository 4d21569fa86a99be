//! One run: a known load, and what it cost the server.
//!
//! ```text
//!  sender built, connected and held ─▶ counters, clock of the server ─▶ go ─▶ sender ends
//!    ─▶ receive queue empty ─▶ clock of the server ─▶ its counters, until they hold every packet
//! ```
//!
//! The server's clock is read before its counters are asked for, so asking is not in the figure.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::bisect::Trial;
use super::place::{Class, Place};
use super::proc::{Cpu, Memory};
use super::server::{Counts, Server};

const SETTLE_MAX: Duration = Duration::from_secs(3);
const SETTLE_POLL: Duration = Duration::from_millis(10);
/// Buckets of the server; every flush falls on a multiple.
const FLUSH_SECONDS: f64 = 10.0;
/// Kept free on both sides of a flush.
const FLUSH_MARGIN_SECONDS: f64 = 0.6;

/// So much traffic may wait at the end of a load that was taken in time.
const BACKLOG_SECONDS: f64 = 0.01;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Messages a second.
    Messages(f64),
    /// Bytes a second.
    Bytes(f64),
    /// As fast as it goes.
    FlatOut,
}

/// What sends, and from where.
#[derive(Clone, Debug)]
pub struct Sender {
    /// A `greyhound` binary.
    pub binary: String,
    /// Its core.
    pub place: Place,
    /// Its scheduling.
    pub class: Class,
}

/// One load.
#[derive(Clone, Debug)]
pub struct Load {
    /// Arguments of `greyhound bench` that say what is sent.
    pub arguments: Vec<String>,
    /// How fast.
    pub pace: Pace,
    /// For how long.
    pub seconds: f64,
}

/// A sender that waits for its signal.
#[derive(Debug)]
pub struct Held {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
}

/// What happened.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Length in seconds.
    pub seconds: f64,
    /// Messages the sender tried to send.
    pub offered: f64,
    /// Messages its kernel refused.
    pub refused: f64,
    /// Messages that reached the server.
    pub received: f64,
    /// Bytes of payload sent.
    pub bytes: f64,
    /// Packets sent.
    pub packets: f64,
    /// Datagrams that the receiving kernel dropped.
    pub kernel_drops: f64,
    /// Messages and samples that the server gave up, by its ledger.
    pub ledger_drops: f64,
    /// Packets that neither the server nor the kernel accounts for.
    pub unaccounted: f64,
    /// Processor time of the server.
    pub cpu: Cpu,
    /// Memory of the server right after.
    pub memory: Memory,
    /// Datagrams that waited in the receive queue when the sender was done.
    pub backlog: f64,
    /// How late packets left at most, in nanoseconds.
    pub lag_max: f64,
}

// === impl Sender ===

impl Sender {
    /// Starts a sender; it builds its packets, connects, and waits.
    ///
    /// # Errors
    ///
    /// When it cannot be started or cannot connect.
    pub fn hold(&self, to: &str, load: &Load) -> Result<Held> {
        let mut command = self.place.sender(&self.binary, self.class);
        command.args(["bench", "--hold", "--json", "--to", to]);
        command.args(&load.arguments);
        if load.seconds > 0.0 {
            command.args(["--duration", &load.seconds.to_string()]);
        } else {
            command.args(["--messages", "0"]);
        }
        match load.pace {
            Pace::Messages(rate) => {
                command.args(["--rate", &rate.to_string()]);
            }
            Pace::Bytes(rate) => {
                command.args(["--byte-rate", &rate.to_string()]);
            }
            Pace::FlatOut => {}
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the sender; is taskset there?")?;
        let stdout = child.stdout.take().context("the sender has no output")?;
        let mut held = Held {
            child,
            stdout: BufReader::new(stdout),
        };
        let mut line = String::new();
        held.stdout.read_line(&mut line)?;
        if line.trim() != "ready" {
            bail!("the sender did not get ready: {:?}", held.child.wait());
        }
        Ok(held)
    }

    /// Sends every context once.
    ///
    /// # Errors
    ///
    /// As [`hold`](Self::hold).
    pub fn warm(&self, server: &Server, arguments: &[String]) -> Result<()> {
        let mut arguments = arguments.to_vec();
        arguments.push("--warm".to_owned());
        let load = Load {
            arguments,
            pace: Pace::FlatOut,
            seconds: 0.0,
        };
        self.hold(server.to(), &load)?.go()?;
        wait_until_read(server)
    }

    /// Sends a load and measures what it costs.
    ///
    /// # Errors
    ///
    /// When the sender or the server fails.
    pub fn run(&self, server: &Server, load: &Load) -> Result<Run> {
        let held = self.hold(server.to(), load)?;
        let before = server.counts()?;
        let cpu_before = Cpu::of(server.pid())?;
        let report = held.go()?;
        let queued = server.udp_port()?.queued;
        wait_until_read(server)?;
        let cpu = Cpu::of(server.pid())?.since(cpu_before);
        let memory = Memory::of(server.pid())?;
        let mut run = Run::new(&report, cpu, memory);
        run.backlog = queued as f64 / charge(run.bytes / run.packets.max(1.0));
        run.settle(server, before, number(&report, &["accepted", "messages"]))?;
        Ok(run)
    }

    /// As [`run`](Self::run), at a time when no flush of the server falls into it.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub fn run_between_flushes(&self, server: &Server, load: &Load) -> Result<Run> {
        thread::sleep(until_quiet(SystemTime::now(), load.seconds));
        self.run(server, load)
    }
}

// === impl Held ===

impl Held {
    /// Lets it send, and gives its report.
    ///
    /// # Errors
    ///
    /// When it fails.
    pub fn go(self) -> Result<Value> {
        let Self {
            mut child,
            mut stdout,
        } = self;
        if let Some(mut signal) = child.stdin.take() {
            writeln!(signal)?;
        }
        let mut text = String::new();
        stdout.read_to_string(&mut text)?;
        let status = child.wait()?;
        if !status.success() {
            bail!("the sender ended with {status}");
        }
        serde_json::from_str(&text).context("the report of the sender")
    }
}

// === impl Run ===

impl Run {
    fn new(report: &Value, cpu: Cpu, memory: Memory) -> Self {
        Self {
            seconds: number(report, &["seconds"]),
            offered: number(report, &["offered_messages"]),
            refused: number(report, &["refused", "messages"]),
            bytes: number(report, &["accepted", "bytes"]),
            packets: number(report, &["accepted", "packets"]),
            lag_max: number(report, &["lag_ns", "max"]),
            cpu,
            memory,
            ..Self::default()
        }
    }

    /// Reads the server's counters until they hold every packet, or for a while.
    fn settle(&mut self, server: &Server, before: Counts, accepted: f64) -> Result<()> {
        let deadline = Instant::now() + SETTLE_MAX;
        loop {
            let after = server.counts()?;
            self.kernel_drops = after.kernel_drops - before.kernel_drops;
            self.ledger_drops = after.dropped - before.dropped;
            let per_packet = accepted / self.packets.max(1.0);
            let Some((read, read_before)) = after.packets.zip(before.packets) else {
                // It does not tell: what was sent and not dropped has arrived.
                self.received = accepted - self.kernel_drops * per_packet;
                return Ok(());
            };
            let received = after.received.zip(before.received);
            self.received = received.map_or(0.0, |(after, before)| after - before);
            self.ledger_drops += (after.packets_dropped - before.packets_dropped) * per_packet;
            self.unaccounted = self.packets - (read - read_before) - self.kernel_drops;
            if self.unaccounted == 0.0 || Instant::now() > deadline {
                self.unaccounted += after.remainder;
                return Ok(());
            }
            thread::sleep(SETTLE_POLL);
        }
    }

    /// Messages that went all the way, as far as the server tells.
    pub fn taken(&self) -> f64 {
        (self.received - self.ledger_drops).max(0.0)
    }

    /// Share of offered messages that did not.
    pub fn lost_share(&self) -> f64 {
        (1.0 - self.taken() / self.offered.max(1.0)).max(0.0)
    }

    /// Nanoseconds of processor time for each message received.
    pub fn cpu_nanos(&self) -> f64 {
        self.cpu.total as f64 / self.received.max(1.0)
    }

    /// For the search of the largest rate. What still waits at the end, beyond a few milliseconds of
    /// traffic, was not taken in time: a queue of 16 MiB hides a twentieth too much for seconds.
    pub fn trial(&self) -> Trial {
        let packets_per_second = self.packets / self.seconds;
        let late = (self.backlog - packets_per_second * BACKLOG_SECONDS).max(0.0);
        let late = late * self.offered / self.packets.max(1.0);
        Trial {
            offered: self.offered / self.seconds,
            taken: (self.taken() - late).max(0.0) / self.seconds,
        }
    }
}

/// What the kernel charges a receive buffer for a datagram on the loopback, in bytes: the payload, and a
/// header structure or two.
pub fn charge(payload_bytes: f64) -> f64 {
    match payload_bytes {
        small if small <= 128.0 => 832.0,
        large => large + 880.0,
    }
}

/// Waits until the kernel holds nothing more for the server.
fn wait_until_read(server: &Server) -> Result<()> {
    let deadline = Instant::now() + SETTLE_MAX;
    while server.udp_port()?.queued > 0 && Instant::now() < deadline {
        thread::sleep(SETTLE_POLL);
    }
    // What it read last it still has to process.
    thread::sleep(SETTLE_POLL);
    Ok(())
}

/// How long to wait so that so many seconds from then on have no flush in them.
fn until_quiet(now: SystemTime, seconds: f64) -> Duration {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let at = now.as_secs_f64() % FLUSH_SECONDS;
    let wait = if at < FLUSH_MARGIN_SECONDS {
        FLUSH_MARGIN_SECONDS - at
    } else if at + seconds + FLUSH_MARGIN_SECONDS > FLUSH_SECONDS {
        FLUSH_SECONDS - at + FLUSH_MARGIN_SECONDS
    } else {
        0.0
    };
    Duration::from_secs_f64(wait)
}

fn number(report: &Value, path: &[&str]) -> f64 {
    let value = path.iter().fold(report, |value, key| &value[*key]);
    value.as_f64().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_put_between_flushes() {
        for (at, seconds, wait) in [
            (0.0, 2.0, 0.6),
            (5.0, 2.0, 0.0),
            (7.3, 2.0, 0.0),
            (8.0, 2.0, 2.6),
            (9.9, 1.0, 0.7),
        ] {
            let now = UNIX_EPOCH + Duration::from_secs_f64(1_700_000_000.0 + at);
            let found = until_quiet(now, seconds).as_secs_f64();
            assert!((found - wait).abs() < 1e-6, "{at}: {found}");
        }
    }

    #[test]
    fn shares_follow_from_counts() {
        let run = Run {
            seconds: 2.0,
            offered: 1000.0,
            received: 900.0,
            ledger_drops: 100.0,
            cpu: Cpu {
                total: 90_000,
                ..Cpu::default()
            },
            ..Run::default()
        };
        assert_eq!(run.taken(), 800.0);
        assert!((run.lost_share() - 0.2).abs() < 1e-12);
        assert_eq!(run.cpu_nanos(), 100.0);
        assert_eq!((run.trial().offered, run.trial().taken), (500.0, 400.0));
        assert_eq!(Run::default().lost_share(), 1.0);
    }

    #[test]
    fn what_waits_at_the_end_was_not_taken_in_time() {
        let mut run = Run {
            seconds: 1.0,
            offered: 10_000.0,
            received: 10_000.0,
            packets: 1000.0,
            backlog: 10.0,
            ..Run::default()
        };
        assert!(run.trial().is_loss_free());
        run.backlog = 60.0;
        assert_eq!(run.trial().taken, 9500.0);
    }
}
