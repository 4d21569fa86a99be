//! The reader as a whole in mode `events`: its table against the kernel's after churn, losses, and a flush.

use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::sync::atomic::Ordering;
use std::time::Duration;

use greyhound_conntrack::exchange::Exchange;
use greyhound_conntrack::flow::{Flow, Tuple};
use greyhound_conntrack::mirror::Keep;
use greyhound_conntrack::namespace::Namespace;
use greyhound_conntrack::reader::query::{FlowFilter, Resync};
use greyhound_conntrack::reader::view::NamespaceView;
use greyhound_conntrack::reader::{Config, Handle, Mode, Reader};

use super::net::{dump, flush, in_namespace, inject, numbered, run, set_up, sysctl, until};

/// All datagrams to these ports are one way, and translated.
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

fn config() -> Config {
    Config {
        mode: Mode::Events,
        events_per_second: None,
        cpu_share_max: 1.0,
        orphan: Duration::from_secs(2),
        ..Config::default()
    }
}

fn first(handle: &Handle) -> Option<NamespaceView> {
    handle.view().namespaces.first().cloned()
}

/// Waits for the first load.
fn started(config: Config) -> Reader {
    let reader = Reader::start(config).expect("a thread");
    let handle = reader.handle();
    until("the first load", || first(&handle)?.load);
    reader
}

/// One datagram to each of so many ports, from its own port.
fn flood(client: u16, ports: std::ops::Range<u16>) {
    let socket = UdpSocket::bind(("10.77.1.2", client)).expect("an address of ours");
    for port in ports {
        socket.send_to(b"x", ("10.77.100.1", port)).expect("sent");
    }
}

fn key(flow: &Flow) -> (Tuple, u32) {
    (flow.original, flow.id)
}

fn of_kernel(exchange: &mut Exchange) -> BTreeSet<(Tuple, u32)> {
    let (rows, _) = dump(exchange, 0);
    rows.iter().map(key).collect()
}

fn of_table(handle: &Handle) -> BTreeSet<(Tuple, u32)> {
    let mut all = BTreeSet::new();
    let mut cursor = Some(0);
    while let Some(from) = cursor {
        let filter = FlowFilter::default();
        let page = handle
            .table_page(&Namespace::own(), &filter, 1000, from)
            .expect("there is a table");
        all.extend(page.flows.iter().map(key));
        cursor = page.cursor;
    }
    all
}

