//! `greyhound run`.

use std::path::PathBuf;

use anyhow::anyhow;
use greyhound_config::load::{self, Flag};
use greyhound_config::settings::NdjsonTarget;

use crate::cli::settings::{READY_FILE_VARIABLE, SettingsArgs};
use crate::cli::{Exit, Failure};
use crate::lifecycle;

/// Listen, add up, and serve the sums.
///
/// With nothing configured: UDP on 127.0.0.1:8125, aggregates at http://127.0.0.1:9125/metrics. SIGTERM
/// or Ctrl-C drains what was received, flushes it, and ends with one line that says where every
/// message went. Exit code 0: nothing was lost at the stop; 3: the deadline cut it short.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound run                                     defaults, no privileges, no network
  greyhound run --print                             show every flush as a table
  greyhound run --config /etc/datadog-agent/datadog.yaml
  greyhound run --set dogstatsd_port=8126 --set dogstatsd_socket=/tmp/dsd.socket
  greyhound run --ndjson - | jq .                   every flush as JSON lines")]
pub(super) struct Args {
    /// Print each flush as a table to standard output
    #[arg(long)]
    print: bool,

    /// Append each flush to PATH, one JSON object per line; `-` is standard output
    #[arg(long, value_name = "PATH")]
    ndjson: Option<String>,

    /// Write addresses and process id as JSON to PATH once everything listens
    /// [default: $GREYHOUND_READY_FILE]
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: Args) -> Result<Exit, Failure> {
    let flag = |name: &str, key: &str, text: String| Flag {
        name: name.to_owned(),
        key: key.to_owned(),
        text,
    };
    let mut flags = Vec::new();
    if args.print {
        flags.push(flag("--print", "greyhound.print", "true".to_owned()));
    }
    if let Some(path) = args.ndjson {
        flags.push(flag("--ndjson", "greyhound.ndjson.path", path));
    }
    let sources = args.settings.sources(flags);
    let loaded = load::load(&sources).map_err(Failure::usage)?;
    let outputs = &loaded.settings.outputs;
    if outputs.print && outputs.ndjson == Some(NdjsonTarget::Stdout) {
        return Err(Failure::usage(anyhow!(
            "tables (`greyhound.print`) and JSON lines (`greyhound.ndjson.path` is -) cannot share \
             standard output"
        )));
    }
    let from_environment = || {
        std::env::var_os(READY_FILE_VARIABLE)
            .filter(|path| !path.is_empty())
            .map(PathBuf::from)
    };
    let ready_file = args.ready_file.or_else(from_environment);
    Ok(lifecycle::run(loaded, sources, ready_file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn refused(arguments: &[&str]) -> Failure {
        let line = [&["greyhound", "run"], arguments].concat();
        let Command::Run(args) = Cli::try_parse_from(line).expect("a command line").command else {
            panic!("another command");
        };
        run(args).unwrap_err()
    }

    #[test]
    fn a_setting_that_is_wrong_starts_nothing() {
        let failure = refused(&["--set", "dogstatsd_port=many"]);
        assert_eq!(failure.exit(), Exit::Usage);
        assert!(failure.to_string().contains("dogstatsd_port"), "{failure}");
    }

    #[test]
    fn standard_output_has_one_reader() {
        let failure = refused(&["--print", "--ndjson", "-"]);
        assert_eq!(failure.exit(), Exit::Usage);
    }
}
