//! `greyhound diagnose`.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use greyhound_config::live::Live;
use greyhound_server::diagnose::{Findings, Verdict};

use crate::cli::daemon::{DaemonArgs, is_down, settings_now};
use crate::cli::{Exit, Failure, colours_wanted, status};
use crate::diagnose::{self, Subject};

/// What the daemon may take.
const WAIT: Duration = Duration::from_secs(120);

/// Look for what is wrong around the daemon, and name the command that cures it.
///
/// The running daemon looks; without one, this command does, with the same settings. Exit code 1 when
/// something is broken.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As JSON
    #[arg(long)]
    json: bool,

    /// Look from here, also when a daemon runs
    #[arg(long)]
    local: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let reach = args.daemon.reach()?;
    let asked = if args.local {
        None
    } else {
        match reach.post("/agent/diagnose", &[], WAIT) {
            Err(error) if is_down(&error) => None,
            answer => Some(reach.accepted(answer)?),
        }
    };
    let (answer, is_running) = match asked {
        Some(answer) => (serde_json::from_slice(&answer.body)?, true),
        None => {
            let live = Live::new(reach.loaded, reach.sources);
            let subject = Subject {
                settings: settings_now(&live),
                places: reach.places,
                engine: std::sync::Arc::default(),
            };
            (diagnose::doctor(subject).run().json(), false)
        }
    };
    let found = Findings::from_json(&answer);
    if args.json {
        writeln!(out, "{answer:#}")?;
    } else {
        let who = if is_running {
            "asked: the running daemon"
        } else {
            "asked: this command, no daemon runs"
        };
        let text = format!("{who}\n\n{}", found.text());
        let colour = colours_wanted(io::stdout().is_terminal());
        write!(out, "{}", status::painted(&text, colour))?;
    }
    Ok(if found.count(Verdict::Fail) == 0 {
        Exit::Done
    } else {
        Exit::Failed
    })
}
