//! A datagram longer than the buffer is recognised, counted, and never parsed as if it were whole.

use greyhound_tests::daemon::Setup;

use crate::send;

/// `dogstatsd_buffer_size` of these tests.
const BUFFER: usize = 256;

fn padded(name: &str, len: usize) -> String {
    let start = format!("{name}:1|c|#pad:");
    format!("{start}{}", "x".repeat(len - start.len()))
}

#[test]
fn a_datagram_that_does_not_fit_is_dropped_whole_on_both_transports() {
    let daemon = Setup::new()
        .uds()
        .with("dogstatsd_buffer_size", BUFFER)
        .start();
    // The first message would fit; its datagram does not.
    let long = format!("{}\n{}", padded("cut", 100), padded("cut", 200));
    send::udp(daemon.udp(), &long);
    send::uds(daemon.uds(), &long);
    send::udp(daemon.udp(), padded("exact", BUFFER));
    send::uds(daemon.uds(), padded("exact", BUFFER));
    daemon.wait_processed(2);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("exact"), 2.0);
    assert!(stopped.records.series("cut").is_empty());
    assert_eq!(stopped.ledger.datagrams_dropped_for("truncated"), 2);
    assert_eq!(stopped.ledger.received, 2);
}
