//! `greyhound dogstatsd`: which contexts there are, in the Agent's words. And `greyhound dogstatsd-stats`.

use std::fmt::Write as _;
use std::io::Write;
use std::time::Duration;

use clap::Subcommand;
use greyhound_server::client::Content;
use serde_json::{Value, json};

use crate::cli::daemon::DaemonArgs;
use crate::cli::{Exit, Failure};

/// Counting a million contexts takes a while.
const WAIT: Duration = Duration::from_secs(120);
/// Widest column of text before the numbers.
const NAME_WIDTH: usize = 60;
/// Tags of one metric that are shown in a row of `top`.
const SHOWN_WIDTH: usize = 100;

/// Look at the contexts of the running daemon.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound dogstatsd top             which metric has the most contexts, and which of its tags
  greyhound dogstatsd top -m 3 --json the same for programs
  greyhound dogstatsd dump-contexts   all of them, into a file")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the metrics with the most contexts, and their tags with the most values
    #[command(visible_alias = "contexts")]
    Top(TopArgs),
    /// Write all contexts to a file, one JSON object per line, compressed with zstd
    #[command(alias = "contexts-dump")]
    DumpContexts(DumpArgs),
}

#[derive(Debug, clap::Args)]
struct TopArgs {
    /// How many metrics
    #[arg(short = 'm', long, value_name = "COUNT", default_value_t = 10)]
    num_metrics: u32,

    /// How many tags of each
    #[arg(short = 't', long, value_name = "COUNT", default_value_t = 5)]
    num_tags: u32,

    /// Of the last dump instead of the running contexts
    #[arg(long)]
    dump: bool,

    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

#[derive(Debug, clap::Args)]
struct DumpArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

/// Show how often each metric was sampled.
///
/// Counting costs a little, so it is off until it is asked for: `greyhound config set dogstatsd_stats true`.
#[derive(Debug, clap::Args)]
pub(super) struct StatsArgs {
    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    match &args.what {
        What::Top(args) => {
            let question = json!({
                "num_metrics": args.num_metrics,
                "num_tags": args.num_tags,
                "source": if args.dump { "dump" } else { "live" },
            });
            let path = "/agent/dogstatsd-contexts-top";
            let top = ask(&args.daemon, path, Content::Json(&question))?;
            match args.json {
                true => writeln!(out, "{top:#}")?,
                false => write!(out, "{}", top_text(&top))?,
            }
        }
        What::DumpContexts(args) => {
            let path = "/agent/dogstatsd-contexts-dump";
            let file = ask(&args.daemon, path, Content::Empty)?;
            match args.json {
                true => writeln!(out, "{}", json!({ "path": file }))?,
                false => writeln!(out, "{}", text(&file))?,
            }
        }
    }
    Ok(Exit::Done)
}

pub(super) fn run_stats(args: &StatsArgs, out: &mut dyn Write) -> Result<Exit, Failure> {
    let answer = args.daemon.reach()?.get("/agent/dogstatsd-stats", &[]);
    let stats: Value = serde_json::from_slice(&answer.map_err(explained)?.body)?;
    match args.json {
        true => writeln!(out, "{stats:#}")?,
        false => write!(out, "{}", stats_text(&stats))?,
    }
    Ok(Exit::Done)
}

/// Says how statistics are switched on.
fn explained(failure: Failure) -> Failure {
    let said = failure.to_string();
    if !said.contains("metrics stats not enabled") {
        return failure;
    }
    anyhow::anyhow!(
        "samples are not counted by metric; count them with `greyhound config set dogstatsd_stats true`"
    )
    .into()
}

fn ask(daemon: &DaemonArgs, path: &str, content: Content<'_>) -> Result<Value, Failure> {
    let reach = daemon.reach()?;
    let answer = reach.client.post(path, &[], content, WAIT);
    Ok(serde_json::from_slice(&reach.accepted(answer)?.body)?)
}

/// A text of the answer; nothing in it can steer a terminal.
fn text(value: &Value) -> String {
    let text = value.as_str().unwrap_or_default();
    text.chars().filter(|letter| !letter.is_control()).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn keys(tags: &Value) -> String {
    let keys = list(tags)
        .iter()
        .map(|tag| format!("{} {}", tag["values"], text(&tag["key"])));
    cut(&keys.collect::<Vec<_>>().join(", "), SHOWN_WIDTH)
}

fn top_text(top: &Value) -> String {
    let mut out = String::from("  Contexts  Metric (different values of each tag)\n");
    for metric in list(&top["metrics"]) {
        let name = cut(&text(&metric["name"]), NAME_WIDTH);
        let count = metric["contexts"].to_string();
        writeln!(out, "{count:>10}  {name} ({})", keys(&metric["tags"]))
            .expect("a string takes everything");
    }
    let all = top["contexts"].as_u64().unwrap_or_default();
    writeln!(
        out,
        "\n{all} contexts, as of the last flush\ntags with the most values: {}",
        keys(&top["tags"])
    )
    .expect("a string takes everything");
    out
}

fn stats_text(stats: &Value) -> String {
    let mut rows: Vec<&Value> = stats
        .as_object()
        .map(|rows| rows.values().collect())
        .unwrap_or_default();
    if rows.is_empty() {
        return "no samples since counting began\n".to_owned();
    }
    rows.sort_by_key(|row| {
        let name = row["name"].as_str().unwrap_or_default();
        let tags = row["tags"].as_str().unwrap_or_default();
        (std::cmp::Reverse(row["count"].as_u64()), name, tags)
    });
    let cells: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            [
                cut(&text(&row["name"]), NAME_WIDTH),
                cut(&text(&row["tags"]), NAME_WIDTH),
                row["count"].to_string(),
                text(&row["last_seen"]),
            ]
        })
        .collect();
    let head = ["Metric", "Tags", "Count", "Last seen"].map(str::to_owned);
    let width = |column: usize| {
        let all = std::iter::once(&head).chain(&cells);
        all.map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let mut out = String::new();
    for [name, tags, count, seen] in std::iter::once(&head).chain(&cells) {
        let [name_width, tags_width, count_width] = widths;
        writeln!(
            out,
            "{name:name_width$}  {tags:tags_width$}  {count:>count_width$}  {seen}"
        )
        .expect("a string takes everything");
    }
    out
}

/// So much of it, with a mark when there was more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(width.saturating_sub(1)).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_come_with_their_tags() {
        let top = json!({
            "contexts": 1003,
            "metrics": [{ "name": "a\u{1b}b", "contexts": 1000, "tags": [{ "key": "user", "values": 1000 }] }],
            "tags": [{ "key": "user", "values": 1000 }],
        });
        assert_eq!(
            top_text(&top),
            "  Contexts  Metric (different values of each tag)\n\
             \x20     1000  ab (1000 user)\n\n\
             1003 contexts, as of the last flush\ntags with the most values: 1000 user\n"
        );
    }

    #[test]
    fn the_most_sampled_come_first() {
        let row = |name: &str, count: u64| json!({ "name": name, "tags": "a:1 b", "count": count, "last_seen": "2026-01-01T00:00:00Z" });
        let stats = json!({ "1": row("rare", 3), "2": row("often", 1200) });
        assert_eq!(
            stats_text(&stats),
            "Metric  Tags   Count  Last seen\n\
             often   a:1 b   1200  2026-01-01T00:00:00Z\n\
             rare    a:1 b      3  2026-01-01T00:00:00Z\n"
        );
        assert!(stats_text(&json!({})).contains("no samples"));
    }
}
