//! `greyhound send`.

mod messages;

use std::ffi::OsString;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use greyhound_config::settings::{Port, Settings};

use crate::cli::settings::SettingsArgs;
use crate::cli::{Exit, Failure};
use crate::client::destination::Destination;
use crate::client::{self, Client};

/// How long the network may take to say that nobody listens.
const ANSWER_PATIENCE: Duration = Duration::from_millis(50);
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Send messages as an application would.
///
/// Each message is checked first; a wrong one is refused with an explanation and nothing is sent.
/// Without --to the destination is the one clients take: DD_DOGSTATSD_URL, or DD_AGENT_HOST with
/// DD_DOGSTATSD_PORT, else the listener of the settings (127.0.0.1:8125).
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound send 'page.views:1|c|#env:dev'
  greyhound send --to unix:///run/greyhound/dsd.socket 'queue.depth:17|g'
  greyhound send --repeat 1000 --rate 100 'page.views:1|c'     ten seconds of traffic
  greyhound send --pack 1432 < messages.txt                    many messages per packet
  greyhound send --event Deploy 'v1.42 is live' --alert-type success --tag env:dev
  greyhound send --check disk.space warning --message '91 % used'")]
pub(super) struct Args {
    /// Messages; `-` or nothing reads them from standard input, one per line
    #[arg(value_name = "MESSAGE")]
    messages: Vec<OsString>,

    /// udp://host:port, unixgram:///path, unixstream:///path, or unix:///path for either
    #[arg(long, value_name = "URL", value_parser = |text: &str| Destination::parse(text))]
    to: Option<Destination>,

    /// Send all messages so many times
    #[arg(long, value_name = "N", default_value_t = 1)]
    repeat: u64,

    /// Messages per second; without it as fast as the receiver takes them
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    rate: Option<f64>,

    /// Put messages together into packets of up to so many bytes [default: one message per packet]
    #[arg(long, value_name = "BYTES")]
    pack: Option<usize>,

    /// Send even what the server will refuse
    #[arg(long)]
    force: bool,

    /// Print nothing but errors
    #[arg(short, long)]
    quiet: bool,

    /// An event
    #[arg(long, num_args = 2, value_names = ["TITLE", "TEXT"], help_heading = "Events and service checks")]
    event: Option<Vec<String>>,

    /// A service check; STATUS is ok, warning, critical, unknown or 0 to 3
    #[arg(long, num_args = 2, value_names = ["NAME", "STATUS"], conflicts_with = "event",
          help_heading = "Events and service checks")]
    check: Option<Vec<String>>,

    /// A tag of the event or check; may be repeated
    #[arg(long, value_name = "TAG", help_heading = "Events and service checks")]
    tag: Vec<String>,

    /// Host of the event or check
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true,
        help_heading = "Events and service checks"
    )]
    hostname: String,

    /// Time of the event or check, Unix seconds
    #[arg(
        long,
        value_name = "SECONDS",
        help_heading = "Events and service checks"
    )]
    timestamp: Option<i64>,

    /// Text of the check
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true,
        requires = "check",
        help_heading = "Events and service checks"
    )]
    message: String,

    /// What the event announces
    #[arg(
        long,
        value_enum,
        requires = "event",
        help_heading = "Events and service checks"
    )]
    alert_type: Option<AlertTypeArg>,

    /// How prominent the event is
    #[arg(
        long,
        value_enum,
        requires = "event",
        help_heading = "Events and service checks"
    )]
    priority: Option<PriorityArg>,

    /// Events with one key are shown as one
    #[arg(
        long,
        value_name = "KEY",
        default_value = "",
        hide_default_value = true,
        requires = "event",
        help_heading = "Events and service checks"
    )]
    aggregation_key: String,

    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AlertTypeArg {
    Info,
    Success,
    Warning,
    Error,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum PriorityArg {
    Normal,
    Low,
}

pub(super) fn run(
    args: &Args,
    out: &mut dyn Write,
    complaints: &mut dyn Write,
) -> Result<Exit, Failure> {
    let messages = messages::of(args)?;
    if !args.force && messages::refuse(&messages, complaints)? {
        return Ok(Exit::Failed);
    }
    let destination = destination(args.to.as_ref(), &args.settings)?;
    let packets = match args.pack {
        Some(len_bytes) => client::pack(messages.iter().map(Vec::as_slice), len_bytes),
        None => messages.clone(),
    };
    let messages_per_packet = messages.len() as f64 / packets.len().max(1) as f64;
    let mut client = Client::connect(&destination)?;
    let started = Instant::now();
    let mut sent_packets = 0u64;
    let mut sent_bytes = 0u64;
    for packet in (0..args.repeat).flat_map(|_| &packets) {
        if let Some(rate) = args.rate {
            let due = sent_packets as f64 * messages_per_packet / rate;
            let due = Duration::try_from_secs_f64(due).context("that would take too long")?;
            thread::sleep(due.saturating_sub(started.elapsed()));
        }
        client
            .send(packet)
            .with_context(|| format!("cannot send to {destination}"))?;
        sent_packets += 1;
        sent_bytes += packet.len() as u64;
    }
    wait_for_answer(&client).with_context(|| format!("nobody listens at {destination}"))?;
    if !args.quiet {
        let count = messages.len() as u64 * args.repeat;
        if messages.len() <= 10 {
            for message in &messages {
                writeln!(out, "{}", crate::explain::show::printable(message))?;
            }
        }
        writeln!(
            out,
            "sent {} in {} ({sent_bytes} bytes) to {destination} by {}",
            plural(count, "message"),
            plural(sent_packets, "packet"),
            client.transport()
        )?;
    }
    Ok(Exit::Done)
}

/// Where to send: what was said, else what the environment tells clients, else our own listener.
pub(super) fn destination(
    to: Option<&Destination>,
    settings: &SettingsArgs,
) -> Result<Destination, Failure> {
    if let Some(destination) = to {
        return Ok(destination.clone());
    }
    let variable = |name: &str| std::env::var(name).ok();
    if let Some(destination) = Destination::from_environment(variable).map_err(Failure::usage)? {
        return Ok(destination);
    }
    Ok(listener(&settings.load()?.settings)?)
}

/// Where a server with these settings listens.
fn listener(settings: &Settings) -> anyhow::Result<Destination> {
    let listen = &settings.listen;
    if let Some(udp) = &listen.udp
        && let Port::Number(port) = udp.port
    {
        let host = if udp.non_local_traffic {
            "127.0.0.1"
        } else {
            &udp.host
        };
        return Ok(Destination::Udp {
            host: host.to_owned(),
            port,
        });
    }
    if let Some(socket) = listen
        .datagram_sockets
        .iter()
        .find(|socket| !socket.is_default)
    {
        return Ok(Destination::Unixgram(socket.path.clone()));
    }
    if let Some(socket) = listen.stream_sockets.first() {
        return Ok(Destination::UnixStream(socket.path.clone()));
    }
    bail!("the settings name no listener with a fixed address; say --to where to send")
}

/// Gives the network a moment to answer that the port is closed.
fn wait_for_answer(client: &Client) -> io::Result<()> {
    let deadline = Instant::now() + ANSWER_PATIENCE;
    loop {
        client.check()?;
        if client.transport() != "udp" || Instant::now() >= deadline {
            return Ok(());
        }
        thread::sleep(POLL_INTERVAL);
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate.is_finite() && rate > 0.0 => Ok(rate),
        _ => Err("a rate is a number of messages per second, above 0".to_owned()),
    }
}

fn plural(count: u64, noun: &str) -> String {
    match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    }
}

#[cfg(test)]
mod tests;
