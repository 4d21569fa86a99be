//! Files that several processes share and each may have to make first: token and certificate.
//!
//! ```text
//!  read ──there──▶ done
//!    └─missing─▶ lock <path>.lock ▸ read again ▸ temporary file ▸ fsync ▸ rename ▸ unlock, remove lock
//! ```
//!
//! A reader sees a whole file or none. A process killed on the way leaves at most a temporary file and an
//! unlocked lock file, which the next one removes. A file that is there and cannot be trusted is never
//! replaced: it may be somebody's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

const LOCK_RETRY: Duration = Duration::from_millis(50);
/// Bits that let others read or write.
const OTHERS: u32 = 0o077;

/// Why a file could not be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArtifactError {
    /// Not there.
    #[error("{} is not there", .0.display())]
    Missing(PathBuf),
    /// The system refused.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is there, and others could have read or written it.
    #[error("{} cannot be trusted: {why}; {cure}", path.display())]
    Unsafe {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        why: String,
        /// A command.
        cure: String,
    },
    /// It is there and safe, and holds something else.
    #[error("{} {why}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong; nothing of the content.
        why: String,
    },
    /// Another process held the lock too long.
    #[error("another process holds {} for too long", .0.display())]
    Locked(PathBuf),
}

/// What a file looked like, to notice that it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    len: u64,
    mode: u32,
    modified: Option<SystemTime>,
}

/// How to read one kind of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind<T> {
    /// Longest file accepted.
    pub(crate) bytes_max: usize,
    /// Reads it; the error says what is wrong without a byte of the content.
    pub(crate) parse: fn(&[u8]) -> Result<T, String>,
    /// Makes the content of a new one.
    pub(crate) make: fn() -> Result<Vec<u8>, String>,
}

/// Reads a file that nobody but its owner could have read or written. Blocks.
///
/// # Errors
/// See [`ArtifactError`]; an empty file counts as missing.
pub(crate) fn load<T>(path: &Path, own_uid: u32, kind: &Kind<T>) -> Result<T, ArtifactError> {
    let bytes = read(path, own_uid, kind.bytes_max)?;
    (kind.parse)(&bytes).map_err(|why| ArtifactError::Content {
        path: path.to_owned(),
        why,
    })
}

/// [`load`], or makes the file first. Blocks until `deadline` at most for another process that makes it.
///
/// # Errors
/// See [`ArtifactError`].
pub(crate) fn load_or_create<T>(
    path: &Path,
    own_uid: u32,
    kind: &Kind<T>,
    deadline: Instant,
) -> Result<T, ArtifactError> {
    match load(path, own_uid, kind) {
        Err(ArtifactError::Missing(_)) => {}
        found => return found,
    }
    let lock_path = with_suffix(path, ".lock");
    let lock = lock(&lock_path, deadline)?;
    let loaded = match load(path, own_uid, kind) {
        Err(ArtifactError::Missing(_)) => {
            remove_leftovers(path);
            let bytes = (kind.make)().map_err(|why| ArtifactError::Content {
                path: path.to_owned(),
                why: format!("cannot be made: {why}"),
            })?;
            write(path, &bytes)?;
            load(path, own_uid, kind)
        }
        found => found,
    };
    if loaded.is_ok() {
        // While the lock is held, so that nobody holds a lock on a file without a name for long.
        fs::remove_file(&lock_path).ok();
    }
    drop(lock);
    loaded
}

/// What the file looks like now; none when it cannot be seen.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::symlink_metadata(path).ok()?;
    Some(Stamp {
        inode: metadata.ino(),
        len: metadata.len(),
        mode: metadata.mode(),
        modified: metadata.modified().ok(),
    })
}

