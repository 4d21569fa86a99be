//! `greyhound bench`.

use std::io::{BufRead, Write};
use std::time::Duration;

use anyhow::Context;
use greyhound_wire::corpus::{Kinds, Popularity, Recipe, Shape, Span};

use super::send::destination;
use crate::bench::sender::WhenFull;
use crate::bench::{Pace, Plan, report};
use crate::cli::settings::SettingsArgs;
use crate::cli::{Exit, Failure};
use crate::client::destination::Destination;

/// Messages a second while every context is sent once; slow enough for any receive buffer.
const WARM_RATE: f64 = 200_000.0;

/// Send load of exactly known size, to measure a server with.
///
/// Packets are built beforehand from a seeded corpus and leave by sendmmsg, at a fixed rate or as fast as
/// the kernel takes them. What was accepted and what was refused is counted in packets, messages,
/// samples, bytes and increments of counters, so that a server's own counts can be set against it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound bench --rate 100000 --duration 10                      one message a packet
  greyhound bench --pack 1432 --contexts 10000 --warm              flat out, many messages a packet
  greyhound bench --to unixgram:///run/dsd.socket --pack 8192 --rate 2000000 --burst 5
  greyhound bench --shape long --pack 8192 --byte-rate 100000000 --json
  greyhound bench --contexts 100000 --churn 10000 --rate 500000 --duration 100")]
pub(super) struct Args {
    /// udp://host:port, unixgram:///path, unixstream:///path, or unix:///path for either
    #[arg(long, value_name = "URL", value_parser = |text: &str| Destination::parse(text))]
    to: Option<Destination>,

    /// Messages per second; without it and --byte-rate flat out
    #[arg(long, value_name = "N", value_parser = positive, conflicts_with = "byte_rate")]
    rate: Option<f64>,

    /// Bytes of payload per second
    #[arg(long, value_name = "BYTES", value_parser = positive)]
    byte_rate: Option<f64>,

    /// Milliseconds between bursts; what is due in between leaves together
    #[arg(long, value_name = "MS", value_parser = positive, default_value_t = 0.2)]
    burst: f64,

    /// Seconds to send [default: 10, or until --messages]
    #[arg(long, value_name = "SECONDS", value_parser = positive)]
    duration: Option<f64>,

    /// Messages to send, rounded up to whole packets
    #[arg(long, value_name = "N")]
    messages: Option<u64>,

    /// Send every context once before, at a rate that no buffer overflows at
    #[arg(long)]
    warm: bool,

    /// Messages per second meanwhile
    #[arg(long, value_name = "N", value_parser = positive, default_value_t = WARM_RATE)]
    warm_rate: f64,

    /// Put messages together into packets of up to so many bytes; 0 = one message per packet
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    pack: usize,

    /// Bytes of packets put into one write of a stream; 0 = one packet per write
    #[arg(long, value_name = "BYTES", default_value_t = 64 << 10)]
    gather: usize,

    /// Sockets, each with its own source port, used in turn
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    sources: u16,

    /// What to do when the receiver's queue is full [default: refuse with a rate, wait flat out]
    #[arg(long, value_enum, value_name = "WHAT")]
    when_full: Option<WhenFullArg>,

    /// Run on this core only
    #[arg(long, value_name = "CORE")]
    core: Option<usize>,

    /// Build and connect, print "ready" to standard output, and wait for a line on standard input
    #[arg(long)]
    hold: bool,

    /// Print one JSON object
    #[arg(long)]
    json: bool,

    /// Preset of lines: 47 bytes with 2 tags, 93 with 4 to 6, 1 to 2 KB with up to 50
    #[arg(long, value_enum, default_value_t = ShapeArg::Standard, help_heading = "Corpus")]
    shape: ShapeArg,

