//! Settings: shown, changed, reloaded, compared.
//!
//! The Agent's routes answer as the Agent's do; ours under `/agent/v1/config` say what became of each
//! key. Nothing here shows a secret: values come masked out of the store.

mod change;
mod name;
mod page;
mod show;

use greyhound_config::live::Live;
use greyhound_config::schema;
use hyper::Method;
use serde_json::{Value, json};

use super::request::Request;
use super::response::Response;
use super::{Handler, Route};
use crate::register::RouteGroup;

/// Routes over the running settings.
#[derive(Clone, Debug)]
pub struct SettingsRoutes {
    live: Live,
}

// === impl SettingsRoutes ===

impl SettingsRoutes {
    /// Over these settings.
    pub fn new(live: Live) -> Self {
        Self { live }
    }

    fn now(&self, answer: impl Fn(&Live, Request) -> Response + Send + Sync + 'static) -> Handler {
        let live = self.live.clone();
        Handler::now(move |request| answer(&live, request))
    }

    /// For changes: they wait for lanes, for files and for each other.
    fn blocking(
        &self,
        answer: impl Fn(&Live, Request) -> Response + Send + Sync + 'static,
    ) -> Handler {
        let live = self.live.clone();
        Handler::blocking(move |request| answer(&live, request))
    }

    fn agent_routes(&self) -> Vec<Route> {
        let object = || json!({ "type": "object" });
        vec![
            Route::get(
                "/agent/config",
                "All settings as YAML, secrets masked",
                self.now(|live, _| Response::text(show::all_yaml(live))),
            )
            .text(200, "YAML"),
            Route::get(
                "/agent/config/by-source",
                "Settings of each layer",
                self.now(|live, _| Response::sniffed_json(&show::by_source(live))),
            )
            .text(200, "JSON: layer to nested settings"),
            Route::get(
                "/agent/config/without-defaults",
                "Settings somebody set, as YAML",
                self.now(|live, _| Response::text(show::set_yaml(live))),
            )
            .text(200, "YAML"),
            Route::get(
                "/agent/config/list-runtime",
                "Settings that can change while running",
                self.now(|_, _| Response::sniffed_json(&show::runtime())),
            )
            .text(200, "JSON: name to description"),
            Route::get(
                "/agent/config/{setting}",
                "One setting",
                self.now(|live, request| show::one(live, &request)),
            )
            .path_param("setting", "Its name", json!({ "type": "string" }))
            .query(
                "sources",
                "`true`: the value of each layer",
                json!({ "type": "string" }),
            )
            .text(200, "JSON: `value`, and `sources_value` when asked for")
            .text(400, "No such setting"),
            Route::post(
                "/agent/config/{setting}",
                "Changes a setting until the process ends or it is unset",
                self.blocking(|live, request| change::agent_set(live, &request)),
            )
            .path_param("setting", "Its name", json!({ "type": "string" }))
            .query(
                "value",
                "Its value, unless the form has it",
                json!({ "type": "string" }),
            )
            .form_body(json!({ "type": "object", "properties": { "value": { "type": "string" } } }))
            .empty(200, "Changed")
            .text(400, "No such setting")
            .text(500, "The value is refused, and why"),
            Route::new(
                Method::DELETE,
                "/agent/config/{setting}",
                "Takes back what was set while running",
                self.blocking(|live, request| change::agent_unset(live, &request)),
            )
            .path_param("setting", "Its name", json!({ "type": "string" }))
            .empty(200, "Taken back, or there was nothing to take back")
            .text(400, "No such setting")
            .text(500, "It cannot change back, and why"),
            Route::get(
                "/agent/v1/config/schema",
                "JSON Schema of the settings file",
                self.now(|_, _| Response::json(&schema::json_schema())),
            )
            .tag("settings")
            .json(200, "The schema", object()),
        ]
    }

    fn own_routes(&self) -> Vec<Route> {
        let refused = |route: Route| {
            route.json(
                409,
                "The running process cannot follow; nothing changed",
                change::refusal_schema(),
            )
        };
        let set_body = json!({
            "type": "object",
            "required": ["key", "value"],
            "additionalProperties": false,
            "properties": { "key": { "type": "string" }, "value": { "type": "string" } },
        });
        let unset_body = json!({
            "type": "object",
            "required": ["key"],
            "additionalProperties": false,
            "properties": { "key": { "type": "string" } },
        });
        let rollback_body = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": { "generation": { "type": ["integer", "null"], "minimum": 1 } },
        });
        vec![
            refused(
                Route::post(
                    "/agent/v1/config/set",
                    "Changes a setting and says what became of it",
                    self.blocking(|live, request| change::set(live, &request)),
                )
                .json_body(set_body, true)
                .json(200, "What changed", change::change_schema())
                .json(400, "Wrong body, key or value", change::error_schema()),
            ),
            refused(
                Route::post(
                    "/agent/v1/config/unset",
                    "Takes back what was set while running",
                    self.blocking(|live, request| change::unset(live, &request)),
                )
                .json_body(unset_body, true)
                .json(200, "What changed", change::change_schema())
                .json(400, "Wrong body or key", change::error_schema()),
            ),
            refused(
                Route::post(
                    "/agent/v1/config/reload",
                    "Reads the settings file again: one generation, or nothing",
                    self.blocking(|live, _| change::reload(live)),
                )
                .long()
                .json(200, "What changed", change::change_schema())
                .json(
                    400,
                    "The file is wrong, with every place",
                    change::error_schema(),
                ),
            ),
            refused(
                Route::post(
                    "/agent/v1/config/rollback",
                    "Back to the settings of an earlier generation",
                    self.blocking(|live, request| change::rollback(live, &request)),
                )
                .json_body(rollback_body, false)
                .json(200, "What changed", change::change_schema())
                .json(
                    400,
                    "Wrong body, or the generation is not kept",
                    change::error_schema(),
                ),
            ),
            Route::get(
                "/agent/v1/config/generations",
                "The last changes, and what waits for a restart",
                self.now(|live, _| Response::json(&page::generations(live))),
            )
            .json(200, "Oldest first", page::generations_schema()),
            Route::get(
                "/agent/v1/config/diff",
                "What differs between two generations, or what a reload would change",
                self.blocking(|live, request| page::diff(live, &request)),
            )
            .long()
            .query(
                "from",
                "A generation; without it the present one",
                json!({ "type": "integer", "minimum": 1 }),
            )
            .query(
                "to",
                "A generation; without it what a reload would give",
                json!({ "type": "integer", "minimum": 1 }),
            )
            .json(200, "By key", page::diff_schema())
            .json(
                400,
                "The file is wrong, or a generation is not kept",
                change::error_schema(),
            ),
            Route::get(
                "/agent/v1/config/settings",
                "Every setting with value, layer and place",
                self.now(|live, _| Response::json(&page::settings(live))),
            )
            .json(
                200,
                "In the order of the reference page",
                page::settings_schema(),
            ),
        ]
    }
}

impl RouteGroup for SettingsRoutes {
    fn routes(&self) -> Vec<Route> {
        let all = self.agent_routes().into_iter().chain(self.own_routes());
        all.map(|route| route.tag("settings")).collect()
    }
}

/// Shared by the handlers: an error of ours, as JSON.
fn json_error(status: hyper::StatusCode, error: Value) -> Response {
    Response::json(&error).with_status(status)
}

#[cfg(test)]
mod tests;
