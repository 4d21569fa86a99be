//! A run from the first socket to the last line.
//!
//! ```text
//!  start:  process ▸ log ▸ host name ▸ sinks ▸ HTTP ▸ token, certificate, control port
//!          ▸ engine: sockets, lanes ▸ ready file
//!  wait:   SIGHUP, the settings file: reload    SIGTERM, SIGINT: stop
//!  stop:   engine: drain sockets, queue, buckets ▸ sinks ▸ HTTP ▸ control port ▸ ledger line
//! ```
//!
//! Everything has to happen before `greyhound.stop_timeout_seconds` are over; a second signal leaves
//! two seconds. Whatever cannot be finished by then is counted, and the exit code says so.

mod signals;
mod watch;

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use greyhound_config::live::Live;
use greyhound_config::load::{Loaded, Sources};
use greyhound_config::report::Report;
use greyhound_config::settings::{Flush, LogFormat, Settings};
use greyhound_model::time::SystemClock;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_pipeline::engine::{Engine, Stopped};
use greyhound_server::server::Server;
use greyhound_sinks::datadog::KeyHandle;
use greyhound_sinks::fanout::{Fanout, SinkReport};
use greyhound_sinks::http::{self, Health, HttpServer, Pages};
use greyhound_sinks::sink::Reason;
use greyhound_telemetry::Registry;
use tracing::{error, info, warn};

use crate::cli::{Exit, colours_wanted};
use crate::hostname::Hostname;
use crate::logging::file::FileConfig;
use crate::logging::recent::Recent;
use crate::logging::{self, Logging};
use crate::startup::ReadyFile;
use crate::wiring::conntrack::{Conntrack, Shown};
use crate::wiring::contexts::ContextBook;
use crate::wiring::reload::{Followers, level_filter};
use crate::wiring::server::Served;
use crate::wiring::sinks::{FanoutOutput, Sinks};
use crate::wiring::status::Observed;
use crate::wiring::telemetry::settings::SettingsTelemetry;
use crate::{holder, startup, summary, wiring};

use signals::Event;

/// What is left to a stop after the second signal.
const HURRY: Duration = Duration::from_secs(2);
/// How long the last lines may take to be written.
const LOG_PATIENCE: Duration = Duration::from_secs(1);
/// Share of the time to stop that is kept for the sinks.
const SINK_SHARE: u32 = 4;
const SINK_TIME_MAX: Duration = Duration::from_secs(5);

/// Everything that runs.
struct Running {
    engine: Engine,
    conntrack: Option<Conntrack>,
    fanout: Arc<Fanout>,
    http: Option<HttpServer>,
    control: Option<Server>,
    api_key: Option<KeyHandle>,
}

/// What a start needs.
struct Plan {
    live: Live,
    ready_file: Option<PathBuf>,
    stop: Arc<dyn Fn() + Send + Sync>,
    recent: Recent,
}

/// How it ended.
struct Ending {
    stopped: Stopped,
    sinks: Vec<SinkReport>,
}

