//! Measures whole servers under the scenarios of `benches/README.md`.
//!
//! ```text
//!  core A: greyhound bench ══▶ core B: the server, then the one that throws all away, in turn
//!             │ what was sent          │ /proc: processor time, memory, kernel drops
//!             ▼                        ▼ /telemetry: the ledger
//!          measure ─▶ bisect: largest rate without loss ─▶ rows ─▶ table, JSON, comparison
//! ```
//!
//! The harness is neither sender nor server; it starts both as processes of their own and reads what
//! they and the kernel say. In it can be lost only the precision of a figure on a busy machine.

pub mod bars;
pub mod bisect;
pub mod discard;
pub mod measure;
pub mod memory;
pub mod page;
pub mod place;
pub mod proc;
pub mod report;
pub mod runner;
pub mod scenario;
pub mod server;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Parser, Subcommand};
use serde_json::json;

use crate::corpus::Shape;
use place::Place;
use report::Row;
use runner::{Effort, Runner};
use scenario::Scenario;
use server::Kind;

/// Measure a DogStatsD server: CPU per message, largest rate without loss, memory.
#[derive(Debug, Parser)]
#[command(name = "harness")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,

    /// Scenarios to run; without it all. `list` names them
    #[arg(long, num_args = 1.., value_name = "NAME")]
    scenario: Vec<String>,

    /// Seconds a scenario instead of minutes
    #[arg(long)]
    quick: bool,

    /// Runs of each kind [default: 5, quick 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,

    /// Write all figures to FILE
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Show the figures of FILE beside the new ones
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,

    /// The greyhound binary, to measure and to send with
    #[arg(long, value_name = "PATH", default_value = "target/release/greyhound")]
    binary: PathBuf,

    /// Measure this command instead, started by a shell
    #[arg(long, value_name = "COMMAND", requires = "port")]
    server: Option<String>,

    /// UDP port that command listens on
    #[arg(long, value_name = "PORT", requires = "server")]
    port: Option<u16>,

    /// Core of the sender
    #[arg(long, value_name = "CORE", default_value_t = 0)]
    sender_core: usize,

    /// Core of the server
    #[arg(long, value_name = "CORE", default_value_t = 1)]
    server_core: usize,

    /// No real-time scheduling, even when it may be had
    #[arg(long)]
    ordinary: bool,

    /// Stay in the network namespace of the caller
    #[arg(long)]
    here: bool,
}

/// Other things to do; the hidden ones are what the harness starts itself as.
#[derive(Debug, Subcommand)]
enum Part {
    /// Name the scenarios
    List,
    /// Show the goals beside the figures of FILE, written with `--json`
    Bars {
        /// The file
        file: PathBuf,
    },
    /// Receive and throw away
    #[command(hide = true)]
    Discard {
        /// udp, unixgram or unixstream
        transport: String,
        /// Socket file, for the latter two
        path: PathBuf,
    },
    /// Run a lane in memory
    #[command(hide = true)]
    Memory {
        /// lean, standard or long
        shape: String,
        /// Contexts
        contexts: usize,
        /// Bytes of a packet
        pack_bytes: usize,
        /// Seconds
        seconds: f64,
    },
    /// Keep a core busy
    #[command(hide = true)]
    Burn,
}

