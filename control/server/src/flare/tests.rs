//! Whole archives: what is in them, what is not, and what is left when something goes wrong.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::sync::mpsc::{Receiver, sync_channel};

use super::*;

struct Files(Vec<(&'static str, &'static [u8])>);

impl FlareSource for Files {
    fn name(&self) -> &str {
        "files"
    }
    fn collect(&self, into: &mut FlareFiles) {
        for (path, bytes) in &self.0 {
            into.add(*path, *bytes);
        }
    }
}

/// Works until its channel closes.
struct Slow(Mutex<Receiver<()>>);

impl FlareSource for Slow {
    fn name(&self) -> &str {
        "slow"
    }
    fn collect(&self, into: &mut FlareFiles) {
        self.0.lock().expect("no panic").recv().ok();
        into.add("late", "late");
    }
}

struct Broken;

impl FlareSource for Broken {
    fn name(&self) -> &str {
        "broken"
    }
    fn collect(&self, _: &mut FlareFiles) {
        panic!("on purpose");
    }
}

fn maker(folder: &Path, sources: Vec<Arc<dyn FlareSource>>) -> FlareMaker {
    let config = Config {
        folder: folder.join("flares"),
        hostname: "../box\n".to_owned(),
        originals: vec![folder.to_owned(), "/nonexistent".into()],
    };
    let scrubber = || Scrubber::new(["known-canary".to_owned()], []);
    FlareMaker::new(
        config,
        sources,
        Box::new(scrubber),
        Box::new(|| "info".to_owned()),
    )
}

fn members(path: &Path) -> Vec<(String, String)> {
    let mut archive = zip::ZipArchive::new(fs::File::open(path).expect("a file")).expect("a zip");
    (0..archive.len())
        .map(|index| {
            let mut member = archive.by_index(index).expect("a member");
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).expect("readable");
            (
                member.name().expect("text").into_owned(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        })
        .collect()
}

fn member(members: &[(String, String)], end: &str) -> String {
    let found = members.iter().find(|(name, _)| name.ends_with(end));
    found
        .unwrap_or_else(|| panic!("no {end} in {members:?}"))
        .1
        .clone()
}

#[test]
fn everything_is_scrubbed_private_and_inside() {
    let dir = tempfile::tempdir().expect("a folder");
    let files = Files(vec![
        ("logs/a.log", b"known-canary\npassword=planted-canary\n"),
        ("../../x", b"x"),
        ("status.json", br#"{"auth_token":"planted-canary","n":1}"#),
        ("x", b"twice"),
    ]);
    let maker = maker(dir.path(), vec![Arc::new(files)]);
    let order = Order {
        profiles: vec![
            (
                "../../../etc/passwd".to_owned(),
                b"\x00known-canary\xff".to_vec(),
            ),
            ("text".to_owned(), b"plain".to_vec()),
        ],
        ..Order::default()
    };
    let path = maker.make(order).expect("an archive");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().expect("a folder")), 0o700);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .expect("text");
    assert!(name.starts_with("greyhound-") && name.contains("Z-info-") && name.ends_with(".zip"));
    let members = members(&path);
    for (name, content) in &members {
        assert!(
            name.starts_with("___box_/") && !name.contains(".."),
            "{name}"
        );
        assert!(!content.contains("canary"), "{name}: {content}");
    }
    assert_eq!(member(&members, "profiles/text"), "plain");
    assert!(member(&members, "non_scrubbed_files.json").contains("etc_passwd"));
    assert_eq!(member(&members, "/x-2"), "twice");
    assert!(member(&members, "flare_creation.log").contains("files (timeout 10s): done"));
    assert!(member(&members, "permissions.log").contains("mode 0"));
    assert!(member(&members, "scrubber_selftest.log").contains("********"));
}

#[test]
fn a_slow_source_costs_its_own_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let (release, slow) = sync_channel(0);
    let maker = maker(dir.path(), vec![Arc::new(Slow(Mutex::new(slow)))]);
    let order = || Order {
        source_timeout: Some(Duration::from_millis(50)),
        ..Order::default()
    };
    let first = members(&maker.make(order()).expect("an archive"));
    let log = member(&first, "flare_creation.log");
    assert!(
        log.contains("slow (timeout 50ms): skipped, it took too long"),
        "{log}"
    );
    let second = members(&maker.make(order()).expect("an archive"));
    assert!(member(&second, "flare_creation.log").contains("still works on an earlier flare"));
    drop(release);
}

#[test]
fn a_broken_source_costs_its_own_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let sources: Vec<Arc<dyn FlareSource>> =
        vec![Arc::new(Broken), Arc::new(Files(vec![("a", b"1")]))];
    let made = maker(dir.path(), sources).make(Order::default());
    let members = members(&made.expect("an archive"));
    let log = member(&members, "flare_creation.log");
    assert!(
        log.contains("broken (timeout 10s): skipped, it broke"),
        "{log}"
    );
    assert_eq!(member(&members, "/a"), "1");
}

#[test]
fn an_archive_that_cannot_be_written_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("flares"), "in the way").expect("written");
    let maker = maker(dir.path(), Vec::new());
    let refused = maker.make(Order::default()).expect_err("no folder");
    assert!(refused.to_string().contains("flares"), "{refused}");
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
}

#[test]
fn a_leak_removes_the_archive() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut archive = Archive::create(dir.path(), "", "info").expect("a file");
    archive
        .add("a", b"text", &Scrubber::default())
        .expect("added");
    let refused = archive.finish(|_, name| Err(FlareError::Leak(name.to_owned())));
    assert!(matches!(refused, Err(FlareError::Leak(name)) if name == "unknown/a"));
    assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 0);
}
