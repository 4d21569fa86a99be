//! Fills [`Settings`] from a store. Types are guaranteed by the table, so a wrong one here is a
//! mistake of this file, found by the test that reads the defaults.

mod conntrack;
mod control;
mod intake;
mod otlp;
mod relay;
mod remote_agent;
mod remote_write;
mod routing;

use std::time::Duration;

use crate::report::{Report, Warning};
use crate::settings::{
    Flush, Histogram, Lanes, Limits, Listen, Log, LogFile, LogFormat, LogLevel, NdjsonTarget,
    Origin, Outputs, Prometheus, Rotation, Rules, SecretBackend, Settings, Socket, TagCardinality,
    Udp,
};
use crate::store::{Resolved, Store};
use crate::value::{Port, Value};

/// More in one call gain nothing, and the Agent's setting has no bound of its own.
const BATCH_PACKETS_MAX: usize = 1024;

/// Typed access to a store; remembers what was asked in tests.
struct Reader<'s> {
    store: &'s Store,
    #[cfg(test)]
    asked: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

// === impl Settings ===

impl Settings {
    /// The typed form of what a store holds. Settings that do not go together are reported.
    pub fn read(store: &Store, report: &mut Report) -> Self {
        Reader::new(store).settings(report)
    }
}

// === impl SecretBackend ===

impl SecretBackend {
    /// Read before everything else, because the rest may need it.
    pub(crate) fn read(store: &Store) -> Self {
        Reader::new(store).secrets()
    }
}

// === impl Reader ===

impl<'s> Reader<'s> {
    fn new(store: &'s Store) -> Self {
        Self {
            store,
            #[cfg(test)]
            asked: std::cell::RefCell::default(),
        }
    }

    fn settings(&self, report: &mut Report) -> Settings {
        Settings {
            hostname: self.text_or_none("hostname"),
            log: self.log(),
            listen: self.listen(report),
            lanes: self.lanes(),
            rules: self.rules(),
            flush: Flush {
                bucket_seconds: self.int("greyhound.bucket_seconds"),
                open_buckets_on_stop: self
                    .explicit("dogstatsd_flush_incomplete_buckets", Self::bool)
                    .unwrap_or_else(|| self.bool("greyhound.flush_open_bucket_on_stop")),
                stop_timeout: self.span("greyhound.stop_timeout_seconds"),
            },
            limits: Limits {
                contexts: self.int("greyhound.limits.contexts"),
                contexts_per_origin: self.int("greyhound.limits.contexts_per_origin"),
                tags_per_metric: self.int("greyhound.limits.tags_per_metric"),
                set_members: self.int("greyhound.limits.set_members"),
                histogram_values: self.int("greyhound.limits.histogram_values"),
                events: self.int("greyhound.limits.events"),
                memory_bytes: self.size("greyhound.limits.memory"),
            },
            outputs: self.outputs(),
            routing: self.routing(report),
            conntrack: self.conntrack(),
            control: self.control(),
            remote_agents: self.remote_agents(),
            api_key: self.secret("api_key"),
            requires_key: self.bool("greyhound.datadog.require_key"),
            metrics_stats: self.bool("dogstatsd_metrics_stats_enable"),
            watch_file: self.bool("greyhound.config.watch"),
            secrets: self.secrets(),
        }
    }

    fn secrets(&self) -> SecretBackend {
        SecretBackend {
            command: self.text("secret_backend_command").into(),
            arguments: self.list("secret_backend_arguments"),
            timeout: self.span("secret_backend_timeout"),
            output_bytes_max: self.size("secret_backend_output_max_size"),
            allow_group_exec: self.bool("secret_backend_command_allow_group_exec_perm"),
            remove_trailing_line_break: self.bool("secret_backend_remove_trailing_line_break"),
            refresh_interval: self.span("secret_refresh_interval"),
        }
    }

