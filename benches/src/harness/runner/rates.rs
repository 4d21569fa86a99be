//! Processor time a message, beside the floors: at fixed rates, and at the largest without loss.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::super::bisect::{Found, LOSS_MAX};
use super::super::measure::{Load, Pace, Run, Sender};
use super::super::place::Class;
use super::super::report::Row;
use super::super::scenario::{Scenario, Top};
use super::super::server::{Kind, Server};
use super::{Runner, counted, median, rate_name};

/// Seconds of the lane in memory.
const FLOOR_SECONDS: f64 = 1.0;
/// When a rate that was found does not hold, the next is so much of it.
const STEP_DOWN: f64 = 0.93;
const STEPS_DOWN_MAX: usize = 8;

// === impl Runner ===

impl Runner {
    pub(super) fn rates(&self, scenario: &Scenario, fixed: &[f64], top: Top) -> Result<Vec<Row>> {
        let (server, sender) = self.warm_server(scenario, Class::Usual)?;
        let baseline = Kind::Discard.start(scenario.transport, &self.place, Class::Usual)?;
        let memory = self.memory_floor(scenario)?;
        let mut rows = Vec::new();
        for &rate in fixed {
            let load = Self::load(scenario, Pace::Messages(rate), self.effort.run_seconds);
            let mut row = Row::new(scenario.name, &rate_name(rate));
            self.beside_baseline(&mut row, &sender, [&server, &baseline], &load, memory)?;
            rows.push(row);
        }
        match top {
            Top::None => {}
            Top::FlatOut => {
                let load = Self::load(scenario, Pace::FlatOut, self.effort.run_seconds);
                let mut row = Row::new(scenario.name, "flat out");
                self.beside_baseline(&mut row, &sender, [&server, &baseline], &load, memory)?;
                let rate = row.get("offered_per_second").unwrap_or(0.0);
                row.set("largest_per_second", rate);
                rows.push(row);
            }
            Top::LossFree => {
                let found = self.largest(scenario, &sender, &server)?;
                let mut rate = found.rate;
                let mut row = Row::new(scenario.name, "max");
                // Probes are lucky now and then; the rate that is reported has to hold in long runs too.
                for _ in 0..STEPS_DOWN_MAX {
                    let load = Self::load(scenario, Pace::Messages(rate), self.effort.run_seconds);
                    self.beside_baseline(&mut row, &sender, [&server, &baseline], &load, memory)?;
                    if row
                        .get("lost_share_middle")
                        .is_none_or(|lost| lost <= LOSS_MAX)
                    {
                        break;
                    }
                    rate *= STEP_DOWN;
                }
                row.set("largest_per_second", rate);
                let limit = found.sender_is_the_limit && rate == found.rate;
                row.set("sender_is_the_limit", f64::from(limit));
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The largest rate with next to no loss.
    pub(super) fn largest(
        &self,
        scenario: &Scenario,
        sender: &Sender,
        server: &Server,
    ) -> Result<Found> {
        self.effort.search.run(|rate| {
            let pace = rate.map_or(Pace::FlatOut, Pace::Messages);
            let load = Self::load(scenario, pace, self.effort.probe_seconds);
            Ok(sender.run_between_flushes(server, &load)?.trial())
        })
    }

    /// The same load to the server and to the baseline, in turn.
    fn beside_baseline(
        &self,
        row: &mut Row,
        sender: &Sender,
        [server, baseline]: [&Server; 2],
        load: &Load,
        memory: Option<f64>,
    ) -> Result<()> {
        let (mut runs, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..self.effort.runs {
            runs.push(sender.run_between_flushes(server, load)?);
            floors.push(sender.run_between_flushes(baseline, load)?);
        }
        counted(row, &runs);
        let floor = median(floors.iter().map(Run::cpu_nanos).collect());
        let cpu = row.get("cpu_ns").unwrap_or(0.0);
        row.set("discard_ns", floor);
        // Run by run, so that a slow minute is in both sides of a ratio.
        let ratios = runs.iter().zip(&floors);
        row.set(
            "discard_ratio",
            median(
                ratios
                    .map(|(run, floor)| run.cpu_nanos() / floor.cpu_nanos())
                    .collect(),
            ),
        );
        if let Some(memory) = memory {
            row.set("memory_ns", memory);
            row.set("floor_ratio", cpu / (floor + memory));
        }
        Ok(())
    }

    /// Nanoseconds a message of a lane that gets the same packets from memory: least of several.
    fn memory_floor(&self, scenario: &Scenario) -> Result<Option<f64>> {
        let (Some((shape, contexts, pack_bytes)), Kind::Greyhound { .. }) =
            (scenario.floor, &self.kind)
        else {
            return Ok(None);
        };
        let program = std::env::current_exe()?;
        let program = program
            .to_str()
            .context("the path of the harness is no text")?;
        let mut least = f64::INFINITY;
        for _ in 0..self.effort.runs {
            let mut command: Command = self.place.server(program, Class::Usual);
            command
                .args([
                    "memory",
                    shape.as_str(),
                    &contexts.to_string(),
                    &pack_bytes.to_string(),
                ])
                .arg(FLOOR_SECONDS.to_string());
            let output = command.stderr(Stdio::inherit()).output()?;
            let text = String::from_utf8_lossy(&output.stdout);
            let nanos: f64 = text.trim().parse().context("the lane in memory failed")?;
            least = least.min(nanos);
        }
        Ok(Some(least))
    }
}
