//! One TLS port for operators and other agents.
//!
//! ```text
//!  listen ▸ TLS ▸ mux ▸ authentication ─┬─▶ REST: route table ──▶ handler ──▶ register's traits
//!     │                                 └─▶ gRPC services
//!     └ Unix socket: the kernel names the peer
//! ```
//!
//! The server sees the rest of the program through the traits of [`register`]; it can be read alone. It has
//! threads of its own, and nothing it does makes the data plane wait. When token or certificate cannot be
//! trusted the port stays shut, and everything else runs on.
#![forbid(unsafe_code)]

mod artifact;
pub mod auth;
pub mod client;
pub mod config;
pub mod configstream;
mod credentials;
pub mod diagnose;
pub mod flare;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod grpc;
pub mod health;
pub mod listen;
mod mux;
pub mod register;
pub mod registry;
pub mod remote_agent;
pub mod rest;
pub mod server;
mod shown;
pub mod status;
pub mod telemetry;
pub mod tls;
