//! What no well-meaning client does: nothing in a datagram, everything in one, noise, connections by the
//! thousand, clients that die. Nothing of it stops the daemon, grows it, or costs another client a message.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::time::Duration;

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::{command, http, wait};

use crate::send::{self, frame};

/// The longest payload UDP over IPv4 has.
const UDP_MAX: usize = 65_507;

fn open_files(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.pid());
    fs::read_dir(folder).unwrap().count()
}

fn kernel_drops(daemon: &Daemon) -> f64 {
    daemon
        .telemetry()
        .sum("greyhound__listener__kernel_drops", &[])
}

/// Stops it in its tracks; it does not know.
fn freeze(daemon: &Daemon) {
    daemon.signal("STOP");
    let stat = format!("/proc/{}/stat", daemon.pid());
    wait::until("the daemon to stand still", || {
        let text = fs::read_to_string(&stat).unwrap();
        // The state follows the name, which stands in parentheses.
        let (_, rest) = text.rsplit_once(") ")?;
        rest.starts_with('T').then_some(())
    });
}

/// Bytes without a plan, the same in each run.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    // Letters the parser acts on come often enough to get past its first checks.
    const ALPHABET: &[u8] = b":|#@cgmshdT,.0123456789ae\n\r\\_{}\0\xff";
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ALPHABET[(state >> 33) as usize % ALPHABET.len()]
    };
    (0..len).map(|_| next()).collect()
}

#[test]
fn nothing_in_a_datagram_is_nothing() {
    let daemon = Setup::new().uds().stream().start();
    let mut stream = UnixStream::connect(daemon.stream()).unwrap();
    let newlines = "\n".repeat(8192);
    for nothing in ["", "\n", "\r\n", "\n\n\r\n\n", &newlines] {
        send::udp(daemon.udp(), nothing);
        send::uds(daemon.uds(), nothing);
        if !nothing.is_empty() {
            stream.write_all(&frame(nothing)).unwrap();
        }
    }
    send::udp(daemon.udp(), "\n\na:1|c\n\n");
    send::uds(daemon.uds(), "\na:1|c");
    stream.write_all(&frame("a:1|c\n\n\n")).unwrap();
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("a"), 3.0);
    assert_eq!(stopped.ledger.received, 3);
    assert_eq!(stopped.ledger.datagrams_dropped, 0);
}

#[test]
fn the_longest_datagram_is_whole_or_dropped_whole() {
    let message = "long:1|c|#pad:x\n";
    let count = UDP_MAX / message.len();
    let mut longest = message.repeat(count);
    longest.push_str(&"\n".repeat(UDP_MAX - longest.len()));

    let daemon = Setup::new().uds().start();
    send::udp(daemon.udp(), &longest);
    send::uds(daemon.uds(), &longest);
    send::udp(daemon.udp(), "after:1|c");
    daemon.wait_processed(1);
    wait::until("both to be counted", || {
        let page = daemon.telemetry();
        let truncated = page.sum("greyhound__ledger__datagrams", &[("reason", "truncated")]);
        (truncated == 2.0).then_some(())
    });
    let stopped = daemon.stop();
    assert!(stopped.records.series("long").is_empty());
    assert_eq!(stopped.ledger.datagrams_dropped_for("truncated"), 2);

    let daemon = Setup::new()
        .uds()
        .with("dogstatsd_buffer_size", UDP_MAX)
        .start();
    send::udp(daemon.udp(), &longest);
    send::uds(daemon.uds(), &longest);
    daemon.wait_processed(2 * count as u64);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("long"), 2.0 * count as f64);
    assert_eq!(stopped.ledger.datagrams_dropped, 0);
}

#[test]
fn one_message_may_fill_its_datagram() {
    let daemon = Setup::new().start();
    // 4,000 values, and 1,000 tags.
    let values = ":1".repeat(4000);
    send::udp(daemon.udp(), format!("values{values}|d"));
    let tags: Vec<String> = (0..1000).map(|number| format!("t:{number}")).collect();
    send::udp(daemon.udp(), format!("tags:1|c|#{}", tags.join(",")));
    let name = "n".repeat(8000);
    send::udp(daemon.udp(), format!("{name}:1|c"));
    daemon.wait_processed(4002);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.sketch("values").count, 4000);
    assert_eq!(stopped.records.tags("tags").len(), 1000);
    assert_eq!(stopped.records.total(&name), 1.0);
}

