//! The file lines go to, and when another one takes its place.
//!
//! ```text
//!  out.ndjson ──full or old──▶ out.ndjson.1 ──▶ out.ndjson.2 ──▶ … ──▶ the oldest is removed
//! ```
//!
//! Before each flush the path is looked at: when it is another file than the one that is open, or none,
//! it is opened anew, so `logrotate` may rename or remove it. A write that fails half-way (a full disk) is
//! taken back, so that no line is ever half there; the points are counted, and the next flush tries again.
//! A rotation that fails changes nothing: lines go on into the same file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use tracing::warn;

use super::telemetry::FileCells;
use crate::config::Rotation;

/// Failed rotations between two log lines.
const FAILURES_PER_LOG: u64 = 60;

/// A file with rotation.
#[derive(Debug)]
pub struct RotatingFile {
    path: PathBuf,
    rotation: Rotation,
    /// `None` after it could not be opened again; the next write tries.
    open: Option<Open>,
    torn: bool,
    cells: Arc<FileCells>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// Device and number of the file.
    identity: (u64, u64),
    len: u64,
    /// When its first line came, Unix seconds.
    began: i64,
    /// Pipes and devices are only written.
    is_regular: bool,
}

// === impl RotatingFile ===

impl RotatingFile {
    /// Opens for appending; a new file gets mode 0600.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        Ok(Self {
            open: Some(Open::new(path)?),
            path: path.to_owned(),
            rotation,
            torn: false,
            cells: Arc::default(),
        })
    }

    /// What is counted.
    pub(super) fn cells(&self) -> Arc<FileCells> {
        Arc::clone(&self.cells)
    }

    /// Whether half a line may stand at the end after a failed [`put`](Self::put).
    pub(super) fn is_torn(&self) -> bool {
        self.torn
    }

    /// A flush begins: follows the path, and rotates when it is time.
    pub(super) fn begin_flush(&mut self, unix_seconds: i64) {
        self.follow();
        if self.is_due(0, unix_seconds) {
            self.rotate();
        }
        self.cells
            .len_bytes(self.open.as_ref().map_or(0, |open| open.len));
    }

    /// Writes whole lines; rotates first when they would not fit.
    ///
    /// # Errors
    /// When they could not be written whole. What was written of them is taken back where that can be done.
    pub(super) fn put(&mut self, lines: &[u8], unix_seconds: i64) -> io::Result<()> {
        if self.is_due(lines.len() as u64, unix_seconds) {
            self.rotate();
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(Open::new(&self.path)?),
        };
        if open.len == 0 {
            open.began = unix_seconds;
        }
        let mut written = 0;
        let result = write_all(&mut open.file, lines, &mut written);
        if result.is_err() {
            self.cells.write_failed();
        }
        self.torn = result.is_err() && written > 0 && !open.take_back(written);
        if result.is_ok() || self.torn {
            open.len = open.len.saturating_add(written);
        }
        result
    }

    /// Whether another file is due before `more` bytes are written.
    fn is_due(&self, more: u64, unix_seconds: i64) -> bool {
        let Some(open) = self
            .open
            .as_ref()
            .filter(|open| open.is_regular && open.len > 0)
        else {
            return false;
        };
        let Rotation { bytes, seconds, .. } = self.rotation;
        let is_full = bytes > 0 && open.len.saturating_add(more) > bytes;
        let is_old = seconds > 0 && unix_seconds.saturating_sub(open.began) >= i64::from(seconds);
        is_full || is_old
    }

    /// Opens what the path means now, when that is another file.
    fn follow(&mut self) {
        let Some(open) = &mut self.open else {
            return;
        };
        match fs::metadata(&self.path) {
            Ok(now) if (now.dev(), now.ino()) == open.identity => {
                // Somebody may have cut it.
                open.len = now.len();
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {}
            _ => match Open::new(&self.path) {
                Ok(new) => {
                    self.open = Some(new);
                    self.cells.reopened();
                }
                // Lines go on into the old one, which may have no name any more but loses nothing that a
                // reader of it could not see.
                Err(error) => self.failed("open again", &error),
            },
        }
    }

    /// Moves every file one number up and opens a new one.
    fn rotate(&mut self) {
        match self.shift().and_then(|()| Open::new(&self.path)) {
            Ok(new) => {
                self.open = Some(new);
                self.cells.rotated();
            }
            Err(error) => {
                self.failed("rotate", &error);
                // When the name is free already, the next write makes the file.
                if fs::metadata(&self.path).is_err() {
                    self.open = None;
                }
            }
        }
    }

    fn shift(&self) -> io::Result<()> {
        let keep = self.rotation.keep;
        if keep == 0 {
            return absent_is_fine(fs::remove_file(&self.path));
        }
        // From the oldest, so that nothing is overwritten before it has moved; a gap is left as it is.
        for number in (1..keep).rev() {
            absent_is_fine(fs::rename(self.numbered(number), self.numbered(number + 1)))?;
        }
        absent_is_fine(fs::rename(&self.path, self.numbered(1)))
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    fn failed(&self, what: &str, error: &io::Error) {
        let before = self.cells.failed();
        if before.is_multiple_of(FAILURES_PER_LOG) {
            warn!(%error, path = %self.path.display(), "cannot {what} the file of `greyhound.ndjson.path`");
        }
    }
}

// === impl Open ===

impl Open {
    fn new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        let metadata = file.metadata()?;
        // Where the file system does not say when a file was made, its last line has to do.
        let began = metadata.created().or_else(|_| metadata.modified())?;
        let began = began.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(Self {
            file,
            identity: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            began: i64::try_from(began.as_secs()).unwrap_or(i64::MAX),
            is_regular: metadata.is_file(),
        })
    }

    /// Cuts off what a failed write left, when nobody else wrote behind it. Says whether it did.
    fn take_back(&self, written: u64) -> bool {
        let end = self.len.saturating_add(written);
        let is_ours = self.is_regular && self.file.metadata().is_ok_and(|now| now.len() == end);
        is_ours && self.file.set_len(self.len).is_ok()
    }
}

