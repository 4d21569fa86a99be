//! The running process follows the settings: which keys it can, and how.
//!
//! ```text
//!  changed keys ─▶ rules: compile ──────────▶ Handle::set_rules, all lanes
//!               ├▶ listeners: bind ─────────▶ ListenerStep::commit: read new, drain and close old
//!               ├▶ bucket width: check ─────▶ Handle::set_bucket_width, at the next boundary
//!               ├▶ API key: check ───────────▶ KeyHandle::set, from the next request on
//!               ├▶ counting: ───────────────▶ Handle::count_contexts
//!               ├▶ routing: compile ─────────▶ Fanout::set_routing, from the next flush on
//!               └▶ log level ───────────────▶ Level::set
//! ```
//!
//! Everything that can be refused is made in the first step, so the second cannot fail. A row of the
//! table says that its key can change while running exactly when somebody here names it, or reads it
//! when it is needed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use greyhound_config::live::apply::{Apply, Prepared};
use greyhound_config::live::change::{KeyResult, Outcome};
use greyhound_config::secret::Secret;
use greyhound_config::settings::{LogLevel, Settings};
use greyhound_model::time::BucketWidth;
use greyhound_pipeline::engine::handle::Handle;
use greyhound_pipeline::engine::listeners::ListenerStep;
use greyhound_pipeline::ledger::Transport;
use greyhound_pipeline::rules::Rules;
use greyhound_sinks::datadog::KeyHandle;
use greyhound_sinks::fanout::Fanout;
use greyhound_sinks::route::Routing;
use tracing::level_filters::LevelFilter;
use tracing::warn;

use crate::logging::Level;
use crate::startup::{self, ReadyFile};
use crate::wiring::pipeline;
use crate::wiring::sinks::routing;

/// How long a change waits for lanes; one that is late follows when it answers again.
const LANES_PATIENCE: Duration = Duration::from_secs(2);

/// The same for listeners: one that goes is drained for half of it at most.
const LISTENERS_PATIENCE: Duration = Duration::from_secs(5);

/// What messages meet: one generation of rules.
const RULES: &[&str] = &[
    "dogstatsd_no_aggregation_pipeline",
    "dogstatsd_expiry_seconds",
    "dogstatsd_context_expiry_seconds",
    "dogstatsd_tags",
    "dogstatsd_disable_verbose_logs",
    "dogstatsd_mapper_profiles",
    "dogstatsd_mapper_cache_size",
    "statsd_metric_namespace",
    "statsd_metric_namespace_blacklist",
    "statsd_metric_blocklist",
    "statsd_metric_blocklist_match_prefix",
    "metric_filterlist",
    "metric_filterlist_match_prefix",
    "metric_tag_filterlist",
    "histogram_aggregates",
    "histogram_percentiles",
    "histogram_copy_to_distribution",
    "histogram_copy_to_distribution_prefix",
    "dogstatsd_origin_detection_client",
    "dogstatsd_origin_optout_enabled",
    "dogstatsd_entity_id_precedence",
    "dogstatsd_tag_cardinality",
    "origin_detection_unified",
    "greyhound.conntrack.attribution_tag",
    "greyhound.limits.contexts",
    "greyhound.limits.contexts_per_origin",
    "greyhound.limits.tags_per_metric",
    "greyhound.limits.set_members",
    "greyhound.limits.histogram_values",
    "greyhound.limits.events",
    "greyhound.limits.memory",
];
/// Where packets come from.
const LISTENERS: &[&str] = &[
    "use_dogstatsd",
    "dogstatsd_port",
    "bind_host",
    "dogstatsd_non_local_traffic",
    "dogstatsd_socket",
    "dogstatsd_stream_socket",
    "greyhound.udp.listeners",
    "greyhound.uds.sockets",
    "greyhound.uds.stream_sockets",
];
const BUCKET: &str = "greyhound.bucket_seconds";
const LOG_LEVEL: &str = "log_level";
const STATS: &str = "dogstatsd_metrics_stats_enable";
const API_KEY: &str = "api_key";

