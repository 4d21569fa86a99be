//! Settings to the pipeline's configuration.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context;
use greyhound_config::settings::{
    self, MatchType, Port, Settings, TagCardinality, TagFilterAction,
};
use greyhound_model::origin::Cardinality;
use greyhound_model::time::BucketWidth;
use greyhound_pipeline::admit::mapper::{MapperProfile, Mapping, MatchKind};
use greyhound_pipeline::admit::tag_filter::{TagAction, TagFilterEntry};
use greyhound_pipeline::config::{
    Config, FlushConfig, HistogramConfig, LanesConfig, LimitsConfig, ListenConfig, OriginConfig,
    RulesConfig, UnixSocketConfig,
};

use super::memory;

/// Stands for "never" where a duration is asked for: long, and safe to add to a clock.
const NEVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The pipeline as the settings want it, without listeners: for explaining and simulating.
///
/// # Errors
/// When the bucket length is not one.
pub fn config(settings: &Settings, hostname: &str) -> anyhow::Result<Config> {
    let listen = &settings.listen;
    Ok(Config {
        hostname: Arc::from(hostname.as_bytes()),
        listen: ListenConfig {
            packet_len_bytes_max: listen.packet_len_bytes_max,
            receive_buffer_bytes: saturating(listen.udp_receive_buffer_bytes),
            eol_required_udp: listen.eol_required_udp,
            eol_required_unix: listen.eol_required_uds,
            origin_detection: listen.origin_detection,
            stream_log_too_big: listen.stream_log_too_big,
            stream_connections_max: listen.stream_connections_max,
            stream_idle: listen.stream_idle.unwrap_or(NEVER),
            coalesce: settings.lanes.coalesce,
            forward: listen.forward.clone(),
            require_listener: listen.require_listener,
            ..ListenConfig::default()
        },
        lanes: lanes(&settings.lanes),
        rules: rules(settings),
        flush: FlushConfig {
            bucket_width: BucketWidth::try_new(settings.flush.bucket_seconds)
                .context("`greyhound.bucket_seconds` is at least 1")?,
            open_buckets_on_stop: settings.flush.open_buckets_on_stop,
            histogram_summaries: settings.outputs.prometheus.is_some(),
        },
    })
}

/// The same with every listener the settings name. Blocks for name look-ups. Also returns what an
/// operator should know: listeners nobody asked for that cannot be made here.
///
/// # Errors
/// When a name has no address.
pub fn config_with_listeners(
    settings: &Settings,
    hostname: &str,
    default_socket: impl Fn(&Path) -> Result<PathBuf, String>,
) -> anyhow::Result<(Config, Vec<String>)> {
    let mut config = config(settings, hostname)?;
    config.listen.udp_peers = settings.conntrack.names_clients();
    config.rules = running_rules(settings);
    let mut notices = Vec::new();
    let listen = &settings.listen;
    if !listen.enabled {
        notices.push("`use_dogstatsd` is off: nothing is received".to_owned());
        return Ok((config, notices));
    }
    if let Some(udp) = &listen.udp {
        config.listen.udp.extend(udp_addresses(udp)?);
    }
    for text in &listen.udp_more {
        config
            .listen
            .udp
            .push(pick(text, "greyhound.udp.listeners")?);
    }
    let socket = |path: PathBuf| UnixSocketConfig {
        path,
        mode: listen.socket_mode,
        owner: listen.socket_owner.clone(),
        group: listen.socket_group.clone(),
        allow_open_folder: listen.socket_allow_open_folder,
    };
    let wanted = [
        (&listen.datagram_sockets, &mut config.listen.unixgram),
        (&listen.stream_sockets, &mut config.listen.unix_stream),
    ];
    for (sockets, configs) in wanted {
        for wish in sockets {
            if !wish.is_default {
                configs.push(socket(wish.path.clone()));
                continue;
            }
            match default_socket(&wish.path) {
                Ok(path) => configs.push(socket(path)),
                Err(notice) => notices.push(notice),
            }
        }
    }
    Ok((config, notices))
}

fn udp_addresses(udp: &settings::Udp) -> anyhow::Result<Vec<SocketAddr>> {
    let port = match udp.port {
        Port::Number(port) => port,
        Port::Random => 0,
    };
    if udp.non_local_traffic {
        return Ok(everywhere(port));
    }
    let host = udp.host.trim_start_matches('[').trim_end_matches(']');
    Ok(vec![first_of((host, port), &udp.host, "bind_host")?])
}

