//! The official Python client over each transport, with and without its own aggregation.

use greyhound_tests::daemon::Setup;
use greyhound_tests::python;

use crate::tour::{self, Tour};

/// Origin fields of every message: who the client says it is.
pub(crate) const ORIGIN: &[(&str, &str)] = &[
    ("DD_EXTERNAL_ENV", "it-false,cn-web,pu-1234"),
    ("DD_ENTITY_ID", "pod-1"),
];

const PLAIN: Tour = Tour {
    items: 31,
    sampled: 10.0,
    check_message: "",
};

/// The client adds up before it sends: three counts, two gauges and a set member fewer.
const AGGREGATED: Tour = Tour { items: 26, ..PLAIN };

fn run(setup: Setup, scheme: &str, aggregate: bool) {
    let Some(python) = python::datadog() else {
        return;
    };
    let daemon = setup.start();
    let target = match scheme {
        "" => daemon.udp().to_string(),
        "unixstream://" => format!("{scheme}{}", daemon.stream().display()),
        scheme => format!("{scheme}{}", daemon.uds().display()),
    };
    let mut arguments = vec!["tour", target.as_str()];
    arguments.extend(aggregate.then_some("--aggregate"));
    let said = python::run(&python, &arguments, ORIGIN);
    assert_eq!(said.stdout.trim(), "dropped 0");
    let expected = if aggregate { AGGREGATED } else { PLAIN };
    daemon.wait_processed(expected.items);
    let stopped = daemon.stop();
    tour::check(&stopped.records, expected);
    assert_eq!(stopped.ledger.received, expected.items);
    assert_eq!(stopped.ledger.aggregated, expected.items);
}

#[test]
fn python_over_udp() {
    run(Setup::new(), "", false);
}

#[test]
fn python_over_udp_aggregating() {
    run(Setup::new(), "", true);
}

#[test]
fn python_over_a_datagram_socket() {
    run(Setup::new().uds(), "unixgram://", false);
}

#[test]
fn python_over_a_datagram_socket_aggregating() {
    run(Setup::new().uds(), "unixgram://", true);
}

#[test]
fn python_finds_the_kind_of_socket_by_itself() {
    run(Setup::new().uds(), "unix://", false);
}

#[test]
fn python_over_a_stream() {
    run(Setup::new().stream(), "unixstream://", false);
}

#[test]
fn python_over_a_stream_aggregating() {
    run(Setup::new().stream(), "unixstream://", true);
}

#[test]
fn python_with_origin_detection_on() {
    // Nobody is known, so origin fields are read and add nothing.
    let setup = Setup::new()
        .uds()
        .with("dogstatsd_origin_detection", true)
        .with("dogstatsd_origin_detection_client", true);
    run(setup, "unixgram://", false);
}