/// Runs until a signal says otherwise. Blocks until then.
///
/// # Errors
/// When something could not be had at start; nothing stays bound then.
pub fn run(loaded: Loaded, sources: Sources, ready_file: Option<PathBuf>) -> anyhow::Result<Exit> {
    let mut notices = startup::prepare_process();
    let is_terminal = io::stderr().is_terminal();
    let colour = colours_wanted(is_terminal);
    let logging = Logging::start(
        log_config(&loaded.settings, colour),
        log_places(&loaded.settings),
    )?;
    log_report(&loaded.report);
    if !has_key(&loaded.settings) {
        logging.finish(None, LOG_PATIENCE);
        return Ok(Exit::Usage);
    }
    let live = Live::new(loaded, sources);
    let settings = live.settings();
    let (events, inbox) = sync_channel(8);
    let stop = events.clone();
    let plan = Plan {
        live: live.clone(),
        ready_file: ready_file.clone(),
        recent: logging.recent(),
        // A full channel holds a stop already, or signals that nobody will need any more.
        stop: Arc::new(move || drop(stop.try_send(Event::Stop))),
    };
    let started = signals::watch(events.clone()).and_then(|()| start(plan, &mut notices));
    if !is_terminal {
        for notice in &notices {
            info!("{notice}");
        }
    }
    let running = match started {
        Ok(running) => running,
        Err(error) => {
            logging.finish(None, LOG_PATIENCE);
            return Err(error);
        }
    };
    if is_terminal {
        let text = summary::text(&running.view(), &settings, &notices, colour);
        logging.print(&text);
    } else {
        running.log();
    }
    let handle = running.engine.handle();
    live.attach(Arc::new(Followers {
        engine: handle.clone(),
        log: logging.level(),
        fanout: Arc::clone(&running.fanout),
        api_key: running.api_key.clone(),
        ready: ready_file.map(|path| Arc::new(ReadyFile::new(path, running.view()))),
    }));
    match watch::start(&live) {
        Ok(reloads) => signals::wait_for_stop(&inbox, &reloads),
        Err(error) => {
            // What runs goes on running.
            error!("settings do not change before the next start: {error:#}");
            signals::wait_for_stop(&inbox, &watch::Reloads::to_nobody());
        }
    }
    let ending = running.stop(&live.settings().flush, events, &inbox);
    let (line, exit) = match &ending {
        Some(ending) => {
            ending.log();
            (format!("ledger: {}", ending.stopped.ledger), ending.exit())
        }
        None => {
            warn!("stopped before everything was drained, what is missing was not counted");
            (format!("ledger: {}", handle.ledger().read()), Exit::Loss)
        }
    };
    logging.finish(Some(&line), LOG_PATIENCE);
    drop(ending);
    Ok(exit)
}

fn log_places(settings: &Settings) -> logging::Places {
    let file = settings.log.file.as_ref();
    logging::Places {
        console: settings.log.console,
        file: file.map(|file| FileConfig {
            path: file.path.clone(),
            bytes_max: file.bytes_max,
            rolls: file.rolls,
        }),
    }
}

/// Says how it stands with the API key; whether the process may start.
fn has_key(settings: &Settings) -> bool {
    let is_sending = settings.outputs.datadog.is_some();
    match (settings.api_key.is_empty(), settings.requires_key) {
        (false, _) => info!("API key found: flushes are sent to Datadog's intake"),
        (true, true) => {
            error!(
                setting = "api_key",
                "critical: there is no API key, and `greyhound.datadog.require_key` demands one"
            );
            return false;
        }
        (true, false) if is_sending => warn!(
            setting = "api_key",
            "no API key: only `additional_endpoints` are sent to"
        ),
        (true, false) => warn!(
            setting = "api_key",
            "no API key: nothing is sent to Datadog's intake"
        ),
    }
    true
}

fn log_config(settings: &Settings, colour: bool) -> logging::Config {
    logging::Config {
        level: level_filter(settings.log.level),
        json: settings.log.format == LogFormat::Json,
        colour: colour && settings.log.format == LogFormat::Auto,
    }
}

/// What reading the settings brought up. Settings of the Agent that do nothing here are the rule in
/// a file shared with it, so they are no warning.
fn log_report(report: &Report) {
    for warning in &report.warnings {
        warn!("{warning}");
    }
    for unknown in &report.unknown {
        warn!("{unknown}");
    }
    if report.unknown_further > 0 {
        warn!("and {} more unknown names", report.unknown_further);
    }
    for unsupported in &report.unsupported {
        info!("{unsupported}");
    }
}

