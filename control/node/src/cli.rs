//! The command line: what can be asked, and which exit code answers.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done; for `run`: everything received was kept or delivered |
//! | 1 | failed, or a message was refused |
//! | 3 | `run` stopped at its deadline with counted loss |
//! | 64 | the command line or a setting is wrong; nothing was started |

mod bench;
mod completions;
mod config;
mod config_stream;
mod conntrack;
mod daemon;
mod diagnose;
mod dogstatsd;
mod explain;
mod flare;
mod health;
mod hostname;
mod man;
mod run;
mod send;
mod settings;
mod simulate;
mod status;
mod stop;
mod version;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub(crate) use version::VERSION;

/// What the process answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Done = 0,
    /// It failed, or refused a message.
    Failed = 1,
    /// Stopped at the deadline with counted loss.
    Loss = 3,
    /// The command line or a setting is wrong.
    Usage = 64,
}

/// Why a command ended early: an exit code and the text for standard error.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    error: anyhow::Error,
}

/// A DogStatsD server that counts every loss.
#[derive(Debug, Parser)]
#[command(
    name = "greyhound",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    long_about = LONG_ABOUT,
    after_help = EXAMPLES,
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Listen, add up, and serve the sums
    Run(run::Args),
    /// Send messages as an application would
    Send(send::Args),
    /// Send load of exactly known size, to measure a server with
    Bench(bench::Args),
    /// Look into the kernel's connection table
    Conntrack(conntrack::Args),
    /// Say what the engine understands of messages, or why it refuses them
    Explain(explain::Args),
    /// Show, check and explain settings
    Config(config::Args),
    /// Follow the settings of a running agent, ours or Datadog's
    ConfigStream(config_stream::Args),
    /// Show what the running daemon does, problems first
    Status(status::Args),
    /// Say which parts of the running daemon are well
    Health(health::Args),
    /// Make an archive for support, without secrets
    Flare(flare::Args),
    /// Look for what is wrong around the daemon, and what cures it
    Diagnose(diagnose::Args),
    /// Print the host name everything is flushed under
    Hostname(hostname::Args),
    /// Stop the running daemon, in order
    Stop(stop::Args),
    /// Show the agents that registered with the running daemon
    RemoteAgents(status::AgentsArgs),
    /// Show how often each metric was sampled
    #[command(alias = "dogstatsd_stats")]
    DogstatsdStats(dogstatsd::StatsArgs),
    /// Show which metrics have the most contexts, or write all of them to a file
    Dogstatsd(dogstatsd::Args),
    /// Print the version
    Version(version::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page, or write one page per command
    Man(man::Args),
}

const LONG_ABOUT: &str = "\
A DogStatsD server that counts every loss.

Greyhound listens for DogStatsD messages on UDP and Unix sockets, adds them up exactly, and serves \
the sums to Prometheus, to the terminal or to a file. With nothing configured it listens on \
127.0.0.1:8125 and shows http://127.0.0.1:9125/metrics.";

const EXAMPLES: &str = "\
Examples:
  greyhound run --print                           listen, and show every flush as a table
  greyhound send 'page.views:1|c|#env:dev'        send one message to it
  greyhound explain 'page.views:1|c|@0.5|#a:b'    what does this message mean?
  greyhound explain 'page.views:one|c'            why is this one refused?
  greyhound config check                          is my configuration right?
  greyhound config docs | less                    every setting, explained";

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

// === impl Failure ===

impl Failure {
    /// A command line or setting that nothing can be done with.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit: Exit::Usage,
            error: error.into(),
        }
    }

    /// The exit code that goes with it.
    pub fn exit(&self) -> Exit {
        if self.is_closed_pipe() {
            Exit::Done
        } else {
            self.exit
        }
    }

    /// Whether the reader of our output went away, which is its right.
    fn is_closed_pipe(&self) -> bool {
        self.error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<io::Error>())
            .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self {
            exit: Exit::Failed,
            error: error.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

/// Runs the command line of this process. Blocks until the command is done.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers, everything else is a mistake. A closed output changes
            // neither.
            error.print().ok();
            return if error.use_stderr() {
                Exit::Usage.into()
            } else {
                Exit::Done.into()
            };
        }
    };
    match dispatch(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            if !failure.is_closed_pipe() {
                report(&failure);
            }
            failure.exit().into()
        }
    }
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    let exit = match command {
        Command::Run(args) => {
            // Sinks write to standard output from their own threads.
            drop(out);
            return run::run(args);
        }
        Command::Send(args) => send::run(&args, &mut out, &mut io::stderr()),
        Command::Bench(args) => bench::run(&args, &mut out, &mut io::stdin().lock()),
        Command::Config(args) => config::run(&args, &mut out),
        Command::ConfigStream(args) => config_stream::run(&args, &mut out),
        Command::Conntrack(args) => conntrack::run(&args, &mut out),
        Command::Explain(args) => explain::run(args, &mut out),
        Command::Status(args) => status::run(&args, &mut out),
        Command::Health(args) => health::run(&args, &mut out),
        Command::Flare(args) => flare::run(&args, &mut out),
        Command::Diagnose(args) => diagnose::run(&args, &mut out),
        Command::Hostname(args) => hostname::run(&args, &mut out),
        Command::Stop(args) => stop::run(&args, &mut out),
        Command::RemoteAgents(args) => status::run_agents(&args, &mut out),
        Command::DogstatsdStats(args) => dogstatsd::run_stats(&args, &mut out),
        Command::Dogstatsd(args) => dogstatsd::run(&args, &mut out),
        Command::Version(args) => version::run(&args, &mut out),
        Command::Completions(args) => completions::run(&args, &mut out),
        Command::Man(args) => man::run(&args, &mut out),
    }?;
    out.flush()?;
    Ok(exit)
}

/// Prints a failure the way clap prints its own. A broken standard error is no second failure.
fn report(failure: &Failure) {
    let mut err = io::stderr().lock();
    let written = if colours_wanted(io::stderr().is_terminal()) {
        writeln!(err, "\x1b[1;31merror:\x1b[0m {failure}")
    } else {
        writeln!(err, "error: {failure}")
    };
    written.ok();
}

/// Colours go to terminals, unless `NO_COLOR` asks for none.
pub(crate) fn colours_wanted(is_terminal: bool) -> bool {
    is_terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_reader_that_left_is_not_a_failure() {
        let closed = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(closed.exit(), Exit::Done);
        let full = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.exit(), Exit::Failed);
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
