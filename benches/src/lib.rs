//! What the benches share: corpora of real shapes, and a lane without sockets.
#![forbid(unsafe_code)]

pub use greyhound_wire::corpus;

pub mod lane;
