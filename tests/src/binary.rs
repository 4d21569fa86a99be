//! Which `greyhound` the tests run: the one `GREYHOUND_BIN` names, else the one cargo builds now for the
//! profile the tests themselves were built with. Cargo decides what is out of date; it is asked once per
//! test process.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use crate::{command, source};

/// The binary under test. The first call may build it, which can take minutes.
///
/// # Panics
/// When it cannot be built, with the compiler's words.
pub fn path() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os("GREYHOUND_BIN") {
        Some(given) => std::path::absolute(given).expect("GREYHOUND_BIN is a path"),
        None => build(),
    })
}

/// The target folder the running test stands in: `<target>/<profile>/deps/<test>`.
pub fn target() -> PathBuf {
    let (target, _) = target_and_profile();
    target
}

fn target_and_profile() -> (PathBuf, String) {
    let test = std::env::current_exe().expect("the running test has a path");
    let profile = test
        .ancestors()
        .find(|folder| folder.ends_with("deps"))
        .and_then(Path::parent)
        .expect("cargo puts tests into <target>/<profile>/deps");
    let name = profile
        .file_name()
        .expect("a profile folder has a name")
        .to_string_lossy();
    let name = if name == "debug" { "dev" } else { &*name }.to_owned();
    let target = profile.parent().expect("a profile folder has a parent");
    (target.to_owned(), name)
}

fn build() -> PathBuf {
    let (target, profile) = target_and_profile();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = command::succeed(
        Command::new(cargo)
            .args(["build", "--package", "greyhound", "--bin", "greyhound"])
            .args(["--profile", &profile, "--target-dir"])
            .arg(&target)
            .current_dir(source::root()),
        Duration::from_secs(20 * 60),
    );
    if let Err(why) = built {
        panic!("cannot build the binary under test: {why}");
    }
    let folder = if profile == "dev" { "debug" } else { &profile };
    target.join(folder).join("greyhound")
}
