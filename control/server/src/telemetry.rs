//! What the control port counts: requests as the Agent does, and our own counters of what was turned away.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use greyhound_telemetry::{Counter, Desc, Gauge, HistogramValue, Kind, Snapshot, Source};

/// Bounds of the request histogram in seconds: the defaults of Prometheus clients.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Series kept; further combinations of labels are counted under `other`.
const SERIES_MAX: usize = 2048;

const DURATION: usize = 0;
const CONNECTIONS: usize = 1;
const ACCEPTED: usize = 2;
const ACCEPT_ERRORS: usize = 3;
const TURNED_AWAY: usize = 4;
const REFUSED: usize = 5;

static DESCRIPTORS: [Desc; 6] = [
    Desc {
        name: "api_server.request_duration_seconds",
        kind: Kind::Histogram,
        unit: "s",
        help: "Request duration distribution by server, method, path, and status (in seconds).",
        labels: &["servername", "status_code", "method", "path", "auth"],
    },
    Desc {
        name: "greyhound.control.connections",
        kind: Kind::Gauge,
        unit: "connections",
        help: "Connections open on the control port.",
        labels: &[],
    },
    Desc {
        name: "greyhound.control.accepted",
        kind: Kind::Counter,
        unit: "connections",
        help: "Connections accepted on the control port.",
        labels: &[],
    },
    Desc {
        name: "greyhound.control.accept_errors",
        kind: Kind::Counter,
        unit: "errors",
        help: "Connections of the control port that could not be accepted, mostly for want of file descriptors.",
        labels: &[],
    },
    Desc {
        name: "greyhound.control.turned_away",
        kind: Kind::Counter,
        unit: "connections",
        help: "Connections of the control port ended by a limit, by a failed handshake or by a broken protocol.",
        labels: &["reason"],
    },
    Desc {
        name: "greyhound.control.refused",
        kind: Kind::Counter,
        unit: "requests",
        help: "Requests of the control port without a right token.",
        labels: &["reason"],
    },
];

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub(crate) enum Turned {
    /// No seat.
    Full,
    /// It made room for another.
    Evicted,
    /// TLS failed.
    Handshake,
    /// TLS took too long.
    HandshakeTimeout,
    /// A limit or rule of HTTP.
    Protocol,
}

/// Counters of all doors.
#[derive(Debug, Default)]
pub(crate) struct ApiTelemetry {
    requests: Mutex<BTreeMap<Labels, Durations>>,
    refused: Mutex<BTreeMap<&'static str, u64>>,
    turned_away: [Counter; Turned::ALL.len()],
    pub(crate) connections: Gauge,
    pub(crate) accepted: Counter,
    pub(crate) accept_errors: Counter,
}

/// Labels of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Labels {
    /// `CMD` or `IPC`.
    pub(crate) server: &'static str,
    pub(crate) status: u16,
    pub(crate) method: &'static str,
    /// The template, never the raw path.
    pub(crate) path: &'static str,
    /// `mTLS`, `token`, `socket` or `none`.
    pub(crate) auth: &'static str,
}

#[derive(Debug, Default)]
struct Durations {
    /// By the first bucket they fit in; the last is above all bounds.
    counts: [u64; BUCKETS.len() + 1],
    sum: f64,
}

// === impl Turned ===

impl Turned {
    const ALL: [Self; 5] = [
        Self::Full,
        Self::Evicted,
        Self::Handshake,
        Self::HandshakeTimeout,
        Self::Protocol,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Evicted => "evicted",
            Self::Handshake => "handshake",
            Self::HandshakeTimeout => "handshake_timeout",
            Self::Protocol => "protocol",
        }
    }
}

// === impl ApiTelemetry ===

impl ApiTelemetry {
    pub(crate) fn turn_away(&self, why: Turned, count: usize) {
        self.turned_away[why as usize].add(count as u64);
    }

    pub(crate) fn refuse(&self, why: &'static str) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        *refused.entry(why).or_default() += 1;
    }

    /// Counts an answered request.
    pub(crate) fn record(&self, labels: Labels, took: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let is_full = requests.len() >= SERIES_MAX && !requests.contains_key(&labels);
        let series = requests
            .entry(if is_full { Labels::OTHER } else { labels })
            .or_default();
        let seconds = took.as_secs_f64();
        let place = BUCKETS.partition_point(|bound| *bound < seconds);
        series.counts[place] += 1;
        series.sum += seconds;
    }
}

impl Source for ApiTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        for (labels, durations) in requests.iter() {
            let status = labels.status.to_string();
            let values = [
                labels.server,
                &status,
                labels.method,
                labels.path,
                labels.auth,
            ];
            out.push_value(&DESCRIPTORS[DURATION], &values, durations.read());
        }
        drop(requests);
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        for (reason, count) in refused.iter() {
            out.push(&DESCRIPTORS[REFUSED], &[reason], *count as f64);
        }
        drop(refused);
        for why in Turned::ALL {
            let count = self.turned_away[why as usize].get();
            out.push(&DESCRIPTORS[TURNED_AWAY], &[why.as_str()], count as f64);
        }
        out.push(
            &DESCRIPTORS[CONNECTIONS],
            &[],
            self.connections.get() as f64,
        );
        out.push(&DESCRIPTORS[ACCEPTED], &[], self.accepted.get() as f64);
        out.push(
            &DESCRIPTORS[ACCEPT_ERRORS],
            &[],
            self.accept_errors.get() as f64,
        );
    }
}

/// All there is to count, for the reference page.
pub fn descriptors() -> impl Iterator<Item = &'static Desc> {
    DESCRIPTORS.iter()
}

// === impl Labels ===

impl Labels {
    /// What is counted together when there are too many series.
    const OTHER: Self = Self {
        server: "other",
        status: 0,
        method: "other",
        path: "other",
        auth: "other",
    };
}

// === impl Durations ===

impl Durations {
    fn read(&self) -> HistogramValue {
        let mut count = 0;
        let cumulative = BUCKETS.iter().zip(self.counts).map(|(bound, more)| {
            count += more;
            (*bound, count)
        });
        let buckets = cumulative.collect();
        HistogramValue {
            buckets,
            count: self.counts.iter().sum(),
            sum: self.sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LABELS: Labels = Labels {
        server: "CMD",
        status: 200,
        method: "GET",
        path: "/agent/version",
        auth: "token",
    };

    #[test]
    fn durations_fall_into_the_usual_buckets() {
        let telemetry = ApiTelemetry::default();
        for milliseconds in [1, 5, 6, 20_000] {
            telemetry.record(LABELS, Duration::from_millis(milliseconds));
        }
        let mut snapshot = Snapshot::default();
        telemetry.collect(&mut snapshot);
        let labels = [("path", "/agent/version"), ("auth", "token")];
        let count = snapshot.get("api_server.request_duration_seconds", &labels);
        assert_eq!(count, Some(4.0));
        let value = telemetry.requests.lock().expect("ours")[&LABELS].read();
        assert_eq!(value.buckets[0], (0.005, 2));
        assert_eq!(value.buckets[1], (0.01, 3));
        assert_eq!(value.buckets[10], (10.0, 3));
        assert_eq!(value.count, 4);
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let telemetry = ApiTelemetry::default();
        for status in 0..4000 {
            telemetry.record(Labels { status, ..LABELS }, Duration::ZERO);
        }
        let series = telemetry.requests.lock().expect("ours");
        assert_eq!(series.len(), SERIES_MAX + 1);
        assert_eq!(
            series[&Labels::OTHER].read().count,
            4000 - SERIES_MAX as u64
        );
    }
}
