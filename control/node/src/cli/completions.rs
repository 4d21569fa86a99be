//! `greyhound completions`.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::{Cli, Exit, Failure};

/// Print a completion script.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound completions bash > ~/.local/share/bash-completion/completions/greyhound
  greyhound completions zsh > ~/.zfunc/_greyhound
  greyhound completions fish > ~/.config/fish/completions/greyhound.fish")]
pub(super) struct Args {
    /// The shell to complete in
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    // The generator panics when its writer fails, and a closed pipe is a failure: write to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "greyhound", &mut script);
    out.write_all(&script)?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_shell_gets_a_script_that_knows_the_commands() {
        for shell in Shell::value_variants() {
            let mut out = Vec::new();
            run(&Args { shell: *shell }, &mut out).expect("memory takes everything");
            let script = String::from_utf8(out).expect("utf-8");
            assert!(script.contains("explain"), "{shell}");
        }
    }
}
