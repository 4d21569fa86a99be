//! The nouns of the data plane, and how they relate.
//!
//! ```text
//!  message ──▶ sample ──▶ Context (name + host + tags) ──▶ bucket ──▶ FlushBatch
//!                │                                            │          Series, SketchSeries,
//!                └ MetricKind, rate                           └ Sketch    HistogramPoint, Event, ServiceCheck
//!  Origin ──▶ OriginTable ──▶ tags
//! ```
//!
//! Everything here is plain data: no I/O, no threads, and a clock only as a trait. Names, tags and
//! texts are bytes, because the protocol never promised UTF-8.
#![forbid(unsafe_code)]

pub mod context;
pub mod event;
pub mod flush;
pub mod metric;
pub mod origin;
pub mod origin_table;
pub mod series;
pub mod service_check;
pub mod sketch;
pub mod time;
