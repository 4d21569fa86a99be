//! The kernel's connection table, read over netlink: who really sent a datagram, and which entries
//! swallow metrics.
//!
//! ```text
//!                 ┌────────────── thread `conntrack` ───────────────┐
//!  lanes ──ask──▶ │ attribution ─▶ exchange: GET ──▶ kernel          │
//!        ◀─answer─│                                                 │
//!                 │ events ─▶ walk ─▶ sync ─▶ table (mode `events`)  │──▶ counts, view
//!                 │ timer ─▶ stats, stale flows, verification        │
//!                 └─────────────────────────────────────────────────┘
//! ```
//!
//! Attribution asks the kernel, never the table: a third of first datagrams are read before the event
//! that announces their flow. The table is for looking, lists and flow counts.
//!
//! Lost here, each with its count: events the kernel could not queue (exact, from the socket), messages
//! without tuples, rows beyond the bound, questions beyond the budget. None of it can stop a datagram.
#![forbid(unsafe_code)]

pub mod attribution;
pub mod error;
pub mod events;
pub mod exchange;
pub mod filter;
pub mod flow;
pub mod mirror;
pub mod namespace;
pub mod oracle;
pub mod reader;
pub mod request;
pub mod sampling;
pub mod stale;
pub mod stats;
pub mod table;
pub mod telemetry;
pub mod walk;
