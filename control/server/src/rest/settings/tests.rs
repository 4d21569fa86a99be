//! Every route over a store of its own.

use std::fs;

use bytes::Bytes;
use greyhound_config::load::{self, DefaultFile, Sources};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{HeaderMap, StatusCode};

use super::*;
use crate::rest::request::{Peer, urlencoded};
use crate::rest::secrets::SecretRoutes;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// Routes over a settings file.
struct Fixture {
    folder: tempfile::TempDir,
    live: Live,
    routes: Vec<Route>,
}

impl Fixture {
    fn new(yaml: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("datadog.yaml");
        fs::write(&file, yaml).expect("a file");
        let sources = Sources {
            file: Some(file),
            default_file: DefaultFile::None,
            ..Sources::default()
        };
        let live = Live::new(load::load(&sources).expect("settings"), sources);
        let mut routes = SettingsRoutes::new(live.clone()).routes();
        routes.extend(SecretRoutes::new(live.clone()).routes());
        Self {
            folder,
            live,
            routes,
        }
    }

    fn write(&self, yaml: &str) {
        fs::write(self.folder.path().join("datadog.yaml"), yaml).expect("a file");
    }

    /// Asks the first route whose path fits, as the router would.
    fn ask(&self, method: &Method, path: &str, content_type: &'static str, body: &str) -> Response {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let exact = |route: &&Route| route.path == path;
        let varies = |route: &&Route| {
            let prefix = route.path.strip_suffix("{setting}");
            prefix.is_some_and(|prefix| path.starts_with(prefix))
        };
        let mut fitting = self.routes.iter().filter(|route| route.method == *method);
        let route = fitting
            .clone()
            .find(exact)
            .or_else(|| fitting.find(varies))
            .expect("a route");
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        let setting = path.rsplit('/').next().unwrap_or_default();
        let request = Request {
            params: vec![("setting", setting.to_owned())],
            query: urlencoded(query),
            headers,
            body: Bytes::copy_from_slice(body.as_bytes()),
            peer: Peer::default(),
        };
        match &route.handler {
            Handler::Now(answer) | Handler::Blocking(answer) => answer(request),
            Handler::Waiting(_) => panic!("no route here waits"),
        }
    }

    fn get(&self, path: &str) -> Response {
        self.ask(&Method::GET, path, JSON, "")
    }

    fn post(&self, path: &str, body: &str) -> Response {
        let content_type = match path.contains("/v1/") {
            true => JSON,
            false => FORM,
        };
        self.ask(&Method::POST, path, content_type, body)
    }
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.to_vec()).expect("utf-8")
}

fn json_of(response: &Response) -> Value {
    serde_json::from_slice(&response.body).expect("json")
}

#[test]
fn one_setting_is_read_set_and_taken_back_as_with_the_agent() {
    let fixture = Fixture::new("log_level: warn\n");
    let value = || json_of(&fixture.get("/agent/config/log_level"))["value"].clone();
    assert_eq!(value(), "warn");
    let answer = fixture.post("/agent/config/log_level", "value=debug");
    assert_eq!(
        (answer.status, text(&answer)),
        (StatusCode::OK, String::new())
    );
    assert_eq!(value(), "debug");
    let sources = json_of(&fixture.get("/agent/config/log_level?sources=true"));
    let list = sources["sources_value"].as_array().expect("a list");
    assert_eq!(list.len(), 12);
    assert_eq!(list[0], json!({ "Source": "default", "Value": "info" }));
    assert_eq!(list[3], json!({ "Source": "file", "Value": "warn" }));
    assert_eq!(list[11], json!({ "Source": "cli", "Value": "debug" }));
    let answer = fixture.ask(&Method::DELETE, "/agent/config/log_level", JSON, "");
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(value(), "warn");
}

#[test]
fn a_value_arrives_as_the_agents_command_line_escaped_it() {
    let fixture = Fixture::new("");
    let answer = fixture.post(
        "/agent/config/dogstatsd_tags",
        "value=a%3A%26lt%3Bb%26gt%3B",
    );
    assert_eq!(answer.status, StatusCode::OK, "{}", text(&answer));
    let value = json_of(&fixture.get("/agent/config/dogstatsd_tags"));
    assert_eq!(value["value"], json!(["a:<b>"]));
}

#[test]
fn what_cannot_be_set_is_refused_with_the_agents_status() {
    let fixture = Fixture::new("");
    let check = |path: &str, value: &str, status: u16, part: &str| {
        let answer = fixture.post(path, &format!("value={value}"));
        assert_eq!(answer.status.as_u16(), status, "{path}");
        assert!(text(&answer).contains(part), "{}", text(&answer));
    };
    check(
        "/agent/config/no_such",
        "1",
        400,
        "setting no_such not found",
    );
    check(
        "/agent/config/log_level",
        "loud",
        500,
        "expected one of trace",
    );
    check("/agent/config/dogstatsd_queue_size", "9", 500, "restart");
    assert_eq!(fixture.live.generation().number, 1);
    assert_eq!(fixture.get("/agent/config/no_such").status.as_u16(), 400);
}

