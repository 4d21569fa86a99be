//! Settings to destinations of Datadog's kind.
//!
//! ```text
//!  api_key, site | dd_url, additional_endpoints ─▶ one sink per address and key, each with
//!  forwarder_*, proxy.*, greyhound.delivery.*   ─▶ a queue of its own; one client, one runtime
//! ```

use std::env;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use greyhound_config::secret::Secret;
use greyhound_config::settings::intake::{self, Compressor, Datadog, Destination};
use greyhound_sinks::client::{Client, ClientConfig, ProxyConfig};
use greyhound_sinks::datadog::{Compression, DatadogConfig, DatadogSink, Limits};
use greyhound_sinks::delivery::{BackoffConfig, DeliveryConfig};
use greyhound_sinks::egress::Egress;
use greyhound_sinks::spool::{SpoolConfig, SyncPolicy, orphans};
use tracing::warn;

use crate::cli::VERSION;

/// Datadog's own domains: there each version of a sender has a name of its own.
const OWN_DOMAINS: [&str; 4] = [
    "datadoghq.com",
    "datadoghq.eu",
    "ddog-gov.com",
    "datad0g.com",
];

/// Segments of a disk queue, so that the oldest can go alone.
const SEGMENTS: u64 = 16;
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 64 * 1024..=8 * 1024 * 1024;

/// Makes the sinks; nothing is sent yet.
///
/// # Errors
/// When an address, a key, a proxy or a file of certificates cannot be used.
pub(super) fn open(settings: &Datadog) -> anyhow::Result<Vec<DatadogSink>> {
    let client = Client::new(&client(&settings.delivery))?;
    let egress = Egress::start().context("cannot start the threads that send")?;
    let root = queue_folder(&settings.delivery);
    let destinations = settings.destinations.iter().enumerate();
    let destinations: Vec<_> = destinations
        .map(|(index, destination)| {
            let config = destination_config(settings, destination, index);
            let folder = root
                .as_ref()
                .map(|root| root.join(folder_name(&config.name, &config.url)));
            (config, folder)
        })
        .collect();
    if let Some(root) = &root {
        let wanted = destinations.iter().filter_map(|(_, folder)| folder.clone());
        sweep(root, &wanted.collect::<Vec<_>>(), settings.delivery.age_max);
    }
    destinations
        .into_iter()
        .map(|(config, folder)| {
            let delivery = delivery(&settings.delivery, folder);
            let name = config.name.clone();
            DatadogSink::new(config, delivery, client.clone(), egress.clone())
                .with_context(|| format!("cannot send to destination `{name}`"))
        })
        .collect()
}

/// Removes what destinations left that are no more, once it is too old to be sent anyway.
fn sweep(root: &Path, wanted: &[PathBuf], age: Duration) {
    for orphan in orphans::sweep(root, wanted, age) {
        warn!(
            folder = %orphan.folder.display(), bytes = orphan.bytes,
            setting = "forwarder_outdated_file_in_days",
            "a disk queue of a destination that is no more was removed: it is too old to be sent"
        );
    }
}

fn destination_config(
    settings: &Datadog,
    destination: &Destination,
    index: usize,
) -> DatadogConfig {
    let (url, key_check_url) = match &destination.url {
        Some(url) => (url.clone(), url.clone()),
        None => (
            site_url(&destination.site, "app"),
            format!("https://api.{}", destination.site),
        ),
    };
    DatadogConfig {
        name: name(index),
        url,
        key_check_url: Some(key_check_url),
        key_check_interval: settings.key_check_interval,
        api_key: destination.api_key.reveal().to_owned(),
        version: VERSION.to_owned(),
        series_limits: Limits {
            packed_bytes: settings.series_packed_bytes as usize,
            raw_bytes: settings.series_raw_bytes as usize,
            points: settings.series_points as usize,
        },
        other_limits: Limits {
            packed_bytes: settings.other_packed_bytes as usize,
            raw_bytes: settings.other_raw_bytes as usize,
            points: usize::MAX,
        },
        compression: match settings.compressor {
            Compressor::Zstd(level) => Compression::Zstd(level),
            Compressor::Zlib => Compression::Deflate,
            Compressor::Gzip => Compression::Gzip,
            Compressor::Off => Compression::Identity,
        },
        tags_max: settings.tags_max,
        says_it_runs: settings.says_it_runs,
        arbitrary_tag_values: false,
    }
}