/// Starts everything, sinks first, so that the first flush has somewhere to go.
fn start(plan: Plan, notices: &mut Vec<String>) -> anyhow::Result<Running> {
    let settings = &*plan.live.settings();
    let hostname = Hostname::find(
        settings.hostname.as_deref().unwrap_or_default(),
        &PathBuf::new(),
    );
    for refused in &hostname.refused {
        warn!("host name: {refused}");
    }
    info!(name = %hostname.name, "host name of everything flushed");
    let (mut config, listener_notices) =
        wiring::pipeline::config_with_listeners(settings, &hostname.name, startup::default_socket)?;
    notices.extend(listener_notices);
    let clock = Arc::new(SystemClock::default());
    let registry = Arc::new(Registry::new());

    let Sinks {
        sinks,
        exposition,
        telemetry,
        api_key,
    } = Sinks::open(&settings.outputs, clock.clone())?;
    // Tag policies add histograms up from their summaries.
    config.flush.histogram_summaries = !settings.routing.tag_policies.is_empty()
        || sinks.iter().any(|sink| sink.wants_histograms());
    let queues = wiring::sinks::fanout(settings);
    let fanout = startup::behind_the_lanes(|| Fanout::start(sinks, &queues))?;
    let fanout = Arc::new(fanout);
    fanout.set_routing(wiring::sinks::routing::compile(&settings.routing, &fanout)?);
    registry.register(Arc::new(SettingsTelemetry(plan.live.clone())))?;
    registry.register(fanout.telemetry())?;
    registry.register(fanout.routing_telemetry())?;
    for source in telemetry {
        registry.register(source)?;
    }
    if let Some(delivery) = fanout.delivery_telemetry() {
        registry.register(delivery)?;
    }
    if let Some(exposition) = &exposition {
        registry.register(exposition.telemetry())?;
    }

    let engine_view: Arc<OnceLock<Handle>> = Arc::default();
    let http = match wiring::sinks::http(settings)? {
        Some(config) => {
            if !config.listen.ip().is_loopback() {
                warn!(address = %config.listen, "/metrics is open to other hosts, without authentication");
            }
            let ready = Arc::clone(&engine_view);
            let shown = Arc::clone(&registry);
            let pages = Pages {
                metrics: exposition,
                telemetry: Arc::new(move || shown.snapshot()),
                live: Arc::new(|| Health::Good),
                ready: Arc::new(move || health(ready.get())),
            };
            let server = startup::behind_the_lanes(|| HttpServer::start(&config, pages))
                .map_err(name_holder)?;
            registry.register(server.telemetry())?;
            Some(server)
        }
        None => None,
    };

    let observed = Arc::new(Observed {
        live: plan.live.clone(),
        hostname: hostname.name.clone(),
        started: SystemTime::now(),
        started_at: Instant::now(),
        engine: Arc::clone(&engine_view),
        contexts: Arc::new(ContextBook::new(
            Arc::clone(&engine_view),
            plan.live.clone(),
        )),
        fanout: Arc::clone(&fanout),
        http: http.as_ref().map(|http| http.local_addr().to_string()),
        notices: notices.clone(),
        control: OnceLock::new(),
    });
    let conntrack_view: Arc<OnceLock<Shown>> = Arc::default();
    let served = Served {
        live: plan.live.clone(),
        hostname: hostname.name.clone(),
        registry: Arc::clone(&registry),
        engine: Arc::clone(&engine_view),
        conntrack: Arc::clone(&conntrack_view),
        stop: plan.stop,
        observed,
        recent: plan.recent,
    };
    let control = startup::behind_the_lanes(|| wiring::server::start(served));

    let output = Box::new(FanoutOutput(Arc::clone(&fanout)));
    let engine = Engine::start(config, clock, output)?;
    let handle = engine.handle();
    wiring::telemetry::register(&registry, &handle)?;
    if settings.metrics_stats {
        // A channel of a thread that just started has room.
        handle.count_contexts(true, HURRY);
    }
    let conntrack = wiring::conntrack::start(settings, &handle, &registry);
    if let Some(conntrack) = &conntrack {
        conntrack_view.set(conntrack.shown()).ok();
    }
    engine_view.set(handle).ok();
    let running = Running {
        engine,
        conntrack,
        fanout,
        http,
        control,
        // Without `api_key` the first destination has a key of its own.
        api_key: api_key.filter(|_| !settings.api_key.is_empty()),
    };
    if let Some(path) = plan.ready_file {
        let view = running.view();
        startup::write_ready_file(&path, &startup::ready_json(&view))
            .with_context(|| format!("cannot write ready file {}", path.display()))?;
    }
    Ok(running)
}

fn health(engine: Option<&Handle>) -> Health {
    match engine {
        Some(handle) if handle.is_ready() => Health::Good,
        Some(_) => Health::Bad("stopping, or a lane does not answer".to_owned()),
        None => Health::Bad("starting".to_owned()),
    }
}

/// Says who is in the way of the HTTP port.
fn name_holder(error: http::StartError) -> anyhow::Error {
    let holder = match &error {
        http::StartError::Bind { addr, source } if source.kind() == io::ErrorKind::AddrInUse => {
            holder::of_tcp(addr.port())
        }
        http::StartError::Bind { .. } | http::StartError::Runtime(_) => None,
    };
    match holder {
        Some(holder) => anyhow::Error::new(error).context(holder),
        None => error.into(),
    }
}

// === impl Running ===

