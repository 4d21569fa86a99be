//! The harness: the real binary in a temporary folder, real clients beside it.
//!
//! ```text
//!  test ──▶ Setup ──▶ greyhound run ──▶ ready file: ports and paths
//!    │                     ▲
//!    ├──▶ client ──────────┘  Python, Node, Rust, or plain sockets
//!    ├──▶ intake ◀── what the Datadog sink sends, checked payload by payload
//!    ├──▶ http ▸ exposition   what /metrics and /telemetry say
//!    └──▶ stop ──▶ Stopped    exit code, ledger line, the NDJSON the sink wrote
//! ```
//!
//! Every test has its own process, its own ports (the kernel picks them) and its own folder; nothing is
//! shared but the clients, which are installed once into the target folder. A test ends with
//! [`daemon::Daemon::stop`], which fails when a message is unaccounted for. What a machine lacks is
//! skipped loudly ([`skip`]), and not skipped at all where `GREYHOUND_NO_SKIP=1` is set.
#![forbid(unsafe_code)]

pub mod binary;
pub mod command;
pub mod control;
pub mod daemon;
pub mod disk_queue;
pub mod exposition;
pub mod http;
pub mod intake;
pub mod ledger;
pub mod node;
pub mod prometheus;
pub mod python;
pub mod records;
pub mod sink_end;
pub mod skip;
pub mod source;
pub mod tools;
pub mod victoria;
pub mod wait;
