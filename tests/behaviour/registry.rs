//! Remote agents of the running daemon: sessions by the clock, and the words of every refusal.

use greyhound_tests::daemon::Setup;

use crate::grpc::check;

#[test]
fn sessions_open_streams_and_strangers_are_told_why_not() {
    check(Setup::new(), "sessions", &[]);
}

#[test]
fn a_silent_session_ends_with_its_stream() {
    let setup = Setup::new().with("remote_agent.registry.idle_timeout", 2);
    check(setup, "expiry", &[]);
}
