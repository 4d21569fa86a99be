//! Bodies and queries of the REST routes: an answer the route documents, and JSON where it says so.
//!
//! Input: one byte that chooses the reader, then the body; for forms, after a NUL, the query.

use std::sync::OnceLock;

use greyhound_config::live::Live;
use greyhound_config::load::{DefaultFile, Loaded, Sources, load_text};
use greyhound_server::diagnose::Doctor;
use greyhound_server::fuzzing;
use greyhound_server::register::RouteGroup;
use greyhound_server::rest::request::{Peer, Request, urlencoded};
use greyhound_server::rest::response::{JSON, Response};
use greyhound_server::rest::settings::SettingsRoutes;
use greyhound_server::rest::{Handler, Route, dogstatsd};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

const FILE: &str = "hostname: fuzz\ntags: [a:b]\nlog_level: warn\n";
/// Longer ones add time, not paths.
const BODY_BYTES_MAX: usize = 16 << 10;
/// Settings whose values have readers of their own.
const SETTINGS: [&str; 8] = [
    "log_level",
    "dogstatsd_tags",
    "dogstatsd_mapper_profiles",
    "statsd_metric_namespace",
    "additional_endpoints",
    "histogram_percentiles",
    "greyhound.bucket_seconds",
    "no_such_setting",
];

/// Panics if a reader does, or if an answer is not one the route names.
pub fn check(data: &[u8]) {
    let Some((&choice, body)) = data.split_first() else {
        return;
    };
    let body = &body[..body.len().min(BODY_BYTES_MAX)];
    match choice % 8 {
        0 => settings("POST", "/agent/v1/config/set", body, ""),
        1 => settings("POST", "/agent/v1/config/unset", body, ""),
        2 => settings("POST", "/agent/v1/config/rollback", body, ""),
        3 => settings("GET", "/agent/v1/config/diff", body, ""),
        4 => {
            let setting = SETTINGS[usize::from(choice >> 3) % SETTINGS.len()];
            settings("POST", "/agent/config/{setting}", body, setting);
        }
        5 => question(body),
        6 => profiles(body),
        _ => {
            let doctor = Doctor::new(Vec::new());
            ask(&doctor.routes()[0], body, "");
        }
    }
}

fn loaded() -> &'static Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(|| {
        load_text(FILE, std::path::Path::new("greyhound.yaml"), &sources()).expect("a good file")
    })
}

fn sources() -> Sources {
    Sources {
        file: None,
        default_file: DefaultFile::None,
        ..Sources::default()
    }
}

fn settings(method: &str, path: &str, body: &[u8], setting: &str) {
    let live = Live::new(loaded().clone(), sources());
    let before = live.generation().number;
    let routes = SettingsRoutes::new(live.clone()).routes();
    let is_it = |route: &&Route| route.method == method && route.path == path;
    let route = routes.iter().find(is_it).expect("the route is there");
    let answer = ask(route, body, setting);
    let after = live.generation().number;
    assert!(after <= before + 1, "one request, one generation");
    let refused = answer.status.as_u16() >= 400;
    assert!(!refused || after == before, "a refusal changes nothing");
}

/// One request to this route.
fn ask(route: &Route, body: &[u8], setting: &str) -> Response {
    let mut parts = body.splitn(2, |byte| *byte == 0);
    let form = parts.next().unwrap_or_default();
    let query = parts.next().unwrap_or_default();
    let is_form = route
        .body
        .as_ref()
        .is_none_or(|body| body.content_type != JSON);
    let mut headers = HeaderMap::new();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(if is_form {
            "application/x-www-form-urlencoded"
        } else {
            JSON
        }),
    );
    let request = Request {
        params: vec![("setting", setting.to_owned())],
        query: if is_form {
            urlencoded(&String::from_utf8_lossy(query))
        } else {
            Vec::new()
        },
        headers,
        body: if is_form { form } else { body }.to_vec().into(),
        peer: Peer::default(),
    };
    let answer = match &route.handler {
        Handler::Now(answer) | Handler::Blocking(answer) => answer(request),
        Handler::Waiting(_) => panic!("no route with a body waits"),
    };
    let status = answer.status.as_u16();
    let documented = route.answers.iter().any(|known| known.status == status);
    assert!(documented, "{route:?} answers {status}");
    if answer
        .headers
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind == JSON)
    {
        let parsed = serde_json::from_slice::<serde_json::Value>(&answer.body);
        assert!(parsed.is_ok(), "{route:?} answers JSON that is none");
    }
    answer
}

fn question(body: &[u8]) {
    if let Ok(question) = dogstatsd::question(body) {
        assert!((1..=10_000).contains(&question.metrics) && (1..=10_000).contains(&question.tags));
    }
}

fn profiles(body: &[u8]) {
    if let Ok(profiles) = fuzzing::profiles(body) {
        let bytes: usize = profiles.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(profiles.len() <= 64 && bytes <= body.len());
    }
}
