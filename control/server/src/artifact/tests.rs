//! Shared files: made once, never half, never trusted when others could write them.

use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};

static MADE: AtomicU32 = AtomicU32::new(0);

fn text() -> Kind<String> {
    Kind {
        bytes_max: 16,
        parse: |bytes| match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains('!') => Ok(text.to_owned()),
            _ => Err("holds a `!`".to_owned()),
        },
        make: || Ok(format!("made {}", MADE.fetch_add(1, Ordering::Relaxed)).into_bytes()),
    }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

fn uid() -> u32 {
    tempfile::tempdir()
        .and_then(|dir| fs::metadata(dir.path()))
        .expect("a folder of ours")
        .uid()
}

fn put(path: &Path, content: &str, mode: u32) {
    fs::write(path, content).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("mode");
}

#[test]
fn many_makers_agree_on_one_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    let start = Barrier::new(8);
    let read: Vec<String> = thread::scope(|scope| {
        let makers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    load_or_create(&path, uid(), &text(), soon()).expect("a file")
                })
            })
            .collect();
        let joined = makers.into_iter().map(|maker| maker.join().expect("ends"));
        joined.collect()
    });
    assert!(read.iter().all(|one| *one == read[0]), "{read:?}");
    let left: Vec<_> = fs::read_dir(dir.path())
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["token"], "no lock and no temporary file stays");
    let mode = fs::metadata(&path).expect("there").mode() & 0o7777;
    assert_eq!(mode, 0o600);
}

#[test]
fn leftovers_of_a_killed_process_are_cleared() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("cert.pem");
    put(&dir.path().join("tmp-artifact-cert.pem-1"), "half", 0o600);
    put(&dir.path().join("cert.pem.lock"), "", 0o600);
    put(&path, "", 0o600);
    load_or_create(&path, uid(), &text(), soon()).expect("made anew");
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

#[test]
fn a_file_that_others_can_reach_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    for mode in [0o640, 0o604, 0o660, 0o602] {
        put(&path, "secret", mode);
        let refused = load_or_create(&path, uid(), &text(), soon()).unwrap_err();
        let said = refused.to_string();
        assert!(matches!(refused, ArtifactError::Unsafe { .. }), "{said}");
        assert!(
            said.contains("chmod 600") && !said.contains("secret"),
            "{said}"
        );
        assert_eq!(fs::read_to_string(&path).expect("kept"), "secret");
    }
    let link = dir.path().join("link");
    put(&path, "secret", 0o600);
    symlink(&path, &link).expect("a link");
    let refused = load(&link, uid(), &text()).unwrap_err();
    assert!(refused.to_string().contains("symbolic link"), "{refused}");
    let refused = load(dir.path(), uid(), &text()).unwrap_err();
    assert!(
        refused.to_string().contains("not a regular file"),
        "{refused}"
    );
}

#[test]
fn a_file_of_a_stranger_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    put(&path, "secret", 0o600);
    // As if we were somebody else: the owner is neither us nor, unless root runs the tests, root.
    let somebody = uid() + 1;
    let loaded = load(&path, somebody, &text());
    if uid() == 0 {
        assert_eq!(loaded.expect("root's files are trusted"), "secret");
    } else {
        let refused = loaded.unwrap_err().to_string();
        assert!(refused.contains("chown"), "{refused}");
    }
}

#[test]
fn content_that_is_something_else_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    put(&path, "no!", 0o600);
    let refused = load_or_create(&path, uid(), &text(), soon()).unwrap_err();
    assert!(refused.to_string().ends_with("holds a `!`"), "{refused}");
    put(&path, "seventeen letters", 0o600);
    let refused = load(&path, uid(), &text()).unwrap_err();
    assert!(refused.to_string().contains("longer than 16"), "{refused}");
}

#[test]
fn a_lock_that_is_held_ends_the_wait() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    let held = lock(&dir.path().join("token.lock"), soon()).expect("free");
    let waited = load_or_create(&path, uid(), &text(), Instant::now()).unwrap_err();
    assert!(matches!(waited, ArtifactError::Locked(_)), "{waited}");
    drop(held);
    load_or_create(&path, uid(), &text(), soon()).expect("made");
}

#[test]
fn a_new_file_has_a_new_stamp() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("token");
    assert_eq!(stamp(&path), None);
    put(&path, "one", 0o600);
    let first = stamp(&path);
    assert_eq!(stamp(&path), first);
    write(&path, b"two").expect("written");
    assert_ne!(stamp(&path), first);
}
