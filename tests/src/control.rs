//! The control port of a daemon, asked with curl: a client that shares no code with the server.

use std::process::Command;

use crate::command;
use crate::daemon::Daemon;
use crate::{skip, tools, wait};

/// What curl got.
#[derive(Debug)]
pub struct Asked {
    /// 200 and so on.
    pub status: u16,
    /// All header lines, in lower case.
    pub head: String,
    /// The body.
    pub body: String,
    /// `1.1` or `2`.
    pub version: String,
}

/// Whether the machine has curl, or a skip.
pub fn has_curl() -> bool {
    let found = tools::find("curl").ok_or_else(|| "no curl".to_owned());
    skip::or_skip(found).is_some()
}

/// Asks for `path` with further arguments of curl; the certificate is not checked. The error is curl's.
///
/// # Errors
/// What curl says when there is no answer.
pub fn curl(daemon: &Daemon, path: &str, arguments: &[&str]) -> Result<Asked, String> {
    let url = format!("https://{}{path}", daemon.ready().control);
    run(&url, &[&["-k"], arguments].concat())
}

/// The same with the right token.
///
/// # Errors
/// As [`curl`].
pub fn with_token(daemon: &Daemon, path: &str, arguments: &[&str]) -> Result<Asked, String> {
    let header = format!("Authorization: Bearer {}", token(daemon));
    curl(daemon, path, &[&["-H", &header], arguments].concat())
}

/// Asks over the control socket, without a token.
///
/// # Errors
/// As [`curl`].
pub fn over_socket(daemon: &Daemon, path: &str) -> Result<Asked, String> {
    let socket = &daemon.ready().control_socket;
    run(&format!("http://x{path}"), &["--unix-socket", socket])
}

/// The token of a daemon.
///
/// # Panics
/// When there is none.
pub fn token(daemon: &Daemon) -> String {
    std::fs::read_to_string(daemon.path("auth_token")).expect("a daemon has a token")
}

fn run(url: &str, arguments: &[&str]) -> Result<Asked, String> {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-i", "--path-as-is", "--max-time", "20"])
        .args(["-w", "\n%{http_version}"])
        .args(arguments)
        .arg(url);
    let done = command::finish(&mut command, wait::PATIENCE)?;
    if done.code() != 0 {
        return Err(format!("curl ended with {}: {}", done.code(), done.stderr));
    }
    parse(&done.stdout).ok_or_else(|| format!("not HTTP: {:?}", done.stdout))
}

fn parse(text: &str) -> Option<Asked> {
    let (text, version) = text.rsplit_once('\n')?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    Some(Asked {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head: head.to_ascii_lowercase(),
        body: body.to_owned(),
        version: version.to_owned(),
    })
}
