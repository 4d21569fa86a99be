//! `greyhound config-stream`: follows the settings of a running agent, ours or Datadog's.

use std::error::Error;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use greyhound_config::secret::MASK;
use greyhound_config::settings::control::Control;
use greyhound_config::table;
use greyhound_config::value::Port;
use greyhound_proto::datadog::model::v1::config_event::Event;
use greyhound_proto::datadog::model::v1::{ConfigEvent, ConfigSetting};
use greyhound_proto::datadog::remoteagent::v1::RegisterRemoteAgentRequest;
use greyhound_server::config::Files;
use greyhound_server::registry::channel::Address;
use greyhound_server::registry::pinned::PinnedTls;
use greyhound_server::remote_agent::client::CoreAgent;
use greyhound_server::remote_agent::events::Sequence;
use greyhound_server::remote_agent::values;
use serde_json::{Map, Value, json};

use super::settings::SettingsArgs;
use super::{Exit, Failure};
use crate::explain::show;
use crate::places::Places;
use crate::wiring;

/// What we are called in the log of the agent.
const FLAVOR: &str = "greyhound-config-stream";
/// Bound of each call; the stream itself has none.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Parts of a key that holds a credential, for keys our table does not have.
const SECRET_WORDS: [&str; 5] = ["key", "token", "password", "secret", "credential"];

/// Follow the settings of a running agent, ours or Datadog's.
///
/// Registers as a remote agent, refreshes the session, and prints every event until it is stopped. The
/// numbers of events are checked; a missing one ends it with code 1. Credentials are masked.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound config-stream                                 of the daemon with these settings
  greyhound config-stream --check --for 10s               does it send a snapshot, and in order?
  greyhound config-stream --json | jq .                   one object per event
  greyhound config-stream --address localhost:5001 \\
      --token-file /etc/datadog-agent/auth_token \\
      --certificate-file /etc/datadog-agent/ipc_cert.pem  of the Datadog Agent")]
pub(super) struct Args {
    /// host:port or unix:///path of its control port [default: cmd_host and cmd_port]
    #[arg(long, value_name = "ADDRESS", value_parser = |text: &str| Address::parse(text))]
    address: Option<Address>,

    /// Its token [default: auth_token_file_path, else where the daemon has it]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Its certificate and key [default: ipc_cert_file_path, else where the daemon has it]
    #[arg(long, value_name = "FILE")]
    certificate_file: Option<PathBuf>,

    /// Name for its log
    #[arg(long, default_value = FLAVOR)]
    name: String,

    /// Stop after this long, such as 10s [default: until interrupted]
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    span: Option<Duration>,

    /// Stop after so many events
    #[arg(long, value_name = "N")]
    events: Option<u64>,

    /// Print a verdict instead of the events; code 1 when no snapshot came
    #[arg(long)]
    check: bool,

    /// Print all settings of a snapshot, not only their number
    #[arg(long)]
    all: bool,