    fn log(&self) -> Log {
        let level = match self.text("log_level").as_str() {
            "off" => LogLevel::Off,
            "critical" | "error" => LogLevel::Error,
            "warn" => LogLevel::Warn,
            "debug" => LogLevel::Debug,
            "trace" => LogLevel::Trace,
            _ => LogLevel::Info,
        };
        let agent_json = self.bool("log_format_json");
        let format = match self.explicit("greyhound.log.format", Self::text).as_deref() {
            Some("json") => LogFormat::Json,
            Some("text") => LogFormat::Text,
            None if agent_json => LogFormat::Json,
            _ => LogFormat::Auto,
        };
        let path = self.text("log_file");
        let (bytes_max, rolls) = (
            self.size("log_file_max_size"),
            self.int("log_file_max_rolls"),
        );
        let is_off = self.bool("disable_file_logging") || path.is_empty();
        Log {
            level,
            format,
            console: self.bool("log_to_console"),
            file: (!is_off).then(|| LogFile {
                path: path.into(),
                bytes_max,
                rolls,
            }),
        }
    }

    fn listen(&self, report: &mut Report) -> Listen {
        let so_rcvbuf = self.size("dogstatsd_so_rcvbuf");
        let own_rcvbuf = self.size("greyhound.receive_buffer");
        let eol_required = self.list("dogstatsd_eol_required");
        let requires_eol = |listener: &str| eol_required.iter().any(|word| word == listener);
        let port = match self.value("dogstatsd_port") {
            Value::Port(port) => *port,
            other => mistyped("dogstatsd_port", other),
        };
        let host = self.text("bind_host");
        let non_local_traffic = self.bool("dogstatsd_non_local_traffic");
        Listen {
            enabled: self.bool("use_dogstatsd"),
            udp: (port != Port::Number(0)).then_some(Udp {
                host,
                port,
                non_local_traffic,
            }),
            udp_more: self.list("greyhound.udp.listeners"),
            datagram_sockets: self.sockets("dogstatsd_socket", "greyhound.uds.sockets"),
            stream_sockets: self.sockets("dogstatsd_stream_socket", "greyhound.uds.stream_sockets"),
            socket_mode: match self.value("greyhound.uds.mode") {
                Value::Mode(mode) => *mode,
                other => mistyped("greyhound.uds.mode", other),
            },
            socket_allow_open_folder: self.bool("greyhound.uds.allow_open_folder"),
            socket_owner: self.text_or_none("greyhound.uds.owner"),
            socket_group: self.text_or_none("greyhound.uds.group"),
            udp_receive_buffer_bytes: if so_rcvbuf == 0 {
                own_rcvbuf
            } else {
                so_rcvbuf
            },
            packet_len_bytes_max: usize::try_from(self.size("dogstatsd_buffer_size"))
                .expect("the table bounds it to a megabyte"),
            eol_required_udp: requires_eol("udp"),
            eol_required_uds: requires_eol("uds"),
            stream_log_too_big: self.bool("dogstatsd_stream_log_too_big"),
            stream_connections_max: self.int("greyhound.stream.connections"),
            stream_idle: Some(self.span("greyhound.stream.idle_seconds"))
                .filter(|span| !span.is_zero()),
            require_listener: self.bool("dogstatsd_require_listener"),
            origin_detection: self.bool("dogstatsd_origin_detection"),
            forward: self.forward(report),
        }
    }

    fn sockets(&self, agent_key: &str, own_key: &str) -> Vec<Socket> {
        let agent = self.resolved(agent_key);
        let is_default = agent.is_default();
        let first = self.text_or_none(agent_key).map(|path| Socket {
            path: path.into(),
            is_default,
        });
        let more = self
            .list(own_key)
            .into_iter()
            .filter(|path| !path.is_empty());
        let more = more.map(|path| Socket {
            path: path.into(),
            is_default: false,
        });
        first.into_iter().chain(more).collect()
    }

    fn forward(&self, report: &mut Report) -> Option<(String, u16)> {
        let host = self.text("statsd_forward_host");
        let port: u16 = self.int("statsd_forward_port");
        match (host.is_empty(), port) {
            (true, 0) => None,
            (false, 1..) => Some((host, port)),
            (no_host, _) => {
                let (key, other) = if no_host {
                    ("statsd_forward_port", "statsd_forward_host")
                } else {
                    ("statsd_forward_host", "statsd_forward_port")
                };
                report.warnings.push(Warning {
                    key: key.to_owned(),
                    place: self.resolved(key).place.into_owned(),
                    message: format!("packets are not forwarded, `{other}` is missing"),
                });
                None
            }
        }
    }

