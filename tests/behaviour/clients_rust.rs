//! The Rust client `cadence`: packed values, container ids, times, over UDP and Unix datagrams.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use cadence::prelude::*;
use cadence::{
    BufferedUdpMetricSink, BufferedUnixMetricSink, MetricSink, StatsdClient, UdpMetricSink,
    UnixMetricSink,
};
use greyhound_tests::daemon::{Daemon, Setup};

use crate::tour::PAST;

/// Samples of [`tour`].
const ITEMS: u64 = 22;

fn client<S>(sink: S) -> StatsdClient
where
    S: MetricSink + Sync + Send + std::panic::RefUnwindSafe + std::panic::UnwindSafe + 'static,
{
    StatsdClient::builder("tour", sink)
        .with_tag("env", "dev")
        .with_container_id("ci-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
        .with_error_handler(|error| panic!("the client failed: {error}"))
        .build()
}

fn tour(client: &StatsdClient) {
    client.count("count", 3).unwrap();
    client.count("count", -1).unwrap();
    client
        .count_with_tags("sampled", 2)
        .with_sampling_rate(0.25)
        .send();
    client.gauge("gauge", 1.5).unwrap();
    client.gauge("gauge", 2.5).unwrap();
    client
        .histogram("histogram", vec![1.0, 2.0, 3.0, 4.0, 10.0])
        .unwrap();
    client
        .time("timing", vec![10_u64, 20, 30, 40, 100])
        .unwrap();
    client
        .distribution("distribution", vec![1.0, 2.0, 3.0, 4.0])
        .unwrap();
    client.set("set", 7).unwrap();
    client.set("set", 8).unwrap();
    client
        .gauge_with_tags("past", 7.0)
        .with_timestamp(PAST.unsigned_abs())
        .send();
    client.flush().unwrap();
}

fn check(daemon: Daemon) {
    daemon.wait_processed(ITEMS);
    let stopped = daemon.stop();
    let records = &stopped.records;
    assert_eq!(records.total("tour.count"), 2.0);
    assert_eq!(records.total("tour.sampled"), 8.0);
    assert_eq!(records.last("tour.gauge"), 2.5);
    assert_eq!(records.last("tour.set"), 2.0);
    assert_eq!(records.last("tour.histogram.avg"), 4.0);
    assert_eq!(records.total("tour.histogram.count"), 5.0);
    assert_eq!(records.last("tour.timing.max"), 100.0);
    let sketch = records.sketch("tour.distribution");
    assert_eq!((sketch.count, sketch.sum), (4, 10.0));
    assert_eq!(records.points("tour.past"), [(PAST, 7.0)]);
    for name in ["tour.count", "tour.gauge", "tour.past", "tour.set"] {
        assert_eq!(records.tags(name), ["env:dev"], "{name}");
    }
    assert_eq!(stopped.ledger.aggregated, ITEMS);
    assert_eq!(stopped.ledger.received, ITEMS);
}

fn unix_socket() -> UnixDatagram {
    UnixDatagram::unbound().unwrap()
}

#[test]
fn rust_over_udp_message_by_message() {
    let daemon = Setup::new().start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    tour(&client(UdpMetricSink::from(daemon.udp(), socket).unwrap()));
    check(daemon);
}

#[test]
fn rust_over_udp_packed() {
    let daemon = Setup::new().start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    tour(&client(
        BufferedUdpMetricSink::from(daemon.udp(), socket).unwrap(),
    ));
    check(daemon);
}

#[test]
fn rust_over_a_datagram_socket_message_by_message() {
    let daemon = Setup::new().uds().start();
    tour(&client(UnixMetricSink::from(daemon.uds(), unix_socket())));
    check(daemon);
}

#[test]
fn rust_over_a_datagram_socket_packed() {
    let daemon = Setup::new().uds().start();
    tour(&client(BufferedUnixMetricSink::from(
        daemon.uds(),
        unix_socket(),
    )));
    check(daemon);
}
