//! Our own views: the history, differences, the listing.

use greyhound_config::live::Live;
use greyhound_config::store::{Effective, Store};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::{change, json_error};
use crate::rest::request::Request;
use crate::rest::response::Response;

pub(super) fn generations(live: &Live) -> Value {
    let history: Vec<Value> = live
        .history()
        .iter()
        .map(|change| change::change_json(change))
        .collect();
    let reloads = live.reloads();
    json!({
        "generation": live.generation().number,
        "file": live.file().map(|path| path.display().to_string()),
        "waiting_for_restart": live.waiting_for_restart(),
        "reloads": {
            "taken": reloads.taken,
            "refused": reloads.refused,
            "last_error": reloads.last_error,
        },
        "history": history,
    })
}

pub(super) fn generations_schema() -> Value {
    json!({
        "type": "object",
        "required": ["generation", "file", "waiting_for_restart", "reloads", "history"],
        "properties": {
            "generation": { "type": "integer", "minimum": 1 },
            "file": { "type": ["string", "null"] },
            "waiting_for_restart": { "type": "array", "items": { "type": "string" } },
            "reloads": { "type": "object" },
            "history": { "type": "array", "items": change::change_schema() },
        },
    })
}

pub(super) fn diff(live: &Live, request: &Request) -> Response {
    let generation = |name: &str| match request.query(name) {
        None => Ok(None),
        Some(text) => match text.parse::<u64>() {
            Ok(number) => live
                .store_of(number)
                .map(Some)
                .ok_or_else(|| format!("generation {number} is not in the history")),
            Err(_) => Err(format!("`{name}` is not a number")),
        },
    };
    let (from, to) = match (generation("from"), generation("to")) {
        (Ok(from), Ok(to)) => (from, to),
        (Err(error), _) | (_, Err(error)) => {
            return json_error(StatusCode::BAD_REQUEST, json!({ "error": error }));
        }
    };
    let from = from.unwrap_or_else(|| live.store());
    let keys = match to {
        Some(to) => differences(&from, &to),
        None => match live.preview() {
            Ok(to) => differences(&from, &to),
            Err(error) => return change::wrong_settings(&error),
        },
    };
    Response::json(&json!({ "keys": keys }))
}

/// Keys whose value that counts differs. A secret that differs shows as two masks.
fn differences(from: &Store, to: &Store) -> Vec<Value> {
    let side = |resolved: &greyhound_config::store::Resolved<'_>| {
        json!({
            "value": resolved.value.json(),
            "layer": resolved.layer.as_str(),
            "place": resolved.place.to_string(),
        })
    };
    from.iter()
        .zip(to.iter())
        .filter(|(from, to)| from.value != to.value)
        .map(|(from, to)| {
            json!({
                "key": from.row.key,
                "from": side(&from),
                "to": side(&to),
                "reloadable": from.row.reloadable,
            })
        })
        .collect()
}

pub(super) fn diff_schema() -> Value {
    json!({
        "type": "object",
        "required": ["keys"],
        "properties": {
            "keys": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["key", "from", "to", "reloadable"],
                },
            },
        },
    })
}

pub(super) fn settings(live: &Live) -> Value {
    let settings: Vec<Value> = live.store().effective().iter().map(setting_json).collect();
    json!({
        "generation": live.generation().number,
        "file": live.file().map(|path| path.display().to_string()),
        "settings": settings,
    })
}

fn setting_json(setting: &Effective) -> Value {
    json!({
        "key": setting.key,
        "value": setting.json,
        "text": setting.value,
        "layer": setting.layer.as_str(),
        "place": setting.place.to_string(),
        "is_default": setting.is_default,
        "has_effect": setting.has_effect,
        "reloadable": setting.reloadable,
    })
}

pub(super) fn settings_schema() -> Value {
    json!({
        "type": "object",
        "required": ["generation", "file", "settings"],
        "properties": {
            "generation": { "type": "integer", "minimum": 1 },
            "file": { "type": ["string", "null"] },
            "settings": { "type": "array", "items": { "type": "object" } },
        },
    })
}