/// What the sink of a destination is called.
pub(super) fn name(index: usize) -> String {
    match index {
        0 => "datadog".to_owned(),
        further => format!("datadog-{}", further + 1),
    }
}

/// `https://<service>.<site>`, for Datadog's own sites with our version in the name.
pub(crate) fn site_url(site: &str, service: &str) -> String {
    let is_own = OWN_DOMAINS.iter().any(|domain| {
        site.strip_suffix(domain)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    });
    if is_own {
        let version = VERSION.split(['-', '+']).next().unwrap_or(VERSION);
        format!(
            "https://{}-{service}.agent.{site}",
            version.replace('.', "-")
        )
    } else {
        format!("https://{service}.{site}")
    }
}

pub(crate) fn client(settings: &intake::Delivery) -> ClientConfig {
    let proxy = |secret: &Secret, names: [&str; 2]| match secret.is_empty() {
        true => from_environment(names),
        false => secret.reveal().to_owned(),
    };
    ClientConfig {
        timeout: settings.timeout,
        proxy: ProxyConfig {
            http: proxy(&settings.proxy_http, ["HTTP_PROXY", "http_proxy"]),
            https: proxy(&settings.proxy_https, ["HTTPS_PROXY", "https_proxy"]),
            no_proxy: match settings.no_proxy.is_empty() {
                true => from_environment(["NO_PROXY", "no_proxy"]),
                false => settings.no_proxy.join(","),
            },
        },
        ca_file: settings.ca_file.clone(),
        user_agent: format!("greyhound/{VERSION}"),
    }
}

fn from_environment(names: [&str; 2]) -> String {
    names
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()))
        .unwrap_or_default()
}

pub(super) fn delivery(settings: &intake::Delivery, folder: Option<PathBuf>) -> DeliveryConfig {
    DeliveryConfig {
        memory_bytes_max: settings.memory_bytes,
        concurrency_max: settings.requests,
        backoff: BackoffConfig {
            base: settings.backoff_base,
            factor: settings.backoff_factor,
            max: settings.backoff_max,
            recovery: settings.recovery,
            seed: None,
        },
        drop_on_auth_error: settings.drop_on_auth_error,
        age_max: settings.age_max,
        spool: folder.map(|folder| SpoolConfig {
            folder,
            bytes_max: settings.disk_bytes,
            disk_share_max: settings.disk_share,
            sync: match settings.sync {
                intake::Sync::Always => SyncPolicy::Always,
                intake::Sync::Interval => SyncPolicy::Interval,
                intake::Sync::Never => SyncPolicy::Never,
            },
            segment_len_bytes: (settings.disk_bytes / SEGMENTS)
                .clamp(*SEGMENT_BYTES.start(), *SEGMENT_BYTES.end()),
        }),
    }
}

/// Where disk queues lie: the folder set, or the first that can be made and written.
pub(super) fn queue_folder(settings: &intake::Delivery) -> Option<PathBuf> {
    if settings.disk_bytes == 0 {
        return None;
    }
    if let Some(folder) = &settings.folder {
        return Some(folder.clone());
    }
    let beside = |variable: &str, rest: &str| {
        let base = env::var_os(variable).filter(|base| !base.is_empty())?;
        Some(Path::new(&base).join(rest))
    };
    let candidates = [
        Some(PathBuf::from("/var/lib/greyhound/queue")),
        beside("XDG_STATE_HOME", "greyhound/queue"),
        beside("HOME", ".local/state/greyhound/queue"),
    ];
    let found = candidates
        .into_iter()
        .flatten()
        .find(|folder| is_writable(folder));
    if found.is_none() {
        warn!("no folder for the disk queue can be written; set `forwarder_storage_path`");
    }
    found
}

