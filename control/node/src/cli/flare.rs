//! `greyhound flare`.

mod upload;

use std::ffi::OsStr;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use greyhound_config::live::Live;
use greyhound_server::flare::Order;

use crate::cli::daemon::{DaemonArgs, Reach, settings_now};
use crate::cli::{Exit, Failure};
use crate::diagnose::{self, Subject};
use crate::hostname::Hostname;
use crate::wiring::flare::{self, Material};

use upload::Letter;

/// What the daemon may take.
const WAIT: Duration = Duration::from_secs(600);

/// Make an archive for support, without secrets.
///
/// The running daemon makes it: status, ledger, settings by source, counters, the last log lines, threads.
/// Without one, this command makes a smaller one. Nothing leaves the machine unless --send asks for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  greyhound flare                         ask the daemon, print where the archive is
  greyhound flare --output flare.zip      and copy it here
  greyhound flare --local                 without the daemon
  greyhound flare --send 123456 --email me@example.com
                                          and send it to the support of `site`, with the key of `api_key`
  unzip -l flare.zip                      look before you send it")]
pub(super) struct Args {
    /// Copy the archive to PATH, readable for you alone
    #[arg(short, long, value_name = "PATH")]
    output: Option<PathBuf>,

    /// Make it here, also when a daemon runs
    #[arg(long)]
    local: bool,

    /// Send it to the support of the configured site, for this case; without CASE a new one is opened
    #[arg(long, value_name = "CASE", num_args = 0..=1, default_missing_value = "", requires = "email", value_parser = case_or_none)]
    send: Option<String>,

    /// Whom support answers to
    #[arg(long, value_name = "ADDRESS", requires = "send", value_parser = upload::email)]
    email: Option<String>,

    /// Seconds each source may take
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=60))]
    provider_timeout: Option<u64>,

    /// As JSON
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    daemon: DaemonArgs,
}

pub(super) fn run(args: &Args, out: &mut dyn Write) -> Result<Exit, Failure> {
    let reach = args.daemon.reach()?;
    let settings = reach.loaded.settings.clone();
    let (path, reason) = if args.local {
        let reason = "local flare was requested".to_owned();
        (make_here(reach, args, &reason)?, Some(reason))
    } else {
        let nanoseconds = args
            .provider_timeout
            .map(|seconds| (seconds * 1_000_000_000).to_string());
        let query: Vec<(&str, &str)> = nanoseconds
            .iter()
            .map(|count| ("provider_timeout", count.as_str()))
            .collect();
        match reach.post("/agent/flare", &query, WAIT) {
            // The process is there and keeps us out: what it knows is not ours to look for.
            Ok(answer) if matches!(answer.status, 401 | 403) => {
                return Err(reach
                    .accepted(Ok(answer))
                    .expect_err("a status that says no"));
            }
            answer => match reach.accepted(answer) {
                Ok(answer) => (PathBuf::from(path_of(&answer.body)), None),
                Err(error) => {
                    let reason = format!("unable to contact the agent to retrieve flare: {error}");
                    (make_here(reach, args, &reason)?, Some(reason))
                }
            },
        }
    };
    if reason.is_none() && !path.exists() {
        return Err(anyhow::anyhow!(
            "the daemon made {}, which is not in this file system: fetch it from its container, or use --local",
            path.display()
        )
        .into());
    }
    let path = match &args.output {
        Some(target) => {
            copy(&path, target).with_context(|| format!("cannot write {}", target.display()))?;
            target.clone()
        }
        None => path,
    };
    let sent = args.send.as_ref().map(|case| {
        let hostname = settings.hostname.clone().unwrap_or_default();
        let letter = Letter {
            case,
            email: args.email.as_deref().unwrap_or_default(),
            hostname: &Hostname::find(&hostname, Path::new("")).name,
            archive: fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?,
        };
        upload::send(&settings, &letter)
            .with_context(|| format!("the archive is {}", path.display()))
    });
    let case = sent.transpose()?;
    if args.json {
        let answer = serde_json::json!({
            "path": path, "local": reason.is_some(), "reason": reason, "case": case,
        });
        writeln!(out, "{answer}")?;
    } else {
        if let Some(reason) = &reason {
            writeln!(out, "made without the daemon: {reason}")?;
        }
        writeln!(out, "{}", path.display())?;
        if let Some(case) = &case {
            writeln!(out, "sent; the case is {case}")?;
        }
    }
    Ok(Exit::Done)
}

/// The case of `--send`, which may be left out.
fn case_or_none(text: &str) -> Result<String, String> {
    match text {
        "" => Ok(String::new()),
        text => upload::case(text),
    }
}

fn path_of(body: &[u8]) -> &OsStr {
    OsStr::from_bytes(body.trim_ascii())
}

/// A flare of settings and surroundings.
fn make_here(reach: Reach, args: &Args, reason: &str) -> Result<PathBuf, Failure> {
    let setting = reach.loaded.settings.hostname.clone().unwrap_or_default();
    let live = Live::new(reach.loaded, reach.sources);
    let doctor = diagnose::doctor(Subject {
        settings: settings_now(&live),
        places: reach.places.clone(),
        engine: std::sync::Arc::default(),
    });
    let material = Material {
        live,
        places: reach.places,
        hostname: Hostname::find(&setting, Path::new("")).name,
        doctor,
        running: None,
    };
    let order = Order {
        source_timeout: args.provider_timeout.map(Duration::from_secs),
        local: Some(format!("{reason}\n")),
        ..Order::default()
    };
    Ok(flare::maker(material, Vec::new()).make(order)?)
}

/// As private as it was.
fn copy(archive: &Path, target: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(target)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    io::copy(&mut fs::File::open(archive)?, &mut file)?;
    file.sync_all()
}
