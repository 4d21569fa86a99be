//! `greyhound conntrack`: asks the kernel itself, so it works beside a running daemon and without one.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::events::EventConfig;
use greyhound_conntrack::filter::Filter;
use greyhound_conntrack::flow::{Flow, Protocol, Tuple};
use greyhound_conntrack::namespace::Namespace;
use greyhound_conntrack::reader::query::{self, FlowFilter};
use greyhound_conntrack::stats::COUNTERS;
use greyhound_conntrack::walk::Kind;
use greyhound_sys::wait::WaitSet;

use super::settings::SettingsArgs;
use super::{Exit, Failure};

/// Look into the kernel's connection table: who sent this, and which entries swallow metrics?
///
/// Needs CAP_NET_ADMIN, and CAP_SYS_ADMIN for another namespace than the own.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound conntrack lookup 10.0.0.1:42732 10.0.0.9:8125   who is behind this sender?
  greyhound conntrack list --proto udp --port 8125
  greyhound conntrack list --netns host --nat
  greyhound conntrack watch --nat                           flows as they come and go
  greyhound conntrack purge-stale --dry-run                 flows to an engine that is gone")]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List flows
    List(ListArgs),
    /// Find one flow by its addresses, in either direction
    Lookup(LookupArgs),
    /// Show entries, their maximum, and the counters of each CPU
    Stats(StatsArgs),
    /// Print flows as they begin and end
    Watch(WatchArgs),
    /// Delete flows that lead to an address that is gone, and no others
    PurgeStale(PurgeArgs),
}

#[derive(Debug, clap::Args)]
struct NetnsArgs {
    /// Namespace: self, host, a path, or a name in /run/netns
    #[arg(long, default_value = "self")]
    netns: String,
}

#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Of this protocol
    #[arg(long, value_parser = protocol)]
    proto: Option<Protocol>,
    /// With this address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// With this port
    #[arg(long)]
    port: Option<u16>,
    /// Translated ones only
    #[arg(long)]
    nat: bool,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    netns: NetnsArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// At most so many
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, clap::Args)]
struct LookupArgs {
    /// Sender, ADDRESS:PORT, as the daemon sees it or as the client does
    source: SocketAddr,
    /// Receiver, ADDRESS:PORT
    destination: SocketAddr,
    /// Protocol
    #[arg(long, default_value = "udp", value_parser = protocol)]
    proto: Protocol,
    /// Connection tracking zone
    #[arg(long, default_value_t = 0)]
    zone: u16,
    #[command(flatten)]
    netns: NetnsArgs,
}

#[derive(Debug, clap::Args)]
struct StatsArgs {
    #[command(flatten)]
    netns: NetnsArgs,
}

#[derive(Debug, clap::Args)]
struct WatchArgs {
    #[command(flatten)]
    netns: NetnsArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Stop after this long, such as 10s [default: until interrupted]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    span: Option<Duration>,
    /// Stop after so many flows
    #[arg(long, value_name = "N")]
    count: Option<u64>,
}