/// Whether files can be made there; the only proof is to make one.
fn is_writable(folder: &Path) -> bool {
    if std::fs::create_dir_all(folder).is_err() {
        return false;
    }
    let probe = folder.join(format!(".probe-{}", std::process::id()));
    let made = std::fs::File::create(&probe).is_ok();
    made && std::fs::remove_file(&probe).is_ok()
}

/// One folder per destination, and another one when its address changes: what lies there was meant for
/// the old one.
pub(super) fn folder_name(name: &str, url: &str) -> String {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.write(url.as_bytes());
    format!("{name}-{:016x}", hash.finish())
}

/// FNV-1a: the same in every version, which the standard library's does not promise.
struct Fnv(u64);

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring::settings_from_json;
    use serde_json::{Value, json};

    fn settings(config: Value) -> Option<Datadog> {
        let settings = settings_from_json(Some(&config)).expect("settings");
        settings.outputs.datadog
    }

    fn urls(config: Value) -> Vec<(String, String)> {
        let settings = settings(config).expect("a key");
        let destinations = settings.destinations.iter().enumerate();
        destinations
            .map(|(index, destination)| {
                let config = destination_config(&settings, destination, index);
                (config.name, config.url)
            })
            .collect()
    }

    #[test]
    fn without_a_key_nothing_is_sent() {
        assert_eq!(settings(json!({ "dd_url": "http://127.0.0.1:1" })), None);
    }

    #[test]
    fn a_site_becomes_an_address_and_endpoints_follow() {
        let version = VERSION.replace('.', "-");
        assert_eq!(
            urls(json!({ "api_key": "k", "site": "us5.datadoghq.com" }))[0].1,
            format!("https://{version}-app.agent.us5.datadoghq.com")
        );
        assert_eq!(
            urls(json!({ "api_key": "k", "site": "notdatadoghq.com" }))[0].1,
            "https://app.notdatadoghq.com"
        );
        let all = urls(json!({
            "api_key": "k",
            "dd_url": "http://one",
            "additional_endpoints": { "http://one": ["k", "l"], "http://two": ["k"] },
        }));
        let named = |name: &str, url: &str| (name.to_owned(), url.to_owned());
        assert_eq!(
            all,
            [
                named("datadog", "http://one"),
                named("datadog-2", "http://one"),
                named("datadog-3", "http://two"),
            ]
        );
    }

    #[test]
    fn defaults_are_the_agents_and_limits_those_of_the_intake() {
        let settings = settings(json!({ "api_key": "k" })).expect("a key");
        let config = destination_config(&settings, &settings.destinations[0], 0);
        assert_eq!(config.compression, Compression::Zstd(1));
        let limits = config.series_limits;
        assert_eq!(
            (limits.packed_bytes, limits.raw_bytes, limits.points),
            (512_000, 5_242_880, 10_000)
        );
        let delivery = delivery(&settings.delivery, None);
        assert_eq!(delivery.backoff, BackoffConfig::default());
        assert_eq!(delivery.memory_bytes_max, 15 * 1024 * 1024);
    }

    #[test]
    fn an_address_that_is_none_is_named_without_its_credentials() {
        let settings = settings(json!({
            "api_key": "k",
            "dd_url": "ftp://me:hidden@host",
            "greyhound": { "delivery": { "disk_bytes": 0 } },
        }));
        let error = open(&settings.expect("a key")).expect_err("no such scheme");
        let text = format!("{error:#}");
        assert!(
            text.contains("ftp://host") && !text.contains("hidden"),
            "{text}"
        );
    }
}
