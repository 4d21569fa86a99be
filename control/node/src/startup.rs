//! What the process does for itself at start, and how it says that it is there.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use greyhound_pipeline::engine::handle::ListenerState;
use greyhound_pipeline::ledger::Transport;
use greyhound_sys::{priority, rlimit};
use serde_json::{Value, json};
use tracing::warn;

use crate::summary::View;

/// New files are for us alone; sockets get their own mode.
const UMASK: u32 = 0o077;
/// Steps that sinks and servers stand behind the lanes (`nice`): a page or a payload can wait, a packet
/// cannot.
const BEHIND_NICE: i32 = 5;
/// Where the default socket goes when the Agent's folder is not ours to use.
const OWN_RUN_DIR: &str = "/run/greyhound";

/// Limits, signals and file mode of this process. Call it before there are threads. What could not be
/// had is returned in words; nothing of it is fatal.
pub fn prepare_process() -> Vec<String> {
    rlimit::set_umask(UMASK);
    let attempts = [
        ("ignore SIGPIPE and SIGXFSZ", rlimit::ignore_write_signals()),
        ("forbid core files", rlimit::forbid_core_files()),
        (
            "raise the limit of open files",
            rlimit::raise_open_files().map(drop),
        ),
    ];
    attempts
        .into_iter()
        .filter_map(|(what, result)| result.err().map(|error| format!("cannot {what}: {error}")))
        .collect()
}

/// Starts something whose threads stand behind the lanes: out of a real-time class, and [`BEHIND_NICE`]
/// steps back. Blocks until it is started.
pub fn behind_the_lanes<T: Send>(start: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        // Threads are what the thread was that started them; the main one must stay as it is, because
        // the lanes come after it.
        let starter = scope.spawn(|| {
            if let Err(error) = priority::step_back(BEHIND_NICE) {
                tracing::debug!(%error, "threads stay at the lanes' priority");
            }
            start()
        });
        match starter.join() {
            Ok(started) => started,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Where the socket that nobody asked for goes: the configured path, else `/run/greyhound`, else
/// `$XDG_RUNTIME_DIR`, whichever folder can be written first.
///
/// # Errors
/// A notice for the operator: no folder fits, or another server is there already.
pub fn default_socket(path: &Path) -> Result<PathBuf, String> {
    let name = path.file_name().unwrap_or(path.as_os_str());
    let runtime_dir = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    let candidates = [
        Some(path.to_owned()),
        Some(Path::new(OWN_RUN_DIR).join(name)),
        runtime_dir.map(|dir| Path::new(&dir).join(name)),
    ];
    let found = candidates
        .into_iter()
        .flatten()
        .find(|path| can_write_beside(path));
    let Some(found) = found else {
        return Err(format!(
            "no Unix socket: {} cannot be made; set `dogstatsd_socket` to another path, or to nothing",
            path.display()
        ));
    };
    if UnixDatagram::unbound()
        .and_then(|socket| socket.connect(&found))
        .is_ok()
    {
        return Err(format!(
            "no Unix socket: another server answers at {}; set `dogstatsd_socket`",
            found.display()
        ));
    }
    Ok(found)
}

/// Whether a file can be made in the folder of `path`: the only test that sees read-only mounts and
/// access lists too.
fn can_write_beside(path: &Path) -> bool {
    let Some(folder) = path.parent() else {
        return false;
    };
    let probe = folder.join(format!(".greyhound-{}", std::process::id()));
    let made = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&probe);
    made.is_ok() && fs::remove_file(&probe).is_ok()
}

/// Writes where everything listens, whole or not at all: a reader never sees half of it.
///
/// # Errors
/// What the file system says.
pub fn write_ready_file(path: &Path, ready: &Value) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = fs::File::create(&temporary)
        .and_then(|mut file| writeln!(file, "{ready}"))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        fs::remove_file(&temporary).ok();
    }
    written
}

/// The content of the ready file.
pub(crate) fn ready_json(view: &View) -> Value {
    let of = |transport: Transport| -> Vec<&str> {
        view.listeners
            .iter()
            .filter(|listener| listener.open && listener.info.transport == transport)
            .map(|listener| listener.info.address.as_str())
            .collect()
    };
    json!({
        "udp": of(Transport::Udp),
        "uds_datagram": of(Transport::Unixgram),
        "uds_stream": of(Transport::UnixStream),
        "http": view.http,
        "control": view.control,
        "control_socket": view.control_socket,
        "pid": std::process::id(),
    })
}

/// The ready file of a running daemon, for whoever changes its listeners.
pub struct ReadyFile {
    path: PathBuf,
    view: View,
}

// === impl ReadyFile ===

impl ReadyFile {
    /// The file at `path`, and what stays in it.
    pub(crate) fn new(path: PathBuf, view: View) -> Self {
        Self { path, view }
    }

    /// Writes it anew with these listeners. A file that cannot be written is told in the log: the daemon runs.
    pub(crate) fn rewrite(&self, listeners: &[ListenerState]) {
        let view = View {
            listeners: listeners.to_vec(),
            ..self.view.clone()
        };
        if let Err(error) = write_ready_file(&self.path, &ready_json(&view)) {
            warn!(path = %self.path.display(), %error, "the ready file is not current");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_pipeline::engine::handle::ListenerState;
    use greyhound_pipeline::ledger::ListenerInfo;

    fn listener(transport: Transport, address: &str) -> ListenerState {
        let info = ListenerInfo {
            id: transport.as_str().to_owned(),
            address: address.to_owned(),
            transport,
            eol_required: false,
        };
        ListenerState {
            info,
            receive_buffer: None,
            open: true,
        }
    }

    #[test]
    fn the_ready_file_says_where_everything_listens() {
        let ready = ready_json(&View {
            listeners: vec![
                listener(Transport::Udp, "127.0.0.1:1"),
                listener(Transport::UnixStream, "/s"),
            ],
            http: Some("127.0.0.1:2".to_owned()),
            control: Some("127.0.0.1:3".to_owned()),
            ..View::default()
        });
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("ready.json");
        write_ready_file(&path, &ready).expect("written");
        let read: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("json");
        assert_eq!(read["udp"], json!(["127.0.0.1:1"]));
        assert_eq!(read["uds_datagram"], json!([]));
        assert_eq!(read["uds_stream"], json!(["/s"]));
        assert_eq!(read["http"], "127.0.0.1:2");
        assert_eq!(read["control"], "127.0.0.1:3");
        assert_eq!(read["control_socket"], Value::Null);
        assert_eq!(read["pid"], std::process::id());
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
        assert!(write_ready_file(Path::new("/nonexistent/ready"), &ready).is_err());
    }

    #[test]
    fn the_default_socket_goes_where_a_file_can_be_made() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("dsd.socket");
        assert_eq!(default_socket(&path), Ok(path.clone()));
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
        let other = UnixDatagram::bind(&path).expect("bind");
        assert!(
            default_socket(&path)
                .unwrap_err()
                .contains("another server")
        );
        drop(other);
        assert_eq!(default_socket(&path), Ok(path));
    }
}
