//! The log in a file that rolls over: `x.log` is written, `x.log.1` is the one before, and so on.
//!
//! Belongs to the thread that writes lines, so a slow disk makes nobody wait. A file that cannot be written
//! loses its lines and is tried again with the next; the console has them all the same.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// For its owner alone, as all files of ours.
const MODE: u32 = 0o600;

/// Where the log is written to, and when it rolls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileConfig {
    /// `log_file`.
    pub path: PathBuf,
    /// `log_file_max_size` in bytes: a line that would pass it begins a new file; 0 = never.
    pub bytes_max: u64,
    /// `log_file_max_rolls`: files before this one that are kept.
    pub rolls: u32,
}

/// A file that rolls.
#[derive(Debug)]
pub(super) struct RollingFile {
    config: FileConfig,
    /// `None` after a failure, until the next line.
    file: Option<File>,
    len_bytes: u64,
}

// === impl RollingFile ===

impl RollingFile {
    /// Opens it, to write behind what is there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn open(config: FileConfig) -> io::Result<Self> {
        let mut rolling = Self {
            config,
            file: None,
            len_bytes: 0,
        };
        rolling.reopen()?;
        Ok(rolling)
    }

    /// Writes one line, after rolling over when it does not fit.
    pub(super) fn write_line(&mut self, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.reopen()?;
        }
        let len = line.len() as u64;
        let bytes_max = self.config.bytes_max;
        if bytes_max > 0 && self.len_bytes > 0 && self.len_bytes + len > bytes_max {
            self.roll()?;
        }
        let written = match &mut self.file {
            Some(file) => file.write_all(line),
            None => Ok(()),
        };
        match &written {
            Ok(()) => self.len_bytes += len,
            Err(_) => self.file = None,
        }
        written
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(MODE)
            .open(&self.config.path)?;
        self.len_bytes = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }

    fn roll(&mut self) -> io::Result<()> {
        self.file = None;
        let path = &self.config.path;
        let rolls = self.config.rolls;
        if rolls == 0 {
            remove(path)?;
        } else {
            remove(&numbered(path, rolls))?;
            for number in (1..rolls).rev() {
                rename(&numbered(path, number), &numbered(path, number + 1))?;
            }
            rename(path, &numbered(path, 1))?;
        }
        self.reopen()
    }
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// What is not there needs no removing.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(path: &Path, rolls: u32) -> FileConfig {
        FileConfig {
            path: path.to_owned(),
            bytes_max: 10,
            rolls,
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    #[test]
    fn files_roll_over_before_they_grow_too_long_and_the_oldest_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("x.log");
        let mut file = RollingFile::open(config(&path, 2)).expect("opened");
        for line in [
            "one\n",
            "two\n",
            "three\n",
            "four\n",
            "five\n",
            "a very long line\n",
            "six\n",
        ] {
            file.write_line(line.as_bytes()).expect("written");
        }
        assert_eq!(text(&path), "six\n");
        assert_eq!(text(&numbered(&path, 1)), "a very long line\n");
        assert_eq!(text(&numbered(&path, 2)), "four\nfive\n");
        assert!(!numbered(&path, 3).exists());
        drop(file);
        let mut file = RollingFile::open(config(&path, 0)).expect("opened again");
        file.write_line(b"7\n").expect("written");
        assert_eq!(text(&path), "six\n7\n", "goes on where it was");
        file.write_line(b"no room left\n").expect("written");
        assert_eq!(text(&path), "no room left\n");
    }

    #[test]
    fn a_file_that_could_not_be_written_is_tried_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("gone/x.log");
        assert!(RollingFile::open(config(&path, 1)).is_err());
        fs::create_dir(dir.path().join("gone")).expect("made");
        let mut file = RollingFile::open(config(&path, 1)).expect("opened");
        fs::remove_dir_all(dir.path().join("gone")).expect("ours");
        file.write_line(b"12345678\n")
            .expect("into a file without a name");
        assert!(
            file.write_line(b"a line\n").is_err(),
            "no folder to roll in"
        );
        fs::create_dir(dir.path().join("gone")).expect("made");
        file.write_line(b"back\n").expect("written");
        assert_eq!(text(&path), "back\n");
    }
}
