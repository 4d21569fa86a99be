//! One TLS port for operators and other agents.
//!
//! ```text
//!  listen ▸ TLS ▸ authentication ▸ mux ─┬─▶ REST: route table ──▶ handler ──▶ register's traits
//!                                       └─▶ gRPC services
//! ```
//!
//! The server sees the rest of the program through the traits of [`register`]; it can be read alone.
#![forbid(unsafe_code)]

pub mod register;
pub mod rest;
