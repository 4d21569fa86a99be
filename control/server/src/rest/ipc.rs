//! The second port, `/config/v1`: hands a few settings to other agents of this host. Secrets among them are
//! given as they are, because that is what the port is for; so it asks for the same token, and is off unless
//! `agent_ipc.port` is set.

use greyhound_config::live::Live;
use greyhound_config::store::Store;
use greyhound_config::value::Value;
use hyper::StatusCode;
use serde_json::{Map, json};

use super::response::Response;
use super::{Handler, Route};

/// Settings that are given, each with everything below it.
const ALLOWED: [&str; 5] = ["api_key", "site", "dd_url", "logs_config", "ha"];

/// `/config/v1/` and `/config/v1/{path}`.
pub(crate) fn routes(live: &Live) -> Vec<Route> {
    let (all, one) = (live.clone(), live.clone());
    vec![
        Route::get(
            "/config/v1/",
            "All settings this port gives",
            Handler::now(move |_| {
                let store = all.store();
                let given = ALLOWED.iter().filter_map(|key| {
                    let value = value(&store, key)?;
                    Some(((*key).to_owned(), value))
                });
                Response::json(&json!(given.collect::<Map<_, _>>()))
            }),
        )
        .tag("config"),
        Route::get(
            "/config/v1/{path}",
            "One setting",
            Handler::now(move |request| answer(&one.store(), request.param("path"))),
        )
        .tag("config"),
    ]
}

fn answer(store: &Store, path: &str) -> Response {
    // As the Agent does before it looks.
    let path = html_escaped(path);
    if !is_allowed(&path) {
        let text = format!("querying config value '{path}' is not allowed");
        return Response::error(StatusCode::FORBIDDEN, &text);
    }
    match value(store, &path) {
        Some(value) => Response::json(&value),
        None => {
            let text = format!("config value '{path}' does not exist");
            Response::error(StatusCode::NOT_FOUND, &text)
        }
    }
}

fn is_allowed(path: &str) -> bool {
    ALLOWED.iter().any(|key| {
        path.strip_prefix(key)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn value(store: &Store, key: &str) -> Option<serde_json::Value> {
    match store.get(key)?.value {
        Value::Secret(secret) => Some(json!(secret.reveal())),
        value => Some(value.json()),
    }
}

fn html_escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> (u16, String) {
        let answer = answer(&Store::new(), path);
        let text = String::from_utf8(answer.body.to_vec()).expect("text");
        (answer.status.as_u16(), text)
    }

    #[test]
    fn only_the_settings_of_the_list_are_given() {
        assert_eq!(asked("site"), (200, "\"datadoghq.com\"".to_owned()));
        assert_eq!(asked("api_key").0, 200);
        assert_eq!(
            asked("hostname"),
            (
                403,
                "querying config value 'hostname' is not allowed\n".to_owned()
            )
        );
        assert_eq!(asked("sites").0, 403);
        assert_eq!(
            asked("logs_config.x<y"),
            (
                404,
                "config value 'logs_config.x&lt;y' does not exist\n".to_owned()
            )
        );
    }
}
