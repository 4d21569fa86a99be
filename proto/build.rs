//! Compiles the messages; nothing generated stands in the tree.
fn main() {}