/// As [`Write::write_all`], and says how far it came.
fn write_all(file: &mut File, mut bytes: &[u8], written: &mut u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                *written += count as u64;
                bytes = &bytes[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn rotation(bytes: u64, seconds: u32, keep: u32) -> Rotation {
        Rotation {
            bytes,
            seconds,
            keep,
        }
    }

    fn texts(path: &Path, numbers: &[u32]) -> Vec<Option<String>> {
        let name = |number: &u32| match number {
            0 => path.to_owned(),
            n => format!("{}.{n}", path.display()).into(),
        };
        numbers
            .iter()
            .map(|n| fs::read_to_string(name(n)).ok())
            .collect()
    }

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn a_full_file_moves_on_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = RotatingFile::open(&path, rotation(4, 0, 2)).expect("opens");
        for line in ["a\n", "b\n", "c\n", "d\n", "e\n", "f\n", "g\n"] {
            file.put(line.as_bytes(), 0).expect("written");
        }
        // Two lines each, and a, b are gone.
        assert_eq!(
            texts(&path, &[0, 1, 2, 3]),
            [some("g\n"), some("e\nf\n"), some("c\nd\n"), None]
        );
        // A chunk larger than the bound still goes out whole.
        file.put(b"larger than four\n", 0).expect("written");
        assert_eq!(texts(&path, &[0]), [some("larger than four\n")]);
    }

    #[test]
    fn an_old_file_moves_on_but_an_empty_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = RotatingFile::open(&path, rotation(0, 60, 3)).expect("opens");
        file.begin_flush(i64::MAX);
        assert_eq!(texts(&path, &[0, 1]), [some(""), None]);
        file.put(b"a\n", 1000).expect("written");
        file.begin_flush(1059);
        assert_eq!(texts(&path, &[1]), [None]);
        file.begin_flush(1060);
        assert_eq!(texts(&path, &[0, 1]), [some(""), some("a\n")]);
        assert_eq!(file.cells.read().rotations, 1);
    }

    #[test]
    fn none_is_kept_when_none_is_wanted() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = RotatingFile::open(&path, rotation(2, 0, 0)).expect("opens");
        for line in ["a\n", "b\n"] {
            file.put(line.as_bytes(), 0).expect("written");
        }
        assert_eq!(texts(&path, &[0, 1]), [some("b\n"), None]);
    }

    #[test]
    fn a_path_that_means_another_file_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = RotatingFile::open(&path, rotation(0, 0, 0)).expect("opens");
        file.put(b"a\n", 0).expect("written");
        fs::rename(&path, folder.path().join("moved")).expect("renamed");
        file.begin_flush(0);
        file.put(b"b\n", 0).expect("written");
        assert_eq!(texts(&path, &[0]), [some("b\n")]);
        // A file that was cut where it lies is gone on with.
        OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(&path)
            .expect("cut");
        file.begin_flush(0);
        file.put(b"c\n", 0).expect("written");
        assert_eq!(texts(&path, &[0]), [some("c\n")]);
        assert_eq!(file.cells.read().reopened, 1);
    }

    #[test]
    fn a_rotation_that_fails_loses_no_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("out");
        let mut file = RotatingFile::open(&path, rotation(2, 0, 1)).expect("opens");
        // A folder with something in it cannot be replaced by a file.
        fs::create_dir_all(folder.path().join("out.1/x")).expect("made");
        for line in ["a\n", "b\n"] {
            file.put(line.as_bytes(), 0).expect("written");
        }
        assert_eq!(texts(&path, &[0]), [some("a\nb\n")]);
        assert_eq!(file.cells.read().failures, 1);
    }

    #[test]
    fn a_device_that_is_full_is_an_error_and_nothing_else() {
        let mut file =
            RotatingFile::open(Path::new("/dev/full"), rotation(1, 1, 1)).expect("opens");
        for at in 0..3 {
            file.begin_flush(at * 100);
            assert!(file.put(b"a\n", at).is_err());
            assert!(!file.is_torn());
        }
    }
}
