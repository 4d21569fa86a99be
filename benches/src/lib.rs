//! What the benches share: corpora of real shapes, a lane without sockets, and the harness that
//! measures whole servers.
#![forbid(unsafe_code)]

pub use greyhound_wire::corpus;

pub mod harness;
pub mod lane;
