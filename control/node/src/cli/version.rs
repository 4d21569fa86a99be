//! `greyhound version`.

use std::io::Write;

use serde_json::json;

use crate::cli::{Exit, Failure};

/// Print the version of this program.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// As a JSON object
    #[arg(long)]
    json: bool,
}

/// The version, as packages and clients see it.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    if args.json {
        let version = json!({
            "name": "greyhound",
            "version": VERSION,
            "os": std::env::consts::OS,
            "arch": std::env::consts::ARCH,
            "rust_version": env!("CARGO_PKG_RUST_VERSION"),
        });
        writeln!(out, "{version:#}")?;
    } else {
        writeln!(
            out,
            "greyhound {VERSION} ({} {})",
            std::env::consts::OS,
            std::env::consts::ARCH
        )?;
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_form_is_json() {
        let mut out = Vec::new();
        run(&Args { json: true }, &mut out).expect("memory takes everything");
        let value: serde_json::Value = serde_json::from_slice(&out).expect("json");
        assert_eq!(value["version"], VERSION);
    }
}