    /// Print one JSON object per event, and of a check
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// What came so far.
#[derive(Debug, Default)]
struct Seen {
    sequence: Sequence,
    snapshots: u64,
    updates: u64,
    settings: usize,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let loaded = args.settings.load()?;
    let control = &loaded.settings.control;
    let places = Places::of_command(control, loaded.file.as_deref());
    let tls = PinnedTls::new(Files {
        token: args.token_file.clone().unwrap_or(places.token),
        certificate: args.certificate_file.clone().unwrap_or(places.certificate),
        own_uid: wiring::server::own_uid(),
    });
    tls.check()
        .context("cannot use the token and certificate of the agent; is it running?")?;
    let address = match &args.address {
        Some(address) => address.clone(),
        None => control_port(control)?,
    };
    let core = CoreAgent::new(address, Arc::new(tls));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(follow(args, &core, out))
}

fn control_port(control: &Control) -> Result<Address, Failure> {
    match control.port {
        Port::Number(port) if port > 0 => Ok(Address::Tcp(control.host.clone(), port)),
        _ => Err(Failure::usage(anyhow!(
            "`cmd_port` says any port; name the one it got with --address"
        ))),
    }
}

async fn follow(args: &Args, core: &CoreAgent, out: &mut dyn Write) -> Result<Exit, Failure> {
    let request = RegisterRemoteAgentRequest {
        pid: std::process::id().to_string(),
        flavor: FLAVOR.to_owned(),
        display_name: "Greyhound config-stream".to_owned(),
        // Nobody calls a client without services.
        api_endpoint_uri: format!("https://{FLAVOR}"),
        services: Vec::new(),
    };
    let registered = bounded(core.register(request))
        .await
        .with_context(|| format!("cannot register with {}", core.address()))?;
    let session = registered.session_id;
    let mut events = bounded(core.stream(&session, &args.name))
        .await
        .context("cannot open the stream")?;
    let interval = Duration::from_secs(registered.recommended_refresh_interval_secs.max(1).into());
    let refresh = async {
        loop {
            tokio::time::sleep(interval).await;
            if let Err(error) = bounded(core.refresh(&session)).await {
                return error.context("cannot refresh the session");
            }
        }
    };
    let mut seen = Seen::default();
    let read = async {
        loop {
            let event = match events.message().await {
                Ok(Some(event)) => event,
                Ok(None) => return Err(anyhow!("the agent ended the stream")),
                Err(error) => return Err(chain(&error).context("the stream broke")),
            };
            if seen.take(&event)? && !args.check {
                print(args, &event, out)?;
                out.flush()?;
            }
            if args.events.is_some_and(|wanted| seen.events() >= wanted) {
                return Ok(());
            }
        }
    };
    let end = async {
        match args.span {
            Some(span) => tokio::time::sleep(span).await,
            // Without signals there is nothing to wait for but the stream.
            None if tokio::signal::ctrl_c().await.is_err() => std::future::pending().await,
            None => {}
        }
    };
    tokio::select! {
        read = read => read?,
        error = refresh => return Err(error.into()),
        () = end => {}
    }
    if args.check {
        seen.verdict(args.json, out)?;
    }
    if seen.snapshots == 0 {
        return Err(anyhow!("no snapshot came").into());
    }
    Ok(Exit::Done)
}

/// A call with a bound, its failure in words.
async fn bounded<T, E: Error>(call: impl Future<Output = Result<T, E>>) -> anyhow::Result<T> {
    match tokio::time::timeout(CALL_TIMEOUT, call).await {
        Ok(answer) => answer.map_err(|error| chain(&error)),
        Err(_) => Err(anyhow!("no answer within {CALL_TIMEOUT:?}")),
    }
}

/// What happened and why, each once: a failed connection hides its reason several errors deep.
fn chain(error: &dyn Error) -> anyhow::Error {
    let mut text = printable(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = printable(&error.to_string());
        if !text.contains(&more) {
            text.extend([": ", &more]);
        }
        cause = error.source();
    }
    anyhow!(text)
}

/// Text of an agent, fit for a terminal.
fn printable(text: &str) -> String {
    show::printable(text.as_bytes())
}

fn print(args: &Args, event: &ConfigEvent, out: &mut dyn Write) -> std::io::Result<()> {
    let (kind, number, origin, settings) = match &event.event {
        Some(Event::Snapshot(snapshot)) => (
            "snapshot",
            snapshot.sequence_id,
            &snapshot.origin,
            snapshot.settings.as_slice(),
        ),
        Some(Event::Update(update)) => (
            "update",
            update.sequence_id,
            &update.origin,
            update.setting.as_slice(),
        ),
        None => return Ok(()),
    };
    if args.json {
        let settings: Vec<Value> = settings.iter().map(to_json).collect();
        let event = json!({
            "event": kind,
            "sequence_id": number,
            "origin": origin,
            "settings": settings,
        });
        return writeln!(out, "{event}");
    }
    let is_snapshot = kind == "snapshot";
    if is_snapshot {
        let origin = printable(origin);
        writeln!(
            out,
            "snapshot {number} of {origin}: {} settings",
            settings.len()
        )?;
    }
    for setting in settings.iter().filter(|_| !is_snapshot || args.all) {
        let (key, source) = (printable(&setting.key), printable(&setting.source));
        let value = printable(&shown(setting).to_string());
        if is_snapshot {
            write!(out, "  ")?;
        } else {
            write!(out, "update {number}: ")?;
        }
        match setting.unset_source.as_str() {
            "" => writeln!(out, "{key} = {value} ({source})")?,
            gone => writeln!(out, "{key} = {value} ({source}; {} unset)", printable(gone))?,
        }
    }
    Ok(())
}

fn to_json(setting: &ConfigSetting) -> Value {
    let mut object = Map::new();
    object.insert("key".to_owned(), setting.key.clone().into());
    object.insert("value".to_owned(), shown(setting));
    object.insert("source".to_owned(), setting.source.clone().into());
    if !setting.unset_source.is_empty() {
        object.insert(
            "unset_source".to_owned(),
            setting.unset_source.clone().into(),
        );
    }
    object.into()
}

/// A value, masked when it may be a credential.
fn shown(setting: &ConfigSetting) -> Value {
    let is_secret = match table::table().row(&setting.key) {
        Some(row) => row.is_secret(),
        None => {
            let key = setting.key.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| key.contains(word))
        }
    };
    let value = setting.value.as_ref().map_or(Value::Null, values::json);
    if is_secret && !value.is_null() && value != "" {
        MASK.into()
    } else {
        value
    }
}

