//! Servers at their limits: bursts, a busy neighbour, flood, a flush under load, two lanes on one socket.

use std::process::Child;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::measure::{Pace, charge};
use super::super::place::Class;
use super::super::report::Row;
use super::super::scenario::Scenario;
use super::{Runner, counted, median, rate_name};

/// How long a lane was away from its socket, as the server counts it.
const GAPS: [(&str, &str); 2] = [
    ("gaps_over_5ms", "greyhound__receive__gaps_over_5ms"),
    ("gaps_over_20ms", "greyhound__receive__gaps_over_20ms"),
];

/// How often the receive queue is looked at during a flush.
const QUEUE_POLL: Duration = Duration::from_millis(1);

/// A process of ours that ends with its owner.
#[derive(Debug)]
struct Guard(Child);

// === impl Guard ===

impl Drop for Guard {
    fn drop(&mut self) {
        // One that ended by itself needs no killing.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

// === impl Runner ===

impl Runner {
    pub(super) fn bursts(&self, scenario: &Scenario, bursts: &[(f64, f64)]) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let mut rows = Vec::new();
        for &(rate, tick_ms) in bursts {
            let mut load = Self::load(scenario, Pace::Messages(rate), self.effort.run_seconds);
            load.arguments
                .extend(["--burst".to_owned(), tick_ms.to_string()]);
            let runs: Result<Vec<_>> = (0..self.effort.runs)
                .map(|_| sender.run_between_flushes(&server, &load))
                .collect();
            let runs = runs?;
            let mut row = Row::new(
                scenario.name,
                &format!("{} per {tick_ms} ms", rate_name(rate)),
            );
            counted(&mut row, &runs);
            let shares = runs.iter().map(|run| run.refused / run.offered);
            row.set("refused_share", median(shares.collect()));
            rows.push(row);
        }
        Ok(rows)
    }

    pub(super) fn noisy(&self, scenario: &Scenario, rate: f64) -> Result<Vec<Row>> {
        let (server, _) = self.warm_server(scenario, Class::Ordinary)?;
        // The neighbour is the server's trouble; the load has to come as asked.
        let sender = self.sender(Class::Usual);
        let program = std::env::current_exe()?;
        let program = program
            .to_str()
            .context("the path of the harness is no text")?;
        let burner = self
            .place
            .server(program, Class::Ordinary)
            .arg("burn")
            .spawn()?;
        let burner = Guard(burner);
        let load = Self::load(scenario, Pace::Messages(rate), self.effort.run_seconds);
        let runs: Result<Vec<_>> = (0..self.effort.runs)
            .map(|_| sender.run_between_flushes(&server, &load))
            .collect();
        drop(burner);
        let mut row = Row::new(scenario.name, &rate_name(rate));
        counted(&mut row, &runs?);
        Ok(vec![row])
    }

    pub(super) fn flood(&self, scenario: &Scenario) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let found = self.largest(scenario, &sender, &server)?;
        let seconds = self.effort.long_seconds.min(30.0);
        let load = Self::load(scenario, Pace::Messages(2.0 * found.rate), seconds);
        let run = sender.run(&server, &load)?;
        let mut row = Row::new(scenario.name, "2 x max");
        counted(&mut row, &[run]);
        row.set("largest_per_second", found.rate);
        row.set("sender_is_the_limit", f64::from(found.sender_is_the_limit));
        row.set("taken_per_second", run.taken() / run.seconds);
        row.set("taken_of_largest", run.taken() / run.seconds / found.rate);
        Ok(vec![row])
    }

    pub(super) fn flush(&self, scenario: &Scenario) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let found = self.largest(scenario, &sender, &server)?;
        let load = Self::load(
            scenario,
            Pace::Messages(found.rate / 2.0),
            self.effort.flush_seconds,
        );
        let mut gaps = Vec::new();
        for (name, counter) in GAPS {
            gaps.push((name, counter, server.telemetry(counter)?));
        }
        let (run, queued) = thread::scope(|scope| {
            let run = scope.spawn(|| sender.run(&server, &load));
            let mut most = 0;
            while !run.is_finished() {
                most = server.udp_port().map_or(most, |port| most.max(port.queued));
                thread::sleep(QUEUE_POLL);
            }
            (run.join(), most)
        });
        let run = run.map_err(|_| anyhow::anyhow!("the run panicked"))??;
        let mut row = Row::new(scenario.name, "half of max");
        counted(&mut row, &[run]);
        row.set("largest_per_second", found.rate);
        row.set("queued_bytes_max", queued as f64);
        let packets_per_second = run.packets / run.seconds;
        row.set(
            "stall_ms",
            queued as f64 / charge(run.bytes / run.packets.max(1.0)) / packets_per_second * 1e3,
        );
        for (name, counter, before) in gaps {
            if let Some((after, before)) = server.telemetry(counter)?.zip(before) {
                row.set(name, after - before);
            }
        }
        if let Some(flush) = server.telemetry("greyhound__flush__duration")? {
            row.set("flush_seconds", flush / 1e6);
        }
        Ok(vec![row])
    }

    pub(super) fn two_lanes(&self, scenario: &Scenario) -> Result<Vec<Row>> {
        let load = Self::waiting_load(scenario, Pace::FlatOut, self.effort.run_seconds);
        let mut taken = Vec::new();
        let mut rows = Vec::new();
        for lanes in ["1", "2"] {
            let other = Self {
                kind: self.kind.clone().with("GREYHOUND_LANES", lanes),
                ..self.clone()
            };
            let (server, sender) = other.warm_server(scenario, Class::BothCores)?;
            let runs: Result<Vec<_>> = (0..self.effort.runs)
                .map(|_| sender.run_between_flushes(&server, &load))
                .collect();
            let runs = runs?;
            let mut row = Row::new(scenario.name, &format!("{lanes} lanes"));
            counted(&mut row, &runs);
            taken.push(median(
                runs.iter().map(|run| run.taken() / run.seconds).collect(),
            ));
            rows.push(row);
        }
        if let [one, two] = taken[..]
            && let Some(row) = rows.last_mut()
        {
            row.set("taken_of_one_lane", two / one);
        }
        Ok(rows)
    }
}
