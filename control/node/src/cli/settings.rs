//! The options that say where settings come from, shared by all commands that read them.

use std::path::PathBuf;

use greyhound_config::env;
use greyhound_config::load::{self, DefaultFile, Flag, Loaded, Sources};

use crate::cli::Failure;

/// Names the ready file of `run` where no flag does; not a setting, although it is called like one.
pub(super) const READY_FILE_VARIABLE: &str = "GREYHOUND_READY_FILE";

/// Where settings come from.
#[derive(Clone, Debug, Default, clap::Args)]
pub(super) struct SettingsArgs {
    /// Settings file in the format of datadog.yaml [default: $GREYHOUND_CONFIG, then
    /// /etc/greyhound/greyhound.yaml, then /etc/datadog-agent/datadog.yaml]
    #[arg(short, long, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,

    /// One setting, stronger than file and environment; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Settings", value_parser = parse_set)]
    set: Vec<(String, String)>,
}

// === impl SettingsArgs ===

impl SettingsArgs {
    /// Reads file, environment and flags. Nothing else is touched.
    pub(super) fn load(&self) -> Result<Loaded, Failure> {
        self.load_with(Vec::new())
    }

    /// The same with settings that a command has flags of its own for.
    pub(super) fn load_with(&self, further: Vec<Flag>) -> Result<Loaded, Failure> {
        load::load(&self.sources(further)).map_err(Failure::usage)
    }

    /// What is read, with settings that a command has flags of its own for; those are the strongest.
    pub(super) fn sources(&self, further: Vec<Flag>) -> Sources {
        let set = self.set.iter().map(|(key, text)| Flag {
            name: "--set".to_owned(),
            key: key.clone(),
            text: text.clone(),
        });
        let mut environment = env::from_process();
        environment.retain(|(name, _)| name != READY_FILE_VARIABLE);
        Sources {
            file: self.config.clone(),
            default_file: DefaultFile::Search,
            environment,
            flags: set.chain(further).collect(),
            ..Sources::default()
        }
    }
}

fn parse_set(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE, for example dogstatsd_port=8126".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_may_hold_an_equals_sign() {
        assert_eq!(parse_set("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        assert_eq!(parse_set("a="), Ok(("a".into(), String::new())));
        assert!(parse_set("a").is_err() && parse_set("=b").is_err());
    }
}
