//! Unix sockets at a path in the file system: bind aside, then rename over.
//!
//! ```text
//!  1 look      nothing there, a stale socket, a link ─▶ go on;  a file or folder, somebody answers ─▶ refuse
//!  2 bind      `.<name>.<random>` in the same folder
//!  3 owner, mode   on the aside name: nobody can connect under the final name before they are right
//!  4 rename    over the final name: replaces a link instead of following it, and clients never find
//!              the path missing
//! ```
//!
//! At the end the file goes only if it is still the one we made (same inode and device), so a
//! successor's socket survives us.

use std::ffi::OsString;
use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Longest path a Unix socket can have, in bytes: `sun_path` and its final zero.
pub const PATH_BYTES_MAX: usize = 107;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 1024;
/// Aside names that happen to exist are tried again so many times.
const ASIDE_ATTEMPTS: usize = 16;
const STICKY: u32 = 0o1000;
const WORLD_WRITABLE: u32 = 0o002;

/// How a socket file is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketFile {
    /// Final path.
    pub path: PathBuf,
    /// Permission bits, exactly: the umask does not take any away.
    pub mode: u32,
    /// Owner; `None` leaves our own.
    pub uid: Option<u32>,
    /// Group; `None` leaves our own.
    pub gid: Option<u32>,
    /// Bind even where others could replace the socket under us: in a folder of another user, or
    /// one that everybody may write to and that lacks the sticky bit.
    pub allow_open_folder: bool,
}

/// The socket file we made; [`remove`](Self::remove) it when the socket is drained.
#[derive(Debug)]
pub struct BoundPath {
    path: PathBuf,
    inode: u64,
    device: u64,
}

/// Why a socket file could not be made. Nothing is left behind then.
#[derive(Debug)]
pub enum BindError {
    /// Something else is at the path; it is left alone.
    NotASocket,
    /// Somebody answers at the path.
    InUse,
    /// The path does not fit into a socket address.
    PathTooLong {
        /// Its length.
        len_bytes: usize,
    },
    /// The folder lets others replace the socket: the mode it has and who owns it.
    OpenFolder {
        /// Permission bits of the folder.
        mode: u32,
        /// Owner of the folder.
        uid: u32,
    },
    /// The kernel refused.
    Io(io::Error),
}

// === impl SocketFile ===

impl SocketFile {
    /// A datagram socket at the path, non-blocking. Blocks on the file system; for start only.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind_datagram(&self) -> Result<(UnixDatagram, BoundPath), BindError> {
        let (socket, bound) = self.bind(Type::DGRAM)?;
        Ok((UnixDatagram::from(socket), bound))
    }

    /// A listening stream socket at the path, non-blocking. Blocks on the file system; for start
    /// only.
    ///
    /// # Errors
    ///
    /// See [`BindError`].
    pub fn bind_stream(&self) -> Result<(UnixListener, BoundPath), BindError> {
        let (socket, bound) = self.bind(Type::STREAM)?;
        Ok((UnixListener::from(socket), bound))
    }

    fn bind(&self, kind: Type) -> Result<(Socket, BoundPath), BindError> {
        let len_bytes = self.path.as_os_str().len();
        if len_bytes > PATH_BYTES_MAX {
            return Err(BindError::PathTooLong { len_bytes });
        }
        let name = self.path.file_name().ok_or(BindError::NotASocket)?;
        let folder = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        self.check_folder(folder)?;
        self.check_occupant(kind)?;
        let socket = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
        let aside = bind_aside(&socket, folder, name.as_bytes())?;
        match self.finish(&socket, kind, &aside) {
            Ok(bound) => Ok((socket, bound)),
            Err(error) => {
                // The first error is the one to tell; the aside name is ours and of no use now.
                drop(fs::remove_file(&aside));
                Err(error.into())
            }
        }
    }

    /// From the aside name to the final one.
    fn finish(&self, socket: &Socket, kind: Type, aside: &Path) -> io::Result<BoundPath> {
        if self.uid.is_some() || self.gid.is_some() {
            std::os::unix::fs::lchown(aside, self.uid, self.gid)?;
        }
        fs::set_permissions(aside, fs::Permissions::from_mode(self.mode & 0o7777))?;
        if kind == Type::STREAM {
            // Before the rename: a client that finds the final name finds somebody listening.
            socket.listen(BACKLOG)?;
        }
        let made = fs::symlink_metadata(aside)?;
        fs::rename(aside, &self.path)?;
        Ok(BoundPath {
            path: self.path.clone(),
            inode: made.ino(),
            device: made.dev(),
        })
    }

    fn check_folder(&self, folder: &Path) -> Result<(), BindError> {
        if self.allow_open_folder {
            return Ok(());
        }
        let metadata = fs::metadata(folder)?;
        let (mode, uid) = (metadata.mode() & 0o7777, metadata.uid());
        let open = mode & WORLD_WRITABLE != 0 && mode & STICKY == 0;
        let ours = uid == 0 || uid == effective_uid() || Some(uid) == self.uid;
        if open || !ours {
            return Err(BindError::OpenFolder { mode, uid });
        }
        Ok(())
    }

    /// Whether what is at the path may be replaced.
    fn check_occupant(&self, kind: Type) -> Result<(), BindError> {
        match fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
            // A link is replaced, not followed, and what it points at is not touched. But if a live
            // socket is behind it, clients use that one.
            Ok(found) if found.file_type().is_socket() || found.file_type().is_symlink() => {}
            Ok(_) => return Err(BindError::NotASocket),
        }
        let probe = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
        match probe.connect(&SockAddr::unix(&self.path)?) {
            Ok(()) => Err(BindError::InUse),
            Err(error) => match error.raw_os_error() {
                // Nobody has it open; or it is a link to nowhere or to something else.
                Some(libc::ECONNREFUSED | libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => Ok(()),
                // Open as another type, or too busy to answer: somebody is there.
                Some(libc::EPROTOTYPE | libc::EAGAIN) => Err(BindError::InUse),
                _ => Err(error.into()),
            },
        }
    }
}

