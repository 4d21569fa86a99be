//! Running a program to its end, with a deadline: its output goes to files, so nothing can block on a
//! pipe that a grandchild keeps open.

use std::io::{Read, Seek};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait;

/// What a finished program left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output, invalid UTF-8 replaced.
    pub stdout: String,
    /// Standard error, invalid UTF-8 replaced.
    pub stderr: String,
}

// === impl Finished ===

impl Finished {
    /// The exit code; −1 when a signal ended it.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or(-1)
    }
}

/// Runs `command` without standard input. Blocks until it ends or `patience` is over, then kills it.
///
/// # Errors
/// The program cannot be started, or was killed for taking too long.
pub fn finish(command: &mut Command, patience: Duration) -> Result<Finished, String> {
    finish_with(command, Stdio::null(), patience)
}

/// [`finish`] with something on standard input.
///
/// # Errors
/// As [`finish`].
pub fn finish_with(
    command: &mut Command,
    stdin: Stdio,
    patience: Duration,
) -> Result<Finished, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let say = |error: std::io::Error| format!("{program}: {error}");
    let mut stdout = tempfile::tempfile().map_err(say)?;
    let mut stderr = tempfile::tempfile().map_err(say)?;
    let mut child = command
        .stdin(stdin)
        .stdout(stdout.try_clone().map_err(say)?)
        .stderr(stderr.try_clone().map_err(say)?)
        .spawn()
        .map_err(say)?;
    let status = wait::try_within(patience, || child.try_wait().transpose());
    let Some(status) = status else {
        child.kill().map_err(say)?;
        child.wait().map_err(say)?;
        return Err(format!(
            "{program} did not end within {patience:?}; it said: {}{}",
            text(&mut stdout).map_err(say)?,
            text(&mut stderr).map_err(say)?
        ));
    };
    Ok(Finished {
        status: status.map_err(say)?,
        stdout: text(&mut stdout).map_err(say)?,
        stderr: text(&mut stderr).map_err(say)?,
    })
}

/// [`finish`] for programs that have to succeed; gives standard output.
///
/// # Errors
/// As [`finish`], and when the exit code is not 0.
pub fn succeed(command: &mut Command, patience: Duration) -> Result<String, String> {
    let done = finish(command, patience)?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(format!(
        "{command:?} ended with {}: {}{}",
        done.status, done.stdout, done.stderr
    ))
}

fn text(file: &mut std::fs::File) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
