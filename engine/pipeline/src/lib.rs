//! From socket to flushed bucket, on threads that own what they touch.
//!
//! ```text
//!  kernel queue ─▶ receive ─▶ process: parse ▸ admit ▸ enrich ▸ context ▸ aggregate ─▶ flush ─▶ Output
//!        1            2                 3        4                  5         6          7
//!                     │ ▲ only when behind
//!                     ▼ │
//!              shared queue of batches
//! ```
//!
//! A *lane* is one thread that runs 2 to 6 for its own sockets; the flush thread merges what the
//! lanes closed. Lost here, and counted as:
//!
//! 1. kernel queue full: `greyhound.listener.kernel_drops`, outside the ledger
//! 2. truncated datagrams, broken stream frames, packets in hand when a lane broke: ledger, datagrams
//! 3. refused messages by class, unterminated last lines: ledger, messages
//! 4. names on the filter list: ledger, samples
//! 5. contexts or tags over a limit: ledger, samples
//! 6. values that are not finite, members and values over a limit: ledger, samples
//! 7. open buckets thrown away at stop or with a broken lane: ledger, samples
//!
//! A full shared queue loses nothing: the lane works on its batch itself, and pressure moves to 1.
//! An eighth loss is a bug, and shows as a remainder in the [`ledger`].
#![forbid(unsafe_code)]

pub mod client;
pub mod config;

pub mod admit;
pub mod enrich;

pub mod context;

pub mod aggregate;

pub mod rules;

pub mod ledger;

pub mod process;

pub mod flush;

pub mod telemetry;

pub mod error;

pub mod packet;

pub mod forward;

pub mod receive;

mod lane;

mod plan;

pub mod engine;
