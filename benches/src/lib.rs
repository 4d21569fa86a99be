//! What the benches share: corpora of real shapes, and a lane without sockets.
#![forbid(unsafe_code)]

pub mod corpus;
pub mod lane;
