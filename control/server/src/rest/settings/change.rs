//! Changes by command, and what became of them.
//!
//! A command writes to the `cli` layer. It is forgotten when the process ends, so a setting that needs
//! a restart is refused here: it belongs into the file.

use greyhound_config::error::{Problem, SetError, SettingsError};
use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::live::change::{Cause, Change, ChangeError, KeyResult, Outcome, ReloadError};
use greyhound_config::place::Place;
use greyhound_config::table::Row;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::info;

use super::{json_error, name, show};
use crate::rest::request::Request;
use crate::rest::response::Response;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Set {
    key: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unset {
    key: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    generation: Option<u64>,
}

pub(super) fn agent_set(live: &Live, request: &Request) -> Response {
    let asked = request.param("setting");
    let Some(row) = name::row(asked) else {
        return show::not_found(asked);
    };
    let value = request.form_value("value").unwrap_or_default();
    agent_answer(write(live, row, Some(&name::unescape_html(&value))))
}

pub(super) fn agent_unset(live: &Live, request: &Request) -> Response {
    let asked = request.param("setting");
    match name::row(asked) {
        Some(row) => agent_answer(write(live, row, None)),
        None => show::not_found(asked),
    }
}

fn agent_answer(result: Result<Change, ChangeError>) -> Response {
    match result {
        Ok(_) => Response::empty(),
        Err(error) => Response::json_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(super) fn set(live: &Live, request: &Request) -> Response {
    match request.json::<Set>() {
        Ok(Set { key, value }) => own_write(live, &key, Some(&value)),
        Err(error) => bad_request(&error),
    }
}

pub(super) fn unset(live: &Live, request: &Request) -> Response {
    match request.json::<Unset>() {
        Ok(Unset { key }) => own_write(live, &key, None),
        Err(error) => bad_request(&error),
    }
}

fn own_write(live: &Live, key: &str, value: Option<&str>) -> Response {
    let Some(row) = name::row(key) else {
        let shown: String = key.chars().take(100).collect();
        return bad_request(&format!("`{}` is not a setting", shown.escape_debug()));
    };
    match write(live, row, value) {
        Ok(mut change) => {
            if change.keys.is_empty() {
                let outcome = Outcome::Unchanged;
                change.keys.push(KeyResult {
                    key: row.key,
                    outcome,
                });
            }
            Response::json(&change_json(&change))
        }
        Err(ChangeError::Set(error)) => {
            let problems = match &error {
                SetError::Wrong(problem) => vec![problem_json(problem)],
                SetError::UnknownKey(_) | SetError::DefaultLayer(_) => Vec::new(),
            };
            let text = error.to_string();
            json_error(
                StatusCode::BAD_REQUEST,
                json!({ "error": text, "problems": problems }),
            )
        }
        Err(ChangeError::Refused(keys)) => refusal(&keys),
    }
}

/// Sets, or unsets without a value.
fn write(live: &Live, row: &'static Row, value: Option<&str>) -> Result<Change, ChangeError> {
    if !row.reloadable {
        let why = "cannot change while running; put it into the settings file and restart";
        let outcome = Outcome::Refused(why.to_owned());
        let key = row.key;
        return Err(ChangeError::Refused(vec![KeyResult { key, outcome }]));
    }
    let by = Place::Other {
        name: "control port".to_owned(),
    };
    let change = match value {
        Some(text) => live.set(row.key, Layer::Cli, text, by, Cause::Api)?,
        None => live.unset(row.key, Layer::Cli, Cause::Api)?,
    };
    info!(
        setting = row.key,
        generation = change.generation,
        "setting changed by command"
    );
    Ok(change)
}

pub(super) fn reload(live: &Live) -> Response {
    answer(live.reload(Cause::Api))
}

pub(super) fn rollback(live: &Live, request: &Request) -> Response {
    let asked = match request.body.is_empty() {
        true => Rollback::default(),
        false => match request.json() {
            Ok(asked) => asked,
            Err(error) => return bad_request(&error),
        },
    };
    let present = live.generation().number;
    let before = || {
        let history = live.history();
        let mut numbers = history.iter().rev().map(|change| change.generation);
        numbers.find(|&number| number < present)
    };
    match asked.generation.or_else(before) {
        Some(generation) => answer(live.rollback(generation)),
        None => bad_request("there is no earlier generation"),
    }
}

fn answer(result: Result<Change, ReloadError>) -> Response {
    match result {
        Ok(change) => {
            info!(cause = %change.cause, generation = change.generation, "settings changed by command");
            Response::json(&change_json(&change))
        }
        Err(ReloadError::Settings(error)) => wrong_settings(&error),
        Err(ReloadError::Refused(keys)) => refusal(&keys),
        Err(error @ ReloadError::NoGeneration(_)) => bad_request(&error.to_string()),
    }
}

/// Every problem with its place.
pub(super) fn wrong_settings(error: &SettingsError) -> Response {
    let problems: Vec<Value> = error.problems.iter().map(problem_json).collect();
    let text = error.to_string();
    json_error(
        StatusCode::BAD_REQUEST,
        json!({ "error": text, "problems": problems }),
    )
}

fn refusal(keys: &[KeyResult]) -> Response {
    let lines: Vec<String> = keys
        .iter()
        .map(|result| format!("`{}`: {}", result.key, result.outcome))
        .collect();
    let keys: Vec<Value> = keys.iter().map(key_json).collect();
    json_error(
        StatusCode::CONFLICT,
        json!({ "error": lines.join("\n"), "keys": keys }),
    )
}

pub(super) fn bad_request(text: &str) -> Response {
    json_error(StatusCode::BAD_REQUEST, json!({ "error": text }))
}

/// One change for programs.
pub(super) fn change_json(change: &Change) -> Value {
    let keys: Vec<Value> = change.keys.iter().map(key_json).collect();
    json!({
        "generation": change.generation,
        "sequence": change.sequence,
        "at": humantime::format_rfc3339_millis(change.at).to_string(),
        "cause": change.cause.to_string(),
        "keys": keys,
    })
}

fn key_json(result: &KeyResult) -> Value {
    let mut json = json!({ "key": result.key, "outcome": result.outcome.as_str() });
    if let Outcome::Refused(why) = &result.outcome {
        json["why"] = why.as_str().into();
    }
    json
}

fn problem_json(problem: &Problem) -> Value {
    let (mut line, mut column, mut file) = (None, None, None);
    if let Place::File { path, at } = &problem.place {
        file = Some(path.display().to_string());
        (line, column) = (Some(at.line), Some(at.column));
    }
    json!({
        "place": problem.place.to_string(),
        "file": file,
        "line": line,
        "column": column,
        "key": problem.key,
        "message": problem.to_string(),
    })
}

pub(super) fn change_schema() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    json!({
        "type": "object",
        "required": ["generation", "sequence", "at", "cause", "keys"],
        "properties": {
            "generation": number(), "sequence": number(), "at": text(), "cause": text(),
            "keys": { "type": "array", "items": key_schema() },
        },
    })
}

fn key_schema() -> Value {
    json!({
        "type": "object",
        "required": ["key", "outcome"],
        "properties": {
            "key": { "type": "string" },
            "outcome": { "enum": ["applied", "unchanged", "needs_restart", "no_effect", "refused"] },
            "why": { "type": "string" },
        },
    })
}

pub(super) fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error"],
        "properties": { "error": { "type": "string" }, "problems": { "type": "array" } },
    })
}

pub(super) fn refusal_schema() -> Value {
    json!({
        "type": "object",
        "required": ["error", "keys"],
        "properties": {
            "error": { "type": "string" },
            "keys": { "type": "array", "items": key_schema() },
        },
    })
}
