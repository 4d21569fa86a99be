//! Programs the tests need and the machine may lack, installed once into the target folder and used by all
//! test processes from there. A lock file keeps two of them from installing at once; a mark at the end keeps
//! a half-finished installation from being used.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{binary, command};

/// How long one step of an installation may take.
pub const INSTALL: Duration = Duration::from_secs(300);

/// The folder of the tool `name`, made by `recipe` when it is not there yet. The name carries the version,
/// so another version is another folder. Blocks while another process installs it.
///
/// # Errors
/// What the recipe says, or a folder that cannot be written.
pub fn once(
    name: &str,
    recipe: impl FnOnce(&Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    let cache = binary::target().join("test-tools");
    let say = |error: std::io::Error| format!("{}: {error}", cache.display());
    std::fs::create_dir_all(&cache).map_err(say)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(say)?;
    lock.lock().map_err(say)?;
    let folder = cache.join(name);
    let mark = folder.join(".complete");
    if !mark.exists() {
        if folder.exists() {
            std::fs::remove_dir_all(&folder).map_err(say)?;
        }
        std::fs::create_dir_all(&folder).map_err(say)?;
        recipe(&folder)?;
        File::create(&mark).map_err(say)?;
    }
    Ok(folder)
}

/// Unpacks the newest Debian package `name` into `folder`, without installing it: no root, no service.
///
/// # Errors
/// No `apt-get`, no mirror, no such package.
pub fn unpack_debian(name: &str, folder: &Path) -> Result<(), String> {
    unpack(name, folder, &[])
}

/// The same from Debian's unstable suite, at the mirror this machine uses. Good for programs that need little
/// of the system.
///
/// # Errors
/// As [`unpack_debian`], or no mirror of Debian in the machine's settings.
pub fn unpack_newer_debian(name: &str, folder: &Path) -> Result<(), String> {
    let sources = folder.join("sources");
    std::fs::create_dir_all(&sources).map_err(|error| error.to_string())?;
    std::fs::write(sources.join("newer.sources"), newer_sources()?).map_err(|e| e.to_string())?;
    let parts = format!("Dir::Etc::sourceparts={}", sources.display());
    unpack(
        name,
        folder,
        &["-o", "Dir::Etc::sourcelist=/dev/null", "-o", &parts],
    )
}

/// The first stanza of the machine's own sources that is not for security, with another suite.
fn newer_sources() -> Result<String, String> {
    let folder = Path::new("/etc/apt/sources.list.d");
    let files = std::fs::read_dir(folder).map_err(|error| error.to_string())?;
    let texts = files
        .flatten()
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|end| end == "sources"))
        .filter_map(|path| std::fs::read_to_string(path).ok());
    for text in texts {
        for stanza in text.split("\n\n") {
            let is_debian = stanza.contains("Components:") && stanza.contains("debian");
            if !is_debian || stanza.contains("-security") {
                continue;
            }
            let lines = stanza
                .lines()
                .map(|line| match line.starts_with("Suites:") {
                    true => "Suites: sid",
                    false => line,
                });
            return Ok(lines.collect::<Vec<_>>().join("\n") + "\n");
        }
    }
    Err("no Debian mirror in /etc/apt/sources.list.d".to_owned())
}

fn unpack(name: &str, folder: &Path, options: &[&str]) -> Result<(), String> {
    for part in ["lists/partial", "cache/archives/partial"] {
        std::fs::create_dir_all(folder.join(part)).map_err(|error| error.to_string())?;
    }
    let apt = |arguments: &[&str]| {
        command::succeed(
            Command::new("apt-get")
                .arg("-qq")
                .args(["-o", "APT::Sandbox::User="])
                .arg("-o")
                .arg(format!(
                    "Dir::State::lists={}",
                    folder.join("lists").display()
                ))
                .arg("-o")
                .arg(format!("Dir::Cache={}", folder.join("cache").display()))
                .args(options)
                .args(arguments)
                .current_dir(folder),
            INSTALL,
        )
    };
    apt(&["update"])?;
    apt(&["download", name])?;
    let package = std::fs::read_dir(folder)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .ok_or_else(|| format!("apt-get downloaded no package for {name}"))?;
    command::succeed(
        Command::new("dpkg").arg("-x").arg(&package).arg(folder),
        INSTALL,
    )?;
    // The lists are large and of no use any more.
    std::fs::remove_dir_all(folder.join("lists")).map_err(|error| error.to_string())
}

/// Where `program` is, if the machine has it.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}
