//! Sections of the status page: what the running parts say, in words for people and names for programs.
//!
//! ```text
//!  engine Handle, Fanout, Live, control port ──▶ Observed ──▶ one function per section ──▶ greyhound_server
//! ```
//!
//! Everything is read when somebody asks, from counters; nothing here makes a lane wait.

mod dogstatsd;
mod engine;
mod outputs;
mod process;
mod trouble;

use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Instant, SystemTime};

use greyhound_config::live::Live;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_server::register::{HealthCheck, Problem, Severity, StatusSection};
use greyhound_sinks::fanout::Fanout;
use serde_json::Value;

use super::contexts::ContextBook;

/// What can be seen of the running process.
pub struct Observed {
    /// The running settings.
    pub live: Live,
    /// Host name of everything flushed.
    pub hostname: String,
    /// When the process began.
    pub started: SystemTime,
    /// The same for measuring.
    pub started_at: Instant,
    /// The engine, once it runs.
    pub engine: Arc<OnceLock<Handle>>,
    /// Its contexts.
    pub contexts: Arc<ContextBook>,
    /// The sinks.
    pub fanout: Arc<Fanout>,
    /// Where `/metrics` is.
    pub http: Option<String>,
    /// What start had to do without.
    pub notices: Vec<String>,
    /// The control port, once it was tried.
    pub control: OnceLock<ControlView>,
}

/// What can be seen of the control port.
pub struct ControlView {
    /// Where it listens.
    pub address: Option<String>,
    /// The Unix socket.
    pub socket: Option<String>,
    /// What stays shut; empty while all is well.
    pub problems: Box<dyn Fn() -> Vec<Problem> + Send + Sync>,
}

/// One section, as functions over what is observed.
struct Section {
    observed: Arc<Observed>,
    name: &'static str,
    json: fn(&Observed, bool) -> Value,
    text: fn(&Observed, bool) -> String,
    problems: fn(&Observed) -> Vec<Problem>,
}

/// One part that can be unwell.
struct Check {
    observed: Arc<Observed>,
    name: &'static str,
    is_healthy: fn(&Observed) -> bool,
}

/// Every section of the data plane and the process.
pub fn sections(observed: &Arc<Observed>) -> Vec<Arc<dyn StatusSection>> {
    let section = |name, json, text, problems| -> Arc<dyn StatusSection> {
        Arc::new(Section {
            observed: Arc::clone(observed),
            name,
            json,
            text,
            problems,
        })
    };
    let none = |_: &Observed| Vec::new();
    vec![
        section("header", process::header_json, process::header_text, none),
        section(
            "listeners",
            engine::listeners_json,
            engine::listeners_text,
            trouble::of_listeners,
        ),
        section(
            "ledger",
            engine::ledger_json,
            engine::ledger_text,
            trouble::of_ledger,
        ),
        section(
            "contexts",
            engine::contexts_json,
            engine::contexts_text,
            trouble::of_limits,
        ),
        section(
            "lanes",
            engine::lanes_json,
            engine::lanes_text,
            trouble::of_lanes,
        ),
        section("sinks", outputs::json, outputs::text, outputs::problems),
        section(
            "config",
            process::config_json,
            process::config_text,
            process::config_problems,
        ),
        section(
            "control",
            process::control_json,
            process::control_text,
            process::control_problems,
        ),
        section("dogstatsd", dogstatsd::json, dogstatsd::text, none),
    ]
}

/// Every part that can be unwell.
pub fn checks(observed: &Arc<Observed>) -> Vec<Arc<dyn HealthCheck>> {
    let check = |name, is_healthy| -> Arc<dyn HealthCheck> {
        Arc::new(Check {
            observed: Arc::clone(observed),
            name,
            is_healthy,
        })
    };
    vec![
        check("lanes", |observed| {
            observed.engine.get().is_some_and(Handle::is_ready)
        }),
        check("listeners", |observed| {
            let settings = observed.live.settings();
            let is_wanted = settings.listen.enabled;
            observed
                .engine
                .get()
                .is_some_and(|engine| !is_wanted || engine.listeners().iter().any(|one| one.open))
        }),
        check("control", |observed| {
            observed
                .control
                .get()
                .is_some_and(|control| (control.problems)().is_empty())
        }),
    ]
}

// === impl Section ===

impl StatusSection for Section {
    fn name(&self) -> &str {
        self.name
    }
    fn json(&self, verbose: bool) -> Value {
        (self.json)(&self.observed, verbose)
    }
    fn text(&self, verbose: bool) -> String {
        (self.text)(&self.observed, verbose)
    }
    fn problems(&self) -> Vec<Problem> {
        (self.problems)(&self.observed)
    }
}

// === impl Check ===

impl HealthCheck for Check {
    fn name(&self) -> &str {
        self.name
    }
    fn is_healthy(&self) -> bool {
        (self.is_healthy)(&self.observed)
    }
}

/// A problem in one line.
fn problem(severity: Severity, what: impl Into<String>, cure: impl Into<String>) -> Problem {
    Problem {
        severity,
        what: what.into(),
        cure: cure.into(),
    }
}

/// `name  value` lines with aligned values.
fn rows<N: AsRef<str>, V: std::fmt::Display>(rows: impl IntoIterator<Item = (N, V)>) -> String {
    let rows: Vec<(N, V)> = rows.into_iter().collect();
    let width = rows.iter().map(|(name, _)| name.as_ref().len()).max();
    let width = width.unwrap_or(0) + 2;
    let mut out = String::new();
    for (name, value) in rows {
        writeln!(out, "  {:width$}{value}", name.as_ref()).expect("a string takes everything");
    }
    out
}

/// Digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes for people.
fn bytes(count: u64) -> String {
    match count {
        0..1_024 => format!("{count} B"),
        1_024..1_048_576 => format!("{:.1} KiB", count as f64 / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1} MiB", count as f64 / 1_048_576.0),
        _ => format!("{:.1} GiB", count as f64 / 1_073_741_824.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(bytes(212_992), "208.0 KiB");
        assert_eq!(rows([("a", 1), ("long", 2)]), "  a     1\n  long  2\n");
    }
}
