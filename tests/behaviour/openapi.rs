//! The OpenAPI document against the running process: schemathesis makes up requests that fit the document and
//! requests that do not, sends them over TLS, and holds every answer against what the document says.

use std::process::Command;

use greyhound_tests::daemon::{Setup, clean};
use greyhound_tests::{command, control, python, source, tools};

/// Requests made up for each operation, beside those that cover its limits.
const EXAMPLES: &str = "5";

#[test]
fn every_answer_is_one_the_document_names() {
    let Some(schemathesis) = python::schemathesis() else {
        return;
    };
    let setup = Setup::new().with("greyhound.control.debug", true);
    let run = setup.path("run");
    let daemon = setup
        .with("run_path", run.to_string_lossy())
        // Requests without a token are part of it.
        .with("greyhound.control.failures_per_second", 1000)
        .start();
    let clients = source::root().join("tests/clients");
    let mut client = clean(Command::new(schemathesis));
    client
        .arg("--config-file")
        .arg(clients.join("schemathesis.toml"))
        .args(["run", "--no-color"])
        .arg(format!(
            "https://{}/agent/openapi.json",
            daemon.ready().control
        ))
        .args(["--seed", "1", "--no-shrink"])
        .args(["--max-examples", EXAMPLES, "--request-timeout", "20"])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", control::token(&daemon)))
        .arg("--tls-verify")
        .arg(daemon.path("ipc_cert.pem"))
        .env("SCHEMATHESIS_HOOKS", "schemathesis_checks")
        .env("PYTHONPATH", &clients)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        // It keeps what it found where it runs.
        .current_dir(daemon.path("."));
    let done = command::finish(&mut client, tools::INSTALL).expect("the client ends");
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    let summary = done
        .stdout
        .lines()
        .rev()
        .find(|line| line.contains("generated"));
    eprintln!("schemathesis:{}", summary.unwrap_or(" no summary"));
    daemon.stop();
}
