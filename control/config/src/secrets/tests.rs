//! Programs that answer, do not answer, and answer wrongly.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::live::Live;
use crate::live::change::Cause;
use crate::load::{self, DefaultFile, Loaded, Sources};
use crate::table;

/// A settings file and the program it names.
struct Fixture {
    folder: TempDir,
    sources: Sources,
}

impl Fixture {
    fn new(yaml: &str, script: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let fixture = Self {
            sources: Sources {
                file: Some(folder.path().join("datadog.yaml")),
                default_file: DefaultFile::None,
                ..Sources::default()
            },
            folder,
        };
        fixture.write_script(script);
        let backend = fixture.script();
        let yaml = format!("secret_backend_command: {}\n{yaml}", backend.display());
        fs::write(fixture.folder.path().join("datadog.yaml"), yaml).expect("a file");
        fixture
    }

    fn script(&self) -> PathBuf {
        self.folder.path().join("backend")
    }

    fn write_script(&self, script: &str) {
        // A file that is being written cannot be run: it gets its name when it is whole.
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, format!("#!/bin/sh\n{script}\n")).expect("a file");
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o700)).expect("a mode");
        fs::rename(&fresh, self.script()).expect("a name");
    }

    fn load(&self) -> Result<Loaded, String> {
        load::load(&self.sources).map_err(|error| error.to_string())
    }
}

fn revealed(loaded: &Loaded, key: &str) -> String {
    let resolved = loaded.store.get(key).expect("a key");
    let value = resolved
        .value
        .revealed_json(&table::table().row(key).expect("a row").kind);
    format!("{value} {}", resolved.layer)
}

const ANSWER: &str = r#"cat > "$0.asked"
printf '%s' '{"key":{"value":"canary-1","error":null},"tag":{"value":"team:x"},"b":{"value":"canary-2\n"}}'"#;

