//! The file of flushes is rotated by the daemon, and by others.

use greyhound_tests::daemon::Setup;
use greyhound_tests::wait;

use crate::send;

#[test]
fn a_file_is_rotated_and_followed() {
    let setup = Setup::new()
        .live()
        .with("greyhound.ndjson.rotate_bytes", 300)
        .with("greyhound.ndjson.rotate_keep", 2);
    let daemon = setup.start();
    let mut sent = 0;
    wait::until("three files", || {
        send::udp(daemon.udp(), "hits:1|c");
        sent += 1;
        daemon.path("out.ndjson.2").exists().then_some(())
    });
    daemon.wait_processed(sent);
    assert!(daemon.telemetry().sum("greyhound__ndjson__rotations", &[]) >= 2.0);
    // As logrotate does it.
    std::fs::rename(daemon.path("out.ndjson"), daemon.path("moved")).expect("renamed");
    wait::until("a new file", || {
        daemon.path("out.ndjson").exists().then_some(())
    });
    assert!(!daemon.path("out.ndjson.3").exists());
    daemon.stop();
}
