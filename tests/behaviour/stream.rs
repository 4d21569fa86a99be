//! Unix streams: frames cut anywhere, frames no one should send, and a thousand connections.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use greyhound_tests::daemon::Setup;
use greyhound_tests::{command, wait};

use crate::send::frame;

fn connect(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    stream
}

/// Waits until the other side has closed the connection.
fn wait_closed(mut stream: UnixStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(0) => {}
        // Closed with bytes of ours unread.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        other => panic!("the connection was not closed: {other:?}"),
    }
}

#[test]
fn frames_may_be_cut_anywhere() {
    let daemon = Setup::new().stream().start();
    let mut stream = connect(daemon.stream());
    let bytes = [frame("a:1|c\n"), frame("a:2|c\nb:5|g\n"), frame("a:3|c")].concat();
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
    }
    // Length and payload as the Python client writes them: apart.
    stream.write_all(&6_u32.to_le_bytes()).unwrap();
    stream.write_all(b"a:4|c\n").unwrap();
    daemon.wait_processed(5);
    drop(stream);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 10.0);
    assert_eq!(stopped.records.last("b"), 5.0);
}

#[test]
fn many_frames_in_one_write_are_all_read() {
    let daemon = Setup::new().stream().start();
    let mut stream = connect(daemon.stream());
    stream
        .write_all(&frame("a:1|c\nb:1|d").repeat(10_000))
        .unwrap();
    daemon.wait_processed(20_000);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 10_000.0);
    assert_eq!(stopped.records.sketch("b").count, 10_000);
}

#[test]
fn a_frame_that_is_too_long_or_empty_ends_only_its_own_connection() {
    let daemon = Setup::new()
        .stream()
        .with("dogstatsd_buffer_size", 1024)
        .start();
    let mut good = connect(daemon.stream());
    good.write_all(&frame("good:1|c")).unwrap();
    for bad in [
        frame(vec![b'x'; 1025]),
        0_u32.to_le_bytes().to_vec(),
        vec![0xff; 4],
    ] {
        let mut stream = connect(daemon.stream());
        stream.write_all(&frame("before:1|c")).unwrap();
        // The rest may already meet a closed connection.
        drop(stream.write_all(&bad));
        wait_closed(stream);
    }
    let longest = format!("exact:1|c|#{}", "x".repeat(1024 - 11));
    good.write_all(&frame(longest)).unwrap();
    good.write_all(&frame("good:1|c")).unwrap();
    daemon.wait_processed(6);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("before"), 3.0);
    assert_eq!(stopped.records.total("good"), 2.0);
    assert_eq!(stopped.records.total("exact"), 1.0);
    assert_eq!(stopped.ledger.datagrams_dropped_for("frame_too_big"), 3);
}

#[test]
fn a_frame_cut_off_by_the_end_of_the_connection_is_counted() {
    let daemon = Setup::new().stream().start();
    for cut in [&frame("cut:1|c")[..2], &frame("cut:1|c")[..8]] {
        let mut stream = connect(daemon.stream());
        stream.write_all(&frame("whole:1|c")).unwrap();
        stream.write_all(cut).unwrap();
    }
    daemon.wait_processed(2);
    wait::until("both connections to be seen closed", || {
        (daemon
            .telemetry()
            .sum("dogstatsd__uds_connections", &[("transport", "unix")])
            == 0.0)
            .then_some(())
    });
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("whole"), 2.0);
    assert!(stopped.records.series("cut").is_empty());
    assert_eq!(stopped.ledger.datagrams_dropped_for("frame_partial"), 2);
}

#[test]
fn a_thousand_connections_are_heard_at_once() {
    const CONNECTIONS: usize = 1_000;
    allow_many_files();
    let daemon = Setup::new().stream().with("greyhound.lanes", 2).start();
    let mut streams: Vec<_> = (0..CONNECTIONS).map(|_| connect(daemon.stream())).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream
            .write_all(&frame(format!("crowd:1|c\nwho:{number}|s")))
            .unwrap();
    }
    daemon.wait_processed(2 * CONNECTIONS as u64);
    for stream in &mut streams {
        stream.write_all(&frame("crowd:1|c")).unwrap();
    }
    daemon.wait_processed(3 * CONNECTIONS as u64);
    drop(streams);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("crowd"), 2.0 * CONNECTIONS as f64);
    assert_eq!(stopped.records.last("who"), CONNECTIONS as f64);
}

#[test]
fn a_connection_over_the_limit_is_closed_and_the_others_go_on() {
    let daemon = Setup::new()
        .stream()
        .with("greyhound.stream.connections", 2)
        .start();
    let mut first = connect(daemon.stream());
    first.write_all(&frame("kept:1|c")).unwrap();
    let mut second = connect(daemon.stream());
    second.write_all(&frame("kept:1|c")).unwrap();
    daemon.wait_processed(2);
    wait_closed(connect(daemon.stream()));
    first.write_all(&frame("kept:1|c")).unwrap();
    daemon.wait_processed(3);
    assert_eq!(daemon.stop().records.total("kept"), 3.0);
}

/// Raises the limit of open files of this very process; its tests hold both ends of nothing else.
fn allow_many_files() {
    let pid = std::process::id().to_string();
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &pid, "--nofile=8192:"]);
    // Where the limit cannot be raised, the connections themselves tell.
    drop(command::finish(&mut prlimit, wait::PATIENCE));
}
