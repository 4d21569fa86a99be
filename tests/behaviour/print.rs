//! `--print`: each flush as a table on standard output.

use greyhound_tests::daemon::Setup;
use greyhound_tests::wait;

use crate::send;

#[test]
fn a_flush_is_printed_as_a_table() {
    let daemon = Setup::new().live().argument("--print").start();
    send::udp(
        daemon.udp(),
        "page.views:3|c|#env:dev\nroom.temp:21.5|g\nspread:5:15|d\n_e{5,4}:Alarm|text",
    );
    wait::until("the table", || {
        daemon.stdout().contains("spread").then_some(())
    });
    let stopped = daemon.stop();
    for words in [
        "page.views",
        "env:dev",
        "room.temp",
        "21.5",
        "spread",
        "Alarm",
    ] {
        assert!(
            stopped.stdout.contains(words),
            "{words:?} is missing in:\n{}",
            stopped.stdout
        );
    }
    assert!(
        !stopped.stdout.contains('\u{1b}'),
        "colours without a terminal"
    );
}

#[test]
fn ndjson_goes_to_standard_output_where_asked() {
    let daemon = Setup::new().with("greyhound.ndjson.path", "-").start();
    send::udp(daemon.udp(), "page.views:3|c|#env:dev");
    daemon.wait_processed(1);
    let stopped = daemon.stop();
    let records = greyhound_tests::records::Records::parse(&stopped.stdout);
    assert_eq!(records.total("page.views"), 3.0);
}