#[test]
fn noise_is_refused_and_accounted_for() {
    const DATAGRAMS: u64 = 5_000;
    let daemon = Setup::new().uds().stream().start();
    let udp = send::udp_socket(daemon.udp());
    let uds = send::uds_socket(daemon.uds());
    let mut stream = UnixStream::connect(daemon.stream()).unwrap();
    for seed in 0..DATAGRAMS {
        let bytes = noise(seed, 1 + seed as usize % 700);
        udp.send(&bytes).unwrap();
        uds.send(&bytes).unwrap();
        stream.write_all(&frame(&bytes)).unwrap();
        // Without a length that holds, a stream is lost; only this connection is.
        let mut broken = UnixStream::connect(daemon.stream()).unwrap();
        drop(broken.write_all(&bytes));
    }
    uds.send(b"after:1|c").unwrap();
    stream.write_all(&frame("after:1|c")).unwrap();
    wait::until("the messages behind the noise", || {
        let page = daemon.telemetry();
        let ok = page.sum("dogstatsd__uds_packets", &[("state", "ok")]);
        (ok >= 2.0 * (DATAGRAMS + 1) as f64).then_some(())
    });
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("after"), 2.0);
    assert!(stopped.ledger.rejected > DATAGRAMS, "{:?}", stopped.ledger);
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    const CONNECTIONS: u64 = 10_000;
    let daemon = Setup::new().stream().start();
    let files = open_files(&daemon);
    for _ in 0..CONNECTIONS {
        let mut stream = UnixStream::connect(daemon.stream()).unwrap();
        stream.write_all(&frame("brief:1|c")).unwrap();
    }
    daemon.wait_processed(CONNECTIONS);
    wait::until("all connections to be closed", || {
        let page = daemon.telemetry();
        (page.sum("dogstatsd__uds_connections", &[("transport", "unix")]) == 0.0).then_some(())
    });
    // The connections of the scrapes themselves may still be closing.
    wait::until("their files to be closed", || {
        (open_files(&daemon) <= files + 4).then_some(())
    });
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("brief"), CONNECTIONS as f64);
    assert_eq!(stopped.ledger.datagrams_dropped, 0);
}

#[test]
fn connections_without_end_are_bounded() {
    const OPEN: usize = 50;
    const MORE: usize = 500;
    let daemon = Setup::new()
        .stream()
        .with("greyhound.stream.connections", OPEN)
        .start();
    let mut held: Vec<UnixStream> = (0..OPEN)
        .map(|_| UnixStream::connect(daemon.stream()).unwrap())
        .collect();
    for stream in &mut held {
        stream.write_all(&frame("held:1|c")).unwrap();
    }
    daemon.wait_processed(OPEN as u64);
    let files = open_files(&daemon);
    let more: Vec<UnixStream> = (0..MORE)
        .map(|_| UnixStream::connect(daemon.stream()).unwrap())
        .collect();
    wait::until("the others to be refused", || {
        let page = daemon.telemetry();
        let refused = page.sum("greyhound__receive__peers_refused", &[]);
        (refused == MORE as f64).then_some(())
    });
    assert!(open_files(&daemon) <= files + 4, "{}", open_files(&daemon));
    for stream in &mut held {
        stream.write_all(&frame("held:1|c")).unwrap();
    }
    daemon.wait_processed(2 * OPEN as u64);
    drop((held, more));
    assert_eq!(daemon.stop().records.total("held"), 2.0 * OPEN as f64);
}

#[test]
fn without_files_for_connections_the_other_sockets_are_heard() {
    let daemon = Setup::new().stream().start();
    let limit = open_files(&daemon) + 3;
    let mut prlimit = Command::new("prlimit");
    prlimit.args(["--pid", &daemon.pid().to_string()]);
    prlimit.arg(format!("--nofile={limit}:"));
    command::succeed(&mut prlimit, wait::PATIENCE).unwrap();
    let mut streams: Vec<UnixStream> = (0..20)
        .map(|_| UnixStream::connect(daemon.stream()).unwrap())
        .collect();
    for stream in &mut streams {
        stream.write_all(&frame("waiting:1|c")).unwrap();
    }
    for _ in 0..100 {
        send::udp(daemon.udp(), "heard:1|c");
    }
    // No file is left for a scrape either. Those who are heard leave, and the next get their place.
    for stream in streams {
        drop(stream);
    }
    daemon.wait_processed(120);
    let backoffs = daemon
        .telemetry()
        .sum("greyhound__receive__accept_backoffs", &[]);
    assert!(backoffs > 0.0);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("waiting"), 20.0);
    assert_eq!(stopped.records.total("heard"), 100.0);
}

