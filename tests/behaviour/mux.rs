//! One port, several protocols: HTTP/1.1, HTTP/2, clients that negotiate nothing.

use greyhound_tests::control::{self, with_token};
use greyhound_tests::daemon::Setup;

#[test]
fn the_protocol_is_the_one_the_client_asks_for() {
    if !control::has_curl() {
        return;
    }
    let daemon = Setup::new().start();
    for (arguments, version) in [
        (&["--http1.1"][..], "1.1"),
        (&["--http2"], "2"),
        (&["--no-alpn"], "1.1"),
        (&["--no-alpn", "--http1.1"], "1.1"),
    ] {
        let asked = with_token(&daemon, "/agent/version", arguments).expect("an answer");
        assert_eq!(
            (asked.status, asked.version.as_str()),
            (200, version),
            "{arguments:?}"
        );
        assert!(
            asked.head.contains("content-type: application/json"),
            "{}",
            asked.head
        );
    }
    // Not gRPC, although it says so: over HTTP/1.1 it is REST.
    let grpc = ["--http1.1", "-H", "Content-Type: application/grpc"];
    let asked = with_token(&daemon, "/agent/version", &grpc).expect("an answer");
    assert_eq!(asked.status, 200);
    daemon.stop();
}
