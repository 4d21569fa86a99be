//! Disk queues nobody sends from any more: a destination whose address changed leaves its folder behind. Once
//! nothing in it was touched for as long as payloads are wanted at all, it goes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::folder::{Folder, LOCK};
use super::recover;

/// Digits at the end of the name of a destination's folder.
const FINGERPRINT_LEN: usize = 16;

/// A queue that went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// Its folder.
    pub folder: PathBuf,
    /// Bytes of payloads that were never delivered.
    pub bytes: u64,
}

/// Removes queues below `root` that are older than `age` and not among `wanted`. Folders that hold anything not
/// ours, that another process uses, or that are links, stay. Blocks on the disk.
pub fn sweep(root: &Path, wanted: &[PathBuf], age: Duration) -> Vec<Orphan> {
    let Ok(entries) = fs::read_dir(root) else {
        return Vec::new();
    };
    let mut swept = Vec::new();
    for entry in entries.flatten() {
        let path = entry.path();
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_folder || wanted.contains(&path) || !is_name(&entry.file_name().to_string_lossy()) {
            continue;
        }
        // One that cannot be judged, or emptied, is left to people.
        if let Ok(Some(bytes)) = remove(&path, age) {
            swept.push(Orphan {
                folder: path,
                bytes,
            });
        }
    }
    swept
}

/// `<sink>-<hash of the address>`.
fn is_name(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(sink, hash)| {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        !sink.is_empty() && hash.len() == FINGERPRINT_LEN && hash.bytes().all(is_hex)
    })
}

/// Bytes of segments, when the folder went.
fn remove(path: &Path, age: Duration) -> io::Result<Option<u64>> {
    let names = names(path)?;
    let is_ours = |name: &String| name == LOCK || recover::is_name(name);
    if !names.iter().all(is_ours) {
        return Ok(None);
    }
    let mut bytes = 0;
    for name in &names {
        let facts = fs::symlink_metadata(path.join(name))?;
        // The lock is touched by every start, a segment by every payload.
        if !facts.is_file() || !is_older(&facts, age) {
            return Ok(None);
        }
        if name != LOCK {
            bytes += facts.size();
        }
    }
    if !is_older(&fs::symlink_metadata(path)?, age) {
        return Ok(None);
    }
    let Ok(folder) = Folder::open(path) else {
        return Ok(None);
    };
    folder.remove(&names);
    folder.remove(&[LOCK]);
    fs::remove_dir(path)?;
    Ok(Some(bytes))
}

fn names(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}

fn is_older(facts: &fs::Metadata, age: Duration) -> bool {
    let touched = facts.modified().unwrap_or_else(|_| SystemTime::now());
    // A time ahead of the clock is no age.
    SystemTime::now()
        .duration_since(touched)
        .is_ok_and(|since| since > age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    const OLD: Duration = Duration::from_secs(11 * 86_400);
    const AGE: Duration = Duration::from_secs(10 * 86_400);

    fn queue(root: &Path, name: &str, files: &[&str], is_old: bool) -> PathBuf {
        let folder = root.join(name);
        fs::create_dir(&folder).expect("a folder");
        for file in files {
            fs::write(folder.join(file), b"0123456789").expect("a file");
        }
        if is_old {
            let then = SystemTime::now() - OLD;
            for file in files {
                let file = File::options()
                    .write(true)
                    .open(folder.join(file))
                    .expect("there");
                file.set_modified(then).expect("ours");
            }
            File::open(&folder)
                .and_then(|folder| folder.set_modified(then))
                .expect("ours");
        }
        folder
    }

    #[test]
    fn what_is_old_unwanted_and_ours_goes_and_nothing_else() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path();
        let files = ["00000000000000000001.seg", "00000000000000000001.ack", LOCK];
        let gone = queue(root, "datadog-0123456789abcdef", &files, true);
        let stays = [
            queue(root, "datadog-1123456789abcdef", &files, true),
            queue(root, "datadog-2123456789abcdef", &files, false),
            queue(
                root,
                "datadog-3123456789abcdef",
                &["00000000000000000001.seg", "note.txt"],
                true,
            ),
            queue(root, "something-else", &files, true),
        ];
        let linked = root.join("datadog-4123456789abcdef");
        std::os::unix::fs::symlink(&stays[0], &linked).expect("a link");
        let swept = sweep(root, &stays[..1], AGE);
        let expected = Orphan {
            folder: gone.clone(),
            bytes: 20,
        };
        assert_eq!(swept, [expected]);
        assert!(!gone.exists());
        for folder in stays.iter().chain([&linked]) {
            assert!(
                folder.join("00000000000000000001.seg").exists(),
                "{folder:?}"
            );
        }
        assert_eq!(sweep(&root.join("missing"), &[], AGE), []);
    }

    #[test]
    fn one_that_another_process_uses_stays() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = queue(root.path(), "datadog-0123456789abcdef", &[LOCK], false);
        let held = Folder::open(&folder).expect("ours");
        assert_eq!(sweep(root.path(), &[], Duration::ZERO), []);
        drop(held);
        assert_eq!(sweep(root.path(), &[], Duration::ZERO).len(), 1);
    }
}
