//! Files others need: sockets of clients, token and certificate of the control port.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use greyhound_pipeline::ledger::Transport;
use greyhound_server::diagnose::{Diagnosis, Verdict};

use super::Subject;

/// Shortest token any client takes.
const TOKEN_BYTES_MIN: u64 = 32;

pub(super) fn sockets(subject: &Subject) -> Vec<Diagnosis> {
    let Some(engine) = subject.engine.get() else {
        let settings = (subject.settings)();
        let all = settings.listen.datagram_sockets.iter();
        return all
            .chain(&settings.listen.stream_sockets)
            .filter(|socket| !socket.is_default)
            .map(|socket| folder(&socket.path))
            .collect();
    };
    let listeners = engine.listeners();
    listeners
        .iter()
        .filter(|listener| listener.open && listener.info.transport != Transport::Udp)
        .map(|listener| socket(Path::new(&listener.info.address)))
        .collect()
}

/// A socket that clients of other users can reach.
fn socket(path: &Path) -> Diagnosis {
    let name = "socket";
    let shown = path.display();
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => Diagnosis::new(
            Verdict::Fail,
            name,
            format!("{shown} is no socket any more"),
            format!("rm {shown}, then start greyhound again"),
        ),
        Ok(found) if found.mode() & 0o022 == 0 => Diagnosis::new(
            Verdict::Warning,
            name,
            format!(
                "{shown} has mode {:04o}: clients of other users cannot send",
                found.mode() & 0o7777
            ),
            "set `greyhound.uds.mode: \"0722\"`",
        ),
        Ok(found) => match unreachable_folder(path) {
            Some(folder) => Diagnosis::new(
                Verdict::Warning,
                name,
                format!("{shown}: clients of other users cannot enter {folder}"),
                format!("chmod o+x {folder}"),
            ),
            None => Diagnosis::success(
                name,
                format!("{shown} has mode {:04o}", found.mode() & 0o7777),
            ),
        },
        Err(error) => Diagnosis::new(
            Verdict::Fail,
            name,
            format!("{shown}: {error}"),
            "start greyhound again; something removed its socket",
        ),
    }
}

/// The first folder above that others may not enter.
fn unreachable_folder(path: &Path) -> Option<String> {
    path.ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty())
        .find(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 == 0))
        .map(|folder| folder.display().to_string())
}

/// The folder of a socket that is to be.
fn folder(path: &Path) -> Diagnosis {
    let name = "socket folder";
    let folder = path.parent().unwrap_or(path).display();
    match path.parent().map(fs::metadata) {
        Some(Ok(found)) if found.is_dir() => Diagnosis::success(name, folder.to_string()),
        _ => Diagnosis::new(
            Verdict::Fail,
            name,
            format!("{folder} is no folder"),
            format!("mkdir -p {folder}"),
        ),
    }
}

pub(super) fn control(subject: &Subject) -> Vec<Diagnosis> {
    if !(subject.settings)().control.enabled {
        return vec![Diagnosis::success("control port", "off")];
    }
    let places = &subject.places;
    vec![
        secret("token", &places.token, "auth_token_file_path"),
        secret("certificate", &places.certificate, "ipc_cert_file_path"),
    ]
}

/// A file that nobody else may read.
fn secret(name: &str, path: &Path, key: &str) -> Diagnosis {
    let shown = path.display();
    let own = fs::metadata("/proc/self").map_or(u32::MAX, |own| own.uid());
    match fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => Diagnosis::new(
            Verdict::Fail,
            name,
            format!(
                "{shown} has mode {:04o}: others could have read it",
                found.mode() & 0o7777
            ),
            format!("chmod 600 {shown}"),
        ),
        Ok(found) if found.uid() != own && own != 0 => Diagnosis::new(
            Verdict::Fail,
            name,
            format!("{shown} belongs to uid {}, we are uid {own}", found.uid()),
            format!("chown {own} {shown}, or set `{key}`"),
        ),
        Ok(found) if found.len() < TOKEN_BYTES_MIN => Diagnosis::new(
            Verdict::Fail,
            name,
            format!("{shown} is too short to be one"),
            format!("rm {shown}, then start greyhound again: it makes a new one"),
        ),
        Ok(found) => {
            Diagnosis::success(name, format!("{shown}, mode {:04o}", found.mode() & 0o7777))
        }
        Err(error) => Diagnosis::new(
            Verdict::Warning,
            name,
            format!("{shown}: {error}"),
            format!("start greyhound, which makes it, or set `{key}` to where it is"),
        ),
    }
}