// === impl BoundPath ===

impl BoundPath {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the file if it is still the one we made; says whether it was. A successor that
    /// renamed its own socket over ours keeps it.
    ///
    /// # Errors
    ///
    /// What the file system says; a file that is gone already is not an error.
    pub fn remove(&self) -> io::Result<bool> {
        let found = match fs::symlink_metadata(&self.path) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        if found.ino() != self.inode || found.dev() != self.device {
            return Ok(false);
        }
        fs::remove_file(&self.path)?;
        Ok(true)
    }
}

// === impl BindError ===

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for BindError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotASocket => f.write_str("what is there is not a socket, so it stays"),
            Self::InUse => f.write_str("somebody else listens there"),
            Self::PathTooLong { len_bytes } => write!(
                f,
                "the path has {len_bytes} bytes, the kernel takes at most {PATH_BYTES_MAX}"
            ),
            Self::OpenFolder { mode, uid } => write!(
                f,
                "others could replace the socket: its folder has mode {mode:04o} and owner {uid} \
                 (`greyhound.uds.allow_open_folder` binds all the same)"
            ),
            Self::Io(_) => f.write_str("the kernel refused"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}

/// Binds to a fresh name beside the final one and returns that name.
fn bind_aside(socket: &Socket, folder: &Path, name: &[u8]) -> io::Result<PathBuf> {
    let mut last = io::Error::from(io::ErrorKind::AddrInUse);
    for _ in 0..ASIDE_ATTEMPTS {
        let random = RandomState::new().hash_one(name) as u32;
        let mut aside_name = OsString::from(".");
        aside_name.push(std::ffi::OsStr::from_bytes(name));
        aside_name.push(format!(".{random:08x}"));
        let mut aside = folder.join(&aside_name);
        let bound = if aside.as_os_str().len() <= PATH_BYTES_MAX {
            socket.bind(&SockAddr::unix(&aside)?)
        } else {
            // The final path just fits, the aside one does not: reach the folder by descriptor, and
            // leave the long name out.
            aside_name = OsString::from(format!(".{random:08x}"));
            aside = folder.join(&aside_name);
            let handle = fs::File::open(folder)?;
            let short = Path::new("/proc/self/fd").join(handle.as_fd().as_raw_fd().to_string());
            socket.bind(&SockAddr::unix(short.join(&aside_name))?)
        };
        match bound {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => last = error,
            Err(error) => return Err(error),
        }
    }
    Err(last)
}

fn effective_uid() -> u32 {
    // SAFETY: geteuid(2) takes nothing and always succeeds.
    unsafe { libc::geteuid() }
}

#[cfg(test)]
mod tests;
