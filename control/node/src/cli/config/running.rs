//! Settings of the running daemon: shown, changed, reloaded, compared.

use std::io::Write;
use std::time::Duration;

use anyhow::anyhow;
use greyhound_server::client::{Answer, Content};
use serde_json::{Value, json};

use crate::cli::daemon::{DaemonArgs, unanswered};
use crate::cli::{Exit, Failure};
use crate::explain::show::printable;

/// A change waits for lanes, and a reload for the program that knows secrets.
const WAIT: Duration = Duration::from_secs(60);

/// What every command here takes.
#[derive(Debug, clap::Args)]
pub(super) struct RunningArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct GetArgs {
    /// The setting
    key: String,

    /// Also the value of each layer
    #[arg(long)]
    sources: bool,

    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// The setting
    key: String,

    /// Its value, as it would stand in the environment
    #[arg(allow_hyphen_values = true)]
    value: String,

    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct UnsetArgs {
    /// The setting
    key: String,

    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// A generation [default: the present one]
    #[arg(long)]
    from: Option<u64>,

    /// Another one [default: what a reload would give]
    #[arg(long)]
    to: Option<u64>,

    #[command(flatten)]
    running: RunningArgs,
}

#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// Back to this one [default: the one before the present]
    generation: Option<u64>,

    #[command(flatten)]
    running: RunningArgs,
}

pub(super) fn get(args: &GetArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let path = format!("/agent/config/{}", segment(&args.key)?);
    let query: &[(&str, &str)] = match args.sources {
        true => &[("sources", "true")],
        false => &[],
    };
    let answer = ask(&args.running, &path, query)?;
    if args.running.json {
        return json_out(&answer, out);
    }
    writeln!(out, "{}", shown(&answer["value"]))?;
    for source in answer["sources_value"].as_array().into_iter().flatten() {
        if !source["Value"].is_null() {
            writeln!(
                out,
                "  {}: {}",
                shown(&source["Source"]),
                shown(&source["Value"])
            )?;
        }
    }
    Ok(Exit::Done)
}

pub(super) fn set(args: &SetArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let body = json!({ "key": args.key, "value": args.value });
    change(&args.running, "/agent/v1/config/set", &body, out)
}

pub(super) fn unset(args: &UnsetArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let body = json!({ "key": args.key });
    change(&args.running, "/agent/v1/config/unset", &body, out)
}

pub(super) fn reload(args: &RunningArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    change(args, "/agent/v1/config/reload", &json!({}), out)
}

pub(super) fn rollback(args: &RollbackArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let body = match args.generation {
        Some(generation) => json!({ "generation": generation }),
        None => json!({}),
    };
    change(&args.running, "/agent/v1/config/rollback", &body, out)
}

/// Settings that can change while running, with what they are now.
pub(super) fn list(args: &RunningArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let path = "/agent/v1/config/settings";
    let answer = ask(args, path, &[])?;
    let all = answer["settings"].as_array().into_iter().flatten();
    let runtime: Vec<&Value> = all
        .filter(|setting| setting["reloadable"] == true)
        .collect();
    if args.json {
        return json_out(&json!(runtime), out);
    }
    let key = |setting: &Value| setting["key"].as_str().unwrap_or_default().to_owned();
    let width = runtime
        .iter()
        .map(|setting| key(setting).len())
        .max()
        .unwrap_or(0);
    for setting in runtime {
        let text = setting["text"].as_str().unwrap_or_default();
        let layer = shown(&setting["layer"]);
        let text = printable(text.as_bytes());
        writeln!(out, "{:width$}  {text}  ({layer})", key(setting))?;
    }
    Ok(Exit::Done)
}

