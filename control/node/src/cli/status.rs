//! `greyhound status`, and the commands of the Agent that show one part of it.

use std::io::{self, IsTerminal, Write};

use crate::cli::daemon::DaemonArgs;
use crate::cli::{Exit, Failure, colours_wanted};

/// Show what the running daemon does, problems first, each with what cures it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound status                    the whole page
  greyhound status problems           what is wrong, and what cures it
  greyhound status ledger --json      one section, for programs
  greyhound status --list             names of the sections")]
pub(super) struct Args {
    /// One section only; see --list
    #[arg(value_name = "SECTION")]
    section: Option<String>,

    /// As JSON
    #[arg(long)]
    json: bool,

    /// More of everything
    #[arg(short, long)]
    verbose: bool,

    /// Names of the sections
    #[arg(long, conflicts_with = "section")]
    list: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Show the agents that registered with the running daemon.
#[derive(Debug, clap::Args)]
pub(super) struct AgentsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    /// Also what they say of themselves
    #[arg(short, long)]
    verbose: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    if args.list {
        let names = get(&args.daemon, "/agent/status/sections", &[])?;
        if args.json {
            writeln!(out, "{names}")?;
            return Ok(Exit::Done);
        }
        let names: Vec<String> = serde_json::from_str(&names)?;
        writeln!(out, "{}", names.join("\n"))?;
        return Ok(Exit::Done);
    }
    let path = match &args.section {
        Some(section) => format!("/agent/{}/status", in_path(section)),
        None => "/agent/status".to_owned(),
    };
    page(&args.daemon, &path, args.json, args.verbose, out)
}

pub(super) fn run_agents(args: &AgentsArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let path = "/agent/remote_agents/status";
    page(&args.daemon, path, args.json, args.verbose, out)
}

fn page(
    daemon: &DaemonArgs,
    path: &str,
    json: bool,
    verbose: bool,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let format = if json { "json" } else { "text" };
    let verbose = if verbose { "true" } else { "false" };
    let page = get(daemon, path, &[("format", format), ("verbose", verbose)])?;
    if json {
        let page: serde_json::Value = serde_json::from_str(&page)?;
        writeln!(out, "{page:#}")?;
    } else {
        let page = painted(&page, colours_wanted(io::stdout().is_terminal()));
        write!(out, "{page}")?;
    }
    Ok(Exit::Done)
}

/// The text of an answer.
pub(super) fn get(
    daemon: &DaemonArgs,
    path: &str,
    query: &[(&str, &str)],
) -> Result<String, Failure> {
    let answer = daemon.reach()?.get(path, query)?;
    Ok(String::from_utf8_lossy(&answer.body).into_owned())
}

/// A name as a part of a path.
fn in_path(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

/// For a terminal: titles bold, what is bad red. Nothing of the page can steer the terminal.
pub(super) fn painted(page: &str, colour: bool) -> String {
    let clean: String = page
        .chars()
        .filter(|letter| *letter == '\n' || !letter.is_control())
        .collect();
    if !colour {
        return clean;
    }
    let lines: Vec<&str> = clean.lines().collect();
    let mut out = String::with_capacity(clean.len() + 256);
    for (at, line) in lines.iter().enumerate() {
        let is_rule = |line: Option<&&str>| {
            line.is_some_and(|line| !line.is_empty() && line.bytes().all(|byte| byte == b'='))
        };
        let is_title = at > 0 && is_rule(lines.get(at - 1)) && is_rule(lines.get(at + 1));
        let style = match line.trim_start() {
            _ if is_title => "\x1b[1m",
            text if text.starts_with("critical ") || text.starts_with("FAIL ") => "\x1b[1;31m",
            text if text.starts_with("warning ") || text.starts_with("WARN ") => "\x1b[33m",
            text if text.starts_with("cure: ") => "\x1b[36m",
            text if text.starts_with("PASS ") => "\x1b[32m",
            _ => "",
        };
        out.push_str(style);
        out.push_str(line);
        if !style.is_empty() {
            out.push_str("\x1b[0m");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_and_nothing_else_steers_them() {
        let page = "====\nHead\n====\n\n  critical bad \x1b[2J\n  cure: x\n";
        assert_eq!(
            painted(page, false),
            "====\nHead\n====\n\n  critical bad [2J\n  cure: x\n"
        );
        let shown = painted(page, true);
        assert!(shown.contains("\x1b[1mHead\x1b[0m"), "{shown:?}");
        assert!(
            shown.contains("\x1b[1;31m  critical bad [2J\x1b[0m"),
            "{shown:?}"
        );
        assert_eq!(in_path("a b/c"), "a%20b%2Fc");
    }
}
