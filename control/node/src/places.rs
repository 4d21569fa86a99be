//! Where token, certificate and control socket are: the same answer for the daemon that makes them and for
//! the commands that look for them.
//!
//! The Agent has them beside its settings file. Who may not write there, as any user who tries Greyhound
//! out, has them in the first folder for running processes that can be written.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use greyhound_config::settings::control::{Control, ControlSocket};

const TOKEN: &str = "auth_token";
const CERTIFICATE: &str = "ipc_cert.pem";
const SOCKET: &str = "control.socket";
const PROBE: &str = ".greyhound-probe";
/// Folder of the system's running Greyhound.
const RUN_DIR: &str = "/run/greyhound";

/// Files of the control port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// The token.
    pub token: PathBuf,
    /// Certificate and key.
    pub certificate: PathBuf,
    /// The Unix socket; none = off, or no folder for it.
    pub socket: Option<PathBuf>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asker {
    /// Makes folders that are missing.
    Daemon,
    /// Takes what is there.
    Command,
}

// === impl Places ===

impl Places {
    /// Where the daemon keeps them. Makes folders of ours that are missing.
    pub fn of_daemon(control: &Control, settings_file: Option<&Path>) -> Self {
        Self::find(control, settings_file, &run_folders(control), Asker::Daemon)
    }

    /// Where a running daemon with these settings has them.
    pub fn of_command(control: &Control, settings_file: Option<&Path>) -> Self {
        Self::find(
            control,
            settings_file,
            &run_folders(control),
            Asker::Command,
        )
    }

    fn find(
        control: &Control,
        settings_file: Option<&Path>,
        run_folders: &[PathBuf],
        asker: Asker,
    ) -> Self {
        let beside_settings = settings_file.map(|file| folder_of(file).to_owned());
        let token = control.token.clone().unwrap_or_else(|| {
            let mut folders: Vec<&Path> = beside_settings.iter().map(PathBuf::as_path).collect();
            folders.extend(run_folders.iter().map(PathBuf::as_path));
            choose(&folders, TOKEN, asker)
        });
        let certificate = control
            .certificate
            .clone()
            .unwrap_or_else(|| folder_of(&token).join(CERTIFICATE));
        let socket = match &control.socket {
            ControlSocket::Off => None,
            ControlSocket::At(path) => Some(path.clone()),
            ControlSocket::Auto => {
                let folders: Vec<&Path> = run_folders.iter().map(PathBuf::as_path).collect();
                let path = choose(&folders, SOCKET, asker);
                folder_of(&path).is_dir().then_some(path)
            }
        };
        Self {
            token,
            certificate,
            socket,
        }
    }
}

/// The first folder that has the file or, for a daemon, that can be written; else the first. A daemon never
/// passes by a folder it may use for a file further on: that may be another daemon's.
fn choose(folders: &[&Path], name: &str, asker: Asker) -> PathBuf {
    let fits = |folder: &&&Path| {
        exists(&folder.join(name)) || (asker == Asker::Daemon && can_write(folder))
    };
    let folder = folders.iter().find(fits).or_else(|| folders.first());
    folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
}

/// Also when it cannot be read: then it is somebody's, and the error should name it.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The first folder for running processes that can be written; the system's for temporary files when there
/// is none.
pub fn run_folder(control: &Control) -> PathBuf {
    let found = run_folders(control)
        .into_iter()
        .find(|folder| can_write(folder));
    found.unwrap_or_else(|| std::env::temp_dir().join("greyhound"))
}

/// Folders for running processes, best first. Never empty.
fn run_folders(control: &Control) -> Vec<PathBuf> {
    let from_environment = |name: &str, below: &str| {
        std::env::var_os(name)
            .filter(|folder| !folder.is_empty())
            .map(|folder| Path::new(&folder).join(below))
    };
    [
        control.run_path.clone(),
        Some(PathBuf::from(RUN_DIR)),
        from_environment("XDG_RUNTIME_DIR", "greyhound"),
        from_environment("HOME", ".local/state/greyhound"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a file can be made there, which is the only test that sees read-only mounts too. Makes the folder.
fn can_write(folder: &Path) -> bool {
    let made = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(folder);
    // One name for all, so that what killed processes leave does not pile up.
    let probe = folder.join(PROBE);
    let written = made.and_then(|()| {
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&probe)
    });
    let is_made = match written {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::AlreadyExists,
    };
    is_made
        && match fs::remove_file(&probe) {
            Ok(()) => true,
            // Another process asked at the same time.
            Err(error) => error.kind() == ErrorKind::NotFound,
        }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::json;

    fn control(settings: serde_json::Value) -> Control {
        settings_from_json(Some(&settings))
            .expect("settings")
            .control
    }

    #[test]
    fn files_stand_beside_the_settings_and_the_socket_in_a_run_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let (settings, run) = (dir.path().join("etc/x.yaml"), dir.path().join("run"));
        fs::create_dir(dir.path().join("etc")).expect("made");
        let plain = control(json!({}));
        let folders = [run.clone()];
        let daemon = Places::find(&plain, Some(&settings), &folders, Asker::Daemon);
        assert_eq!(daemon.token, dir.path().join("etc/auth_token"));
        assert_eq!(daemon.certificate, dir.path().join("etc/ipc_cert.pem"));
        assert_eq!(daemon.socket, Some(run.join("control.socket")));
        let command = Places::find(&plain, Some(&settings), &folders, Asker::Command);
        assert_eq!(command, daemon);
        // Of a daemon that has no settings file.
        fs::write(run.join("auth_token"), "").expect("written");
        fs::write(dir.path().join("etc").join(PROBE), "").expect("left by a killed one");
        let daemon = Places::find(&plain, Some(&settings), &folders, Asker::Daemon);
        assert_eq!(daemon.token, dir.path().join("etc/auth_token"));
        let left: Vec<_> = fs::read_dir(dir.path().join("etc"))
            .expect("there")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }

    #[test]
    fn without_a_folder_of_settings_the_run_folder_takes_all() {
        let dir = tempfile::tempdir().expect("a folder");
        let (denied, run) = (PathBuf::from("/proc/none"), dir.path().join("run"));
        let plain = control(json!({}));
        let places = Places::find(&plain, None, &[denied, run.clone()], Asker::Daemon);
        assert_eq!(places.token, run.join("auth_token"));
        assert_eq!(places.socket, Some(run.join("control.socket")));
        fs::write(run.join("auth_token"), "").expect("written");
        let later = [dir.path().to_owned(), run.clone()];
        let command = Places::find(&plain, None, &later, Asker::Command);
        assert_eq!(command.token, run.join("auth_token"), "where it is");
    }

    #[test]
    fn what_is_set_is_taken() {
        let set = control(json!({
            "auth_token_file_path": "/a/token",
            "greyhound": { "control": { "socket": "" } },
        }));
        let places = Places::find(&set, Some(Path::new("x.yaml")), &[], Asker::Command);
        assert_eq!(places.token, Path::new("/a/token"));
        assert_eq!(places.certificate, Path::new("/a/ipc_cert.pem"));
        assert_eq!(places.socket, None);
    }
}