impl Running {
    fn view(&self) -> summary::View {
        summary::View {
            listeners: self.engine.handle().listeners().to_vec(),
            http: self.http.as_ref().map(|http| http.local_addr().to_string()),
            control: self
                .control
                .as_ref()
                .and_then(|control| control.local_addr())
                .map(|address| address.to_string()),
            control_socket: self
                .control
                .as_ref()
                .and_then(|control| control.socket())
                .map(|path| path.to_string_lossy().into_owned()),
            sinks: self
                .fanout
                .totals()
                .into_iter()
                .map(|(name, _)| name)
                .collect(),
        }
    }

    fn log(&self) {
        let view = self.view();
        for listener in &view.listeners {
            let info = &listener.info;
            info!(transport = info.transport.as_str(), address = %info.address, "listening");
        }
        if let Some(http) = &view.http {
            info!(metrics = %format_args!("http://{http}/metrics"), "serving");
        }
        if let Some(control) = &view.control {
            info!(address = %control, "control port");
        }
        info!(version = crate::cli::VERSION, sinks = %view.sinks.join(" "), "greyhound is ready");
    }

    /// Stops everything in flow order. `None` when a second signal came and it was still not done.
    fn stop(
        mut self,
        flush: &Flush,
        events: SyncSender<Event>,
        inbox: &Receiver<Event>,
    ) -> Option<Box<Ending>> {
        info!("stopping");
        self.engine.keep_open_buckets(flush.open_buckets_on_stop);
        let mut deadline = Instant::now() + flush.stop_timeout;
        let stopper = thread::Builder::new()
            .name("stop".to_owned())
            .spawn(move || {
                let ending = self.stop_in_order(deadline);
                // The other end may have stopped waiting.
                events.send(Event::Finished(Box::new(ending))).ok();
            });
        if let Err(error) = stopper {
            warn!(%error, "cannot start the thread that stops");
            return None;
        }
        // The steps have the deadline themselves; a moment more lets the last one come back.
        deadline += LOG_PATIENCE;
        let mut is_hurried = false;
        loop {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::Finished(ending)) => return Some(ending),
                Ok(Event::Stop) if !is_hurried => {
                    is_hurried = true;
                    deadline = deadline.min(Instant::now() + HURRY);
                    info!(
                        "second signal: not waiting any longer than {} s",
                        HURRY.as_secs()
                    );
                }
                Ok(Event::Stop | Event::Reload) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn stop_in_order(self, deadline: Instant) -> Ending {
        let left = || deadline.saturating_duration_since(Instant::now());
        let for_sinks = (left() / SINK_SHARE).min(SINK_TIME_MAX);
        drop(self.conntrack);
        let stopped = self.engine.stop(left().saturating_sub(for_sinks));
        let sinks = self.fanout.stop(deadline);
        if let Some(http) = self.http {
            http.stop(deadline.min(Instant::now() + LOG_PATIENCE));
        }
        if let Some(control) = self.control {
            control.stop(deadline.min(Instant::now() + LOG_PATIENCE));
        }
        Ending { stopped, sinks }
    }
}

// === impl Ending ===

impl Ending {
    fn log(&self) {
        if self.stopped.kernel_drops > 0 {
            warn!(
                datagrams = self.stopped.kernel_drops,
                setting = "dogstatsd_so_rcvbuf",
                "the kernel dropped datagrams before us"
            );
        }
        for sink in &self.sinks {
            let (name, totals) = (&sink.name, &sink.totals);
            let (points, delivered) = (totals.flushed, totals.settled.delivered());
            let (dropped, waiting) = (totals.settled.dropped_total(), totals.waiting());
            let kept = totals.kept;
            if is_kept(sink) {
                info!(sink = %name, points, delivered, dropped, kept, "sink ended");
            } else {
                error!(sink = %name, points, delivered, dropped, kept, waiting, "sink did not finish in time");
            }
        }
    }

    /// Whether the deadline cost anything.
    fn exit(&self) -> Exit {
        if self.stopped.clean && self.sinks.iter().all(is_kept) {
            Exit::Done
        } else {
            Exit::Loss
        }
    }
}

/// Whether the end of the process cost this sink nothing.
fn is_kept(sink: &SinkReport) -> bool {
    sink.finished
        && sink.totals.settled.dropped(Reason::Deadline) == 0
        && sink.totals.waiting() == 0
}

#[cfg(test)]
mod tests;
