//! What a server holds and uses over time: at start, idle, under steady load, under churn.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::super::measure::Pace;
use super::super::place::Class;
use super::super::proc::{Cpu, Memory};
use super::super::report::Row;
use super::super::scenario::Scenario;
use super::super::server::Kind;
use super::{Runner, counted, median, megabytes};

const BUCKET: Duration = Duration::from_secs(10);

// === impl Runner ===

impl Runner {
    pub(super) fn start(&self, scenario: &Scenario) -> Result<Vec<Row>> {
        let mut times = Vec::new();
        for _ in 0..self.effort.runs {
            let server = self
                .kind
                .start(scenario.transport, &self.place, Class::Usual)?;
            times.push(server.started_in.as_secs_f64() * 1e3);
        }
        let mut row = Row::new(scenario.name, "");
        row.set("start_ms", median(times));
        if let (Some(binary), Kind::Greyhound { .. }) = (&self.binary, &self.kind) {
            row.set("binary_mb", megabytes(std::fs::metadata(binary)?.len()));
        }
        Ok(vec![row])
    }

    pub(super) fn idle(&self, scenario: &Scenario, contexts: usize) -> Result<Vec<Row>> {
        let server = if contexts == 0 {
            self.kind
                .start(scenario.transport, &self.place, Class::Usual)?
        } else {
            self.warm_server(scenario, Class::Usual)?.0
        };
        // A second to come to rest.
        thread::sleep(Duration::from_secs(1));
        let (start, before) = (Instant::now(), Cpu::of(server.pid())?);
        thread::sleep(Duration::from_secs_f64(self.effort.flush_seconds.min(12.0)));
        let cpu = Cpu::of(server.pid())?.since(before);
        let memory = Memory::of(server.pid())?;
        let mut row = Row::new(scenario.name, "");
        row.set(
            "core_share",
            cpu.total as f64 / start.elapsed().as_nanos() as f64,
        );
        row.set("resident_mb", megabytes(memory.resident));
        row.set("peak_mb", megabytes(memory.peak));
        Ok(vec![row])
    }

    pub(super) fn share(&self, scenario: &Scenario, pace: Pace) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let load = Self::waiting_load(scenario, pace, self.effort.flush_seconds);
        let over = AtomicBool::new(false);
        let (run, resident) = thread::scope(|scope| {
            let watch = scope.spawn(|| resident_until(&over, server.pid()));
            let run = sender.run(&server, &load);
            over.store(true, Ordering::Relaxed);
            (run, watch.join())
        });
        let run = run?;
        let mut row = Row::new(scenario.name, "");
        counted(&mut row, &[run]);
        row.set("bytes_per_second", run.bytes / run.seconds);
        // A flush needs as much again for a second or so: one look would show either.
        let resident = resident.map_err(|_| anyhow::anyhow!("the watch panicked"))?;
        if !resident.is_empty() {
            row.set("resident_mb", megabytes(median(resident) as u64));
        }
        Ok(vec![row])
    }

    /// As [`share`](Self::share), for whoever wants the memory by contexts.
    pub(super) fn resident(&self, scenario: &Scenario, pace: Pace) -> Result<Vec<Row>> {
        let mut rows = self.share(scenario, pace)?;
        for row in &mut rows {
            if let Some(contexts) = scenario.load.iter().position(|&word| word == "--contexts") {
                let contexts = scenario.load[contexts + 1].parse().unwrap_or(0.0);
                row.set("contexts", contexts);
            }
        }
        Ok(rows)
    }

    pub(super) fn churn(&self, scenario: &Scenario, rate: f64, new: usize) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let mut load = Self::load(scenario, Pace::Messages(rate), self.effort.long_seconds);
        load.arguments
            .extend(["--churn".to_owned(), new.to_string()]);
        let held = sender.hold(server.to(), &load)?;
        let before = server.counts()?;
        let (run, samples) = thread::scope(|scope| {
            let run = scope.spawn(|| held.go());
            let mut samples = vec![(Cpu::of(server.pid()), Memory::of(server.pid()))];
            let start = Instant::now();
            while !run.is_finished() {
                // The next bucket, but not beyond the end of the load.
                let due = BUCKET * samples.len() as u32;
                if start.elapsed() >= due {
                    samples.push((Cpu::of(server.pid()), Memory::of(server.pid())));
                }
                thread::sleep(Duration::from_millis(20));
            }
            (run.join(), samples)
        });
        run.map_err(|_| anyhow::anyhow!("the run panicked"))??;
        let after = server.counts()?;
        let mut rows = Vec::new();
        let mut last = None;
        for (bucket, (cpu, memory)) in samples.into_iter().enumerate() {
            let (cpu, memory) = (cpu?, memory?);
            if let Some(previous) = last.replace(cpu) {
                let mut row = Row::new(scenario.name, &format!("bucket {bucket}"));
                let nanos = cpu.since(previous).total as f64;
                row.set("cpu_ns", nanos / (rate * BUCKET.as_secs_f64()));
                row.set("core_share", nanos / BUCKET.as_nanos() as f64);
                row.set("resident_mb", megabytes(memory.resident));
                rows.push(row);
            }
        }
        if let Some(row) = rows.last_mut() {
            let received = after.received.zip(before.received);
            row.set(
                "received",
                received.map_or(0.0, |(after, before)| after - before),
            );
            row.set(
                "kernel_dropped_packets",
                after.kernel_drops - before.kernel_drops,
            );
        }
        Ok(rows)
    }
}

/// Resident memory of a process, ten times a second until it is over.
fn resident_until(over: &AtomicBool, pid: u32) -> Vec<f64> {
    let mut samples = Vec::new();
    while !over.load(Ordering::Relaxed) {
        if let Ok(memory) = Memory::of(pid) {
            samples.push(memory.resident as f64);
        }
        thread::sleep(Duration::from_millis(100));
    }
    samples
}
