//! Python clients, in virtual environments of the tests' own: `datadog`, `grpcio` with stubs generated from our
//! `.proto` files, `requests` and `httpx`, and `schemathesis`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::command::{self, Finished};
use crate::{daemon, skip, source, tools};

const VERSION: &str = "0.56.0";
const GRPC_VERSION: &str = "1.85.1";
const REQUESTS_VERSION: &str = "2.34.2";
const HTTPX_VERSION: &str = "0.28.1";
const SCHEMATHESIS_VERSION: &str = "4.32.5";

/// What runs `clients/grpc_client.py`.
#[derive(Debug)]
pub struct GrpcClient {
    /// The interpreter that can `import grpc`.
    pub python: PathBuf,
    /// The client.
    pub script: PathBuf,
    /// Modules generated from our `.proto` files.
    pub stubs: PathBuf,
    _folder: TempDir,
}

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

/// A gRPC client that knows our messages, or a skip. Blocks while it is installed.
pub fn grpc() -> Option<GrpcClient> {
    skip::or_skip(install_grpc())
}

/// The interpreter that can `import requests` and `import httpx`, the latter with HTTP/2; or a skip. Blocks
/// while it is installed.
pub fn http() -> Option<PathBuf> {
    let packages = [
        format!("requests=={REQUESTS_VERSION}"),
        format!("httpx[http2]=={HTTPX_VERSION}"),
    ];
    let name = format!("python-http-{REQUESTS_VERSION}-{HTTPX_VERSION}");
    skip::or_skip(environment(&name, &packages))
}

/// The program `schemathesis`, or a skip. Blocks while it is installed.
pub fn schemathesis() -> Option<PathBuf> {
    let package = [format!("schemathesis=={SCHEMATHESIS_VERSION}")];
    let name = format!("python-schemathesis-{SCHEMATHESIS_VERSION}");
    let python = skip::or_skip(environment(&name, &package))?;
    Some(python.with_file_name("schemathesis"))
}

fn install_grpc() -> Result<GrpcClient, String> {
    let package = [
        format!("grpcio=={GRPC_VERSION}"),
        format!("grpcio-tools=={GRPC_VERSION}"),
    ];
    let python = environment(&format!("python-grpc-{GRPC_VERSION}"), &package)?;
    let protos = source::root().join("proto/proto");
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let mut compile = Command::new(&python);
    compile.args(["-m", "grpc_tools.protoc", "-I"]).arg(&protos);
    for option in ["--python_out", "--grpc_python_out"] {
        compile.arg(format!("{option}={}", folder.path().display()));
    }
    compile.args(source::files(&protos, "proto"));
    command::succeed(&mut compile, tools::INSTALL)?;
    Ok(GrpcClient {
        python,
        script: source::root().join("tests/clients/grpc_client.py"),
        stubs: folder.path().to_owned(),
        _folder: folder,
    })
}

fn succeeds(command: &mut Command) -> Finished {
    let done = command::finish(command, tools::INSTALL).expect("the client ends");
    assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
    done
}

fn install() -> Result<PathBuf, String> {
    let package = [format!("datadog=={VERSION}")];
    environment(&format!("python-datadog-{VERSION}"), &package)
}

/// The interpreter of a virtual environment with these packages.
fn environment(name: &str, packages: &[String]) -> Result<PathBuf, String> {
    let folder = tools::once(name, |folder| {
        command::succeed(
            Command::new("python3").args(["-m", "venv"]).arg(folder),
            tools::INSTALL,
        )
        .map_err(|why| format!("no virtual environment (Debian: python3-venv): {why}"))?;
        command::succeed(
            Command::new(folder.join("bin/python"))
                .args(["-m", "pip", "install", "--quiet", "--no-input"])
                .arg("--disable-pip-version-check")
                .args(packages),
            tools::INSTALL,
        )
        .map(drop)
    })?;
    Ok(folder.join("bin/python"))
}
