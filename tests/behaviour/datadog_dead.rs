//! An intake that is dead for the whole run, at full load: memory and disk stay within their bounds, the oldest
//! goes and is counted, and the clients notice nothing.
//!
//! `GREYHOUND_DEAD_SECONDS` and `GREYHOUND_DEAD_RATE` make it longer and harder; it prints what it saw.

use std::process::Command;
use std::time::Duration;

use greyhound_tests::daemon::{self, Daemon};
use greyhound_tests::exposition::Exposition;
use greyhound_tests::intake::{Intake, Reply};
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::{binary, command, disk_queue};
use serde_json::Value;

use crate::datadog::setup;

const MEMORY_BYTES: u64 = 256 << 10;
const DISK_BYTES: u64 = 512 << 10;

/// Peak of resident memory over that of an idle daemon: the bound of payloads, those on their way, batches in
/// front of the sink, and contexts.
const MORE_KIB_MAX: u64 = 192 * 1024;

fn number_of(variable: &str, default: u64) -> u64 {
    let text = std::env::var(variable).ok();
    text.map_or(default, |text| text.parse().expect("a number"))
}

fn peak_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Sends load and gives the number of messages the kernel took.
fn bench(daemon: &Daemon, seconds: u64, rate: u64) -> u64 {
    let mut bench = daemon::clean(Command::new(binary::path()));
    bench
        .args([
            "bench",
            "--json",
            "--pack",
            "1432",
            "--contexts",
            "20000",
            "--kinds",
            "c=6,g=2,d=2",
        ])
        .args([
            "--rate",
            &rate.to_string(),
            "--duration",
            &seconds.to_string(),
        ])
        .args(["--to", &format!("udp://{}", daemon.udp())]);
    let patience = Duration::from_secs(seconds + 60);
    let done = command::finish(&mut bench, patience).expect("the load ends");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let report: Value = serde_json::from_str(&done.stdout).unwrap();
    report["accepted"]["messages"].as_u64().unwrap()
}

fn gaps(page: &Exposition) -> Vec<f64> {
    ["1ms", "5ms", "20ms", "100ms"]
        .map(|over| page.sum(&format!("greyhound__receive__gaps_over_{over}"), &[]))
        .to_vec()
}

#[test]
fn a_dead_intake_costs_the_oldest_and_nothing_else() {
    let seconds = number_of("GREYHOUND_DEAD_SECONDS", 4);
    let rate = number_of("GREYHOUND_DEAD_RATE", 100_000);
    let mut drops = Vec::new();
    // The same load with a live intake first, to have something to compare with.
    for is_dead in [false, true] {
        let intake = Intake::start();
        intake.rules(|rules| rules.keeps_payloads = false);
        if is_dead {
            intake.reply(Reply::Silence);
        }
        let queue = tempfile::tempdir().unwrap();
        let daemon = setup(&intake)
            .with("forwarder_storage_path", queue.path().to_string_lossy())
            .with("forwarder_retry_queue_payloads_max_size", MEMORY_BYTES)
            .with("greyhound.delivery.disk_bytes", DISK_BYTES)
            .with("greyhound.ndjson.path", "")
            .with("greyhound.prometheus.listen", "127.0.0.1:0")
            .start();
        let idle = peak_kib(&daemon);
        let sent = bench(&daemon, seconds, rate);
        let page = daemon.telemetry();
        let memory = page.sum("greyhound__delivery__memory_bytes", &[]);
        let kernel = page.sum("greyhound__listener__kernel_drops", &[]);
        let dropped = page.sum("greyhound__sink__points_dropped", &[("sink", "datadog")]);
        let on_disk: u64 = disk_queue::segments(queue.path())
            .iter()
            .filter_map(|path| Some(std::fs::metadata(path).ok()?.len()))
            .sum();
        let peak = peak_kib(&daemon);
        println!(
            "dead {is_dead}: {sent} messages in {seconds} s, {kernel} datagrams dropped by the kernel, gaps over \
             1/5/20/100 ms {:?}, peak {peak} KiB (idle {idle}), {memory} bytes of payloads in memory, {on_disk} on \
             disk, {dropped} points dropped",
            gaps(&page),
        );
        assert!(
            memory <= MEMORY_BYTES as f64 && on_disk <= DISK_BYTES,
            "{memory} {on_disk}"
        );
        assert!(peak - idle < MORE_KIB_MAX, "{idle} KiB became {peak}");
        let stopped = daemon.stop();
        let end = SinkEnd::of(&stopped, "datadog");
        // What the kernel did not drop was read and aggregated, intake or not.
        if kernel == 0.0 {
            assert_eq!(stopped.ledger.received, sent);
        }
        if is_dead {
            assert_eq!(end.delivered, 0);
            assert!(end.dropped > 0 && end.kept > 0, "{end:?}");
            let newest = disk_queue::records(queue.path())
                .iter()
                .map(|record| record.points)
                .sum::<u64>();
            assert_eq!(newest, end.kept, "what is kept is on disk");
        } else {
            assert_eq!((end.dropped, end.kept), (0, 0), "{end:?}");
        }
        drops.push(kernel);
    }
    println!("datagrams dropped by the kernel with a live intake and a dead one: {drops:?}");
}
