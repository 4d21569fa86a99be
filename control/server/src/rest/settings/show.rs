//! Settings as the Agent's clients read them.

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::table;
use greyhound_config::tree;
use hyper::StatusCode;
use serde_json::{Map, Value, json};

use super::name;
use crate::rest::request::Request;
use crate::rest::response::Response;

/// Runtime settings of the Agent that its own listing hides.
const HIDDEN: [&str; 1] = ["log_payloads"];

pub(super) fn all_yaml(live: &Live) -> String {
    let store = live.store();
    let all = store
        .iter()
        .map(|resolved| (resolved.row.key, resolved.value.json()));
    tree::yaml(&tree::nest(all))
}

pub(super) fn set_yaml(live: &Live) -> String {
    let store = live.store();
    let set = store
        .iter()
        .filter(|resolved| !resolved.is_default())
        .map(|resolved| (resolved.row.key, resolved.value.json()));
    tree::yaml(&tree::nest(set))
}

pub(super) fn by_source(live: &Live) -> Value {
    let store = live.store();
    let mut sources = Map::new();
    for layer in Layer::ALL {
        let values = table::table()
            .rows()
            .iter()
            .filter_map(|row| Some((row.key, store.value_in(row.key, layer)?.json())));
        sources.insert(layer.as_str().to_owned(), tree::nest(values).into());
    }
    sources.into()
}

pub(super) fn runtime() -> Value {
    let rows = table::table().rows().iter().filter(|row| row.reloadable);
    let entry = |name: &str, help: &str| {
        let is_hidden = HIDDEN.contains(&name);
        let entry = json!({ "Description": help, "Hidden": is_hidden });
        (name.to_owned(), entry)
    };
    let aliases = name::ALIASES.iter().filter_map(|(alias, key)| {
        let row = table::table().row(key)?;
        row.reloadable.then(|| entry(alias, row.help))
    });
    let all: Map<String, Value> = rows
        .map(|row| entry(row.key, row.help))
        .chain(aliases)
        .collect();
    all.into()
}

pub(super) fn one(live: &Live, request: &Request) -> Response {
    let asked = request.param("setting");
    let Some(row) = name::row(asked) else {
        return not_found(asked);
    };
    let store = live.store();
    let value = store
        .get(row.key)
        .map_or(Value::Null, |resolved| resolved.value.json());
    let mut answer = json!({ "value": value });
    if request.query("sources") == Some("true") {
        let of = |layer: Layer| {
            let value = store.value_in(row.key, layer);
            json!({ "Source": layer.as_str(), "Value": value.map(greyhound_config::value::Value::json) })
        };
        answer["sources_value"] = Layer::ALL.into_iter().map(of).collect();
    }
    Response::sniffed_json(&answer)
}

/// As the Agent; the name is cut and escaped, for it comes from outside.
pub(super) fn not_found(name: &str) -> Response {
    let shown: String = name.chars().take(100).collect();
    let text = format!("setting {} not found", shown.escape_debug());
    Response::json_error(StatusCode::BAD_REQUEST, &text)
}
