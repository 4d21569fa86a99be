//! Secrets: which handles the settings name, and fetching them again. Values are never shown.

use std::fmt::Write;

use greyhound_config::live::Live;
use hyper::StatusCode;

use super::response::Response;
use super::{Handler, Route};
use crate::register::RouteGroup;

/// Routes over the secrets of the running settings.
#[derive(Clone, Debug)]
pub struct SecretRoutes {
    live: Live,
}

// === impl SecretRoutes ===

impl SecretRoutes {
    /// Over these settings.
    pub fn new(live: Live) -> Self {
        Self { live }
    }
}

impl RouteGroup for SecretRoutes {
    fn routes(&self) -> Vec<Route> {
        let (shown, refreshed) = (self.live.clone(), self.live.clone());
        vec![
            Route::get(
                "/agent/secrets",
                "Handles of secrets and the settings that name them",
                Handler::now(move |_| Response::text(report(&shown))),
            )
            .tag("settings")
            .text(200, "For people"),
            Route::get(
                "/agent/secret/refresh",
                "Fetches all secrets again and reloads the settings with them",
                Handler::blocking(move |_| refresh(&refreshed)),
            )
            .tag("settings")
            .long()
            .text(200, "For people")
            .text(500, "Why they could not be fetched"),
        ]
    }
}

fn report(live: &Live) -> String {
    let backend = &live.settings().secrets;
    if backend.command.as_os_str().is_empty() {
        return "secrets feature is not enabled: `secret_backend_command` is not set\n".to_owned();
    }
    let report = live.secrets();
    let mut text = format!(
        "=== Secrets ===\nprogram: {}\nhandles: {}\n",
        backend.command.display(),
        report.handles.len()
    );
    if let Some(error) = &report.last_error {
        text.push_str(&format!("last attempt failed: {error}\n"));
    }
    for handle in &report.handles {
        writeln!(text, "- {:?}, used by:", handle.name).expect("writing to a string cannot fail");
        for (key, place) in &handle.users {
            writeln!(text, "    `{key}` ({place})").expect("writing to a string cannot fail");
        }
    }
    text
}

fn refresh(live: &Live) -> Response {
    if live.settings().secrets.command.as_os_str().is_empty() {
        return Response::text("secrets feature is not enabled\n");
    }
    match live.refresh_secrets() {
        Ok(change) if change.is_empty() => Response::text("secrets fetched, none changed\n"),
        Ok(change) => {
            let keys: Vec<String> = change
                .keys
                .iter()
                .map(|result| format!("{}: {}", result.key, result.outcome))
                .collect();
            Response::text(format!("secrets fetched, changed:\n{}\n", keys.join("\n")))
        }
        Err(error) => Response::json_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}
