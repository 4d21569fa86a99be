//! Reading connection tracking: `walk/<message>`, one message as Linux 6.18 sent it; `table/<step>`, one flow among
//! 131,072; `events/loop`, walk and mirror together, as the reader's thread does it, for events per second;
//! `packet_path/<mode>`, what a datagram that begins a flow costs its sender. The last in network namespaces of
//! its own, by processor time of the sending thread: it needs root, iproute2 and nftables.

use std::hint::black_box;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use greyhound_conntrack::flow::{Flow, Protocol, Status, Tuple};
use greyhound_conntrack::mirror::{Keep, Mirror, MirrorConfig};
use greyhound_conntrack::reader::{Config, Mode, Reader};
use greyhound_conntrack::table::FlowTable;
use greyhound_conntrack::walk::{self, Kind};
use greyhound_sys::netns;

const FLOWS: u32 = 131_072;
const BYTES_PER_FLOW: usize = 150;

/// What the kernel sent; `fuzz/seeds` has more.
const NEW_UDP: &[u8] = include_bytes!("../../fuzz/seeds/conntrack_message/new_00");
const NEW_UDP6: &[u8] = include_bytes!("../../fuzz/seeds/conntrack_message/new_03");
const NEW_TCP: &[u8] = include_bytes!("../../fuzz/seeds/conntrack_message/new_04");
const DESTROY_UDP: &[u8] = include_bytes!("../../fuzz/seeds/conntrack_message/destroy_14");
const DUMP: &[u8] = include_bytes!("../../fuzz/seeds/conntrack_message/dump");

fn walking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("walk");
    for (name, bytes) in [
        ("new_udp", NEW_UDP),
        ("new_udp6", NEW_UDP6),
        ("new_tcp", NEW_TCP),
        ("destroy_udp", DESTROY_UDP),
        ("dump", DUMP),
    ] {
        let flows = walk::messages(bytes)
            .filter_map(|message| message.flow())
            .count();
        assert!(flows > 0, "{name} holds no flow");
        group.throughput(Throughput::Elements(flows as u64));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                walk::messages(black_box(bytes))
                    .filter_map(|message| message.flow())
                    .fold(0, |sum, flow| sum ^ flow.id)
            });
        });
    }
    group.finish();
}

fn socket(host: u32, port: u16) -> SocketAddr {
    SocketAddr::from((host.to_be_bytes(), port))
}

/// A client behind destination translation.
fn flow(n: u32) -> Flow {
    let tuple = |from, to| Tuple::new(Protocol::Udp, from, to).expect("one family");
    // Low halves of the number.
    let client = socket(0x0a4d_0000 + (n >> 4), 1024 + (n & 0xff) as u16);
    Flow {
        original: tuple(client, socket(0x0a4d_6401, 8125)),
        reply: tuple(socket(0x0a4d_0202, 18125 + (n & 0xf) as u16), client),
        id: n.wrapping_mul(0x9e37_79b1),
        status: Status(Status::DST_NAT),
        timeout_seconds: Some(30),
        mark: 0,
        tcp_state: None,
        counters: None,
        duration_nanos: None,
    }
}

fn filled() -> FlowTable {
    let mut table = FlowTable::new(FLOWS as usize, 42);
    for n in 0..FLOWS {
        table.put(&flow(n), 30, 1);
    }
    table
}

