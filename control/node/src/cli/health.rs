//! `greyhound health`.

use std::io::Write;

use serde_json::Value;

use crate::cli::daemon::DaemonArgs;
use crate::cli::{Exit, Failure, status};

/// Say which parts of the running daemon are well; exit code 1 when one is not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = status::get(&args.daemon, "/agent/status/health", &[])?;
    let answer: Value = serde_json::from_str(&answer)?;
    let names = |side: &str| -> Vec<String> {
        let names = answer[side].as_array().into_iter().flatten();
        names
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect()
    };
    let (healthy, unhealthy) = (names("Healthy"), names("Unhealthy"));
    if args.json {
        writeln!(out, "{answer}")?;
    } else {
        let list = |names: &[String]| match names {
            [] => "none".to_owned(),
            names => names.join(", "),
        };
        writeln!(out, "healthy:   {}", list(&healthy))?;
        writeln!(out, "unhealthy: {}", list(&unhealthy))?;
    }
    Ok(if unhealthy.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}
