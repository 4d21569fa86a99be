//! `greyhound config`: settings as they are read here, and those of the running daemon.

mod agent;
mod running;

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use clap::Subcommand;
use greyhound_config::load::Loaded;
use greyhound_config::store::Effective;
use greyhound_config::{page, schema};
use serde_json::{Value, json};

use crate::cli::settings::SettingsArgs;
use crate::cli::{Exit, Failure, colours_wanted};
use crate::explain::show::printable;
use crate::explain::text::Palette;
use crate::wiring;

/// Show, check and explain settings.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  greyhound config                           what is set, and where
  greyhound config show --all                every setting with its value
  greyhound config check --config new.yaml   is this file right? exit code 64 if not
  greyhound config check --agent datadog.yaml  what becomes of each key of the Agent's file
  greyhound config set log_level debug       change the running daemon until it ends
  greyhound config diff                      what would a reload change?
  greyhound config reload                    take the file, as one generation or not at all
  greyhound config rollback                  back to the generation before
  greyhound config unknown                   keys nobody knows, with the nearest known one
  greyhound config docs > settings.md        the reference page
  greyhound config counters > telemetry.md   what is counted, and what it means
  greyhound config schema > schema.json      for editors"
)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,

    #[command(flatten)]
    show: ShowArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Effective settings and where each comes from
    Show(ShowArgs),
    /// Read all settings as `run` does and say what is wrong
    #[command(alias = "configcheck")]
    Check(CheckArgs),
    /// The reference page of all settings, in Markdown
    Docs(DocsArgs),
    /// The reference page of all counters, in Markdown
    Counters,
    /// A JSON Schema of the settings file
    Schema,
    /// Keys that are no settings, with the nearest known name
    Unknown(ListArgs),
    /// One setting of the running daemon
    Get(running::GetArgs),
    /// Change a setting of the running daemon, until it ends or the setting is unset
    Set(running::SetArgs),
    /// Take back what was set while running
    Unset(running::UnsetArgs),
    /// Settings of the running daemon that can change
    #[command(alias = "list-runtime")]
    List(running::RunningArgs),
    /// What differs between two generations, or what a reload would change
    Diff(running::DiffArgs),
    /// Read the settings file again: one generation, or nothing
    Reload(running::RunningArgs),
    /// Back to the settings of an earlier generation
    Rollback(running::RollbackArgs),
    /// The last changes, and what waits for a restart
    Generations(running::RunningArgs),
}

#[derive(Debug, clap::Args)]
struct CheckArgs {
    /// A datadog.yaml: say of each of its keys whether it means the same here
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,

    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
struct ShowArgs {
    /// Also what is at its default
    #[arg(long)]
    all: bool,