#[derive(Debug, clap::Args)]
struct PurgeArgs {
    #[command(flatten)]
    netns: NetnsArgs,
    /// Port an engine listens on here [default: those of the settings]
    #[arg(long)]
    port: Vec<u16>,
    /// List them and delete nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

pub(super) fn run(args: &Args, out: &mut impl Write) -> Result<Exit, Failure> {
    match &args.command {
        Command::List(args) => list(args, out),
        Command::Lookup(args) => lookup(args, out),
        Command::Stats(args) => stats(args, out),
        Command::Watch(args) => watch(args, out),
        Command::PurgeStale(args) => purge(args, out),
    }
}

fn list(args: &ListArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let listed =
        query::list(&args.netns.namespace(), &args.filter.filter(), args.limit).map_err(refused)?;
    for flow in &listed.flows {
        print(out, "", flow)?;
    }
    let more = listed.matching - listed.flows.len() as u64;
    if more > 0 {
        writeln!(out, "and {more} more; --limit shows them")?;
    }
    Ok(Exit::Done)
}

fn lookup(args: &LookupArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let tuple = Tuple::new(args.proto, args.source, args.destination)
        .ok_or_else(|| Failure::usage(anyhow!("the addresses are of two families")))?
        .in_zone(args.zone);
    match query::lookup(&args.netns.namespace(), &tuple) {
        Ok(flow) => {
            print(out, "", &flow)?;
            writeln!(out, "client {}", flow.original.source())?;
            Ok(Exit::Done)
        }
        Err(QueryError::NotFound) => {
            writeln!(
                out,
                "not tracked here: the sender is who it seems, or was translated elsewhere (see --netns)"
            )?;
            Ok(Exit::Failed)
        }
        Err(error) => Err(refused(error)),
    }
}

/// The kernel's no, with what mends it.
fn refused(error: QueryError) -> Failure {
    match error.cure() {
        "" => error.into(),
        cure => anyhow!("{error}\n  cure: {cure}").into(),
    }
}

fn stats(args: &StatsArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let (totals, per_cpu) = query::stats(&args.netns.namespace()).map_err(refused)?;
    writeln!(out, "entries {} of {}", totals.entries, totals.max_entries)?;
    for cpu in &per_cpu {
        write!(out, "cpu {}", cpu.cpu)?;
        for ((name, ..), value) in COUNTERS.iter().zip(cpu.values) {
            write!(out, "  {name} {value}")?;
        }
        writeln!(out)?;
    }
    Ok(Exit::Done)
}

fn watch(args: &WatchArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    const BUFFER_BYTES: usize = 8 << 20;
    const EVENTS: u64 = 1024;
    let config = EventConfig {
        receive_buffer_bytes: BUFFER_BYTES,
        filter: match args.filter.nat {
            true => Filter::NatOrSampled(0),
            false => Filter::All,
        },
        updates: false,
    };
    let mut socket = args.netns.namespace().listen(&config).map_err(refused)?;
    let mut wait = WaitSet::default();
    wait.add(&socket);
    let filter = args.filter.filter();
    let end = args.span.map(|span| Instant::now() + span);
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut written = Ok(());
    while left > 0 {
        let time = end.map(|end| end.saturating_duration_since(Instant::now()));
        if time == Some(Duration::ZERO) {
            break;
        }
        wait.wait(1, time).context("cannot wait")?;
        let round = socket.read(EVENTS, |message| {
            let Some(flow) = message.flow().filter(|flow| filter.matches(flow)) else {
                return;
            };
            if left > 0 && written.is_ok() {
                left -= 1;
                let word = match message.kind {
                    Kind::Destroy => "end ",
                    _ => "new ",
                };
                written = print(out, word, &flow);
            }
        });
        round.context("cannot read events")?;
        std::mem::replace(&mut written, Ok(()))?;
        out.flush()?;
        let lost = socket.take_lost().unwrap_or(0);
        if lost > 0 {
            writeln!(out, "lost {lost}: they came too fast")?;
        }
    }
    Ok(Exit::Done)
}

fn purge(args: &PurgeArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let settings = args.settings.load()?.settings;
    let mut ports = args.port.clone();
    if ports.is_empty() {
        ports.extend(settings.listen.udp.iter().filter_map(|udp| match udp.port {
            greyhound_config::settings::Port::Number(port) => Some(port),
            greyhound_config::settings::Port::Random => None,
        }));
    }
    let namespace = args.netns.namespace();
    let found = query::find_stale(&namespace, &ports).map_err(refused)?;
    for flow in &found.flows {
        print(out, "stale ", flow)?;
    }
    if found.count == 0 {
        writeln!(
            out,
            "no stale flows; {} ways in lead to ports {ports:?} here",
            found.doors
        )?;
        return Ok(Exit::Done);
    }
    if args.dry_run {
        writeln!(out, "{} stale flows; nothing was deleted", found.count)?;
        return Ok(Exit::Done);
    }
    if !settings.conntrack.allow_delete {
        return Err(
            anyhow!("nothing was deleted: `greyhound.conntrack.allow_delete` is false").into(),
        );
    }
    let purged = query::purge(&namespace, &found.flows).map_err(refused)?;
    writeln!(
        out,
        "deleted {}, gone by themselves {}, failed {}",
        purged.deleted, purged.gone, purged.failed
    )?;
    Ok(match purged.failed {
        0 => Exit::Done,
        _ => Exit::Failed,
    })
}

fn print(out: &mut impl Write, word: &str, flow: &Flow) -> std::io::Result<()> {
    let timeout = flow
        .timeout_seconds
        .map(|seconds| format!(" {seconds}s"))
        .unwrap_or_default();
    writeln!(
        out,
        "{word}{}  answered {} > {}  nat {}{timeout}",
        flow.original,
        flow.reply.source_socket(),
        flow.reply.destination_socket(),
        flow.nat().as_str()
    )
}

fn protocol(text: &str) -> Result<Protocol, String> {
    Protocol::from_text(text).ok_or_else(|| "no protocol of that name".to_owned())
}

// === impl NetnsArgs ===

impl NetnsArgs {
    fn namespace(&self) -> Namespace {
        Namespace::from_text(&self.netns)
    }
}

// === impl FilterArgs ===

impl FilterArgs {
    fn filter(&self) -> FlowFilter {
        FlowFilter {
            protocol: self.proto,
            address: self.ip,
            port: self.port,
            only_nat: self.nat,
        }
    }
}
