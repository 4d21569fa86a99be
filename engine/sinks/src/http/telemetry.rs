//! `greyhound.http.*`: who asks for what, and what could not be accepted.

use std::sync::Arc;

use greyhound_telemetry::{Counter, Desc, Gauge, Kind, Snapshot, Source};
use hyper::StatusCode;

use super::pages::Path;

pub(crate) static DESCRIPTORS: [Desc; 3] = [
    Desc {
        name: "greyhound.http.requests",
        kind: Kind::Counter,
        unit: "requests",
        help: "Requests answered on the metrics port.",
        labels: &["path", "code"],
    },
    Desc {
        name: "greyhound.http.connections",
        kind: Kind::Gauge,
        unit: "connections",
        help: "Connections open on the metrics port.",
        labels: &[],
    },
    Desc {
        name: "greyhound.http.accept_errors",
        kind: Kind::Counter,
        unit: "errors",
        help: "Connections that could not be accepted, mostly for want of file descriptors.",
        labels: &[],
    },
];

/// Every code an answer can have, with its word in telemetry.
const CODES: [(StatusCode, &str); 4] = [
    (StatusCode::OK, "200"),
    (StatusCode::NOT_FOUND, "404"),
    (StatusCode::METHOD_NOT_ALLOWED, "405"),
    (StatusCode::SERVICE_UNAVAILABLE, "503"),
];

/// The server's counters.
#[derive(Debug, Default)]
pub(super) struct HttpTelemetry {
    requests: [[Counter; CODES.len()]; Path::ALL.len()],
    connections: Gauge,
    pub(super) accept_errors: Counter,
}

/// A connection that counts as open until it is dropped.
#[derive(Debug)]
pub(super) struct Open(Arc<HttpTelemetry>);

// === impl HttpTelemetry ===

impl HttpTelemetry {
    pub(super) fn count(&self, path: Path, status: StatusCode) {
        let code = CODES.iter().position(|(code, _)| *code == status);
        debug_assert!(code.is_some(), "{status} has no counter");
        if let Some(code) = code {
            self.requests[path as usize][code].add(1);
        }
    }
}

impl Source for HttpTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let [requests, connections, accept_errors] = &DESCRIPTORS;
        for path in Path::ALL {
            for ((_, word), counter) in CODES.iter().zip(&self.requests[path as usize]) {
                if counter.get() > 0 {
                    out.push(requests, &[path.as_str(), word], counter.get() as f64);
                }
            }
        }
        out.push(connections, &[], self.connections.get() as f64);
        out.push(accept_errors, &[], self.accept_errors.get() as f64);
    }
}

#[cfg(test)]
impl HttpTelemetry {
    pub(super) fn open(&self) -> i64 {
        self.connections.get()
    }
}

// === impl Open ===

impl Open {
    pub(super) fn new(telemetry: &Arc<HttpTelemetry>) -> Self {
        telemetry.connections.add(1);
        Self(Arc::clone(telemetry))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}
