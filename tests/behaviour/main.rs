//! (empty until its crate exists)
