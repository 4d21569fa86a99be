//! The Python client `datadog`, in a virtual environment of the tests' own.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::command::{self, Finished};
use crate::{daemon, skip, source, tools};

const VERSION: &str = "0.56.0";

/// The interpreter that can `import datadog`, or a skip. Blocks while it is installed.
pub fn datadog() -> Option<PathBuf> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    skip::or_skip(PYTHON.get_or_init(install).clone())
}

/// Runs the script `clients/datadog_client.py`; fails when it fails.
///
/// # Panics
/// When the client ends with an error.
pub fn run(python: &PathBuf, arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
    let script = source::root().join("tests/clients/datadog_client.py");
    let mut command = daemon::clean(Command::new(python));
    command
        .arg(script)
        .args(arguments)
        .envs(environment.iter().copied());
    succeeds(&mut command)
}

/// Runs a program given as text; fails when it fails.
///
/// # Panics
/// When it ends with an error.
pub fn run_text(python: &PathBuf, program: &str) -> Finished {
    succeeds(daemon::clean(Command::new(python)).arg("-c").arg(program))
}

fn succeeds(command: &mut Command) -> Finished {
    let done = command::finish(command, tools::INSTALL).expect("the client ends");
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    done
}

fn install() -> Result<PathBuf, String> {
    let folder = tools::once(&format!("python-datadog-{VERSION}"), |folder| {
        command::succeed(
            Command::new("python3").args(["-m", "venv"]).arg(folder),
            tools::INSTALL,
        )
        .map_err(|why| format!("no virtual environment (Debian: python3-venv): {why}"))?;
        command::succeed(
            Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .arg("--disable-pip-version-check")
                .arg(format!("datadog=={VERSION}")),
            tools::INSTALL,
        )
        .map(drop)
    })?;
    Ok(folder.join("bin/python"))
}
