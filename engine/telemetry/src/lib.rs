//! Greyhound's own counters: one writer each, readers add up.
//!
//! ```text
//!  lane ──▶ Tally (plain integers) ──once per batch──▶ TallyCells ─┐
//!  lane ──▶ LatencyRecorder ────────once per batch──▶ its own slot ┤
//!  cold paths ──▶ Counter, Gauge ──────────────────────────────────┤
//!                                                                  ▼
//!            Registry (owns the names) ──▶ Source::collect ──▶ Snapshot ──▶ text, status, tests
//! ```
//!
//! No I/O, no threads, no global state: whoever builds an engine builds its registry. Nothing is
//! lost here but precision: a latency is kept to 1 %, a reader may be one batch behind, and a sum
//! above 2^53 is shown as the nearest double.
#![forbid(unsafe_code)]

mod counter;
mod desc;
pub mod docs;
mod histogram;
mod registry;
mod snapshot;
pub mod text;

pub use counter::{Cells, Counter, Gauge};
pub use desc::{Desc, Kind};
pub use histogram::{Latency, LatencyHistogram, LatencyRecorder};
pub use registry::{DuplicateName, Registry, Source};
pub use snapshot::{HistogramValue, Sample, Snapshot, Value};
