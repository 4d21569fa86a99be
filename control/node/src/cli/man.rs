//! `greyhound man`.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::CommandFactory;

use crate::cli::{Cli, Exit, Failure};

/// Print the manual page in roff.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound man | man -l -
  greyhound man --dir /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Write one page per command into this folder instead
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &args.dir {
        Some(dir) => {
            std::fs::create_dir_all(dir)
                .with_context(|| format!("cannot make folder {}", dir.display()))?;
            let command = Cli::command().disable_help_subcommand(true);
            clap_mangen::generate_to(command, dir)
                .with_context(|| format!("cannot write pages into {}", dir.display()))?;
        }
        None => clap_mangen::Man::new(Cli::command()).render(out)?,
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_per_command() {
        let dir = tempfile::tempdir().expect("a folder");
        let args = Args {
            dir: Some(dir.path().to_owned()),
        };
        run(&args, &mut Vec::new()).expect("pages");
        for page in ["greyhound.1", "greyhound-explain.1", "greyhound-version.1"] {
            assert!(dir.path().join(page).is_file(), "{page}");
        }
    }
}
