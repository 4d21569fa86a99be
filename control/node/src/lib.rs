//! The roof of the house: command line, wiring, start and stop order.
//!
//! ```text
//!  cli ──▶ settings (greyhound-config) ──▶ wiring ──▶ Config of each crate
//!   │                                                     │
//!   ├ run ──▶ startup ▸ hostname ▸ logging ──▶ lifecycle: pipeline ──▶ fan-out ──▶ sinks
//!   ├ explain, send ──▶ greyhound-wire
//!   ├ bench ──▶ load of known size, for measuring
//!   └ explain --simulate ──▶ simulate: the same pipeline without sockets, under told time
//! ```
//!
//! This is the only crate that sees all the others. It decides no metric and loses none: what the
//! floors below refuse or drop they count, and the last line of a run prints their ledger. Lost here
//! are only log lines, when standard error is stuck, and those are counted too.
#![forbid(unsafe_code)]

mod admission;
pub mod bench;
pub mod cli;
pub mod client;
pub mod diagnose;
pub mod explain;
mod holder;
pub mod hostname;
pub mod lifecycle;
pub mod logging;
pub mod places;
pub mod simulate;
pub mod startup;
mod summary;
pub mod wiring;
