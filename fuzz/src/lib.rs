//! What each fuzz target checks, and the slow obvious models it checks against.
//!
//! ```text
//!  bytes ─▶ fuzz_targets/x.rs ─▶ x::check ─▶ the crate under test ─┐
//!                                        └─▶ the model ────────────┴─▶ equal, or a panic
//! ```
//!
//! The models are written from the protocol's description, not from the code they judge: no shared
//! helpers, no cleverness, memory as needed. What fuzzing finds becomes a row in the unit tests of
//! the crate at fault.
#![forbid(unsafe_code)]

pub mod config_events;
pub mod conntrack_message;
pub mod grpc_messages;
pub mod mapper;
pub mod packet;
pub mod request_bodies;
pub mod scrub;
pub mod secrets_answer;
pub mod settings;
pub mod sketch;
mod slow_number;
mod slow_parser;
pub mod stream_frames;
