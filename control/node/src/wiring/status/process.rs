//! The process: what runs, with which settings, and how it is reached.

use std::time::{Duration, SystemTime};

use greyhound_config::live::change::Cause;
use greyhound_server::register::{Problem, Severity};
use serde_json::{Value, json};

use super::{Observed, problem, rows};
use crate::cli::VERSION;

/// Unknown names shown without being asked for all.
const UNKNOWN_SHOWN: usize = 10;

pub(super) fn header_json(observed: &Observed, _: bool) -> Value {
    json!({
        "name": "greyhound",
        "version": VERSION,
        "pid": std::process::id(),
        "hostname": observed.hostname,
        "config_file": observed.live.file(),
        "log_level": log_level(observed),
        "started": time(observed.started),
        "uptime_seconds": observed.started_at.elapsed().as_secs(),
        "now": time(SystemTime::now()),
        "ready": observed.engine.get().is_some_and(|engine| engine.is_ready()),
    })
}

pub(super) fn header_text(observed: &Observed, _: bool) -> String {
    let file = observed.live.file();
    rows([
        ("greyhound", VERSION.to_owned()),
        ("pid", std::process::id().to_string()),
        ("host", observed.hostname.escape_debug().to_string()),
        ("now", time(SystemTime::now())),
        ("up for", span(observed.started_at.elapsed())),
        (
            "settings",
            file.map_or_else(|| "no file".to_owned(), |file| file.display().to_string()),
        ),
        ("log level", log_level(observed)),
    ])
}

pub(super) fn config_json(observed: &Observed, _: bool) -> Value {
    let live = &observed.live;
    let generation = live.generation();
    let report = &generation.report;
    let unknown: Vec<Value> = report
        .unknown
        .iter()
        .map(|unknown| {
            json!({ "key": unknown.key, "place": unknown.place.to_string(), "nearest": unknown.nearest })
        })
        .collect();
    let last = live.history().last().map(|change| {
        json!({
            "generation": change.generation,
            "at": time(change.at),
            "cause": cause(&change.cause),
            "keys": change.keys.iter().map(|result| {
                json!({ "key": result.key, "outcome": result.outcome.as_str() })
            }).collect::<Vec<_>>(),
        })
    });
    let reloads = live.reloads();
    json!({
        "generation": generation.number,
        "file": live.file(),
        "last_change": last,
        "needs_restart": live.waiting_for_restart(),
        "unknown": unknown,
        "unknown_further": report.unknown_further,
        "unsupported": report.unsupported.iter().map(|setting| setting.key).collect::<Vec<_>>(),
        "reloads": { "taken": reloads.taken, "refused": reloads.refused, "last_error": reloads.last_error },
    })
}

pub(super) fn config_text(observed: &Observed, verbose: bool) -> String {
    let live = &observed.live;
    let generation = live.generation();
    let history = live.history();
    let last = history.last().map_or_else(String::new, |change| {
        format!("{} by {}", time(change.at), cause(&change.cause))
    });
    let reloads = live.reloads();
    let waiting = live.waiting_for_restart();
    let mut lines = vec![
        ("generation", generation.number.to_string()),
        ("last change", last),
        (
            "reloads",
            format!("{} taken, {} refused", reloads.taken, reloads.refused),
        ),
        (
            "need a restart",
            if waiting.is_empty() {
                "none".to_owned()
            } else {
                waiting.join(" ")
            },
        ),
        (
            "unknown names",
            (generation.report.unknown.len() + generation.report.unknown_further).to_string(),
        ),
    ];
    if verbose {
        let set = generation.store.effective();
        lines.extend(
            set.iter()
                .filter(|setting| !setting.is_default)
                .map(|setting| {
                    (
                        setting.key,
                        format!("{} ({})", setting.value.escape_debug(), setting.place),
                    )
                }),
        );
    }
    rows(lines)
}

pub(super) fn config_problems(observed: &Observed) -> Vec<Problem> {
    let live = &observed.live;
    let report = live.generation().report;
    let mut problems = Vec::new();
    if let Some(error) = live.reloads().last_error {
        problems.push(problem(
            Severity::Critical,
            format!("the last reload was refused: {}", error.replace('\n', "; ")),
            "mend the file (`greyhound config check`), then `kill -HUP` or `greyhound config reload`",
        ));
    }
    let waiting = live.waiting_for_restart();
    if !waiting.is_empty() {
        problems.push(problem(
            Severity::Warning,
            format!("changed, but not in use yet: {}", waiting.join(", ")),
            "start greyhound again",
        ));
    }
    for warning in &report.warnings {
        problems.push(problem(
            Severity::Warning,
            warning.to_string(),
            format!("mend `{}`", warning.key),
        ));
    }
    for unknown in report.unknown.iter().take(UNKNOWN_SHOWN) {
        let cure = match &unknown.nearest {
            Some(nearest) => format!("rename it to `{nearest}`, or take it out"),
            None => "take it out, or see `greyhound config docs`".to_owned(),
        };
        problems.push(problem(Severity::Warning, unknown.to_string(), cure));
    }
    problems
}

pub(super) fn control_json(observed: &Observed, _: bool) -> Value {
    match observed.control.get() {
        Some(control) => json!({
            "address": control.address,
            "socket": control.socket,
            "open": control.address.is_some(),
        }),
        None => json!({ "address": null, "socket": null, "open": false }),
    }
}

pub(super) fn control_text(observed: &Observed, _: bool) -> String {
    let Some(control) = observed.control.get() else {
        return "  starting\n".to_owned();
    };
    let shown = |place: &Option<String>| place.clone().unwrap_or_else(|| "closed".to_owned());
    rows([
        ("port", shown(&control.address)),
        ("socket", shown(&control.socket)),
    ])
}

pub(super) fn control_problems(observed: &Observed) -> Vec<Problem> {
    observed
        .control
        .get()
        .map_or_else(Vec::new, |control| (control.problems)())
}

fn cause(cause: &Cause) -> String {
    match cause {
        Cause::Start => "start".to_owned(),
        Cause::Signal => "signal".to_owned(),
        Cause::Api => "command".to_owned(),
        Cause::FileChanged => "file".to_owned(),
        Cause::SecretRefresh => "secret refresh".to_owned(),
        Cause::Stream => "settings stream".to_owned(),
        Cause::Rollback(generation) => format!("rollback to {generation}"),
    }
}

/// As the setting has it.
pub(crate) fn log_level(observed: &Observed) -> String {
    let store = observed.live.store();
    store
        .get("log_level")
        .map_or_else(|| "info".to_owned(), |resolved| resolved.value.text())
}

/// Seconds are enough for people and programs.
fn time(at: SystemTime) -> String {
    let seconds = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + seconds).to_string()
}

fn span(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}