#[test]
fn handles_are_replaced_wherever_text_is_taken() {
    let yaml = "api_key: ENC[key]\n\
                dogstatsd_tags: ['a:1', 'ENC[tag]']\n\
                additional_endpoints: {'https://x': ['ENC[key]', 'plain']}\n\
                secret_backend_remove_trailing_line_break: true\n\
                hostname: ENC[b]\n";
    let fixture = Fixture::new(yaml, ANSWER);
    let loaded = fixture.load().expect("settings");
    assert_eq!(revealed(&loaded, "api_key"), "\"canary-1\" secret");
    assert_eq!(
        revealed(&loaded, "dogstatsd_tags"),
        "[\"a:1\",\"team:x\"] secret"
    );
    assert_eq!(
        revealed(&loaded, "additional_endpoints"),
        "{\"https://x\":[\"canary-1\",\"plain\"]} secret"
    );
    assert_eq!(loaded.settings.hostname.as_deref(), Some("canary-2"));
    let asked = fs::read_to_string(fixture.folder.path().join("backend.asked")).expect("a file");
    assert_eq!(asked, r#"{"version":"1.0","secrets":["b","key","tag"]}"#);

    let report = fixture.sources.secrets.report();
    let names: Vec<&str> = report.handles.iter().map(|handle| &*handle.name).collect();
    assert_eq!(names, ["b", "key", "tag"]);
    assert_eq!(report.handles[1].users.len(), 2);
    let printed = format!("{report:?} {loaded:?} {:?}", fixture.sources);
    assert!(!printed.contains("canary-1"), "{printed}");
}

#[test]
fn secrets_are_fetched_once_and_again_when_asked() {
    let count = r#"echo x >> "$0.calls"
echo "{\"key\":{\"value\":\"canary-$(wc -l < "$0.calls" | tr -d ' ')\"}}""#;
    let fixture = Fixture::new("api_key: ENC[key]\n", count);
    let live = Live::new(fixture.load().expect("settings"), fixture.sources.clone());
    let key = || {
        let store = live.store();
        let resolved = store.get("api_key").expect("a key");
        let json = resolved.value.revealed_json(&resolved.row.kind);
        json.as_str().expect("text").to_owned()
    };
    assert_eq!(key(), "canary-1");
    assert!(live.reload(Cause::Signal).expect("a reload").is_empty());
    assert_eq!(key(), "canary-1");
    let change = live.refresh_secrets().expect("a refresh");
    assert_eq!((change.generation, change.cause), (2, Cause::SecretRefresh));
    assert_eq!(key(), "canary-2");

    fixture.write_script("exit 3");
    let error = live.refresh_secrets().unwrap_err().to_string();
    assert!(error.contains("exit status: 3"), "{error}");
    assert_eq!(key(), "canary-2");
    assert!(fixture.sources.secrets.report().last_error.is_some());
    // What is there still serves.
    assert!(live.reload(Cause::Signal).expect("a reload").is_empty());
}

#[test]
fn a_plain_value_above_wins_and_nothing_is_fetched() {
    let mut fixture = Fixture::new("api_key: ENC[key]\n", "exit 1");
    let variable = ("DD_API_KEY".into(), "plain".into());
    fixture.sources.environment.push(variable);
    let loaded = fixture.load().expect("settings");
    assert_eq!(
        revealed(&loaded, "api_key"),
        "\"plain\" environment-variable"
    );
}

#[track_caller]
fn check_refused(further: &str, script: &str, expected: &str) {
    let fixture = Fixture::new(&format!("{further}api_key: ENC[key]\n"), script);
    let error = fixture.load().expect_err("a refusal");
    assert!(error.contains(expected), "{error}");
    assert!(
        error.contains("datadog.yaml:") && error.contains("`api_key`"),
        "{error}"
    );
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn answers_that_are_none_are_refused_without_what_they_say() {
    check_refused("", "echo canary", "did not answer in JSON");
    check_refused("", "echo '[\"canary\"]'", "did not answer in JSON");
    check_refused("", "echo '{}'", "was not answered");
    check_refused(
        "",
        r#"echo '{"key":{"value":"canary","error":"canary is bad"}}'"#,
        "refused",
    );
    check_refused("", r#"echo '{"key":{"value":""}}'"#, "stands for nothing");
    check_refused("", "echo canary >&2; exit 7", "exit status: 7");
    check_refused(
        "secret_backend_output_max_size: 10\n",
        "yes canary",
        "more than 10 bytes",
    );
}

#[test]
fn a_program_that_hangs_is_ended() {
    let start = Instant::now();
    check_refused(
        "secret_backend_timeout: 1\n",
        "exec sleep 60",
        "took longer than 1 s",
    );
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_program_others_could_change_is_not_run() {
    for (mode, expected) in [
        (0o701, "others have rights"),
        (0o740, "its group has rights"),
        (0o600, "not executable"),
    ] {
        let fixture = Fixture::new("api_key: ENC[key]\n", ANSWER);
        fs::set_permissions(fixture.script(), fs::Permissions::from_mode(mode)).expect("a mode");
        let error = fixture.load().expect_err("a refusal");
        assert!(error.contains(expected), "{mode:o}: {error}");
    }
    let allowed = "secret_backend_command_allow_group_exec_perm: true\n";
    let fixture = Fixture::new(&format!("{allowed}api_key: ENC[key]\n"), ANSWER);
    fs::set_permissions(fixture.script(), fs::Permissions::from_mode(0o750)).expect("a mode");
    fixture.load().expect("settings");
    fs::set_permissions(fixture.script(), fs::Permissions::from_mode(0o770)).expect("a mode");
    fixture.sources.secrets.forget();
    let error = fixture.load().expect_err("a refusal");
    assert!(error.contains("its group may change it"), "{error}");
}

#[test]
fn without_a_program_handles_stay_as_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("datadog.yaml");
    fs::write(&file, "hostname: ENC[key]\n").expect("a file");
    let sources = Sources {
        file: Some(file),
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    let loaded = load::load(&sources).expect("settings");
    assert_eq!(revealed(&loaded, "hostname"), "\"ENC[key]\" file");
}