/// Every address of the host.
fn everywhere(port: u16) -> Vec<SocketAddr> {
    let mut addresses = vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)];
    // A kernel without IPv6 has nothing to bind there.
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok() {
        addresses.push(SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port));
    }
    addresses
}

/// The address of a `host:port`; without host it is every IPv4 address, as in Go's listen addresses.
pub(crate) fn pick(text: &str, key: &str) -> anyhow::Result<SocketAddr> {
    match text.strip_prefix(':').and_then(|port| port.parse().ok()) {
        Some(port) => Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port)),
        None => first_of(text, text, key),
    }
}

/// The first IPv4 address of a name, else the first: `localhost` is 127.0.0.1 to every client.
fn first_of(name: impl ToSocketAddrs, shown: &str, key: &str) -> anyhow::Result<SocketAddr> {
    let addresses: Vec<_> = name
        .to_socket_addrs()
        .with_context(|| format!("cannot resolve `{shown}`, set by `{key}`"))?
        .collect();
    addresses
        .iter()
        .find(|address| address.is_ipv4())
        .or(addresses.first())
        .copied()
        .with_context(|| format!("`{shown}`, set by `{key}`, has no address"))
}

fn lanes(lanes: &settings::Lanes) -> LanesConfig {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    LanesConfig {
        lanes: lanes.lanes.unwrap_or_else(cores),
        workers: lanes.workers,
        pin: lanes.pin,
        queue_depth_batches: lanes.queue_batches,
        batch_packets: lanes.batch_packets,
    }
}

/// The rules as they run: bounds nobody set are worked out.
pub fn running_rules(settings: &Settings) -> RulesConfig {
    let mut rules = rules(settings);
    let tag = settings.conntrack.attribution_tag.clone();
    rules.client_tag = tag.map(String::into_bytes);
    rules.tells_refused = settings.rules.tells_refused;
    if rules.limits.memory_bytes == 0 {
        rules.limits.memory_bytes = memory::default_bytes();
    }
    rules
}

fn rules(settings: &Settings) -> RulesConfig {
    let rules = &settings.rules;
    RulesConfig {
        timestamps: rules.timestamps,
        client_origin: rules.origin.client,
        mapper_profiles: rules.mapper_profiles.iter().map(mapper_profile).collect(),
        mapper_cache_entries: rules.mapper_cache_entries,
        namespace: rules.namespace.clone().into_bytes(),
        namespace_exempt: bytes(&rules.namespace_exempt),
        filter_names: bytes(&rules.filter_names),
        filter_match_prefix: rules.filter_match_prefix,
        tag_filter: rules.tag_filter.iter().map(tag_filter).collect(),
        tags: bytes(&rules.tags),
        client_tag: None,
        histogram: HistogramConfig {
            aggregates: rules.histogram.aggregates.clone(),
            percentiles: rules
                .histogram
                .percentiles
                .iter()
                .map(ToString::to_string)
                .collect(),
            copy_to_distribution: rules.histogram.copy_to_distribution,
            copy_prefix: rules.histogram.copy_prefix.clone().into_bytes(),
        },
        origin: OriginConfig {
            unified: rules.origin.unified,
            optout: rules.origin.optout,
            entity_id_precedence: rules.origin.entity_id_precedence,
            cardinality: cardinality(rules.origin.cardinality),
        },
        // Only what runs tells of it.
        tells_refused: false,
        limits: limits(&settings.limits),
        counter_expiry_seconds: rules.counter_expiry_seconds,
        context_expiry_seconds: rules.context_expiry_seconds,
    }
}

fn limits(limits: &settings::Limits) -> LimitsConfig {
    LimitsConfig {
        contexts: limits.contexts.into(),
        contexts_per_origin: limits.contexts_per_origin,
        tags_per_metric: limits.tags_per_metric,
        set_members: limits.set_members,
        histogram_values: limits.histogram_values,
        events: limits.events,
        memory_bytes: limits.memory_bytes,
    }
}