/// Runs the harness. Exit code 1: something failed; 64: wrong command line.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal changes nothing.
            error.print().ok();
            return ExitCode::from(if error.use_stderr() { 64 } else { 0 });
        }
    };
    let mut out = io::stdout().lock();
    let result = match &cli.part {
        Some(part) => play(part, &mut out),
        None => measure_all(&cli, &mut out),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(part: &Part, out: &mut dyn Write) -> Result<()> {
    match part {
        Part::List => {
            for scenario in scenario::ALL {
                writeln!(out, "{:22}{}", scenario.name, scenario.load.join(" "))?;
            }
            Ok(())
        }
        Part::Bars { file } => {
            let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
            let rows = report::read(&text).with_context(|| file.display().to_string())?;
            Ok(write!(out, "{}", bars::table(&rows))?)
        }
        Part::Discard { transport, path } => match transport.as_str() {
            "udp" => discard::udp(out),
            "unixgram" => discard::unixgram(path, out),
            _ => discard::unixstream(path, out),
        },
        Part::Memory {
            shape,
            contexts,
            pack_bytes,
            seconds,
        } => {
            let shape = Shape::ALL.into_iter().find(|known| known.as_str() == shape);
            let nanos = memory::nanos_per_message(
                shape.context("no such shape")?,
                *contexts,
                *pack_bytes,
                Duration::from_secs_f64(*seconds),
            );
            Ok(writeln!(out, "{nanos}")?)
        }
        Part::Burn => loop {
            std::hint::spin_loop();
        },
    }
}

fn measure_all(cli: &Cli, out: &mut dyn Write) -> Result<()> {
    let scenarios = chosen(&cli.scenario)?;
    let before = match &cli.compare {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
            Some(report::read(&text).with_context(|| path.display().to_string())?)
        }
        None => None,
    };
    let binary = fs::canonicalize(&cli.binary)
        .with_context(|| format!("no binary at {}; build it first", cli.binary.display()))?;
    let alone = !cli.here && place::enter_namespace()?;
    let place = Place {
        sender_core: cli.sender_core,
        server_core: cli.server_core,
        real_time: !cli.ordinary && place::may_be_real_time(),
    };
    let machine = machine(&place, alone);
    eprintln!("{machine}");
    let runner = runner(cli, binary, place)?;
    let mut rows = Vec::new();
    let mut failed = 0;
    for scenario in scenarios {
        eprintln!("{} …", scenario.name);
        match runner.run(scenario) {
            Ok(measured) => {
                eprint!("{}", report::table(&measured));
                rows.extend(measured);
            }
            Err(error) => {
                eprintln!("{}: {error:#}", scenario.name);
                failed += 1;
            }
        }
        // After each, so that an interrupted run leaves its figures.
        if let Some(path) = &cli.json {
            write_json(path, &machine, cli.quick, &rows)?;
        }
    }
    writeln!(out, "{machine}\n\n{}", report::table(&rows))?;
    writeln!(out, "{}", bars::table(&rows))?;
    if let Some(before) = before {
        write!(out, "{}", report::compare(&rows, &before))?;
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} scenarios could not be measured"),
    }
}

fn chosen(names: &[String]) -> Result<Vec<&'static Scenario>> {
    if names.is_empty() {
        return Ok(scenario::ALL.iter().collect());
    }
    let find = |name: &String| {
        Scenario::named(name).with_context(|| format!("no scenario `{name}`; see `harness list`"))
    };
    names.iter().map(find).collect()
}

fn runner(cli: &Cli, binary: PathBuf, place: Place) -> Result<Runner> {
    let mut effort = if cli.quick {
        Effort::QUICK
    } else {
        Effort::FULL
    };
    if let Some(runs) = cli.runs {
        effort.runs = runs.into();
    }
    let sender = binary
        .to_str()
        .context("the path of the binary is no text")?
        .to_owned();
    let kind = match (&cli.server, cli.port) {
        (Some(command), Some(port)) => Kind::Other {
            command: command.clone(),
            port,
        },
        _ => Kind::greyhound(binary.clone()),
    };
    Ok(Runner {
        kind,
        sender,
        binary: Some(binary),
        place,
        effort,
    })
}

/// Where the figures come from, in one line.
fn machine(place: &Place, alone: bool) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find(|line| line.starts_with("model name"));
    let model = model
        .and_then(|line| line.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let load = read("/proc/loadavg");
    format!(
        "{model}, {} cores, Linux {}, {}{}, load before {}",
        cpu.lines()
            .filter(|line| line.starts_with("processor"))
            .count(),
        read("/proc/sys/kernel/osrelease").trim(),
        if place.real_time {
            "SCHED_RR"
        } else {
            "ordinary scheduling"
        },
        if alone { ", own network namespace" } else { "" },
        load.split_whitespace().next().unwrap_or("unknown"),
    )
}

fn write_json(path: &Path, machine: &str, quick: bool, rows: &[Row]) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let value = json!({
        "machine": machine,
        "unix_time": now.as_secs(),
        "quick": quick,
        "rows": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
    });
    fs::write(path, format!("{value:#}\n")).with_context(|| path.display().to_string())
}