#[test]
fn half_a_frame_and_then_silence_ends_at_the_idle_limit() {
    let daemon = Setup::new()
        .stream()
        .with("greyhound.stream.idle_seconds", 1)
        .start();
    let mut stream = UnixStream::connect(daemon.stream()).unwrap();
    stream.write_all(&frame("whole:1|c")).unwrap();
    stream.write_all(&frame("cut:1|c")[..2]).unwrap();
    // Silent between two frames: may stay.
    let mut patient = UnixStream::connect(daemon.stream()).unwrap();
    patient.write_all(&frame("whole:1|c")).unwrap();
    stream.set_read_timeout(Some(wait::PATIENCE)).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
    patient.write_all(&frame("whole:1|c")).unwrap();
    daemon.wait_processed(3);
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("whole"), 3.0);
    assert_eq!(stopped.ledger.datagrams_dropped_for("frame_partial"), 1);
}

#[test]
fn a_client_killed_in_the_middle_costs_at_most_its_last_frame() {
    const CLIENT: &str = "\
import socket, struct, sys
stream = socket.socket(socket.AF_UNIX)
stream.connect(sys.argv[1])
text = b'doomed:1|c'
frames = (struct.pack('<I', len(text)) + text) * 1000
while True:
    stream.sendall(frames)
";
    let daemon = Setup::new().stream().start();
    let mut client = Command::new("python3")
        .args(["-c", CLIENT])
        .arg(daemon.stream())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    wait::until("the client to be heard", || {
        (daemon.processed() > 10_000.0).then_some(())
    });
    client.kill().unwrap();
    client.wait().unwrap();
    let mut stream = UnixStream::connect(daemon.stream()).unwrap();
    stream.write_all(&frame("survivor:1|c")).unwrap();
    wait::until("its connection to be closed", || {
        let page = daemon.telemetry();
        (page.sum("dogstatsd__uds_connections", &[("transport", "unix")]) == 1.0).then_some(())
    });
    drop(stream);
    let stopped = daemon.stop();
    let ledger = &stopped.ledger;
    assert_eq!(stopped.records.total("survivor"), 1.0);
    assert_eq!(
        stopped.records.total("doomed"),
        (ledger.received - 1) as f64
    );
    assert_eq!(ledger.aggregated, ledger.received);
    assert!(ledger.datagrams_dropped_for("frame_partial") <= 1);
}

#[test]
fn what_the_kernel_drops_while_the_daemon_stands_still_is_counted_exactly() {
    const SENT: u64 = 5_000;
    let daemon = Setup::new()
        .with("dogstatsd_so_rcvbuf", 8192)
        .with("greyhound.lanes", 2)
        .start();
    let sockets = [daemon.udp(), daemon.udp()].map(send::udp_socket);
    freeze(&daemon);
    for number in 0..SENT {
        let socket = &sockets[number as usize % sockets.len()];
        socket.send(b"frozen:1|c").unwrap();
    }
    daemon.signal("CONT");
    let mut seen = (0.0, 0.0);
    let balanced = wait::try_within(wait::PATIENCE, || {
        seen = (daemon.processed(), kernel_drops(&daemon));
        (seen.0 + seen.1 == SENT as f64).then_some(())
    });
    let (processed, dropped) = seen;
    assert!(balanced.is_some(), "{processed} + {dropped} of {SENT}");
    assert!(dropped > 0.0, "the receive buffer held everything");
    let stopped = daemon.stop();
    assert_eq!(stopped.records.total("frozen"), processed);
}

#[test]
fn a_unix_client_is_refused_by_the_kernel_while_the_daemon_stands_still() {
    let daemon = Setup::new().uds().start();
    let socket = UnixDatagram::unbound().unwrap();
    socket.connect(daemon.uds()).unwrap();
    socket.set_nonblocking(true).unwrap();
    freeze(&daemon);
    let taken = (0..100_000)
        .take_while(|_| socket.send(b"frozen:1|c").is_ok())
        .count();
    assert!(taken < 100_000, "the kernel's queue has no end");
    daemon.signal("CONT");
    daemon.wait_processed(taken as u64);
    assert_eq!(daemon.stop().records.total("frozen"), taken as f64);
}

