//! The Node client `hot-shots`, with the native module it needs for Unix sockets.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::{self, Finished};
use crate::{daemon, skip, source, tools};

const HOT_SHOTS: &str = "hot-shots@17.1.1";
const UNIX_DGRAM: &str = "unix-dgram@2.0.7";

/// A folder with the client.
#[derive(Clone, Debug)]
pub struct HotShots {
    folder: PathBuf,
}

// === impl HotShots ===

impl HotShots {
    /// The client, or a skip. Blocks while it is installed.
    pub fn installed() -> Option<Self> {
        static CLIENT: OnceLock<Result<HotShots, String>> = OnceLock::new();
        skip::or_skip(CLIENT.get_or_init(install).clone())
    }

    /// Whether it can speak over Unix sockets, or a skip.
    pub fn speaks_uds(&self) -> Option<()> {
        skip::or_skip(native_module(&self.folder))
    }

    /// Runs the script `clients/hot_shots_client.js`; fails when it fails.
    ///
    /// # Panics
    /// When the client ends with an error.
    pub fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Finished {
        let script = source::root().join("tests/clients/hot_shots_client.js");
        let mut command = self.node();
        command
            .arg(script)
            .args(arguments)
            .envs(environment.iter().copied());
        Self::succeeds(&mut command)
    }

    /// Runs a program given as text; fails when it fails.
    ///
    /// # Panics
    /// When it ends with an error.
    pub fn run_text(&self, program: &str) -> Finished {
        Self::succeeds(self.node().arg("-e").arg(program))
    }

    fn node(&self) -> Command {
        let mut command = daemon::clean(Command::new("node"));
        command.env("NODE_PATH", self.folder.join("node_modules"));
        command
    }

    fn succeeds(command: &mut Command) -> Finished {
        let done = command::finish(command, tools::INSTALL).expect("the client ends");
        assert_eq!(done.code(), 0, "{}{}", done.stdout, done.stderr);
        done
    }
}

fn install() -> Result<HotShots, String> {
    let folder = tools::once("node-hot-shots-17.1.1", |folder| {
        std::fs::write(folder.join("package.json"), r#"{"private": true}"#)
            .map_err(|error| error.to_string())?;
        npm(folder, &["install", HOT_SHOTS])?;
        // The native module may not build everywhere; only the tests over Unix sockets need it, and they
        // ask for it. Newer npm versions run no build script that is not approved.
        if npm(folder, &["install", UNIX_DGRAM]).is_ok() && native_module(folder).is_err() {
            drop(npm(folder, &["install-scripts", "approve", "unix-dgram"]));
            drop(npm(folder, &["rebuild", "unix-dgram"]));
        }
        Ok(())
    })?;
    Ok(HotShots { folder })
}

fn npm(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new("npm");
    command
        .args(arguments)
        .args(["--no-audit", "--no-fund", "--ignore-scripts=false"])
        .current_dir(folder);
    // Headers that came with Node spare a download.
    let prefix = tools::find("node").and_then(|node| Some(node.parent()?.parent()?.to_owned()));
    if let Some(prefix) = prefix.filter(|prefix| prefix.join("include/node/node.h").exists()) {
        command.env("npm_config_nodedir", prefix);
    }
    command::succeed(&mut command, tools::INSTALL)
}

fn native_module(folder: &Path) -> Result<(), String> {
    command::succeed(
        Command::new("node")
            .args(["-e", "require('unix-dgram')"])
            .current_dir(folder),
        tools::INSTALL,
    )
    .map(drop)
    .map_err(|why| format!("unix-dgram is not built (needs g++, make, python3): {why}"))
}
