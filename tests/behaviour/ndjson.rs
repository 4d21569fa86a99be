//! The file of flushes is rotated by the daemon, and by others.

use greyhound_tests::daemon::Setup;
use greyhound_tests::records::Records;
use greyhound_tests::wait;

use crate::datadog_disk::{inside, on_tmpfs};
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

#[test]
fn a_full_disk_tears_no_line_and_is_taken_up_again() {
    let setup = Setup::new().live();
    let path = setup.path("tmpfs/out.ndjson");
    let setup = setup.with("greyhound.ndjson.path", path.to_string_lossy());
    let Some(setup) = on_tmpfs(setup, "size=256k") else {
        return;
    };
    let daemon = setup.start();
    let file = inside(&daemon, "tmpfs/out.ndjson");
    let filler = inside(&daemon, "tmpfs/filler");
    // As large as there is room for; that it does not fit whole is the point.
    drop(std::fs::write(&filler, vec![0; 256 * 1024]));
    for at in 0..200 {
        send::udp(daemon.udp(), format!("full.{at}:1|g"));
    }
    wait::until("a write that fails", || {
        let failures = daemon
            .telemetry()
            .sum("greyhound__ndjson__write_failures", &[]);
        (failures >= 1.0).then_some(())
    });
    let dropped = [("sink", "ndjson"), ("reason", "write")];
    wait::until("points counted as lost", || {
        let points = daemon.telemetry();
        (points.sum("greyhound__sink__points_dropped", &dropped) >= 1.0).then_some(())
    });
    std::fs::remove_file(&filler).unwrap();
    wait::until("a line after that", || {
        send::udp(daemon.udp(), "after:1|g");
        let text = std::fs::read_to_string(&file).unwrap();
        if !text.ends_with('\n') {
            return None;
        }
        // Every line is whole, or this panics.
        let records = Records::parse(&text);
        (!records.series("after").is_empty()).then_some(())
    });
    drop(daemon);
}