    /// Different names and tags
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = contexts, help_heading = "Corpus")]
    contexts: usize,

    /// Contexts replaced by new ones every 10 seconds
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Corpus")]
    churn: usize,

    /// Mix of kinds, by weight; e is an event, sc a service check
    #[arg(long, value_name = "MIX", default_value_t = Kinds::PRESET, help_heading = "Corpus")]
    kinds: Kinds,

    /// Tags of a message, N or MIN..MAX [default: the preset's]
    #[arg(long, value_name = "SPAN", help_heading = "Corpus")]
    tags: Option<Span>,

    /// Bytes of a name [default: the preset's]
    #[arg(long, value_name = "SPAN", help_heading = "Corpus")]
    name_len: Option<Span>,

    /// Bytes of a tag; a tag is never shorter than its key and value [default: the preset's]
    #[arg(long, value_name = "SPAN", help_heading = "Corpus")]
    tag_len: Option<Span>,

    /// Of a hundred tags so many are new; the others were in a context before
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(..=100), help_heading = "Corpus")]
    new_tags: Option<u8>,

    /// Whether some contexts come more often than others
    #[arg(long, value_enum, default_value_t = PopularityArg::Uniform, help_heading = "Corpus")]
    popularity: PopularityArg,

    /// Where chance starts: the same seed gives the same bytes
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Corpus")]
    seed: u64,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ShapeArg {
    Lean,
    Standard,
    Long,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PopularityArg {
    Uniform,
    Skewed,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum WhenFullArg {
    /// Leave the packet out and count it
    Refuse,
    /// Wait for room
    Wait,
}

pub(super) fn run(
    args: &Args,
    out: &mut dyn Write,
    signal: &mut dyn BufRead,
) -> Result<Exit, Failure> {
    if let Some(core) = args.core {
        greyhound_sys::affinity::pin_current_thread(core)
            .with_context(|| format!("cannot run on core {core}"))
            .map_err(Failure::usage)?;
    }
    let plan = plan(args)?;
    let outcome = plan.run(|| {
        if args.hold {
            writeln!(out, "ready")?;
            out.flush()?;
            signal.read_line(&mut String::new())?;
        }
        Ok(())
    })?;
    if args.json {
        writeln!(out, "{}", report::to_json(&plan, &outcome))?;
    } else {
        report::write_text(out, &plan, &outcome)?;
    }
    Ok(Exit::Done)
}

fn plan(args: &Args) -> Result<Plan, Failure> {
    let pace = match (args.rate, args.byte_rate) {
        (Some(rate), _) => Pace::Messages(rate),
        (None, Some(rate)) => Pace::Bytes(rate),
        (None, None) => Pace::FlatOut,
    };
    let seconds = |number: f64| Duration::try_from_secs_f64(number).map_err(Failure::usage);
    let duration = match (args.duration, args.messages) {
        (Some(duration), _) => Some(seconds(duration)?),
        (None, Some(_)) => None,
        (None, None) => Some(Duration::from_secs(10)),
    };
    Ok(Plan {
        destination: destination(args.to.as_ref(), &args.settings)?,
        recipe: Recipe {
            shape: match args.shape {
                ShapeArg::Lean => Shape::Lean,
                ShapeArg::Standard => Shape::Standard,
                ShapeArg::Long => Shape::Long,
            },
            contexts: args.contexts,
            seed: args.seed,
            kinds: args.kinds,
            tags: args.tags,
            name_len: args.name_len,
            tag_len: args.tag_len,
            new_tags_percent: args.new_tags,
        },
        popularity: match args.popularity {
            PopularityArg::Uniform => Popularity::Uniform,
            PopularityArg::Skewed => Popularity::Skewed,
        },
        pack_bytes: args.pack,
        pace,
        tick: seconds(args.burst / 1e3)?,
        duration,
        messages: args.messages,
        warm: args.warm.then_some(args.warm_rate),
        sources: args.sources.into(),
        when_full: match (args.when_full, pace) {
            (Some(WhenFullArg::Wait), _) | (None, Pace::FlatOut) => WhenFull::Wait,
            (Some(WhenFullArg::Refuse), _) | (None, _) => WhenFull::Refuse,
        },
        gather_bytes: args.gather,
        churn: args.churn,
    })
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0".to_owned()),
    }
}

/// The number of a context has seven digits in a line.
fn contexts(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number @ 1..=9_999_999) => Ok(number),
        _ => Err("a number from 1 to 9999999".to_owned()),
    }
}

#[cfg(test)]
mod tests;