/// Waits until both are the same; says how they differ when they never are.
fn same_tables(handle: &Handle, exchange: &mut Exchange) -> usize {
    let mut differ = (0, 0);
    let mut same = None;
    for _ in 0..200 {
        let (kernel, table) = (of_kernel(exchange), of_table(handle));
        let missing = kernel.difference(&table).count();
        differ = (missing, table.difference(&kernel).count());
        if differ == (0, 0) {
            same = Some(kernel.len());
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    same.unwrap_or_else(|| panic!("(missing, stale) rows: {differ:?}"))
}

fn delete_every_second(exchange: &mut Exchange) {
    let (rows, _) = dump(exchange, 0);
    for flow in rows.iter().step_by(2) {
        exchange.delete(&flow.original, flow.id).expect("deleted");
    }
}

#[test]
fn churn_of_twenty_thousand_flows_leaves_no_stale_and_no_missing_row() {
    in_namespace(|| {
        set_up(&["10.77.2.2/24", "10.77.1.2/24"], RULES);
        run("ip", &["route", "add", "10.77.100.1/32", "dev", "lo"], "");
        sysctl("udp_timeout", 600);
        let mut exchange = Exchange::open().expect("a socket");
        // Before anybody listens: the kernel may send no end for these.
        flood(5000, 10_000..14_000);
        // Room for every event: a machine that stands still loses none.
        let reader = Reader::start(Config {
            receive_buffer_bytes: 64 << 20,
            ..config()
        })
        .expect("a thread");
        let handle = reader.handle();
        // While it joins and loads.
        flood(5001, 10_000..18_000);
        delete_every_second(&mut exchange);
        until("the first load", || first(&handle)?.load);
        flood(5002, 10_000..18_000);
        delete_every_second(&mut exchange);
        assert_eq!(handle.counts().lost.load(Ordering::Relaxed), 0);
        let left = same_tables(&handle, &mut exchange);
        assert_eq!(left, exchange.totals().expect("totals").entries as usize);
        assert_eq!(left, ((4000 + 8000) / 2 + 8000) / 2);
        let new = handle.counts().new.load(Ordering::Relaxed);
        assert!((8000..=20_000).contains(&new), "{new} of 20,000 begun");
    });
}

#[test]
fn a_flush_empties_the_table_by_events_alone() {
    in_namespace(|| {
        set_up(&["10.77.2.2/24", "10.77.1.2/24"], RULES);
        run("ip", &["route", "add", "10.77.100.1/32", "dev", "lo"], "");
        sysctl("udp_timeout", 600);
        let reader = started(config());
        let handle = reader.handle();
        flood(5000, 10_000..15_000);
        let mut exchange = Exchange::open().expect("a socket");
        assert_eq!(same_tables(&handle, &mut exchange), 5000);
        flush();
        assert_eq!(same_tables(&handle, &mut exchange), 0);
        let counts = handle.counts();
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        assert_eq!((read(&counts.new), read(&counts.destroyed)), (5000, 5000));
        assert_eq!((read(&counts.lost), read(&counts.loads)), (0, 1));
        let kinds = counts.kinds();
        assert_eq!(kinds.len(), 1, "{kinds:?}");
        assert_eq!((kinds[0].protocol, kinds[0].nat), ("udp", "dst"));
        // Asked for, it is loaded again; not twice in a moment.
        assert_eq!(handle.resync(), Resync::Planned);
        assert_eq!(handle.resync(), Resync::TooSoon);
        until("a second load", || (read(&counts.loads) == 2).then_some(()));
    });
}

#[test]
fn an_overflow_is_counted_exactly_and_repaired_and_sampling_ends() {
    const FLOWS: u32 = 20_000;
    in_namespace(|| {
        // Three events fit.
        let reader = started(Config {
            receive_buffer_bytes: 4 << 10,
            receive_buffer_bytes_max: 4 << 10,
            load_pause: Duration::from_secs(2),
            ..config()
        });
        let handle = reader.handle();
        let counts = handle.counts();
        let mut exchange = Exchange::open().expect("a socket");
        for n in 0..FLOWS {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
        }
        until("losses that lower the rate", || {
            let lost = counts.lost.load(Ordering::Relaxed);
            (lost > 0 && handle.view().sampling_rate < 1.0).then_some(())
        });
        assert_eq!(same_tables(&handle, &mut exchange), FLOWS as usize);
        until("one number of losses", || {
            let lost = counts.lost.load(Ordering::Relaxed);
            (first(&handle)?.lost_events == lost).then_some(())
        });
        // Outside the sample nothing is told of; the load after it has them.
        for n in FLOWS..FLOWS + 500 {
            let (original, reply) = numbered(n);
            inject(&mut exchange, original, reply, true);
        }
        until("the rate to rise again", || {
            (handle.view().sampling_rate == 1.0).then_some(())
        });
        assert_eq!(same_tables(&handle, &mut exchange), FLOWS as usize + 500);
        assert!(counts.loads.load(Ordering::Relaxed) >= 2);
    });
}

#[test]
fn the_oldest_row_goes_when_there_are_too_many_and_all_may_be_kept() {
    in_namespace(|| {
        let reader = started(Config {
            flows: 1000,
            keep: Keep::All,
            ..config()
        });
        let handle = reader.handle();
        let mut exchange = Exchange::open().expect("a socket");
        for n in 0..1500 {
            let (original, _) = numbered(n);
            inject(&mut exchange, original, original.reversed(), false);
        }
        let mirror = until("all of them", || {
            let view = first(&handle)?;
            (view.mirror.registered >= 1500).then_some(view.mirror)
        });
        assert_eq!((mirror.evicted, of_table(&handle).len()), (500, 1000));
        let (last, _) = numbered(1499);
        let (gone, _) = numbered(0);
        let kept: BTreeSet<Tuple> = of_table(&handle)
            .into_iter()
            .map(|(tuple, _)| tuple)
            .collect();
        assert!(kept.contains(&last) && !kept.contains(&gone));
    });
}
