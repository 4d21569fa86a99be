//! Settings to the configuration of each crate, once, before anything starts.
//!
//! ```text
//!  Settings ──▶ pipeline::config ──▶ greyhound_pipeline::config::Config
//!           ├─▶ sinks            ──▶ greyhound_sinks
//!           └─▶ server           ──▶ greyhound_server
//! ```
//!
//! The only place that knows both the operator's words and the crates' own. One file per subsystem.

pub mod conntrack;
pub mod contexts;
pub mod flare;
pub mod grpc;
mod memory;
mod pages;
pub mod pipeline;
pub mod reload;
pub mod server;
pub mod sinks;
pub mod status;
pub mod telemetry;

use std::path::Path;

use anyhow::Context;
use greyhound_config::load::{self, DefaultFile, Loaded, Sources};
use greyhound_config::settings::Settings;
use serde_json::{Map, Value};

/// Where the Agent's default differs from ours: cases of the conformance vectors name only what
/// differs from the Agent's.
const AGENT_DEFAULTS: [(&str, bool); 1] = [("dogstatsd_flush_incomplete_buckets", false)];

/// Settings of a conformance case: a mapping of keys to values, over the Agent's defaults. Read as
/// a settings file would be.
///
/// # Errors
/// When it is not a mapping, or a value is not one its key takes.
pub fn settings_from_json(config: Option<&Value>) -> anyhow::Result<Settings> {
    Ok(loaded_from_json(config)?.settings)
}

/// The same with where each value came from.
///
/// # Errors
/// As [`settings_from_json`].
pub fn loaded_from_json(config: Option<&Value>) -> anyhow::Result<Loaded> {
    let mut merged: Map<String, Value> = AGENT_DEFAULTS
        .iter()
        .map(|&(key, value)| (key.to_owned(), value.into()))
        .collect();
    match config {
        None | Some(Value::Null) => {}
        Some(Value::Object(keys)) => merged.extend(keys.clone()),
        Some(_) => anyhow::bail!("`config` is a mapping of settings"),
    }
    let text = Value::Object(merged).to_string();
    let sources = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    let loaded = load::load_text(&text, Path::new("config"), &sources)?;
    if let Some(unknown) = loaded.report.unknown.first() {
        return Err(anyhow::anyhow!("{unknown}")).context("a case names a setting that is none");
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_case_starts_from_the_agents_defaults() {
        let settings = settings_from_json(None).expect("defaults");
        assert!(!settings.flush.open_buckets_on_stop);
        let config =
            json!({ "dogstatsd_flush_incomplete_buckets": true, "dogstatsd_tags": ["a:1"] });
        let settings = settings_from_json(Some(&config)).expect("settings");
        assert!(settings.flush.open_buckets_on_stop);
        assert_eq!(settings.rules.tags, ["a:1"]);
    }

    #[test]
    fn a_case_with_wrong_settings_is_refused() {
        for config in [
            json!([]),
            json!({ "dogstatsd_port": "x" }),
            json!({ "dogstatsd_prt": 1 }),
        ] {
            assert!(settings_from_json(Some(&config)).is_err(), "{config}");
        }
    }
}
