//! `greyhound stop`.

use std::io::Write;
use std::time::Duration;

use crate::cli::daemon::DaemonArgs;
use crate::cli::{Exit, Failure};

const WAIT: Duration = Duration::from_secs(10);

/// Stop the running daemon, in order: what it received is flushed.
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
    reach.accepted(reach.post("/agent/stop", &[], WAIT))?;
    if args.json {
        writeln!(out, "{}", serde_json::json!({ "stopping": true }))?;
    } else {
        writeln!(out, "it stops")?;
    }
    Ok(Exit::Done)
}