pub(super) fn generations(args: &RunningArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let path = "/agent/v1/config/generations";
    let answer = ask(args, path, &[])?;
    if args.json {
        return json_out(&answer, out);
    }
    for change in answer["history"].as_array().into_iter().flatten() {
        writeln!(
            out,
            "{} {} {}",
            change["generation"],
            shown(&change["at"]),
            shown(&change["cause"])
        )?;
        print_keys(change, out)?;
    }
    let waiting = answer["waiting_for_restart"].as_array();
    for key in waiting.into_iter().flatten() {
        writeln!(out, "{} waits for a restart", shown(key))?;
    }
    let error = &answer["reloads"]["last_error"];
    if !error.is_null() {
        writeln!(out, "the last reload was refused: {}", shown(error))?;
    }
    Ok(Exit::Done)
}

pub(super) fn diff(args: &DiffArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let texts = [
        ("from", args.from.map(|number| number.to_string())),
        ("to", args.to.map(|number| number.to_string())),
    ];
    let query: Vec<(&str, &str)> = texts
        .iter()
        .filter_map(|(name, text)| Some((*name, text.as_deref()?)))
        .collect();
    let path = "/agent/v1/config/diff";
    let answer = ask(&args.running, path, &query)?;
    if args.running.json {
        return json_out(&answer, out);
    }
    let keys = answer["keys"].as_array();
    for key in keys.into_iter().flatten() {
        let (from, to) = (&key["from"], &key["to"]);
        let restart = match key["reloadable"] == true {
            true => "",
            false => "  needs a restart",
        };
        writeln!(out, "{}{restart}", shown(&key["key"]))?;
        writeln!(
            out,
            "  - {}  ({})",
            shown(&from["value"]),
            shown(&from["place"])
        )?;
        writeln!(
            out,
            "  + {}  ({})",
            shown(&to["value"]),
            shown(&to["place"])
        )?;
    }
    if keys.is_none_or(Vec::is_empty) {
        writeln!(out, "nothing differs")?;
    }
    Ok(Exit::Done)
}

fn change(
    args: &RunningArgs,
    path: &str,
    body: &Value,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let reach = args.daemon.reach()?;
    let answer = reach
        .client
        .post(path, &[], Content::Json(body), WAIT)
        .map_err(unanswered)?;
    let answer = accepted(&answer)?;
    if args.json {
        return json_out(&answer, out);
    }
    let keys = answer["keys"].as_array();
    let what = match keys.is_none_or(Vec::is_empty) {
        true => "nothing changed",
        false => "changed",
    };
    writeln!(out, "generation {}: {what}", answer["generation"])?;
    print_keys(&answer, out)?;
    Ok(Exit::Done)
}

fn print_keys(change: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    for key in change["keys"].as_array().into_iter().flatten() {
        let outcome = shown(&key["outcome"]).replace('_', " ");
        writeln!(out, "  {}: {outcome}", shown(&key["key"]))?;
    }
    Ok(())
}

fn ask(args: &RunningArgs, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
    let reach = args.daemon.reach()?;
    let answer = reach.client.get(path, query, WAIT).map_err(unanswered)?;
    accepted(&answer)
}

/// The JSON of a good answer; of another, what it complains of.
fn accepted(answer: &Answer) -> Result<Value, Failure> {
    if !answer.is_good() {
        let complaint = answer.complaint();
        let lines: Vec<String> = complaint
            .lines()
            .map(|line| printable(line.as_bytes()))
            .collect();
        return Err(anyhow!("{}", lines.join("\n")).into());
    }
    Ok(answer.json()?)
}

/// A key within a path. Names of settings need no escapes, so what does is none.
fn segment(key: &str) -> Result<&str, Failure> {
    let is_name = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    match is_name {
        true => Ok(key),
        false => Err(Failure::usage(anyhow!("{key:?} is not a setting"))),
    }
}

fn json_out(value: &Value, out: &mut dyn Write) -> Result<Exit, Failure> {
    writeln!(out, "{value:#}")?;
    Ok(Exit::Done)
}

/// Text without its quotes, anything else as JSON; nothing that a terminal would obey.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text.as_bytes()),
        other => printable(other.to_string().as_bytes()),
    }
}
