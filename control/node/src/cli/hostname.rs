//! `greyhound hostname`.

use std::io::Write;
use std::path::Path;

use crate::cli::daemon::DaemonArgs;
use crate::cli::{Exit, Failure};
use crate::hostname::Hostname;

/// Print the host name everything is flushed under; without a daemon, the one it would have.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let reach = args.daemon.reach()?;
    let (name, is_running) = match reach.get("/agent/hostname", &[]) {
        Ok(answer) => (serde_json::from_slice(&answer.body)?, true),
        Err(_) => {
            let setting = reach
                .loaded
                .settings
                .hostname
                .as_deref()
                .unwrap_or_default();
            (Hostname::find(setting, Path::new("")).name, false)
        }
    };
    if args.json {
        let answer = serde_json::json!({ "hostname": name, "running": is_running });
        writeln!(out, "{answer}")?;
    } else {
        writeln!(out, "{}", name.escape_debug())?;
    }
    Ok(Exit::Done)
}