    fn lanes(&self) -> Lanes {
        Lanes {
            lanes: Some(self.int("greyhound.lanes")).filter(|lanes| *lanes > 0),
            workers: self.int("greyhound.worker_lanes"),
            pin: self.bool("greyhound.pin_lanes"),
            batch_packets: self
                .explicit("dogstatsd_packet_buffer_size", Self::int::<usize>)
                .unwrap_or_else(|| self.int("greyhound.batch_packets"))
                .min(BATCH_PACKETS_MAX),
            queue_batches: self.int("dogstatsd_queue_size"),
            coalesce: self.span("greyhound.coalesce_microseconds"),
        }
    }

    fn rules(&self) -> Rules {
        let filter_names = self.list("metric_filterlist");
        let filter_match_prefix = self.bool("metric_filterlist_match_prefix");
        let old_names = self.list("statsd_metric_blocklist");
        let old_match_prefix = self.bool("statsd_metric_blocklist_match_prefix");
        let (filter_names, filter_match_prefix) = if filter_names.is_empty() {
            (old_names, old_match_prefix)
        } else {
            (filter_names, filter_match_prefix)
        };
        Rules {
            timestamps: self.bool("dogstatsd_no_aggregation_pipeline"),
            counter_expiry_seconds: self.seconds("dogstatsd_expiry_seconds"),
            context_expiry_seconds: self.seconds("dogstatsd_context_expiry_seconds"),
            tells_refused: !self.bool("dogstatsd_disable_verbose_logs"),
            tags: self.list("dogstatsd_tags"),
            mapper_profiles: match self.value("dogstatsd_mapper_profiles") {
                Value::MapperProfiles(profiles) => profiles.clone(),
                other => mistyped("dogstatsd_mapper_profiles", other),
            },
            mapper_cache_entries: self.int("dogstatsd_mapper_cache_size"),
            namespace: self.text("statsd_metric_namespace"),
            namespace_exempt: self.list("statsd_metric_namespace_blacklist"),
            filter_names,
            filter_match_prefix,
            tag_filter: match self.value("metric_tag_filterlist") {
                Value::TagFilters(rules) => rules.clone(),
                other => mistyped("metric_tag_filterlist", other),
            },
            histogram: Histogram {
                aggregates: self.list("histogram_aggregates"),
                percentiles: self.numbers("histogram_percentiles"),
                copy_to_distribution: self.bool("histogram_copy_to_distribution"),
                copy_prefix: self.text("histogram_copy_to_distribution_prefix"),
            },
            origin: Origin {
                client: self.bool("dogstatsd_origin_detection_client"),
                optout: self.bool("dogstatsd_origin_optout_enabled"),
                entity_id_precedence: self.bool("dogstatsd_entity_id_precedence"),
                cardinality: match self.text("dogstatsd_tag_cardinality").as_str() {
                    "none" => TagCardinality::None,
                    "orchestrator" => TagCardinality::Orchestrator,
                    "high" => TagCardinality::High,
                    _ => TagCardinality::Low,
                },
                unified: self.bool("origin_detection_unified"),
            },
        }
    }

