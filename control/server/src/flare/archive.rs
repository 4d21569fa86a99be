//! The file: names that stay inside, everything scrubbed, nobody else may read it, whole or not there.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::FlareError;
use super::scrub::Scrubber;

/// Bytes of all members before compression.
const BYTES_MAX: usize = 200 << 20;
/// Members.
const MEMBERS_MAX: usize = 4096;
const PART_CHARS_MAX: usize = 64;
const PARTS_MAX: usize = 8;
/// An archive nobody took is removed then.
const AGE_MAX: Duration = Duration::from_secs(24 * 3600);
const PREFIX: &str = "greyhound-";
const TEMPORARY: &str = ".tmp";

/// An archive that is being written. Dropped before it is finished, it leaves nothing.
pub(super) struct Archive {
    writer: ZipWriter<File>,
    temporary: Temporary,
    target: PathBuf,
    top: String,
    names: HashSet<String>,
    left_bytes: usize,
    unscrubbed: Vec<String>,
    notes: Vec<String>,
}

/// Removed when dropped.
struct Temporary(PathBuf);

// === impl Archive ===

impl Archive {
    pub(super) fn create(folder: &Path, hostname: &str, level: &str) -> Result<Self, FlareError> {
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| FlareError::Io { what, path, source }
        };
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed("make folder", folder))?;
        keep_to_us(folder).map_err(failed("close folder", folder))?;
        let folder = fs::canonicalize(folder).map_err(failed("find folder", folder))?;
        tidy(&folder);
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let name = format!(
            "{PREFIX}{}-{}-{}.zip",
            now.replace(':', "-"),
            part(level),
            random_name()?
        );
        let temporary = folder.join(format!(".{name}.{}{TEMPORARY}", std::process::id()));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(failed("make", &temporary))?;
        let top = match hostname {
            "" => "unknown".to_owned(),
            name => part(name),
        };
        Ok(Self {
            writer: ZipWriter::new(file),
            temporary: Temporary(temporary),
            target: folder.join(name),
            top,
            names: HashSet::new(),
            left_bytes: BYTES_MAX,
            unscrubbed: Vec::new(),
            notes: Vec::new(),
        })
    }

    /// Adds a member, scrubbed.
    pub(super) fn add(
        &mut self,
        path: &str,
        bytes: &[u8],
        scrubber: &Scrubber,
    ) -> Result<(), FlareError> {
        let path = confined(path);
        let scrubbed = scrubber.file(&path, bytes);
        self.write(path, &scrubbed)
    }

    /// Adds a profile. What is no text goes in as it came, known secrets aside, and is listed as such.
    pub(super) fn add_profile(
        &mut self,
        name: &str,
        bytes: &[u8],
        scrubber: &Scrubber,
    ) -> Result<(), FlareError> {
        let path = format!("profiles/{}", part(name));
        let is_text = std::str::from_utf8(bytes).is_ok();
        let scrubbed = scrubber.file(if is_text { "profile" } else { &path }, bytes);
        if !is_text {
            self.unscrubbed.push(path.clone());
        }
        self.write(path, &scrubbed)
    }

    /// What is worth a line about the members.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Writes what is left, has every member checked as it can be read back, and puts the file in its
    /// place. A complaint of `check` removes it.
    pub(super) fn finish(
        mut self,
        check: impl Fn(&[u8], &str) -> Result<(), FlareError>,
    ) -> Result<PathBuf, FlareError> {
        if !self.unscrubbed.is_empty() {
            let list = serde_json::json!(self.unscrubbed).to_string();
            self.write("non_scrubbed_files.json".to_owned(), list.as_bytes())?;
        }
        let file = self.writer.finish().map_err(broken)?;
        let failed = |what, path: &Path| {
            let path = path.to_owned();
            move |source| FlareError::Io { what, path, source }
        };
        let mut read = ZipArchive::new(&file).map_err(broken)?;
        for index in 0..read.len() {
            let mut member = read.by_index(index).map_err(broken)?;
            let mut content = Vec::new();
            let name = member.name().map_err(broken)?.into_owned();
            member
                .read_to_end(&mut content)
                .map_err(|error| FlareError::Archive(error.to_string()))?;
            check(&content, &name)?;
        }
        file.sync_all()
            .map_err(failed("write", &self.temporary.0))?;
        fs::rename(&self.temporary.0, &self.target).map_err(failed("rename to", &self.target))?;
        Ok(self.target)
    }

    fn write(&mut self, path: String, bytes: &[u8]) -> Result<(), FlareError> {
        if self.names.len() >= MEMBERS_MAX {
            self.notes
                .push(format!("{path}: left out, there are too many files"));
            return Ok(());
        }
        let mut name = path.clone();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{path}-{count}");
        }
        let kept = bytes.len().min(self.left_bytes);
        if kept < bytes.len() {
            self.notes.push(format!(
                "{name}: the last {} of {} bytes did not fit",
                bytes.len() - kept,
                bytes.len()
            ));
        }
        self.left_bytes -= kept;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o644);
        self.writer
            .start_file(format!("{}/{name}", self.top), options)
            .map_err(broken)?;
        self.writer
            .write_all(&bytes[..kept])
            .map_err(|error| FlareError::Archive(error.to_string()))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // After a rename it is not there any more.
        fs::remove_file(&self.0).ok();
    }
}