fn mapper_profile(profile: &settings::MapperProfile) -> MapperProfile {
    let mapping = |mapping: &settings::Mapping| Mapping {
        pattern: mapping.pattern.clone(),
        kind: match mapping.match_type {
            MatchType::Wildcard => MatchKind::Wildcard,
            MatchType::Regex => MatchKind::Regex,
        },
        name: mapping.name.clone(),
        tags: mapping.tags.clone(),
    };
    MapperProfile {
        name: profile.name.clone(),
        prefix: profile.prefix.clone(),
        mappings: profile.mappings.iter().map(mapping).collect(),
    }
}

fn tag_filter(rule: &settings::TagFilterRule) -> TagFilterEntry {
    TagFilterEntry {
        metric_name: rule.metric_name.clone(),
        action: match rule.action {
            TagFilterAction::Include => TagAction::Include,
            TagFilterAction::Exclude => TagAction::Exclude,
        },
        tags: rule.tags.clone(),
    }
}

fn cardinality(cardinality: TagCardinality) -> Cardinality {
    match cardinality {
        TagCardinality::None => Cardinality::None,
        TagCardinality::Low => Cardinality::Low,
        TagCardinality::Orchestrator => Cardinality::Orchestrator,
        TagCardinality::High => Cardinality::High,
    }
}

fn bytes(texts: &[String]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.clone().into_bytes()).collect()
}

fn saturating(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::{Value, json};

    fn listeners(config: Value) -> (ListenConfig, Vec<String>) {
        let settings = settings_from_json(Some(&config)).expect("settings");
        let refuse = |path: &Path| Err(format!("no {}", path.display()));
        let (config, notices) =
            config_with_listeners(&settings, "box", refuse).expect("a configuration");
        (config.listen, notices)
    }

    #[test]
    fn nothing_configured_is_one_local_udp_port() {
        let (listen, notices) = listeners(json!({}));
        assert_eq!(listen.udp, ["127.0.0.1:8125".parse().expect("an address")]);
        assert!(listen.unixgram.is_empty() && listen.unix_stream.is_empty());
        assert_eq!(notices.len(), 1, "{notices:?}");
    }

    #[test]
    fn every_listener_that_is_asked_for_is_there() {
        let (listen, notices) = listeners(json!({
            "dogstatsd_port": 77,
            "dogstatsd_non_local_traffic": true,
            "dogstatsd_socket": "/a",
            "dogstatsd_stream_socket": "/b",
            "greyhound": { "udp": { "listeners": ["[::1]:5", ":6"] } },
        }));
        let udp: Vec<_> = listen.udp.iter().map(ToString::to_string).collect();
        let udp: Vec<_> = udp.iter().filter(|address| *address != "[::]:77").collect();
        assert_eq!(udp, ["0.0.0.0:77", "[::1]:5", "0.0.0.0:6"]);
        assert_eq!(listen.unixgram[0].path, PathBuf::from("/a"));
        assert_eq!(listen.unix_stream[0].path, PathBuf::from("/b"));
        assert!(notices.is_empty(), "{notices:?}");
    }

    #[test]
    fn listening_can_be_off() {
        let (listen, notices) = listeners(json!({ "use_dogstatsd": false }));
        assert!(listen.udp.is_empty() && listen.unixgram.is_empty());
        assert_eq!(notices.len(), 1);
    }

    #[test]
    fn defaults_of_both_sides_agree() {
        let settings = settings_from_json(None).expect("defaults");
        let ours = config(&settings, "localhost").expect("a configuration");
        let theirs = Config::default();
        assert_eq!(
            ours.listen.packet_len_bytes_max,
            theirs.listen.packet_len_bytes_max
        );
        assert_eq!(
            ours.listen.receive_buffer_bytes,
            theirs.listen.receive_buffer_bytes
        );
        assert_eq!(ours.listen.coalesce, theirs.listen.coalesce);
        assert_eq!(ours.rules.timestamps, theirs.rules.timestamps);
        assert_eq!(
            ours.rules.histogram.aggregates,
            theirs.rules.histogram.aggregates
        );
        assert_eq!(
            ours.rules.histogram.percentiles,
            theirs.rules.histogram.percentiles
        );
        assert_eq!(
            ours.rules.counter_expiry_seconds,
            theirs.rules.counter_expiry_seconds
        );
        assert_eq!(
            ours.rules.context_expiry_seconds,
            theirs.rules.context_expiry_seconds
        );
        assert_eq!(ours.flush.bucket_width, theirs.flush.bucket_width);
    }
}
