//! The route table as an OpenAPI 3.1 document, at `GET /agent/openapi.json`. It is made from the rows that the
//! router uses, so it cannot promise what is not there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::response::{PLAIN, Response};
use super::{Handler, Route};

const PATH: &str = "/agent/openapi.json";

/// The row that gives the document of `others` and of itself.
pub(crate) fn route(others: &[Route], version: &str) -> Route {
    let row = |handler| {
        Route::get(PATH, "This document", handler).json(
            200,
            "OpenAPI 3.1",
            json!({ "type": "object" }),
        )
    };
    let itself = row(Handler::now(|_| Response::empty()));
    let document = document(others.iter().chain([&itself]), version);
    row(Handler::now(move |_| Response::json(&document)))
}

fn document<'r>(routes: impl Iterator<Item = &'r Route>, version: &str) -> Value {
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for route in routes {
        let method = route.method.as_str().to_ascii_lowercase();
        paths
            .entry(route.path)
            .or_default()
            .insert(method, operation(route));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Greyhound control port",
            "version": version,
            "description": "Every request needs the token of the file auth_token, unless it comes over the Unix socket as root or as the user of the process.",
        },
        "security": [{ "token": [] }],
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
        "paths": paths,
    })
}

fn operation(route: &Route) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "tags": [route.tag],
        "operationId": operation_id(route),
        "responses": responses(route),
    });
    let parameters = parameters(route);
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if let Some(body) = &route.body {
        operation["requestBody"] = json!({
            "required": body.required,
            "content": { body.content_type: { "schema": body.schema } },
        });
    }
    operation
}

fn operation_id(route: &Route) -> String {
    let words = route
        .path
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut id = route.method.as_str().to_ascii_lowercase();
    for word in words {
        id.push('_');
        id.push_str(word);
    }
    id
}

fn parameters(route: &Route) -> Vec<Value> {
    let described = route.params.iter().map(|param| {
        json!({
            "name": param.name,
            "in": if param.in_path { "path" } else { "query" },
            "required": param.in_path,
            "description": param.help,
            "schema": param.schema,
        })
    });
    // A part of the path that nobody described is still one.
    let undescribed = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .filter(|name| !route.params.iter().any(|param| param.name == *name))
        .map(|name| {
            json!({
                "name": name,
                "in": "path",
                "required": true,
                "schema": { "type": "string", "minLength": 1 },
            })
        });
    described.chain(undescribed).collect()
}

fn responses(route: &Route) -> Value {
    let mut responses: BTreeMap<String, Value> = BTreeMap::new();
    let text = |help: &str| {
        json!({
            "description": help,
            "content": { PLAIN: { "schema": { "type": "string" } } },
        })
    };
    let common = [
        ("401", "No token, or another scheme than Bearer"),
        ("403", "Not the token"),
        ("500", "A mistake of the server"),
        ("503", "It took too long"),
    ];
    for (status, help) in common {
        responses.insert(status.to_owned(), text(help));
    }
    if route.body.is_some() {
        responses.insert("413".to_owned(), text("The body is too long"));
        responses.insert("408".to_owned(), text("The body came too slowly"));
    }
    for answer in &route.answers {
        let status = answer.status.to_string();
        let Some((content_type, schema)) = &answer.content else {
            responses.insert(status, json!({ "description": answer.help }));
            continue;
        };
        let response = responses
            .entry(status)
            .or_insert_with(|| json!({ "description": answer.help }));
        response["description"] = answer.help.into();
        response["content"][*content_type] = json!({ "schema": schema });
    }
    json!(responses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_becomes_an_operation() {
        let route = Route::post(
            "/agent/config/{setting}",
            "Changes it",
            Handler::now(|_| Response::empty()),
        )
        .query("force", "Even so", json!({ "type": "boolean" }))
        .form_body(json!({ "type": "object" }))
        .empty(200, "Changed")
        .text(400, "No such setting");
        let document = document([&route].into_iter(), "1.2.3");
        let operation = &document["paths"]["/agent/config/{setting}"]["post"];
        assert_eq!(operation["operationId"], "post_agent_config_setting");
        assert_eq!(operation["parameters"][0]["in"], "query");
        assert_eq!(operation["parameters"][1]["name"], "setting");
        assert_eq!(
            operation["responses"]["200"],
            json!({ "description": "Changed" })
        );
        for status in ["400", "401", "403", "408", "413", "500", "503"] {
            assert!(operation["responses"][status].is_object(), "{status}");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }
}
