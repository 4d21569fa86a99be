//! From a closed flush to whoever wants to see it.
//!
//! ```text
//!  FlushBatch ──▶ fanout ──▶ queue ──▶ thread ──▶ Sink: prometheus ──▶ state ──▶ http: GET /metrics
//!                   1          │                        print      ──▶ terminal
//!                              └─ one per sink 2        ndjson     ──▶ file or standard output
//! ```
//!
//! Which sink gets what, and with which tags, is decided by [`route`] and [`policy`].
//!
//! Every sink has its own queue and its own thread, so a slow one hurts only itself, and the
//! flusher never waits. Points are accounted for per sink: points flushed = delivered + waiting +
//! dropped by reason ([`sink::Reason`]).
//!
//! Lost here, and counted as: 1 the queue of a sink is full `greyhound.sink.points_dropped{queue_full}`;
//! 2 whatever the sink itself refuses or cannot write, by reason. A third loss is a bug.
//!
//! A scrape takes the state's lock for a few thousand series at a time, never longer, and no sink
//! ever waits for an HTTP client.
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod datadog;
pub mod delivery;
mod destination;
pub mod egress;
mod escape;
mod exponential;
pub mod fanout;
#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod golden;
pub mod http;
pub mod ndjson;
pub mod otlp;
pub mod policy;
pub mod print;
pub mod prometheus;
pub mod relay;
pub mod remote_write;
pub mod route;
pub mod sink;
pub mod spool;
mod when;

use greyhound_telemetry::Desc;

/// Everything this crate counts, for the reference page.
pub fn descriptors() -> impl Iterator<Item = &'static Desc> {
    fanout::telemetry::DESCRIPTORS
        .iter()
        .chain(&prometheus::telemetry::DESCRIPTORS)
        .chain(&http::telemetry::DESCRIPTORS)
        .chain(&delivery::telemetry::DESCRIPTORS)
        .chain(&route::telemetry::DESCRIPTORS)
        .chain(&ndjson::telemetry::DESCRIPTORS)
        .chain(&relay::telemetry::DESCRIPTORS)
}
