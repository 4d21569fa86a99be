//! The process itself: version, host name, stop, and its own counters.

use std::sync::Arc;

use greyhound_telemetry::Registry;
use greyhound_telemetry::text::{Format, Syntax, negotiate, write_snapshot};
use hyper::StatusCode;
use hyper::header::ACCEPT;
use serde_json::json;

use super::response::Response;
use super::{Handler, Route};
use crate::register::Commands;
use crate::registry::{AgentRegistry, exposition};

/// `GET /agent/version`, `GET /agent/hostname`, `POST /agent/stop`.
pub(crate) fn routes(commands: &Arc<dyn Commands>) -> Vec<Route> {
    let (version, hostname, stop) = (
        Arc::clone(commands),
        Arc::clone(commands),
        Arc::clone(commands),
    );
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "integer", "minimum": 0 });
    vec![
        Route::get(
            "/agent/version",
            "Version of the running program",
            Handler::now(move |_| {
                let version = version.version();
                Response::json(&json!({
                    "Major": version.major,
                    "Minor": version.minor,
                    "Patch": version.patch,
                    "Pre": version.pre,
                    "Meta": version.meta,
                    "Commit": version.commit,
                }))
            }),
        )
        .json(
            200,
            "The version",
            json!({
                "type": "object",
                "required": ["Major", "Minor", "Patch", "Pre", "Meta", "Commit"],
                "properties": {
                    "Major": number(), "Minor": number(), "Patch": number(),
                    "Pre": text(), "Meta": text(), "Commit": text(),
                },
            }),
        ),
        Route::get(
            "/agent/hostname",
            "Host name everything is flushed under",
            Handler::now(move |_| Response::json(&json!(hostname.hostname()))),
        )
        .json(200, "The name; empty when unknown", text()),
        Route::post(
            "/agent/stop",
            "Stops the process, in order",
            Handler::now(move |_| {
                stop.stop();
                Response::json(&json!(""))
            }),
        )
        .json(200, "It will stop", text()),
    ]
}

/// `GET /telemetry`: our own counters, and behind them those of remote agents, in the text that takes both.
pub(crate) fn telemetry(registry: &Arc<Registry>, agents: Option<&Arc<AgentRegistry>>) -> Route {
    let registry = Arc::clone(registry);
    let agents = agents.cloned();
    Route::get(
        "/telemetry",
        "Counters of the process, for Prometheus",
        Handler::waiting(move |request| {
            let mut accept = String::new();
            for value in request.headers.get_all(ACCEPT) {
                accept.push_str(value.to_str().unwrap_or_default());
                accept.push(',');
            }
            // Names reduced to what every Prometheus takes, whoever asks.
            let format = Format {
                utf8_names: false,
                ..negotiate(&accept)
            };
            let (registry, agents) = (Arc::clone(&registry), agents.clone());
            async move {
                let mut page = Vec::new();
                write_snapshot(&registry.snapshot(), format, &mut page);
                // Remote agents speak the plain text only, whose families OpenMetrics does not take.
                if let Some(agents) = agents.filter(|_| format.syntax == Syntax::Text) {
                    page = exposition::append(&page, &agents.exposition().await);
                }
                Response::new(StatusCode::OK, format.content_type(), page)
            }
        }),
    )
    .tag("telemetry")
    .answer(
        200,
        "Text 0.0.4 with the counters of remote agents, or OpenMetrics with ours alone",
        Some(("text/plain", json!({ "type": "string" }))),
    )
    .answer(
        200,
        "OpenMetrics",
        Some(("application/openmetrics-text", json!({ "type": "string" }))),
    )
}
