//! What the DogStatsD commands of the Agent ask for: statistics, contexts. The parts of the process that know
//! give them; what is off is said in the Agent's words.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::response::Response;
use super::{Handler, Route};
use crate::register::{Contexts, DogstatsdStats, NoStats, TopContexts};

const NO_SERVER: &str = "Dogstatsd not enabled in the Agent configuration";
const NOT_ENABLED: &str = "Dogstatsd metrics stats not enabled in the Agent configuration";
/// Bytes of the question for the largest names.
const TOP_BODY_BYTES_MAX: usize = 1024;
/// How many are asked for when nothing is said, and at most.
const TOP_DEFAULT: usize = 10;
const TOP_MAX: usize = 10_000;

/// The body of `dogstatsd-contexts-top`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Question {
    num_metrics: Option<usize>,
    num_tags: Option<usize>,
    source: Option<String>,
}

/// The routes; parts that are missing are off.
pub(crate) fn routes(
    stats: Option<Arc<dyn DogstatsdStats>>,
    contexts: Option<Arc<dyn Contexts>>,
) -> Vec<Route> {
    let dump_from = contexts.clone();
    vec![
        Route::get(
            "/agent/dogstatsd-stats",
            "Messages per metric: name, count, tags, last seen",
            Handler::blocking(move |_| self::stats(stats.as_deref())),
        )
        .tag("dogstatsd")
        .text(
            200,
            "JSON object: context key to name, count, last_seen and tags",
        )
        .text(400, "DogStatsD or its statistics are off"),
        Route::post(
            "/agent/dogstatsd-contexts-dump",
            "Writes all contexts to a file and names it",
            Handler::blocking(move |_| dump(dump_from.as_deref())),
        )
        .tag("dogstatsd")
        .long()
        .json(200, "Path of the file", json!({ "type": "string" }))
        .text(404, "Nobody here has contexts")
        .text(500, "The file cannot be written"),
        Route::post(
            "/agent/dogstatsd-contexts-top",
            "Names with the most contexts",
            Handler::blocking(move |request| {
                let body = &request.body;
                match question(body) {
                    Ok(query) => top(contexts.as_deref(), &query),
                    Err(why) => Response::json_error(StatusCode::BAD_REQUEST, &why),
                }
            }),
        )
        .tag("dogstatsd")
        .long()
        .body_bytes_max(TOP_BODY_BYTES_MAX)
        .json_body(question_schema(), false)
        .json(
            200,
            "The names, and where they are from",
            json!({ "type": "object" }),
        )
        .text(400, "A question that makes no sense")
        .text(500, "The contexts cannot be read")
        .text(503, "Nobody here has contexts"),
    ]
}

fn question_schema() -> Value {
    let count = || json!({ "type": ["integer", "null"], "minimum": 1, "maximum": TOP_MAX });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "num_metrics": count(),
            "num_tags": count(),
            "source": { "enum": ["live", "dump", null] },
        },
    })
}

fn stats(stats: Option<&dyn DogstatsdStats>) -> Response {
    let none = |text: &str, kind: &str| {
        let body = json!({ "error": text, "error_type": kind }).to_string();
        Response::error(StatusCode::BAD_REQUEST, &body)
    };
    match stats.map_or(Err(NoStats::NotEnabled), DogstatsdStats::stats) {
        Ok(stats) => Response::sniffed_json(&stats),
        Err(NoStats::NoServer) => none(NO_SERVER, "no server"),
        Err(NoStats::NotEnabled) => none(NOT_ENABLED, "not enabled"),
    }
}

fn dump(contexts: Option<&dyn Contexts>) -> Response {
    let Some(contexts) = contexts else {
        return Response::json_error(StatusCode::NOT_FOUND, "contexts cannot be dumped here");
    };
    match contexts.dump() {
        Ok(path) => Response::json(&json!(path.to_string_lossy())),
        Err(why) => Response::json_error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

fn top(contexts: Option<&dyn Contexts>, query: &TopContexts) -> Response {
    let Some(contexts) = contexts else {
        let text = "contexts cannot be counted here";
        return Response::json_error(StatusCode::SERVICE_UNAVAILABLE, text);
    };
    match contexts.top(query) {
        Ok(mut found) => {
            if let Some(fields) = found.as_object_mut() {
                let source = if query.from_dump { "dump" } else { "live" };
                fields.insert("source".to_owned(), json!(source));
            }
            Response::json(&found)
        }
        Err(why) => Response::json_error(StatusCode::INTERNAL_SERVER_ERROR, &why),
    }
}

/// Reads the body of `dogstatsd-contexts-top`; an empty one asks for the usual.
///
/// # Errors
/// One line for the caller.
pub fn question(body: &[u8]) -> Result<TopContexts, String> {
    let question: Question = if body.iter().all(u8::is_ascii_whitespace) {
        Question::default()
    } else {
        // By way of an object, because a list would do for the fields in their order.
        serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|fields| serde_json::from_value(Value::Object(fields)))
            .map_err(|error| format!("invalid request body: {error}"))?
    };
    let count = |given: Option<usize>, name: &str| match given.unwrap_or(TOP_DEFAULT) {
        count @ 1..=TOP_MAX => Ok(count),
        count => Err(format!("{name} must be from 1 to {TOP_MAX}, not {count}")),
    };
    Ok(TopContexts {
        metrics: count(question.num_metrics, "num_metrics")?,
        tags: count(question.num_tags, "num_tags")?,
        from_dump: match question.source.as_deref() {
            None | Some("live") => false,
            Some("dump") => true,
            Some(_) => return Err("source must be live or dump".to_owned()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_has_defaults_and_bounds() {
        let usual = question(b" \n").expect("the usual");
        assert_eq!(
            (usual.metrics, usual.tags, usual.from_dump),
            (10, 10, false)
        );
        let asked = question(br#"{"num_metrics":3,"source":"dump"}"#).expect("a question");
        assert_eq!((asked.metrics, asked.tags, asked.from_dump), (3, 10, true));
        for wrong in [
            &br#"{"num_metrics":0}"#[..],
            br#"{"num_tags":10001}"#,
            br#"{"num_tags":-1}"#,
            br#"{"source":"disk"}"#,
            br#"{"metrics":1}"#,
            b"[]",
            b"{",
        ] {
            assert!(
                question(wrong).is_err(),
                "{}",
                String::from_utf8_lossy(wrong)
            );
        }
    }

    #[test]
    fn what_is_off_is_said_in_the_agents_words() {
        let answer = stats(None);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
        let body: Value = serde_json::from_slice(&answer.body).expect("JSON");
        assert_eq!(
            body,
            json!({ "error": NOT_ENABLED, "error_type": "not enabled" })
        );
        assert_eq!(dump(None).status, StatusCode::NOT_FOUND);
    }
}