#[test]
fn two_daemons_do_not_share_a_socket() {
    let first = Setup::new().uds().stream().start();
    for (key, path) in [
        ("dogstatsd_socket", first.uds()),
        ("dogstatsd_stream_socket", first.stream()),
        // A stream where a datagram socket is, and the other way round.
        ("dogstatsd_socket", first.stream()),
        ("dogstatsd_stream_socket", first.uds()),
    ] {
        let ended = Setup::new().with(key, path.to_string_lossy()).run_to_end();
        assert_eq!(ended.code(), 1, "{}", ended.stderr);
        let path = path.to_string_lossy();
        for words in [key, &path] {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
    }
    send::uds(first.uds(), "first:1|c");
    let mut stream = UnixStream::connect(first.stream()).unwrap();
    stream.write_all(&frame("first:1|c")).unwrap();
    first.wait_processed(2);
    drop(stream);
    assert_eq!(first.stop().records.total("first"), 2.0);
}

#[test]
fn what_is_no_socket_stays_where_it_is() {
    for key in ["dogstatsd_socket", "dogstatsd_stream_socket"] {
        let setup = Setup::new();
        let (file, pipe) = (setup.path("file"), setup.path("pipe"));
        fs::write(&file, "precious").unwrap();
        command::succeed(Command::new("mkfifo").arg(&pipe), wait::PATIENCE).unwrap();
        for path in [&file, &pipe] {
            let before = fs::symlink_metadata(path).unwrap();
            let ended = Setup::new().with(key, path.to_string_lossy()).run_to_end();
            assert_eq!(ended.code(), 1, "{}", ended.stderr);
            let path_text = path.to_string_lossy();
            assert!(ended.stderr.contains(&*path_text), "{}", ended.stderr);
            let after = fs::symlink_metadata(path).unwrap();
            assert_eq!(before.file_type(), after.file_type());
        }
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}

#[test]
fn a_stale_stream_socket_is_replaced() {
    let setup = Setup::new().stream();
    let path = setup.path("dsd.stream");
    drop(UnixListener::bind(&path).unwrap());
    let daemon = setup.start();
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(&frame("fresh:1|c")).unwrap();
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("fresh"), 1.0);
}

#[test]
fn a_daemon_killed_is_followed_by_one_on_the_same_sockets() {
    let setup = Setup::new();
    let paths = [setup.path("d"), setup.path("s")].map(|path| path.to_string_lossy().into_owned());
    let start = || {
        Setup::new()
            .with("dogstatsd_socket", paths[0].as_str())
            .with("dogstatsd_stream_socket", paths[1].as_str())
            .start()
    };
    let killed = start();
    // Dropped, it is killed: its sockets stay in the file system.
    drop(killed);
    assert!(setup.path("d").exists());
    let daemon = start();
    send::uds(daemon.uds(), "second:1|c");
    daemon.wait_processed(1);
    assert_eq!(daemon.stop().records.total("second"), 1.0);
}

#[test]
fn the_metrics_port_survives_bad_manners() {
    let daemon = Setup::new().start();
    let address = daemon.ready().http.clone();
    let mut idle = Vec::new();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    for bytes in [
        b"\0\0\0\0".as_slice(),
        b"GET",
        b"GET /metrics HTTP/1.1\r\n",
        b"POST /metrics HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        long.as_bytes(),
    ] {
        let mut stream = TcpStream::connect(&address).unwrap();
        stream
            .set_write_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        // It may close before it has read all of it.
        drop(stream.write_all(bytes));
        idle.push(stream);
    }
    for _ in 0..50 {
        idle.push(TcpStream::connect(&address).unwrap());
    }
    assert_eq!(http::get(&address, "/metrics").unwrap().status, 200);
    let post = "POST /telemetry HTTP/1.1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.write_all(post.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    drop(idle);
    daemon.stop();
}

#[test]
fn a_full_disk_does_not_stop_the_rest() {
    let daemon = Setup::new()
        .live()
        .with("greyhound.ndjson.path", "/dev/full")
        .start();
    send::udp(daemon.udp(), "a:1|c");
    daemon.wait_metric("a_total", &[], 1.0);
    wait::until("the loss to be counted", || {
        let page = daemon.telemetry();
        let lost = page.sum("greyhound__sink__points_dropped", &[("sink", "ndjson")]);
        (lost > 0.0).then_some(())
    });
    send::udp(daemon.udp(), "a:1|c");
    daemon.wait_metric("a_total", &[], 2.0);
    drop(daemon);
}
