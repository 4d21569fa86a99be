//! The program that knows secrets, and the Agent's protocol with it.
//!
//! Handles go to its standard input as `{"version":"1.0","secrets":["a","b"]}`; it answers
//! `{"a":{"value":"…","error":null},…}`. It is only run when nobody but its owner (root, or who runs
//! us) can change it. What it prints to standard error is thrown away: it may hold anything.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::secret::Secret;
use crate::settings::SecretBackend;

/// Instead of a timeout of 0.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// How often an ending program is looked at.
const POLL: Duration = Duration::from_millis(2);

/// Why nothing was fetched. Never holds what the program printed.
#[derive(Debug, thiserror::Error)]
pub(super) enum BackendError {
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is not safe to run: {why}", .path.display())]
    Unsafe { path: PathBuf, why: &'static str },
    #[error("cannot run {}: {source}", .path.display())]
    Run { path: PathBuf, source: io::Error },
    #[error("{} took longer than {} s (`secret_backend_timeout`)", .path.display(), .after.as_secs())]
    TooLong { path: PathBuf, after: Duration },
    #[error("{} printed more than {bytes} bytes (`secret_backend_output_max_size`)", .path.display())]
    TooMuch { path: PathBuf, bytes: u64 },
    #[error("{} ended with {status}", .path.display())]
    Failed {
        path: PathBuf,
        status: std::process::ExitStatus,
    },
    #[error("{} did not answer in JSON", .path.display())]
    NoJson { path: PathBuf },
    #[error("the handle {0:?} was not answered")]
    Missing(String),
    #[error("the handle {0:?} is unknown to it, or refused")]
    Refused(String),
    #[error("the handle {0:?} stands for nothing")]
    Empty(String),
}

/// Asks for these handles; all of them or none. Blocks for as long as the setting allows.
pub(super) fn fetch(
    backend: &SecretBackend,
    handles: &[&str],
) -> Result<BTreeMap<String, Secret>, BackendError> {
    check_rights(&backend.command, backend.allow_group_exec)?;
    let answer = run(backend, handles)?;
    read(backend, handles, &answer)
}

/// What the program printed, by handle.
pub(super) fn read(
    backend: &SecretBackend,
    handles: &[&str],
    answer: &[u8],
) -> Result<BTreeMap<String, Secret>, BackendError> {
    let no_json = || BackendError::NoJson {
        path: backend.command.clone(),
    };
    let answer: Value = serde_json::from_slice(answer).map_err(|_| no_json())?;
    let answers = answer.as_object().ok_or_else(no_json)?;
    let mut secrets = BTreeMap::new();
    for &handle in handles {
        let name = || handle.to_owned();
        let Some(answer) = answers.get(handle) else {
            return Err(BackendError::Missing(name()));
        };
        // What the error says may quote the secret, so it is not passed on.
        let has_error = answer
            .get("error")
            .is_some_and(|error| !error.is_null() && error.as_str() != Some(""));
        if has_error {
            return Err(BackendError::Refused(name()));
        }
        let value = answer.get("value").and_then(Value::as_str).unwrap_or("");
        let value = match backend.remove_trailing_line_break {
            true => value.trim_end_matches(['\r', '\n']),
            false => value,
        };
        if value.is_empty() {
            return Err(BackendError::Empty(name()));
        }
        secrets.insert(name(), Secret::new(value));
    }
    Ok(secrets)
}

/// As the Agent: nobody but the owner may read, write or run it, with one exception by setting.
fn check_rights(path: &Path, allow_group_exec: bool) -> Result<(), BackendError> {
    let unreadable = |source| BackendError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    let us = fs::metadata("/proc/self").map_err(unreadable)?.uid();
    let mode = metadata.mode();
    let why = if !metadata.is_file() {
        "it is no file"
    } else if metadata.uid() != 0 && metadata.uid() != us {
        "it belongs to another user"
    } else if mode & 0o007 != 0 {
        "others have rights to it (chmod 0700)"
    } else if mode & 0o070 != 0 && !allow_group_exec {
        "its group has rights to it (chmod 0700, or `secret_backend_command_allow_group_exec_perm`)"
    } else if mode & 0o020 != 0 {
        "its group may change it (chmod 0750)"
    } else if mode & 0o110 == 0 {
        "it is not executable (chmod 0700)"
    } else {
        return Ok(());
    };
    Err(BackendError::Unsafe {
        path: path.to_owned(),
        why,
    })
}

fn run(backend: &SecretBackend, handles: &[&str]) -> Result<Vec<u8>, BackendError> {
    let path = &backend.command;
    let cannot_run = |source| BackendError::Run {
        path: path.clone(),
        source,
    };
    let timeout = Some(backend.timeout)
        .filter(|timeout| !timeout.is_zero())
        .unwrap_or(TIMEOUT_DEFAULT);
    let end = Instant::now() + timeout;
    let mut child = Command::new(path)
        .args(&backend.arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // Away from the terminal's signals.
        .process_group(0)
        .spawn()
        .map_err(cannot_run)?;
    let question = json!({ "version": "1.0", "secrets": handles }).to_string();
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    // Both ends have threads: a program may answer before it has read, or do neither.
    thread::spawn(move || {
        if let Some(mut stdin) = stdin {
            // A program that does not read may still answer.
            stdin.write_all(question.as_bytes()).ok();
        }
    });
    let (sender, answer) = sync_channel(1);
    let limit = backend.output_bytes_max;
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = match stdout {
            Some(stdout) => stdout
                .take(limit.saturating_add(1))
                .read_to_end(&mut bytes)
                .map(|_| bytes),
            None => Ok(bytes),
        };
        // Nobody listens any more when it took too long.
        sender.send(read).ok();
    });
    let bytes = match answer.recv_timeout(timeout) {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(source)) => {
            end_it(&mut child);
            return Err(cannot_run(source));
        }
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
            end_it(&mut child);
            return Err(BackendError::TooLong {
                path: path.clone(),
                after: timeout,
            });
        }
    };
    if bytes.len() as u64 > limit {
        end_it(&mut child);
        return Err(BackendError::TooMuch {
            path: path.clone(),
            bytes: limit,
        });
    }
    loop {
        match child.try_wait().map_err(cannot_run)? {
            Some(status) if status.success() => return Ok(bytes),
            Some(status) => {
                return Err(BackendError::Failed {
                    path: path.clone(),
                    status,
                });
            }
            None if Instant::now() >= end => {
                end_it(&mut child);
                return Err(BackendError::TooLong {
                    path: path.clone(),
                    after: timeout,
                });
            }
            None => thread::sleep(POLL),
        }
    }
}

/// Both calls fail only when it has ended by itself.
fn end_it(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}
