//! Unix streams: accept, read 64 KiB at a time, cut into frames, close those that misbehave.
//!
//! Pressure here goes back to the client: a connection that is not read stops its writer. Lost, each
//! with its counter: a frame cut off by the end of its connection or by the idle limit, and all that
//! follows a length that cannot be.

pub mod accept;
pub mod connection;
