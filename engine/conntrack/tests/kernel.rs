//! The kernel itself, in network namespaces of our own: what it answers, what it tells, what it loses, and what the
//! reader makes of it.
//!
//! Needs the right to make a namespace, iproute2 and nftables. Without the right a test says so and is skipped;
//! with `GREYHOUND_NO_SKIP=1` it fails.

mod kernel {
    mod answers;
    mod attribution;
    mod events;
    mod net;
    mod reader;
    mod refusals;
    mod traffic;
}