    fn outputs(&self) -> Outputs {
        let mut classic_buckets = self.numbers("greyhound.prometheus.classic_buckets");
        classic_buckets.sort_by(f64::total_cmp);
        classic_buckets.dedup();
        let prometheus = Prometheus {
            listen: self.text("greyhound.prometheus.listen"),
            expiry_seconds: self.seconds("greyhound.prometheus.expiry_seconds"),
            window_seconds: self.seconds("greyhound.prometheus.window_seconds"),
            quantiles: self.numbers("greyhound.prometheus.quantiles"),
            classic_buckets,
            series_max: self.int("greyhound.prometheus.series_max"),
            own_host_label: self.bool("greyhound.prometheus.own_host_label"),
            created_lines: self.bool("greyhound.prometheus.created_lines"),
        };
        let rotation = Rotation {
            bytes: self.size("greyhound.ndjson.rotate_bytes"),
            seconds: self.seconds("greyhound.ndjson.rotate_seconds"),
            keep: self.int("greyhound.ndjson.rotate_keep"),
        };
        Outputs {
            queue_flushes: self.int("greyhound.outputs.queue_flushes"),
            queue_points: self.int("greyhound.outputs.queue_points"),
            prometheus: Some(prometheus).filter(|prometheus| !prometheus.listen.is_empty()),
            datadog: self.datadog(),
            remote_write: self.remote_write(),
            otlp: self.otlp(),
            relay: self.relay(),
            print: self.bool("greyhound.print"),
            ndjson: self
                .text_or_none("greyhound.ndjson.path")
                .map(|path| match path.as_str() {
                    "-" => NdjsonTarget::Stdout,
                    _ => NdjsonTarget::File(path.into(), rotation),
                }),
        }
    }

    fn resolved(&self, key: &str) -> Resolved<'s> {
        let resolved = self
            .store
            .get(key)
            .expect("the read-out asks only for keys of the table");
        #[cfg(test)]
        self.asked.borrow_mut().insert(resolved.row.key);
        resolved
    }

    fn value(&self, key: &str) -> &'s Value {
        self.resolved(key).value
    }

    /// The value when somebody set it.
    fn explicit<T>(&self, key: &str, read: impl Fn(&Self, &str) -> T) -> Option<T> {
        (!self.resolved(key).is_default()).then(|| read(self, key))
    }

    fn bool(&self, key: &str) -> bool {
        match self.value(key) {
            Value::Bool(flag) => *flag,
            other => mistyped(key, other),
        }
    }

    fn int<T: TryFrom<i64>>(&self, key: &str) -> T {
        match self.value(key) {
            Value::Int(number) => T::try_from(*number)
                .unwrap_or_else(|_| panic!("the table lets `{key}` out of the range of its field")),
            other => mistyped(key, other),
        }
    }

    fn number(&self, key: &str) -> f64 {
        match self.value(key) {
            Value::Float(number) => *number,
            other => mistyped(key, other),
        }
    }

    fn size(&self, key: &str) -> u64 {
        match self.value(key) {
            Value::Size(bytes) => *bytes,
            other => mistyped(key, other),
        }
    }

    fn span(&self, key: &str) -> Duration {
        match self.value(key) {
            Value::Duration(span) => *span,
            other => mistyped(key, other),
        }
    }

    /// A span the table keeps within 32 bits.
    fn seconds(&self, key: &str) -> u32 {
        u32::try_from(self.span(key).as_secs()).unwrap_or(u32::MAX)
    }

    fn text(&self, key: &str) -> String {
        match self.value(key) {
            Value::Text(text) => text.clone(),
            other => mistyped(key, other),
        }
    }

    fn text_or_none(&self, key: &str) -> Option<String> {
        Some(self.text(key)).filter(|text| !text.is_empty())
    }

    fn list(&self, key: &str) -> Vec<String> {
        match self.value(key) {
            Value::List(items) => items.clone(),
            other => mistyped(key, other),
        }
    }

    fn numbers(&self, key: &str) -> Vec<f64> {
        match self.value(key) {
            Value::Numbers(numbers) => numbers.clone(),
            other => mistyped(key, other),
        }
    }
}

/// The store takes only values that fit the table, so this is a mistake in the read-out itself.
fn mistyped(key: &str, value: &Value) -> ! {
    unreachable!("`{key}` is read as another type than {value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{self, Applies};

    /// What "no effect" says and what the read-out does are the same thing.
    #[test]
    fn rows_that_apply_are_exactly_those_read() {
        let store = Store::new();
        let mut report = Report::default();
        let reader = Reader::new(&store);
        reader.settings(&mut report);
        let asked = reader.asked.into_inner();
        for row in table::table().rows() {
            assert_eq!(
                row.applies == Applies::Now,
                asked.contains(row.key),
                "{}",
                row.key
            );
        }
        assert!(report.is_empty(), "{report:?}");
    }
}