fn read(path: &Path, own_uid: u32, bytes_max: usize) -> Result<Vec<u8>, ArtifactError> {
    let io = |what| {
        move |source: io::Error| ArtifactError::Io {
            what,
            path: path.to_owned(),
            source,
        }
    };
    let unsafe_because = |why: String, cure: String| ArtifactError::Unsafe {
        path: path.to_owned(),
        why,
        cure,
    };
    let mut file = match OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(ArtifactError::Missing(path.to_owned()));
        }
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            let cure = "put the file itself there".to_owned();
            return Err(unsafe_because("it is a symbolic link".to_owned(), cure));
        }
        Err(error) => return Err(io("open")(error)),
    };
    let metadata = file.metadata().map_err(io("examine"))?;
    if !metadata.is_file() {
        let cure = "remove it".to_owned();
        return Err(unsafe_because("it is not a regular file".to_owned(), cure));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & OTHERS != 0 {
        let why = format!("its mode {mode:04o} lets others in");
        return Err(unsafe_because(why, format!("chmod 600 {}", path.display())));
    }
    if !may_own(metadata.uid(), own_uid, path) {
        let why = format!("it belongs to user {}", metadata.uid());
        return Err(unsafe_because(
            why,
            format!("chown {own_uid} {}", path.display()),
        ));
    }
    let mut bytes = Vec::new();
    let limit = bytes_max as u64 + 1;
    (&mut file)
        .take(limit)
        .read_to_end(&mut bytes)
        .map_err(io("read"))?;
    if bytes.len() > bytes_max {
        return Err(ArtifactError::Content {
            path: path.to_owned(),
            why: format!("is longer than {bytes_max} bytes"),
        });
    }
    if bytes.is_empty() {
        return Err(ArtifactError::Missing(path.to_owned()));
    }
    Ok(bytes)
}

/// Ourselves and root. A root process also takes the files of whoever owns the folder: that is how a real
/// Agent's look, whose own user the folder belongs to and who could swap them anyway.
fn may_own(owner: u32, own_uid: u32, path: &Path) -> bool {
    let folder_owner = || fs::metadata(folder_of(path)).map(|folder| folder.uid());
    owner == own_uid || owner == 0 || (own_uid == 0 && folder_owner().ok() == Some(owner))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// An exclusive lock on the file that has this name when the lock is held.
fn lock(path: &Path, deadline: Instant) -> Result<File, ArtifactError> {
    let io = |source| ArtifactError::Io {
        what: "lock",
        path: path.to_owned(),
        source,
    };
    loop {
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(libc::O_NOFOLLOW)
            .open(path);
        match opened {
            Ok(file) => match file.try_lock() {
                // Its holder may have removed it between our open and our lock.
                Ok(()) if is_named(&file, path) => return Ok(file),
                Ok(()) => continue,
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(io(error)),
            },
            // A process of another user may be about to hand it over.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                if Instant::now() >= deadline || !path.exists() {
                    return Err(io(error));
                }
            }
            Err(error) => return Err(io(error)),
        }
        if Instant::now() >= deadline {
            return Err(ArtifactError::Locked(path.to_owned()));
        }
        thread::sleep(LOCK_RETRY);
    }
}

fn is_named(file: &File, path: &Path) -> bool {
    let (Ok(held), Ok(named)) = (file.metadata(), fs::symlink_metadata(path)) else {
        return false;
    };
    (held.dev(), held.ino()) == (named.dev(), named.ino())
}

/// Writes a file of mode 0600, whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), ArtifactError> {
    let temporary = temporary_path(path, &std::process::id().to_string());
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(folder_of(path))?.sync_all());
    written.map_err(|source| {
        fs::remove_file(&temporary).ok();
        ArtifactError::Io {
            what: "write",
            path: path.to_owned(),
            source,
        }
    })
}

/// Removes what a process killed while writing left behind. Called with the lock held.
fn remove_leftovers(path: &Path) {
    let prefix = temporary_path(path, "");
    let Some(prefix) = prefix.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    let Ok(entries) = fs::read_dir(folder_of(path)) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with(prefix)) {
            fs::remove_file(entry.path()).ok();
        }
    }
}

fn temporary_path(path: &Path, end: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    folder_of(path).join(format!("tmp-artifact-{name}-{end}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
