//! Killed while it makes token and certificate, or an archive: the next start finds whole files or none, and what
//! was left behind does not pile up.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::{command, control, skip, tools, wait};
use tempfile::TempDir;

const CREATIONS: u32 = 24;
const ARCHIVES: u32 = 10;

fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).expect("it is ours");
    folder
}

/// Names in a folder; none when it is not there.
fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// Both files have their final names only when they are whole.
fn check_files(token: &Path, certificate: &Path) {
    if let Ok(text) = fs::read_to_string(token) {
        assert!(
            text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()),
            "{text:?}"
        );
    }
    if let Ok(text) = fs::read_to_string(certificate) {
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\n"), "{text}");
        assert!(text.ends_with("-----END EC PRIVATE KEY-----\n"), "{text}");
    }
}

#[test]
fn a_kill_while_token_and_certificate_are_made_leaves_whole_files_or_none() {
    if !control::has_curl() {
        return;
    }
    let folder = folder();
    let (token, certificate) = (
        folder.path().join("auth_token"),
        folder.path().join("ipc_cert.pem"),
    );
    let setup = || {
        Setup::new()
            .with("auth_token_file_path", token.to_string_lossy())
            .with("ipc_cert_file_path", certificate.to_string_lossy())
    };
    let began = Instant::now();
    drop(setup().start());
    let start = began.elapsed();
    let mut partial = 0;
    for round in 0..CREATIONS {
        let is_made = || token.exists() && certificate.exists();
        if is_made() {
            fs::remove_file(&token).expect("it was there");
            fs::remove_file(&certificate).expect("it was there");
        }
        let before = names(folder.path());
        let began = Instant::now();
        // At the first sign of work, at the second, in between, and at any moment of the start.
        setup().kill_when(|| match round % 4 {
            0 => names(folder.path()) != before || is_made(),
            1 => token.exists(),
            2 => certificate.exists(),
            _ => began.elapsed() >= start * (round + 1) / CREATIONS,
        });
        partial += u32::from(!is_made());
        check_files(&token, &certificate);
        let left = names(folder.path());
        assert!(
            left.len() <= 6,
            "what killed processes left piles up: {left:?}"
        );
    }
    eprintln!("{partial} of {CREATIONS} starts were killed before both files were there");
    assert!(partial > 0, "no kill came early enough to matter");
    let daemon = setup().start();
    let header = format!(
        "Authorization: Bearer {}",
        fs::read_to_string(&token).expect("a token")
    );
    let cacert = certificate.to_string_lossy();
    let arguments = ["-H", &header, "--cacert", &cacert];
    let asked = control::curl(&daemon, "/agent/version", &arguments).expect("an answer");
    assert_eq!(asked.status, 200);
    daemon.stop();
    check_files(&token, &certificate);
    let left: Vec<_> = names(folder.path())
        .into_iter()
        .filter(|name| !name.ends_with(".lock"))
        .collect();
    assert_eq!(left, ["auth_token", "ipc_cert.pem"]);
}

/// Asks for an archive over the control socket. The path; nothing when the daemon went away before.
fn flare(socket: PathBuf) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    let request =
        "POST /agent/flare HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, path) = answer.split_once("\r\n\r\n")?;
    assert!(head.starts_with("HTTP/1.1 200 "), "{answer}");
    Some(path.to_owned())
}

fn ask(daemon: &Daemon) -> thread::JoinHandle<Option<String>> {
    let socket = PathBuf::from(&daemon.ready().control_socket);
    thread::spawn(move || flare(socket))
}

#[test]
fn a_kill_while_an_archive_is_made_leaves_none_that_cannot_be_read() {
    let python = tools::find("python3").ok_or_else(|| "no python3".to_owned());
    let Some(python) = skip::or_skip(python) else {
        return;
    };
    let folder = folder();
    let flares = folder.path().join("flares");
    let setup = || Setup::new().with("run_path", folder.path().to_string_lossy());
    let daemon = setup().start();
    let began = Instant::now();
    assert!(ask(&daemon).join().expect("it ends").is_some());
    let whole = began.elapsed().max(Duration::from_millis(2));
    drop(daemon);
    let mut cut = 0;
    for round in 0..ARCHIVES {
        let daemon = setup().start();
        let began = Instant::now();
        let asked = ask(&daemon);
        wait::until("the moment of the kill", || {
            (began.elapsed() >= whole * round / ARCHIVES).then_some(())
        });
        // Dropped without a stop: killed.
        drop(daemon);
        cut += u32::from(asked.join().expect("it ends").is_none());
        let half = names(&flares)
            .iter()
            .filter(|name| name.ends_with(".tmp"))
            .count();
        assert!(half <= 1, "half archives pile up: {:?}", names(&flares));
    }
    eprintln!("{cut} of {ARCHIVES} archives were cut off");
    assert!(cut > 0, "no kill came early enough to matter");
    let daemon = setup().start();
    let last = ask(&daemon).join().expect("it ends").expect("an archive");
    daemon.stop();
    let left = names(&flares);
    assert!(left.iter().all(|name| name.ends_with(".zip")), "{left:?}");
    assert!(left.iter().any(|name| last.ends_with(name)), "{last}");
    let check = "import sys,zipfile\nfor p in sys.argv[1:]:\n z=zipfile.ZipFile(p)\n assert z.testzip() is None and z.namelist(), p";
    let mut command = Command::new(python);
    command
        .args(["-c", check])
        .args(left.iter().map(|name| flares.join(name)));
    command::succeed(&mut command, wait::PATIENCE).expect("every archive can be read");
}
