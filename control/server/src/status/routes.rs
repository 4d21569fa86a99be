//! The routes of the status page.

use hyper::StatusCode;
use serde_json::json;

use super::{Page, UnknownSection};
use crate::register::RouteGroup;
use crate::rest::request::Request;
use crate::rest::response::Response;
use crate::rest::{Handler, Route};

/// What the Agent calls text here, without a character set.
const TEXT: &str = "text/plain";

impl RouteGroup for Page {
    fn routes(&self) -> Vec<Route> {
        let (whole, names, one) = (self.clone(), self.clone(), self.clone());
        let page = json!({ "type": "object" });
        vec![
            formats(Route::get(
                "/agent/status",
                "The status page",
                Handler::blocking(move |request| {
                    answer(
                        &request,
                        |verbose| Ok(whole.json(verbose)),
                        |verbose| Ok(whole.text(verbose)),
                    )
                }),
            ))
            .json(200, "One object per section", page.clone()),
            Route::get(
                "/agent/status/sections",
                "Names of the sections",
                Handler::now(move |_| Response::json(&json!(names.names()))),
            )
            .tag("status")
            .json(
                200,
                "`header`, then the others in order",
                json!({ "type": "array", "items": { "type": "string" } }),
            ),
            formats(
                Route::get(
                    "/agent/{component}/status",
                    "One section of the status page",
                    Handler::blocking(move |request| {
                        let name = request.param("component").to_owned();
                        answer(
                            &request,
                            |verbose| one.section_json(&name, verbose),
                            |verbose| one.section_text(&name, verbose),
                        )
                    }),
                )
                .path_param(
                    "component",
                    "Name of the section",
                    json!({ "type": "string" }),
                ),
            )
            .json(200, "The section under its name", page)
            .text(500, "There is no such section"),
        ]
    }
}

fn formats(route: Route) -> Route {
    route
        .tag("status")
        .query(
            "format",
            "`text`, or `json`; anything else is text",
            json!({ "type": "string" }),
        )
        .query("verbose", "`true` shows more", json!({ "type": "string" }))
        .answer(200, "For people", Some((TEXT, json!({ "type": "string" }))))
}

fn answer(
    request: &Request,
    json: impl FnOnce(bool) -> Result<serde_json::Value, UnknownSection>,
    text: impl FnOnce(bool) -> Result<String, UnknownSection>,
) -> Response {
    let verbose = request.query("verbose") == Some("true");
    let failed = StatusCode::INTERNAL_SERVER_ERROR;
    if request.query("format") == Some("json") {
        return match json(verbose) {
            Ok(page) => Response::json(&page),
            Err(unknown) => Response::json_error(failed, &unknown.to_string()),
        };
    }
    match text(verbose) {
        Ok(page) => Response::new(StatusCode::OK, TEXT, page),
        Err(unknown) => Response::error(failed, &unknown.to_string()),
    }
}