    #[command(flatten)]
    list: ListArgs,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct DocsArgs {
    /// The table as JSON instead
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &args.action {
        None => show(&args.show, out),
        Some(Action::Show(args)) => show(args, out),
        Some(Action::Check(args)) => match &args.agent {
            Some(file) => agent::check(file, args.list.json, out),
            None => check(&args.list, out),
        },
        Some(Action::Get(args)) => running::get(args, out),
        Some(Action::Set(args)) => running::set(args, out),
        Some(Action::Unset(args)) => running::unset(args, out),
        Some(Action::List(args)) => running::list(args, out),
        Some(Action::Diff(args)) => running::diff(args, out),
        Some(Action::Reload(args)) => running::reload(args, out),
        Some(Action::Rollback(args)) => running::rollback(args, out),
        Some(Action::Generations(args)) => running::generations(args, out),
        Some(Action::Docs(args)) => docs(args, out),
        Some(Action::Counters) => {
            write!(out, "{}", wiring::telemetry::reference_page())?;
            Ok(Exit::Done)
        }
        Some(Action::Schema) => {
            writeln!(out, "{:#}", schema::json_schema())?;
            Ok(Exit::Done)
        }
        Some(Action::Unknown(args)) => unknown(args, out),
    }
}

fn show(args: &ShowArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let loaded = args.list.settings.load()?;
    let listing: Vec<Effective> = loaded
        .store
        .effective()
        .into_iter()
        .filter(|setting| args.all || args.list.json || !setting.is_default)
        .collect();
    if args.list.json {
        let settings: Vec<Value> = listing.iter().map(setting_json).collect();
        writeln!(
            out,
            "{:#}",
            json!({ "file": file_text(&loaded), "settings": settings })
        )?;
        return Ok(Exit::Done);
    }
    let palette = Palette::new(colours_wanted(io::stdout().is_terminal()));
    let (label, note) = (palette.label, palette.note);
    writeln!(
        out,
        "file: {}",
        file_text(&loaded).unwrap_or("none".to_owned())
    )?;
    if listing.is_empty() {
        writeln!(
            out,
            "every setting is at its default; see `greyhound config show --all`"
        )?;
    }
    let width = listing
        .iter()
        .map(|setting| setting.key.len())
        .max()
        .unwrap_or(0);
    for setting in &listing {
        let value = match printable(setting.value.as_bytes()) {
            text if text.is_empty() => "\"\"".to_owned(),
            text => text,
        };
        write!(out, "{label}{:width$}{label:#}  {value}", setting.key)?;
        if !setting.is_default {
            write!(out, "  {note}({}){note:#}", setting.place)?;
        }
        if !setting.has_effect {
            write!(out, "  {note}(no effect in this version){note:#}")?;
        }
        writeln!(out)?;
    }
    // Settings without effect are marked in their own line.
    let report = &loaded.report;
    let warnings = report.warnings.iter().map(ToString::to_string);
    for notice in warnings.chain(report.unknown.iter().map(ToString::to_string)) {
        writeln!(out, "{note}{}{note:#}", printable(notice.as_bytes()))?;
    }
    Ok(Exit::Done)
}

fn check(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let loaded = args.settings.load()?;
    let config = wiring::pipeline::config(&loaded.settings, "localhost").map_err(Failure::usage)?;
    let (_, mut notices) = greyhound_pipeline::rules::Rules::compile(&config.rules);
    notices.extend(loaded.report.lines());
    if args.json {
        let answer = json!({ "file": file_text(&loaded), "valid": true, "notices": notices });
        writeln!(out, "{answer:#}")?;
        return Ok(Exit::Done);
    }
    for notice in &notices {
        writeln!(out, "{notice}")?;
    }
    let file = file_text(&loaded).unwrap_or("no file".to_owned());
    writeln!(
        out,
        "{file}: settings are valid, {} to look at",
        plural(notices.len(), "notice")
    )?;
    Ok(Exit::Done)
}

fn unknown(args: &ListArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let loaded = args.settings.load()?;
    let keys = &loaded.report.unknown;
    if args.json {
        let keys: Vec<Value> = keys
            .iter()
            .map(|key| {
                json!({ "key": key.key, "place": key.place.to_string(), "nearest": key.nearest })
            })
            .collect();
        writeln!(out, "{:#}", Value::from(keys))?;
        return Ok(Exit::Done);
    }
    for key in keys {
        writeln!(out, "{key}")?;
    }
    let further = loaded.report.unknown_further;
    writeln!(out, "{}", plural(keys.len() + further, "unknown key"))?;
    Ok(Exit::Done)
}

fn docs(args: &DocsArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    if args.json {
        let rows: Vec<Value> = greyhound_config::table::table()
            .rows()
            .iter()
            .map(|row| {
                json!({
                    "key": row.key,
                    "type": row.kind.describe(),
                    "default": row.default,
                    "environment": row.env_names(),
                    "help": row.help,
                    "reloadable": row.reloadable,
                    "secret": row.is_secret(),
                    "has_effect": row.applies == greyhound_config::table::Applies::Now,
                })
            })
            .collect();
        writeln!(out, "{:#}", Value::from(rows))?;
    } else {
        write!(out, "{}", page::reference_page())?;
    }
    Ok(Exit::Done)
}

fn setting_json(setting: &Effective) -> Value {
    json!({
        "key": setting.key,
        "value": setting.json,
        "layer": setting.layer.as_str(),
        "place": setting.place.to_string(),
        "is_default": setting.is_default,
        "has_effect": setting.has_effect,
        "reloadable": setting.reloadable,
    })
}

fn file_text(loaded: &Loaded) -> Option<String> {
    loaded.file.as_ref().map(|path| path.display().to_string())
}

fn plural(count: usize, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn config(file: &str, arguments: &[&str]) -> Result<String, Failure> {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("test.yaml");
        std::fs::write(&path, file).expect("a file");
        let path = path.to_str().expect("utf-8");
        let line = [&["greyhound", "config"], arguments, &["--config", path]].concat();
        let cli = Cli::try_parse_from(line).expect("a command line");
        let crate::cli::Command::Config(args) = cli.command else {
            panic!("another command");
        };
        let mut out = Vec::new();
        run(&args, &mut out)?;
        Ok(String::from_utf8(out).expect("utf-8"))
    }

    #[test]
    fn what_is_set_is_shown_with_its_place() {
        let text = config("dogstatsd_port: 77\napi_key: abcdef\n", &["show"]).expect("a listing");
        assert!(text.contains("dogstatsd_port"), "{text}");
        assert!(text.contains("test.yaml:1:"), "{text}");
        assert!(!text.contains("abcdef"), "{text}");
        let json = config("dogstatsd_port: 77\n", &["show", "--json"]).expect("a listing");
        let json: Value = serde_json::from_str(&json).expect("json");
        let settings = json["settings"].as_array().expect("a list");
        let port = settings
            .iter()
            .find(|setting| setting["key"] == "dogstatsd_port");
        assert_eq!(port.map(|port| port["value"].clone()), Some(json!(77)));
        assert_eq!(port.map(|port| port["layer"].clone()), Some(json!("file")));
    }

    #[test]
    fn a_wrong_value_is_a_usage_error_with_its_place() {
        let failure = config("a: 1\ndogstatsd_port: many\n", &["check"]).unwrap_err();
        assert_eq!(failure.exit(), Exit::Usage);
        let text = failure.to_string();
        assert!(
            text.contains("test.yaml:2:") && text.contains("dogstatsd_port"),
            "{text}"
        );
    }

    #[test]
    fn an_unknown_key_comes_with_the_nearest_known_one() {
        let text = config("dogstatsd_prot: 77\n", &["unknown"]).expect("a listing");
        assert!(text.contains("dogstatsd_port"), "{text}");
        let text = config("dogstatsd_prot: 77\n", &["check"]).expect("a check");
        // Variables of whoever runs the tests may be noticed too.
        assert!(text.contains("`dogstatsd_prot` is not a setting"), "{text}");
        assert!(text.contains(" to look at"), "{text}");
    }

    #[test]
    fn page_and_schema_come_from_the_table() {
        let mut out = Vec::new();
        docs(&DocsArgs { json: false }, &mut out).expect("a page");
        assert!(String::from_utf8_lossy(&out).contains("dogstatsd_port"));
        let mut out = Vec::new();
        docs(&DocsArgs { json: true }, &mut out).expect("a table");
        let rows: Vec<Value> = serde_json::from_slice(&out).expect("json");
        assert!(rows.len() > 100);
    }
}
