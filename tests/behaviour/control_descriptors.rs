//! A process out of descriptors: nobody new gets in, and nothing else changes. Packets flow, no thread spins on a
//! door it cannot open, and when room comes back so does everybody who waited.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use greyhound_tests::control::{self, with_token};
use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::{command, skip, tools, wait};

use crate::send;

/// Descriptors left to the process.
const LEFT: usize = 12;
/// Connections that ask for one, on each door.
const ASKING: usize = 40;
/// How long processor time is measured.
const MEASURED: Duration = Duration::from_secs(2);
/// Share of one processor the process may take with nothing to do but to refuse.
const BUSY_MAX: f64 = 0.25;
/// Clock ticks per second of `/proc`.
const TICKS: f64 = 100.0;

/// Processor time so far, in seconds.
fn cpu(daemon: &Daemon) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).expect("it runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in parentheses");
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<f64>().expect("a number"))
        .sum();
    ticks / TICKS
}

/// The number the next one gets: the limit is one of numbers.
fn next_descriptor(daemon: &Daemon) -> usize {
    let folder = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("it runs");
    let open: HashSet<usize> = folder
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    (0..)
        .find(|number| !open.contains(number))
        .expect("there are more numbers than files")
}

fn send_many(daemon: &Daemon, count: u64) {
    let client = send::uds_socket(daemon.uds());
    for _ in 0..count {
        // Blocks while the queue is full, so the kernel drops none.
        client.send(b"hits:1|c").expect("sent");
    }
}

#[test]
fn a_process_out_of_descriptors_goes_on_and_recovers() {
    let prlimit = tools::find("prlimit").ok_or_else(|| "no prlimit".to_owned());
    if !control::has_curl() || skip::or_skip(prlimit).is_none() {
        return;
    }
    let daemon = Setup::new().uds().stream().start();
    send_many(&daemon, 1_000);
    daemon.wait_processed(1_000);
    let limit = next_descriptor(&daemon) + LEFT;
    let pid = daemon.pid().to_string();
    command::succeed(
        Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={limit}:{limit}")]),
        wait::PATIENCE,
    )
    .expect("our own child can be limited");

    let tcp = |address: &str| TcpStream::connect(address).expect("the kernel takes it");
    let unix = |path: &str| UnixStream::connect(path).expect("the kernel takes it");
    let ready = daemon.ready().clone();
    let mut idle: Vec<TcpStream> = (0..ASKING).map(|_| tcp(&ready.control)).collect();
    daemon.wait_log("cannot accept connections of the control port");
    // At every other door, too, somebody waits.
    idle.push(tcp(&ready.http));
    let mut waiting = unix(&daemon.stream().to_string_lossy());
    let asking = unix(&ready.control_socket);

    let (began, before) = (Instant::now(), cpu(&daemon));
    wait::until("the time of measurement to pass", || {
        (began.elapsed() >= MEASURED).then_some(())
    });
    let busy = (cpu(&daemon) - before) / began.elapsed().as_secs_f64();
    assert!(
        busy < BUSY_MAX,
        "{busy} of a processor while out of descriptors"
    );
    // Far more than the kernel's queue holds: the lane reads on.
    send_many(&daemon, 1_000);
    eprintln!("out of descriptors: {:.1} % of a processor", 100.0 * busy);

    // A stream client that was let in by nobody yet sends already; the kernel keeps it.
    waiting.write_all(&send::frame("hits:1|c")).expect("sent");
    drop((idle, asking));
    let asked = wait::until("the control port to answer again", || {
        with_token(&daemon, "/agent/version", &[]).ok()
    });
    assert_eq!(asked.status, 200);
    daemon.wait_processed(2_001);
    let refused = daemon
        .telemetry()
        .sum("greyhound__control__accept_errors", &[]);
    assert!(refused > 0.0, "nobody was refused");
    drop(waiting);
    let stopped = daemon.stop();
    assert_eq!(stopped.ledger.received, 2_001);
    assert_eq!(stopped.records.total("hits"), 2_001.0);
}
