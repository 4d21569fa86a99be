//! A hundred thousand metrics from each client over Unix sockets, and not one lost: a Unix socket makes the
//! sender wait, so nothing may be missing.

use std::os::unix::net::UnixDatagram;

use cadence::prelude::*;
use cadence::{BufferedUnixMetricSink, StatsdClient};
use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::node::HotShots;
use greyhound_tests::python;

const COUNT: u64 = 100_000;

/// Metric names each client spreads them over.
const NAMES: u64 = 100;

fn check(daemon: Daemon, client: &str) {
    daemon.wait_processed(COUNT);
    let stopped = daemon.stop();
    assert_eq!(stopped.ledger.received, COUNT);
    assert_eq!(stopped.ledger.aggregated, COUNT);
    for name in 0..NAMES {
        let name = format!("volume.{client}.{name}");
        assert_eq!(
            stopped.records.total(&name),
            (COUNT / NAMES) as f64,
            "{name}"
        );
    }
}

fn python_over(setup: Setup, scheme: &str) {
    let Some(python) = python::datadog() else {
        return;
    };
    let daemon = setup.start();
    let path = if scheme == "unixstream" {
        daemon.stream()
    } else {
        daemon.uds()
    };
    let target = format!("{scheme}://{}", path.display());
    let said = python::run(
        &python,
        &["volume", &target, "--count", &COUNT.to_string()],
        &[],
    );
    assert_eq!(said.stdout.trim(), "dropped 0");
    check(daemon, "python");
}

#[test]
fn nothing_of_python_is_lost_over_a_datagram_socket() {
    python_over(Setup::new().uds(), "unixgram");
}

#[test]
fn nothing_of_python_is_lost_over_a_stream() {
    python_over(Setup::new().stream(), "unixstream");
}

#[test]
fn nothing_of_node_is_lost_over_a_datagram_socket() {
    let Some(client) = HotShots::installed() else {
        return;
    };
    if client.speaks_uds().is_none() {
        return;
    }
    let daemon = Setup::new().uds().start();
    let target = format!("unix://{}", daemon.uds().display());
    client.run(&["volume", &target, &COUNT.to_string()], &[]);
    check(daemon, "node");
}

#[test]
fn nothing_of_rust_is_lost_over_a_datagram_socket() {
    let daemon = Setup::new().uds().with("greyhound.lanes", 2).start();
    let socket = UnixDatagram::unbound().unwrap();
    let sink = BufferedUnixMetricSink::with_capacity(daemon.uds(), socket, 1432);
    let client = StatsdClient::builder("volume.rust", sink)
        .with_error_handler(|error| panic!("the client failed: {error}"))
        .build();
    for number in 0..COUNT {
        let name = (number % NAMES).to_string();
        client
            .count_with_tags(&name, 1)
            .with_tag("shard", if number % 2 == 0 { "even" } else { "odd" })
            .send();
    }
    client.flush().unwrap();
    check(daemon, "rust");
}
