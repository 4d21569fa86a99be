//! What the Agent lists and this process has none of: checks, tagged entities, workloads. Its commands get
//! true, empty answers.

use serde_json::{Value, json};

use super::response::Response;
use super::{Handler, Route};

/// `config-check`, `tagger-list`, `workload-list`.
pub(crate) fn routes() -> Vec<Route> {
    let empty = |path, summary, body: Value| {
        let schema = json!({ "type": "object" });
        let answer = move |_| Response::json(&body);
        Route::get(path, summary, Handler::now(answer))
            .tag("agent")
            .json(200, "Always empty", schema)
    };
    vec![
        empty(
            "/agent/config-check",
            "Configurations of checks; this process runs none",
            json!({ "configs": [] }),
        ),
        empty(
            "/agent/tagger-list",
            "Entities with tags; this process knows none",
            json!({ "entities": {} }),
        ),
        empty(
            "/agent/workload-list",
            "Workloads; this process knows none",
            json!({ "entities": {} }),
        )
        .query("verbose", "Changes nothing", json!({ "type": "string" })),
    ]
}