#[test]
fn views_of_all_settings_hide_secrets() {
    let fixture = Fixture::new(
        "api_key: canary-key\nadditional_endpoints: {'https://x': [canary-more]}\nhostname: box\n",
    );
    let mut seen = String::new();
    for path in [
        "/agent/config",
        "/agent/config/by-source",
        "/agent/config/without-defaults",
        "/agent/config/list-runtime",
        "/agent/config/api_key?sources=true",
        "/agent/config/additional_endpoints",
        "/agent/v1/config/settings",
        "/agent/v1/config/schema",
        "/agent/v1/config/generations",
        "/agent/secrets",
    ] {
        let answer = fixture.get(path);
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        seen.push_str(&text(&answer));
    }
    fixture.write("api_key: canary-other\n");
    seen.push_str(&text(&fixture.get("/agent/v1/config/diff")));
    fixture.post("/agent/v1/config/reload", "");
    seen.push_str(&text(&fixture.get("/agent/v1/config/diff?from=1&to=2")));
    assert!(!seen.contains("canary"), "{seen}");
    assert!(seen.contains("********") && seen.contains("hostname: \"box\""));
    let without = text(&fixture.get("/agent/config/without-defaults"));
    assert_eq!(without, "api_key: \"********\"\n");
    let runtime = json_of(&fixture.get("/agent/config/list-runtime"));
    assert_eq!(runtime["log_level"]["Hidden"], false);
    assert!(runtime["log_level"]["Description"].is_string());
    assert!(runtime["dogstatsd_queue_size"].is_null());
    let sources = json_of(&fixture.get("/agent/config/by-source"));
    assert_eq!(sources["file"], json!({ "api_key": "********" }));
    assert_eq!(sources["cli"], json!({}));
}

#[test]
fn our_routes_say_what_became_of_each_key() {
    let fixture = Fixture::new("log_level: warn\n");
    let body = r#"{"key":"log_level","value":"error"}"#;
    let answer = json_of(&fixture.post("/agent/v1/config/set", body));
    assert_eq!(answer["generation"], 2);
    assert_eq!(
        answer["keys"],
        json!([{ "key": "log_level", "outcome": "applied" }])
    );
    let answer = json_of(&fixture.post("/agent/v1/config/set", body));
    assert_eq!(answer["keys"][0]["outcome"], "unchanged");
    let answer = fixture.post(
        "/agent/v1/config/set",
        r#"{"key":"log_level","value":"loud"}"#,
    );
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(json_of(&answer)["problems"][0]["key"], "log_level");
    let queue = r#"{"key":"dogstatsd_queue_size","value":"9"}"#;
    let answer = fixture.post("/agent/v1/config/set", queue);
    assert_eq!(answer.status, StatusCode::CONFLICT);
    assert_eq!(json_of(&answer)["keys"][0]["outcome"], "refused");
    for body in ["", "{}", "[]", r#"{"key":"a","value":"b","more":1}"#] {
        let answer = fixture.post("/agent/v1/config/set", body);
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}");
    }
    let answer = json_of(&fixture.post("/agent/v1/config/unset", r#"{"key":"log_level"}"#));
    assert_eq!(answer["keys"][0]["outcome"], "applied");

    fixture.write("log_level: info\ndogstatsd_queue_size: 7\n");
    let preview = json_of(&fixture.get("/agent/v1/config/diff"));
    assert_eq!(preview["keys"].as_array().map(Vec::len), Some(2));
    let answer = json_of(&fixture.post("/agent/v1/config/reload", ""));
    assert_eq!(
        answer["keys"],
        json!([
            { "key": "dogstatsd_queue_size", "outcome": "needs_restart" },
            { "key": "log_level", "outcome": "applied" },
        ])
    );
    fixture.write("a: 1\nlog_level: [\n");
    let answer = fixture.post("/agent/v1/config/reload", "");
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let problem = &json_of(&answer)["problems"][0];
    assert!(problem["line"].as_u64() > Some(1), "{problem}");
    assert!(
        problem["file"]
            .as_str()
            .is_some_and(|file| file.ends_with("datadog.yaml"))
    );

    let answer = json_of(&fixture.post("/agent/v1/config/rollback", ""));
    assert_eq!(answer["cause"], "rollback to 3");
    let history = json_of(&fixture.get("/agent/v1/config/generations"));
    assert_eq!(history["generation"], 5);
    assert_eq!(history["history"].as_array().map(Vec::len), Some(5));
    assert_eq!(history["waiting_for_restart"], json!([]));
    assert_eq!(history["reloads"]["refused"], 1);
    let answer = fixture.post("/agent/v1/config/rollback", r#"{"generation":99}"#);
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    for query in ["from=99", "to=x", "from=-1"] {
        let answer = fixture.get(&format!("/agent/v1/config/diff?{query}"));
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
}

#[test]
fn without_a_program_the_secrets_feature_is_off() {
    let fixture = Fixture::new("");
    for path in ["/agent/secrets", "/agent/secret/refresh"] {
        let answer = fixture.get(path);
        assert!(text(&answer).contains("secrets feature is not enabled"));
    }
}

#[test]
fn a_report_of_secrets_names_handles_and_settings() {
    let fixture = Fixture::new("secret_backend_command: /nonexistent/program\n");
    fixture.write("secret_backend_command: /nonexistent/program\napi_key: ENC[the key]\n");
    let answer = fixture.get("/agent/secret/refresh");
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(text(&answer).contains("ENC[the key]"), "{}", text(&answer));
    let report = text(&fixture.get("/agent/secrets"));
    assert!(
        report.contains("the key") && report.contains("`api_key`"),
        "{report}"
    );
    assert!(report.contains("last attempt failed"), "{report}");
}
