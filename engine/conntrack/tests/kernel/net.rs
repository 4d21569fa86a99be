//! What the tests share: a namespace of their own, rules and addresses in it, entries by hand, readings.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use greyhound_conntrack::error::QueryError;
use greyhound_conntrack::events::EventSocket;
use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::flow::{Flow, Protocol, Tuple};
use greyhound_conntrack::request::{DumpFilter, Injected};
use greyhound_conntrack::walk::Kind;
use greyhound_sys::netns;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr as KernelAddr};

const PATIENCE: Duration = Duration::from_secs(30);

/// Runs `work` in an empty namespace, or says why not.
pub(super) fn in_namespace(work: impl FnOnce() + Send) {
    let outcome = netns::in_new(|| {
        // A namespace in which we may ask nothing is of no use.
        Exchange::open()
            .map_err(QueryError::from_io)
            .and_then(|mut exchange| exchange.totals())
            .map_err(|error| error.to_string())?;
        work();
        Ok(())
    });
    let reason = match outcome {
        Ok(Ok(())) => return,
        Ok(Err(reason)) => reason,
        Err(error) => format!("no network namespace: {error}"),
    };
    let must = std::env::var_os("GREYHOUND_NO_SKIP").is_some_and(|value| value == "1");
    assert!(
        !must,
        "GREYHOUND_NO_SKIP=1 and this machine cannot run the test: {reason}"
    );
    let test = std::thread::current();
    let line = format!("\nSKIPPED: {}: {reason}\n", test.name().unwrap_or("a test"));
    // Written past the capture; if even that fails there is nobody to tell.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

pub(super) fn tuple(protocol: Protocol, source: &str, destination: &str) -> Tuple {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("an address");
    Tuple::new(protocol, parse(source), parse(destination)).expect("one family")
}

pub(super) fn udp(source: &str, destination: &str) -> Tuple {
    tuple(Protocol::Udp, source, destination)
}

pub(super) fn inject(exchange: &mut Exchange, original: Tuple, reply: Tuple, translate: bool) {
    let entry = Injected {
        original,
        reply,
        timeout_seconds: 300,
        translate,
    };
    exchange.inject(&entry).expect("an entry");
}

/// A translated flow for each number, to `10.9.0.1:8125` and on to `10.0.0.2:18125`.
pub(super) fn numbered(n: u32) -> (Tuple, Tuple) {
    let client = format!(
        "10.{}.{}.{}:{}",
        100 + (n >> 16),
        (n >> 8) & 255,
        n & 255,
        1024 + n % 60_000
    );
    (
        udp(&client, "10.9.0.1:8125"),
        udp("10.0.0.2:18125", &client),
    )
}

pub(super) fn drain(socket: &mut EventSocket, mut each: impl FnMut(Kind, &Flow)) {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let round = socket
            .read(100_000, |message| {
                each(message.kind, &message.flow().expect("both tuples"));
            })
            .expect("a socket that works");
        if round.is_drained {
            return;
        }
        assert!(Instant::now() < deadline, "the socket is never empty");
    }
}

pub(super) fn dump(exchange: &mut Exchange, status: u32) -> (Vec<Flow>, bool) {
    let mut rows = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    let end = exchange
        .dump(
            DumpFilter { status },
            deadline,
            |flow| rows.push(*flow),
            || {},
        )
        .expect("a dump");
    assert_eq!((end.rows as usize, end.unreadable), (rows.len(), 0));
    (rows, end.is_filtered)
}

/// Asks until there is something; says what never came.
pub(super) fn until<T>(awaited: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {awaited}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Runs a program of the machine in the namespace of this thread.
///
/// # Panics
/// When it is not installed or fails.
pub(super) fn run(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error} (packages iproute2, nftables)"));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    let status = child.wait().expect("it ends");
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

/// Loopback with these addresses, and these rules; both into the namespace of this thread.
pub(super) fn set_up(addresses: &[&str], rules: &str) {
    run("ip", &["link", "set", "lo", "up"], "");
    for address in addresses {
        run("ip", &["addr", "add", address, "dev", "lo"], "");
    }
    run("nft", &["-f", "-"], rules);
}

/// `net.netfilter.nf_conntrack_…` of the namespace of this thread.
pub(super) fn sysctl(name: &str, value: u32) {
    let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
    std::fs::write(path, value.to_string()).expect("a setting of the namespace");
}

/// Empties the table of this thread's namespace: a delete without a tuple, which the crate cannot send.
pub(super) fn flush() {
    const FLUSH: [u8; 20] = {
        let mut bytes = [0; 20];
        bytes[0] = 20;
        // Little endian on every machine the tests run on: type 0x102, flags REQUEST and ACK.
        (bytes[4], bytes[5], bytes[6]) = (0x02, 0x01, 0x05);
        bytes
    };
    let mut socket = Socket::new(NETLINK_NETFILTER).expect("a socket");
    socket.bind_auto().expect("an address");
    socket
        .send_to(&FLUSH, &KernelAddr::new(0, 0), 0)
        .expect("sent");
    let mut answer = vec![0; 4096];
    let len = socket.recv(&mut &mut answer[..], 0).expect("an answer");
    // The errno of the acknowledgement.
    assert!(len >= 20 && answer[16..20] == [0; 4], "not flushed");
}
