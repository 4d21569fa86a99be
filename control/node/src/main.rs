//! The `greyhound` binary.
fn main() {}