// === impl Seen ===

impl Seen {
    /// Counts an event. Whether it is new.
    fn take(&mut self, event: &ConfigEvent) -> anyhow::Result<bool> {
        if !self.sequence.take(event)? {
            return Ok(false);
        }
        match &event.event {
            Some(Event::Snapshot(snapshot)) => {
                self.snapshots += 1;
                self.settings = snapshot.settings.len();
            }
            Some(Event::Update(_)) => self.updates += 1,
            None => {}
        }
        Ok(true)
    }

    fn events(&self) -> u64 {
        self.snapshots + self.updates
    }

    fn verdict(&self, as_json: bool, out: &mut dyn Write) -> std::io::Result<()> {
        let Self {
            snapshots,
            updates,
            settings,
            ..
        } = self;
        let last = self.sequence.last();
        if as_json {
            let verdict = json!({
                "snapshots": snapshots,
                "updates": updates,
                "settings": settings,
                "last_sequence_id": last,
                "in_order": true,
            });
            return writeln!(out, "{verdict}");
        }
        writeln!(
            out,
            "{snapshots} snapshots, {updates} updates, {settings} settings, all in order"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_proto::datadog::model::v1::{ConfigSnapshot, ConfigUpdate};

    fn setting(key: &str) -> ConfigSetting {
        ConfigSetting {
            source: "file".to_owned(),
            key: key.to_owned(),
            value: Some("canary".into()),
            unset_source: String::new(),
        }
    }

    fn args(flags: &[&str]) -> Args {
        use clap::{Args as _, FromArgMatches};
        let command = Args::augment_args(clap::Command::new("config-stream"));
        let matches = command.get_matches_from([&["config-stream"], flags].concat());
        Args::from_arg_matches(&matches).expect("right flags")
    }

    fn text(flags: &[&str], event: Event) -> String {
        let mut out = Vec::new();
        let event = ConfigEvent { event: Some(event) };
        print(&args(flags), &event, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn events_are_lines() {
        let update = ConfigUpdate {
            origin: "datadog.yaml".to_owned(),
            sequence_id: 8,
            setting: Some(ConfigSetting {
                unset_source: "cli".to_owned(),
                ..setting("hostname")
            }),
        };
        assert_eq!(
            text(&[], Event::Update(update.clone())),
            "update 8: hostname = \"canary\" (file; cli unset)\n"
        );
        assert_eq!(
            text(&["--json"], Event::Update(update)),
            "{\"event\":\"update\",\"sequence_id\":8,\"origin\":\"datadog.yaml\",\"settings\":\
             [{\"key\":\"hostname\",\"value\":\"canary\",\"source\":\"file\",\"unset_source\":\"cli\"}]}\n"
        );
    }

    #[test]
    fn credentials_are_masked() {
        let snapshot = ConfigSnapshot {
            origin: "x".to_owned(),
            sequence_id: 7,
            settings: vec![
                setting("api_key"),
                setting("some.other.Password"),
                setting("hostname"),
            ],
        };
        let all = text(&["--all"], Event::Snapshot(snapshot));
        assert_eq!(all.matches("canary").count(), 1, "{all}");
        assert_eq!(all.matches(MASK).count(), 2, "{all}");
        assert!(all.starts_with("snapshot 7 of x: 3 settings\n"));
    }
}