/// Lets the engine and the log follow.
pub struct Followers {
    /// The engine.
    pub engine: Handle,
    /// The log.
    pub log: Level,
    /// The outputs.
    pub fanout: Arc<Fanout>,
    /// Takes another `api_key`; `None` without Datadog output.
    pub api_key: Option<KeyHandle>,
    /// Says where everything listens; `None` when nobody asked for it.
    pub ready: Option<Arc<ReadyFile>>,
}

/// What one generation changes.
struct Step {
    engine: Handle,
    log: Level,
    level: Option<LevelFilter>,
    rules: Option<Rules>,
    listeners: Option<ListenerStep>,
    width: Option<BucketWidth>,
    fanout: Arc<Fanout>,
    routing: Option<Routing>,
    counts_contexts: Option<bool>,
    key: Option<(KeyHandle, Secret)>,
    ready: Option<Arc<ReadyFile>>,
    keys: Vec<&'static str>,
}

/// The Agent's levels as the log knows them.
pub fn level_filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

// === impl Followers ===

impl Apply for Followers {
    fn prepare(
        &self,
        _old: &Settings,
        new: &Settings,
        changed: &[&'static str],
    ) -> Result<Box<dyn Prepared>, Vec<KeyResult>> {
        let keys: Vec<&'static str> = changed
            .iter()
            .copied()
            .filter(|key| {
                [
                    RULES,
                    LISTENERS,
                    routing::KEYS,
                    &[BUCKET, LOG_LEVEL, STATS, API_KEY],
                ]
                .iter()
                .any(|followed| followed.contains(key))
            })
            .collect();
        let listening: Vec<&'static str> = keys
            .iter()
            .copied()
            .filter(|key| LISTENERS.contains(key))
            .collect();
        let listeners = match listening.is_empty() {
            true => None,
            false => Some(self.listeners(new).map_err(|error| {
                let why = format!("{error:#}");
                let refused = |&key| refused(key, &why);
                listening.iter().flat_map(refused).collect::<Vec<_>>()
            })?),
        };
        let has_rules = keys.iter().any(|key| RULES.contains(key));
        let rules = has_rules.then(|| compile(new)).transpose()?;
        let width = match keys.contains(&BUCKET) {
            true => Some(
                BucketWidth::try_new(new.flush.bucket_seconds)
                    .ok_or_else(|| refused(BUCKET, "at least 1 is needed"))?,
            ),
            false => None,
        };
        let routed: Vec<&'static str> = keys
            .iter()
            .copied()
            .filter(|key| routing::KEYS.contains(key))
            .collect();
        let routing = match routed.is_empty() {
            true => None,
            false => Some(
                routing::compile(&new.routing, &self.fanout).map_err(|error| {
                    let refused = |&key| refused(key, &error.to_string());
                    routed.iter().flat_map(refused).collect::<Vec<_>>()
                })?,
            ),
        };
        let key = match (keys.contains(&API_KEY), &self.api_key) {
            // Without a key there is no destination, and that is made at start.
            (true, Some(handle)) if !new.api_key.is_empty() => {
                if !is_header(&new.api_key) {
                    return Err(refused(API_KEY, "a key is letters and digits"));
                }
                Some((handle.clone(), new.api_key.clone()))
            }
            _ => None,
        };
        let level = keys
            .contains(&LOG_LEVEL)
            .then(|| level_filter(new.log.level));
        Ok(Box::new(Step {
            engine: self.engine.clone(),
            log: self.log.clone(),
            level,
            rules,
            listeners,
            width,
            fanout: Arc::clone(&self.fanout),
            routing,
            counts_contexts: keys.contains(&STATS).then_some(new.metrics_stats),
            key,
            ready: self.ready.clone(),
            keys,
        }))
    }
}

impl Followers {
    /// Binds what is missing. Blocks for name look-ups and on the file system.
    fn listeners(&self, new: &Settings) -> anyhow::Result<ListenerStep> {
        let present = self.engine.listeners();
        // The socket nobody asked for stays where it was found a place at start.
        let default_socket = |path: &Path| {
            let mut sockets = present
                .iter()
                .filter(|listener| listener.open && listener.info.transport == Transport::Unixgram);
            let own = sockets
                .find(|listener| Path::new(&listener.info.address).file_name() == path.file_name());
            match own {
                Some(listener) => Ok(PathBuf::from(&listener.info.address)),
                None => startup::default_socket(path),
            }
        };
        let (config, notices) = pipeline::config_with_listeners(new, "", default_socket)?;
        let step = self.engine.prepare_listeners(&config.listen)?;
        for notice in notices.iter().chain(step.warnings()) {
            warn!("{notice}");
        }
        Ok(step)
    }
}

/// A bad mapper profile is refused here, while at start it switches mapping off: what runs is better
/// than nothing.
fn compile(settings: &Settings) -> Result<Rules, Vec<KeyResult>> {
    let config = pipeline::running_rules(settings);
    let (rules, warnings) = Rules::compile(&config);
    if rules.mapper.is_none() && !config.mapper_profiles.is_empty() {
        return Err(refused("dogstatsd_mapper_profiles", &warnings.join("; ")));
    }
    for warning in &warnings {
        warn!("{warning}");
    }
    Ok(rules)
}

/// Whether a key can be sent at all.
fn is_header(key: &Secret) -> bool {
    key.reveal().bytes().all(|byte| byte.is_ascii_graphic())
}

fn refused(key: &'static str, why: &str) -> Vec<KeyResult> {
    let outcome = Outcome::Refused(why.to_owned());
    vec![KeyResult { key, outcome }]
}

// === impl Step ===

impl Prepared for Step {
    fn commit(self: Box<Self>) -> Vec<KeyResult> {
        if let Some(level) = self.level {
            self.log.set(level);
        }
        if let Some(rules) = self.rules
            && !self.engine.set_rules(rules, LANES_PATIENCE)
        {
            warn!("a lane does not answer, it follows the settings when it does");
        }
        if let Some(routing) = self.routing {
            self.fanout.set_routing(routing);
        }
        if let Some(wanted) = self.counts_contexts
            && !self.engine.count_contexts(wanted, LANES_PATIENCE)
        {
            warn!(
                setting = STATS,
                "the flush thread does not answer, set it again"
            );
        }
        let takes_key = self.key.is_some();
        if let Some((handle, key)) = self.key
            && let Err(error) = handle.set(key.reveal())
        {
            // It was tried before; what is left is a sink that has ended.
            warn!(%error, setting = API_KEY, "the sink did not take another key");
        }
        if let Some(width) = self.width {
            self.engine.set_bucket_width(width, LANES_PATIENCE);
        }
        let changes_listeners = self.listeners.is_some();
        let ready = self.ready.filter(|_| changes_listeners);
        let has_listeners = self
            .listeners
            .is_none_or(|step| step.commit(LISTENERS_PATIENCE));
        if let Some(ready) = ready {
            ready.rewrite(&self.engine.listeners());
        }
        if !has_listeners {
            warn!("a lane does not answer, listeners change with a restart");
        }
        let outcome = |key: &&'static str| match *key {
            API_KEY if !takes_key => Outcome::NeedsRestart,
            listening if LISTENERS.contains(&listening) && !has_listeners => Outcome::NeedsRestart,
            _ => Outcome::Applied,
        };
        self.keys
            .iter()
            .map(|key| KeyResult {
                key,
                outcome: outcome(key),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_config::table;

    #[test]
    fn rows_say_what_can_change_while_running() {
        let followed = RULES.iter().chain(LISTENERS).chain(routing::KEYS);
        let followed = followed.chain(&[BUCKET, LOG_LEVEL, STATS, API_KEY]);
        for key in followed {
            let row = table::table().row(key).expect("a key of the table");
            assert!(row.reloadable, "{key}");
        }
    }
}
