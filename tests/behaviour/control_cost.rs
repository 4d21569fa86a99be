//! What a flood of the control port costs the data plane: processor time of the lane per message, with and
//! without, in turns within one run. Nothing is lost either way.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use greyhound_tests::daemon::{Daemon, Setup, clean};
use greyhound_tests::{skip, source, tools};

use crate::send;

/// Turns of each kind, and how long each takes.
const TURNS: usize = 4;
const TURN: Duration = Duration::from_millis(600);
const LINES: u64 = 20;

/// Messages sent, processor seconds of the lane, seconds.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    messages: u64,
    cpu: f64,
    time: f64,
}

/// `clients/control_pressure.py`. Killed when dropped.
struct Flood {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

// === impl Flood ===

impl Flood {
    fn new(daemon: &Daemon) -> Option<Self> {
        let python = tools::find("python3").ok_or_else(|| "no python3".to_owned());
        let mut child = clean(Command::new(skip::or_skip(python)?))
            .arg(source::root().join("tests/clients/control_pressure.py"))
            .arg(&daemon.ready().control)
            .arg(daemon.path("auth_token"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python starts");
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().expect("it is a pipe"));
        Some(Self {
            child,
            stdin,
            stdout,
        })
    }

    /// Switches it, and waits until it says so.
    fn switch(&mut self, state: &str) {
        let stdin = self.stdin.as_mut().expect("not closed yet");
        stdin.write_all(b"\n").expect("it reads");
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("it answers");
        assert_eq!(line.trim(), state);
    }

    /// What it says at the end.
    fn end(mut self) -> String {
        drop(self.stdin.take());
        let mut text = String::new();
        self.stdout.read_to_string(&mut text).expect("it answers");
        assert!(self.child.wait().expect("it ends").success());
        text.trim().to_owned()
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        // One that has ended needs no killing.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

// === impl Spent ===

impl Spent {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.cpu += other.cpu;
        self.time += other.time;
    }

    fn nanoseconds_each(&self) -> f64 {
        1e9 * self.cpu / self.messages as f64
    }

    fn rate(&self) -> f64 {
        self.messages as f64 / self.time
    }
}

/// Processor seconds of the lanes so far; nothing where the kernel does not count by thread.
fn lane_cpu(daemon: &Daemon) -> Option<f64> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(format!("/proc/{}/task", daemon.pid())).ok()? {
        let thread = thread.ok()?.path();
        if fs::read_to_string(thread.join("comm"))
            .ok()?
            .starts_with("lane-")
        {
            let stat = fs::read_to_string(thread.join("schedstat")).ok()?;
            nanoseconds += stat.split(' ').next()?.parse::<f64>().ok()?;
        }
    }
    Some(nanoseconds / 1e9)
}

/// One turn of sending as fast as the daemon reads.
fn turn(daemon: &Daemon, client: &UnixDatagram, packet: &[u8]) -> Option<Spent> {
    let (cpu, began) = (lane_cpu(daemon)?, Instant::now());
    let mut messages = 0;
    while began.elapsed() < TURN {
        // Blocks while the queue is full, so the kernel drops none.
        client.send(packet).expect("sent");
        messages += LINES;
    }
    Some(Spent {
        messages,
        cpu: lane_cpu(daemon)? - cpu,
        time: began.elapsed().as_secs_f64(),
    })
}

#[test]
fn a_flood_of_the_control_port_costs_no_packet_and_little_time() {
    let daemon = Setup::new().uds().with("greyhound.lanes", 1).start();
    let Some(mut flood) = Flood::new(&daemon) else {
        return;
    };
    let client = send::uds_socket(daemon.uds());
    let packet = "hits:1|c|#env:prod,service:web\n".repeat(LINES as usize);
    let packet = packet.as_bytes();
    let warm = turn(&daemon, &client, packet).ok_or_else(|| "no schedstat".to_owned());
    let Some(warm) = skip::or_skip(warm) else {
        return;
    };
    let (mut quiet, mut flooded) = (Spent::default(), Spent::default());
    for _ in 0..TURNS {
        quiet.add(turn(&daemon, &client, packet).expect("it was there before"));
        flood.switch("on");
        flooded.add(turn(&daemon, &client, packet).expect("it was there before"));
        flood.switch("off");
    }
    let sent = warm.messages + quiet.messages + flooded.messages;
    let report = flood.end();
    eprintln!(
        "lane: {:.1} ns a message, {:.1} ns under a flood ({:+.1} %); {:.2} and {:.2} million messages a second; \
         flood: {report}",
        quiet.nanoseconds_each(),
        flooded.nanoseconds_each(),
        100.0 * (flooded.nanoseconds_each() / quiet.nanoseconds_each() - 1.0),
        quiet.rate() / 1e6,
        flooded.rate() / 1e6,
    );
    daemon.wait_processed(sent);
    let stopped = daemon.stop();
    assert_eq!(stopped.ledger.received, sent);
    assert_eq!(stopped.ledger.aggregated, sent);
    assert_eq!(stopped.records.total("hits"), sent as f64);
}
