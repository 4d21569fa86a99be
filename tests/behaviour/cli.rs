//! The other commands: each answers on standard output, complains on standard error, and says with its exit
//! code which of the two it was.

use std::fs;

use greyhound_tests::daemon::{Setup, greyhound};
use serde_json::Value;

const USAGE: i32 = 64;

#[test]
fn send_reaches_every_transport() {
    let daemon = Setup::new().uds().stream().start();
    let targets = [
        format!("udp://{}", daemon.udp()),
        format!("unixgram://{}", daemon.uds().display()),
        format!("unixstream://{}", daemon.stream().display()),
    ];
    for target in &targets {
        let done = greyhound(
            &[
                "send",
                "--to",
                target,
                "page.views:1|c|#env:dev",
                "level:2|g",
            ],
            "",
        );
        assert_eq!(done.code(), 0, "{target}: {}", done.stderr);
    }
    let done = greyhound(
        &["send", "--to", &targets[1]],
        "page.views:10|c|#env:dev\nlevel:3|g\n",
    );
    assert_eq!(done.code(), 0, "{}", done.stderr);
    daemon.wait_processed(8);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("page.views"), 13.0);
    assert_eq!(stopped.records.tags("page.views"), ["env:dev"]);
}

#[test]
fn send_refuses_what_the_engine_would_refuse() {
    let done = greyhound(
        &["send", "--to", "udp://127.0.0.1:9", "page.views:one|c"],
        "",
    );
    assert_ne!(done.code(), 0);
    assert!(done.stderr.contains("metric_value"), "{}", done.stderr);
}

#[test]
fn explain_says_what_a_message_means() {
    let done = greyhound(&["explain", "page.views:3|c|@0.5|#env:dev"], "");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    for words in ["page.views", "env:dev", "0.5"] {
        assert!(
            done.stdout.contains(words),
            "{words:?} is missing in:\n{}",
            done.stdout
        );
    }
}

#[test]
fn explain_puts_a_caret_under_the_byte_that_is_wrong() {
    let message = "page.views:one|c";
    let done = greyhound(&["explain", message], "");
    assert_eq!(done.code(), 1, "{}{}", done.stdout, done.stderr);
    let said = format!("{}{}", done.stdout, done.stderr);
    assert!(said.contains("metric_value"), "{said}");
    let lines: Vec<&str> = said.lines().collect();
    let shown = lines
        .iter()
        .position(|line| line.contains(message))
        .expect("the message is shown");
    let caret = lines[shown + 1..]
        .iter()
        .find_map(|line| line.find('^'))
        .expect("there is a caret");
    let wrong = lines[shown].find("one").unwrap();
    assert_eq!(caret, wrong, "{said}");
}

#[test]
fn explain_reads_standard_input_and_writes_json() {
    let done = greyhound(&["explain", "--json"], "a:1|c|#x:y\nb:bad|g\n");
    let values: Vec<Value> = serde_json::Deserializer::from_str(&done.stdout)
        .into_iter::<Value>()
        .collect::<Result<_, _>>()
        .unwrap_or_else(|error| panic!("{error}: {}", done.stdout));
    let text = serde_json::to_string(&values).unwrap();
    assert!(text.contains(r#""name":"a""#), "{text}");
    assert!(text.contains(r#""tags":["x:y"]"#), "{text}");
    assert!(text.contains(r#""error":"metric_value""#), "{text}");
}

#[test]
fn explain_simulates_timed_lines() {
    let setup = Setup::new();
    let file = setup.path("timed.jsonl");
    let case = r#"{"steps": [{"at": 1700000001, "lines": ["hits:3|c", "hits:2|c|@0.5"]}, {"flush": 1700000015}]}"#;
    fs::write(&file, format!("{case}\n")).unwrap();
    let done = greyhound(
        &["explain", "--json", "--simulate", &file.to_string_lossy()],
        "",
    );
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let ours: Value = serde_json::from_str(&done.stdout).unwrap();
    let text = ours.to_string();
    assert!(text.contains(r#""name":"hits""#), "{text}");
    assert!(text.contains("1700000000,0.7"), "{text}");
}

#[test]
fn config_shows_where_a_setting_came_from() {
    let setup = Setup::new();
    let file = setup.path("given.yaml");
    fs::write(
        &file,
        "dogstatsd_buffer_size: 4096\ndogstatsd_bufer_size: 1\n",
    )
    .unwrap();
    let done = greyhound(&["config", "--config", &file.to_string_lossy()], "");
    assert_eq!(done.code(), 0, "{}", done.stderr);
    let line = done
        .stdout
        .lines()
        .find(|line| line.contains("dogstatsd_buffer_size") && line.contains("4KiB"))
        .unwrap_or_else(|| panic!("the setting is missing in:\n{}", done.stdout));
    assert!(line.contains("given.yaml:1:"), "{line}");
    let said = format!("{}{}", done.stdout, done.stderr);
    let unknown = said
        .lines()
        .find(|line| line.contains("dogstatsd_bufer_size"))
        .unwrap_or_else(|| panic!("the unknown key is missing in:\n{said}"));
    assert!(unknown.contains("given.yaml:2:"), "{unknown}");
    assert!(unknown.contains("`dogstatsd_buffer_size`"), "{unknown}");
}

#[test]
fn config_prints_the_reference_and_the_schema() {
    let docs = greyhound(&["config", "docs"], "");
    assert_eq!(docs.code(), 0, "{}", docs.stderr);
    let schema = greyhound(&["config", "schema"], "");
    let schema: Value = serde_json::from_str(&schema.stdout).expect("a JSON Schema is JSON");
    for key in ["dogstatsd_port", "dogstatsd_mapper_profiles"] {
        assert!(docs.stdout.contains(key), "{key}");
        assert!(schema["properties"][key].is_object(), "{key}");
    }
}

#[test]
fn version_completions_and_manual_are_printed() {
    let version = greyhound(&["version"], "");
    assert_eq!(version.code(), 0);
    assert!(
        version.stdout.contains(env!("CARGO_PKG_VERSION")),
        "{}",
        version.stdout
    );
    for shell in ["bash", "zsh", "fish"] {
        let done = greyhound(&["completions", shell], "");
        assert_eq!(done.code(), 0, "{}", done.stderr);
        assert!(done.stdout.contains("explain"), "{shell}");
    }
    let man = greyhound(&["man"], "");
    assert_eq!(man.code(), 0, "{}", man.stderr);
    assert!(man.stdout.contains(".TH"), "{}", man.stdout);
}

#[test]
fn a_command_that_does_not_exist_is_refused() {
    let done = greyhound(&["bark"], "");
    assert_eq!(done.code(), USAGE);
    assert!(done.stderr.contains("bark"), "{}", done.stderr);
    assert!(done.stdout.is_empty(), "{}", done.stdout);
}
