//! Flares of a running daemon and without one: private, readable by others' tools, and without secrets.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use greyhound_tests::daemon::{Setup, greyhound};
use greyhound_tests::{skip, tools};

use crate::send;
use crate::status::ask;

const KEY: &str = "c0ffee00c0ffee00c0ffee00c0ffee77";

/// Names and contents as Python's zipfile reads them: one line with the names, then everything.
fn read(archive: &Path) -> Option<String> {
    skip::or_skip(tools::find("python3").ok_or_else(|| "no python3".to_owned()))?;
    let program = "import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\n\
                   print(' '.join(z.namelist()))\n\
                   [print(z.read(n).decode('utf-8','replace')) for n in z.namelist()]";
    let output = Command::new("python3")
        .args(["-c", program])
        .arg(archive)
        .output()
        .expect("python runs");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn an_archive_is_private_complete_and_without_secrets() {
    let setup = Setup::new()
        .with("secret_canary_setting", "canary-unknown-setting")
        .env("GREYHOUND_WHATEVER", "canary-environment");
    let run = setup.path("run");
    let daemon = setup
        .with("run_path", run.to_str().expect("text"))
        .with(
            "proxy",
            serde_json::json!({ "http": "http://user:canary-proxy@127.0.0.1:9" }),
        )
        .start();
    send::udp(daemon.udp(), "page.views:1|c");
    daemon.wait_processed(1);
    let copy = daemon.path("copy.zip");
    let made = ask(
        &daemon,
        &["flare", "--output", copy.to_str().expect("text")],
    );
    assert_eq!(made.code(), 0, "{}", made.stderr);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&copy), 0o600);
    assert_eq!(mode(&run.join("flares")), 0o700);
    let kept: Vec<_> = fs::read_dir(run.join("flares"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(kept.len(), 1, "one archive, nothing half-made: {kept:?}");
    assert_eq!(mode(&kept[0]), 0o600);
    let Some(content) = read(&copy) else { return };
    let names = content.lines().next().unwrap_or_default();
    for name in [
        "/status.log",
        "/health.yaml",
        "/ledger.json",
        "/telemetry.log",
        "/runtime_config_dump.yaml",
        "/config_by_source.json",
        "/envvars.log",
        "/logs/greyhound.log",
        "/runtime.log",
        "/threads.log",
        "/diagnose.log",
        "/flare_creation.log",
        "/permissions.log",
    ] {
        assert!(names.contains(name), "{name} in {names}");
    }
    let token = fs::read_to_string(daemon.path("auth_token")).expect("a token");
    for secret in ["canary-", token.trim()] {
        let line = content.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret}");
    }
    daemon.stop();
}

#[test]
fn without_a_daemon_a_smaller_one_is_made_here() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = folder.path().join("g.yaml");
    let run = folder.path().join("run");
    let text = format!("api_key: {KEY}\nrun_path: {}\n", run.display());
    fs::write(&settings, text).expect("written");
    // What a killed process leaves behind.
    let flares = run.join("flares");
    fs::create_dir_all(&flares).expect("made");
    let half = flares.join(".greyhound-x.zip.4194399.tmp");
    fs::write(&half, "half").expect("written");
    let made = greyhound(
        &[
            "flare",
            "--json",
            "--config",
            settings.to_str().expect("text"),
            "--address",
            "127.0.0.1:9",
        ],
        "",
    );
    assert_eq!(made.code(), 0, "{}", made.stderr);
    assert!(!half.exists(), "half-made archives of the dead go");
    let answer: serde_json::Value = serde_json::from_str(&made.stdout).expect("JSON");
    assert_eq!(answer["local"], true);
    let Some(content) = read(Path::new(answer["path"].as_str().expect("a path"))) else {
        return;
    };
    assert!(
        content.contains("unable to contact the agent to retrieve flare"),
        "{content}"
    );
    assert!(!content.contains(&KEY[..28]), "{content}");
}
