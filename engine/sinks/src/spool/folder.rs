//! A folder that is ours alone, opened once; everything in it is reached through that descriptor, so
//! that nobody can swap it under us.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags};

use super::SpoolError;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: Mode = Mode::RUSR.union(Mode::WUSR);
/// Name of the file whose lock says that the folder is in use.
pub(super) const LOCK: &str = "lock";

/// Bits of a mode that let others write.
const OTHERS_WRITE: u32 = 0o022;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    descriptor: File,
    owner: u32,
    /// Held as long as the folder is in use.
    _lock: File,
}

// === impl Folder ===

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, SpoolError> {
        DirBuilder::new()
            .recursive(true)
            .mode(FOLDER_MODE)
            .create(path)?;
        let descriptor = File::from(
            rustix::fs::open(
                path,
                OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(io::Error::from)?,
        );
        let owner = descriptor.metadata()?.uid();
        let flags = OFlags::RDWR | OFlags::CREATE;
        let lock = open_at(&descriptor, LOCK, flags)?;
        if lock.try_lock().is_err() {
            return Err(SpoolError::Locked(path.to_owned()));
        }
        Ok(Self {
            path: path.to_owned(),
            descriptor,
            owner,
            _lock: lock,
        })
    }

    /// Names in the folder, the lock apart.
    pub(super) fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != LOCK {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Opens a file of ours for reading; an error when it is a link, no plain file, of another
    /// owner, or open to other writers. Never waits, as a pipe would.
    pub(super) fn open_ours(&self, name: &str) -> io::Result<File> {
        let file = open_at(&self.descriptor, name, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let facts = file.metadata()?;
        if facts.is_file() && facts.uid() == self.owner && facts.mode() & OTHERS_WRITE == 0 {
            Ok(file)
        } else {
            Err(io::Error::from(io::ErrorKind::PermissionDenied))
        }
    }

    /// Makes a file that either has this beginning or does not exist.
    pub(super) fn create(&self, name: &str, start: &[u8]) -> io::Result<File> {
        let draft = format!("{name}.tmp");
        self.remove(std::slice::from_ref(&draft));
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let mut file = open_at(&self.descriptor, &draft, flags)?;
        file.write_all(start)?;
        file.sync_data()?;
        rustix::fs::renameat(&self.descriptor, &draft, &self.descriptor, name)?;
        self.descriptor.sync_all()?;
        Ok(file)
    }

    pub(super) fn append_to(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        open_at(&self.descriptor, name, flags)
    }

    /// Removes files that may be missing, in this order.
    pub(super) fn remove<S: AsRef<str>>(&self, names: &[S]) {
        for name in names {
            // Missing is as good; one that stays is found again by the next start.
            rustix::fs::unlinkat(&self.descriptor, name.as_ref(), AtFlags::empty()).ok();
        }
    }

    /// Share of the file system in use once `more` bytes are added.
    pub(super) fn used_share_with(&self, more: u64) -> io::Result<f64> {
        let facts = rustix::fs::fstatvfs(&self.descriptor)?;
        let total = facts.f_blocks.saturating_mul(facts.f_frsize);
        if total == 0 {
            return Ok(0.0);
        }
        let free = facts.f_bavail.saturating_mul(facts.f_frsize);
        Ok(1.0 - free.saturating_sub(more) as f64 / total as f64)
    }
}

fn open_at(folder: &File, name: &str, flags: OFlags) -> io::Result<File> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        folder, name, flags, FILE_MODE,
    )?))
}
