//! The table's health as metrics, under the Agent's names where it has them.
//!
//! Points with a time of their own: one set per interval, made here and handed to the flush.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use greyhound_conntrack::reader::Handle;
use greyhound_conntrack::stats::COUNTERS;
use greyhound_model::context::{Context, Host};
use greyhound_model::metric::MetricKind;
use greyhound_pipeline::process::Timestamped;

/// Remembers what counters stood at, because the outputs want what was added.
#[derive(Default)]
pub(super) struct Points {
    before: HashMap<(String, Vec<String>), u64>,
    /// The first reading only says where counters stand.
    has_begun: bool,
}

// === impl Points ===

impl Points {
    /// All points of this moment.
    pub(super) fn of(&mut self, reader: &Handle, now: SystemTime) -> Vec<Timestamped> {
        let view = reader.view();
        let seconds = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut points = Vec::new();
        let mut push = |name: &str, tags: &[String], kind, value| {
            let mut tags: Vec<&[u8]> = tags.iter().map(String::as_bytes).collect();
            tags.sort_unstable();
            points.push(Timestamped {
                context: Context::new(name.as_bytes(), Host::Own, tags),
                kind,
                // Seconds of this age of the world.
                unix_seconds: seconds.cast_signed(),
                value,
            });
        };
        let mut counters: Vec<(String, Vec<String>, u64)> = Vec::new();
        let several = view.namespaces.len() > 1;
        for namespace in &view.namespaces {
            let place: Vec<String> = several
                .then(|| format!("netns:{}", namespace.name))
                .into_iter()
                .collect();
            if let Some(totals) = namespace.totals {
                let (count, max) = (f64::from(totals.entries), f64::from(totals.max_entries));
                push(
                    "system.net.conntrack.count",
                    &place,
                    MetricKind::Gauge,
                    count,
                );
                push("system.net.conntrack.max", &place, MetricKind::Gauge, max);
                if max > 0.0 {
                    push(
                        "greyhound.conntrack.occupancy",
                        &place,
                        MetricKind::Gauge,
                        count / max,
                    );
                }
            }
            for cpu in &namespace.per_cpu {
                for ((name, ..), value) in COUNTERS.iter().zip(cpu.values) {
                    let mut tags = place.clone();
                    tags.push(format!("cpu:{}", cpu.cpu));
                    let name = format!("system.net.conntrack.{name}");
                    counters.push((name, tags, value.into()));
                }
            }
        }
        if view.stale.at.is_some() {
            let count = view.stale.count as f64;
            push(
                "greyhound.conntrack.stale_flows",
                &[],
                MetricKind::Gauge,
                count,
            );
        }
        for kind in reader.counts().kinds() {
            let tags = vec![
                format!("proto:{}", kind.protocol),
                format!("family:ipv{}", kind.family),
                format!("nat:{}", kind.nat),
            ];
            counters.push((
                "greyhound.conntrack.flows.new".into(),
                tags.clone(),
                kind.new,
            ));
            counters.push((
                "greyhound.conntrack.flows.destroyed".into(),
                tags,
                kind.destroyed,
            ));
        }
        for (state, count) in reader.counts().tcp_transitions() {
            let name = "greyhound.conntrack.tcp.transitions".into();
            counters.push((name, vec![format!("state:{state}")], count));
        }
        for (name, tags, value) in counters {
            // The kernel's counters wrap at 32 bits, and begin anew with their namespace.
            let before = self.before.insert((name.clone(), tags.clone()), value);
            let is_kernels = name.starts_with("system.");
            let added = match before {
                Some(before) => value.saturating_sub(before),
                // Ours begin at 0 with the process; the kernel's began long ago.
                None if is_kernels => 0,
                None => value,
            };
            if self.has_begun || !is_kernels {
                push(&name, &tags, MetricKind::Counter, added as f64);
            }
        }
        self.has_begun = !view.namespaces.is_empty();
        points
    }
}