/// Nobody else may look into the folder; one that belongs to somebody else is refused by the kernel.
fn keep_to_us(folder: &Path) -> io::Result<()> {
    let mode = fs::metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

fn broken(error: zip::result::ZipError) -> FlareError {
    FlareError::Archive(error.to_string())
}

/// 128 random bits in hexadecimal: two archives of one second differ, and nobody can guess the name.
fn random_name() -> Result<String, FlareError> {
    let mut random = [0; 16];
    rustls::crypto::ring::default_provider()
        .secure_random
        .fill(&mut random)
        .map_err(|_| FlareError::Archive("no random numbers".to_owned()))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A path that stays below the folder it is put in, whatever it was.
fn confined(path: &str) -> String {
    let parts: Vec<String> = path
        .split('/')
        .filter(|text| !matches!(*text, "" | "." | ".."))
        .take(PARTS_MAX)
        .map(part)
        .collect();
    if parts.is_empty() {
        "unnamed".to_owned()
    } else {
        parts.join("/")
    }
}

/// One part of a path: letters, digits, `.`, `_` and `-` only.
fn part(text: &str) -> String {
    let clean: String = text
        .chars()
        .take(PART_CHARS_MAX)
        .map(|letter| {
            let fits = letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_' | '-');
            if fits { letter } else { '_' }
        })
        .collect();
    let clean = clean.replace("..", "__");
    match clean.as_str() {
        "" | "." => "unnamed".to_owned(),
        _ => clean,
    }
}

/// Removes archives nobody took for a day, and what killed processes left. Others may share the folder:
/// what a living one writes stays.
pub(super) fn tidy(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let is_ours = name.trim_start_matches('.').starts_with(PREFIX);
        let is_over = if name.ends_with(TEMPORARY) {
            is_left_behind(name)
        } else {
            name.ends_with(".zip") && is_old(&entry)
        };
        if is_ours && is_over {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// `.greyhound-….zip.PID.tmp` of a process that is no more.
fn is_left_behind(name: &str) -> bool {
    let pid = name
        .strip_suffix(TEMPORARY)
        .and_then(|rest| rest.rsplit('.').next())
        .and_then(|pid| pid.parse::<u32>().ok());
    pid.is_none_or(|pid| !Path::new("/proc").join(pid.to_string()).exists())
}

fn is_old(entry: &fs::DirEntry) -> bool {
    let age = |found: fs::Metadata| found.modified().ok()?.elapsed().ok();
    entry
        .metadata()
        .ok()
        .and_then(age)
        .is_some_and(|age| age > AGE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        for (given, kept) in [
            ("status.log", "status.log"),
            ("logs/a.log", "logs/a.log"),
            ("../../etc/x", "etc/x"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b/./c", "a/b/c"),
            ("x\r\ny\0z", "x__y_z"),
            ("", "unnamed"),
            ("..", "unnamed"),
        ] {
            assert_eq!(confined(given), kept);
        }
        assert_eq!(part("../../../etc/x"), "_________etc_x");
        assert!(part(&"ä".repeat(500)).len() <= PART_CHARS_MAX);
    }

    #[test]
    fn only_what_nobody_needs_is_removed() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = |name: &str| {
            let path = dir.path().join(name);
            fs::write(&path, "x").expect("written");
            path
        };
        let dead = file(".greyhound-a.zip.4194399.tmp");
        let living = file(&format!(".greyhound-b.zip.{}.tmp", std::process::id()));
        let fresh = file("greyhound-c.zip");
        let other = file("other.zip");
        tidy(dir.path());
        assert!(!dead.exists());
        assert!(living.exists() && fresh.exists() && other.exists());
    }
}