fn table(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("table");
    group.throughput(Throughput::Elements(1));
    let mut full = filled();
    assert!(full.bytes() / FLOWS as usize <= BYTES_PER_FLOW);
    eprintln!("table: {} bytes a flow", full.bytes() / full.len());
    let mut next = 0u32;
    let mut any = || {
        next = next.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        next >> 8
    };
    let len = full.len() as u32;
    group.bench_function("lookup", |bencher| {
        bencher.iter_batched(
            || flow(any() % len).reply,
            |reply| full.find(black_box(&reply)).map(|slot| slot.id),
            BatchSize::SmallInput,
        );
    });
    let mut beyond = FLOWS;
    group.bench_function("insert_and_evict", |bencher| {
        bencher.iter_batched(
            || {
                beyond += 1;
                flow(beyond)
            },
            |flow| full.put(black_box(&flow), 30, 1),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

/// Beginnings and ends of so many flows, as datagrams, the ends some thousand events later.
fn stream(flows: u32) -> Vec<Vec<u8>> {
    let lag = 4096;
    let mut all = Vec::new();
    for n in 0..flows + lag {
        if n < flows {
            all.push(numbered(NEW_UDP, n));
        }
        if n >= lag {
            all.push(numbered(DESTROY_UDP, n - lag));
        }
    }
    all
}

/// The message with another client: its address stands in both tuples.
fn numbered(template: &[u8], n: u32) -> Vec<u8> {
    const CLIENT: [u8; 4] = [10, 77, 1, 2];
    let mut bytes = template.to_vec();
    let places: Vec<usize> = (0..bytes.len() - 4)
        .filter(|&at| bytes[at..at + 4] == CLIENT)
        .collect();
    assert_eq!(places.len(), 2);
    for at in places {
        bytes[at..at + 4].copy_from_slice(&(0x0b00_0000 + n).to_be_bytes());
    }
    bytes
}

fn events(criterion: &mut Criterion) {
    const STREAM: u32 = 100_000;
    let stream = stream(STREAM);
    let empty = || {
        let config = MirrorConfig {
            flows: FLOWS as usize,
            keep: Keep::Nat,
            orphan_seconds: 120,
            all_send_events: false,
        };
        Mirror::new(config, 42)
    };
    let follow = |mirror: &mut Mirror| {
        for datagram in &stream {
            for message in walk::messages(datagram) {
                let flow = message.flow().expect("both tuples");
                match message.kind {
                    Kind::Destroy => mirror.destroy(&flow),
                    _ => mirror.event(&flow, 1),
                }
            }
        }
        mirror.counts().unregistered
    };
    // Every end finds its beginning.
    assert_eq!(follow(&mut empty()), u64::from(STREAM));
    let mut group = criterion.benchmark_group("events");
    group.throughput(Throughput::Elements(stream.len() as u64));
    group.sample_size(20);
    group.bench_function("loop", |bencher| {
        bencher.iter_batched_ref(
            || {
                let mut mirror = empty();
                // A table in use, not an empty one.
                for n in 0..FLOWS / 2 {
                    mirror.event(&flow(n), 1);
                }
                mirror
            },
            |mirror| follow(mirror),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// Datagrams that begin a flow each, in one round.
const ROUND: u32 = 20_000;

const RULES: &str = "table inet gw {
  chain out {
    type nat hook output priority -100
    ip daddr 10.77.100.1 meta l4proto udp dnat ip to 10.77.2.2
  }
  chain sink {
    type filter hook input priority 0
    ip daddr 10.77.2.2 drop
  }
}";

fn run(program: &str, arguments: &[&str], input: &str) {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("it reads");
    drop(stdin);
    assert!(child.wait().expect("it ends").success(), "{program}");
}

/// Processor time of this thread. The kernel brings it up to date when the thread gives way.
fn cpu() -> Duration {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos = text.split_whitespace().next().expect("three numbers");
    Duration::from_nanos(nanos.parse().expect("a number"))
}

/// Time of the sender for [`ROUND`] flows, in a new namespace with a reader in it.
fn round(reader: Option<Config>) -> std::io::Result<Duration> {
    netns::in_new(|| {
        run("ip", &["link", "set", "lo", "up"], "");
        for address in ["10.77.2.2/24", "10.77.1.2/24"] {
            run("ip", &["addr", "add", address, "dev", "lo"], "");
        }
        run("ip", &["route", "add", "10.77.100.1/32", "dev", "lo"], "");
        run("nft", &["-f", "-"], RULES);
        let reader = reader.map(|config| Reader::start(config).expect("a thread"));
        if let Some(reader) = &reader {
            let is_ready = || {
                let view = reader.handle().view();
                let is_events = view.mode == Mode::Events;
                let mut all = view.namespaces.iter();
                all.any(|one| !is_events || one.load.is_some())
            };
            while !is_ready() {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let sockets = [(); 4].map(|()| UdpSocket::bind("10.77.1.2:0").expect("an address"));
        let began = cpu();
        for n in 0..ROUND {
            // Four times five thousand.
            let port = 10_000 + (n / 4) as u16;
            sockets[n as usize % 4]
                .send_to(b"x", ("10.77.100.1", port))
                .expect("sent");
        }
        cpu() - began
    })
}

fn packet_path(criterion: &mut Criterion) {
    if let Err(error) = round(None) {
        let must = std::env::var_os("GREYHOUND_NO_SKIP").is_some_and(|value| value == "1");
        assert!(!must, "no network namespace: {error}");
        eprintln!("SKIPPED: packet_path: no network namespace: {error}");
        return;
    }
    let events = |keep| Config {
        mode: Mode::Events,
        keep,
        ..Config::default()
    };
    let pull = Config {
        attribution: true,
        ..Config::default()
    };
    let mut group = criterion.benchmark_group("packet_path");
    group.throughput(Throughput::Elements(1));
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(1));
    group.measurement_time(Duration::from_millis(1));
    for (name, reader) in [
        ("off", None),
        ("pull", Some(pull)),
        ("events_nat", Some(events(Keep::Nat))),
        ("events_all", Some(events(Keep::All))),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let time = round(reader.clone()).expect("a namespace");
                // A round is a round however many were asked for.
                time.mul_f64(iterations as f64 / f64::from(ROUND))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, walking, table, events, packet_path);
criterion_main!(benches);
