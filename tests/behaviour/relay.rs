//! Aggregates relayed to a second daemon come out there as if the clients had sent to it.

use greyhound_tests::daemon::{Daemon, HOSTNAME, Setup, Stopped};

use crate::send;

/// Every kind of metric, with sample rates, several values and tags; and how many items that is.
const TRAFFIC: [(&str, u64); 9] = [
    ("hits:3|c|#env:prod,a", 1),
    ("hits:1|c|@0.5|#a,env:prod", 1),
    ("load:1.5|g\nload:2.25|g", 2),
    ("users:alice|s|#env:prod\nusers:bob|s|#env:prod", 2),
    ("time:1:2:3:400|h|@0.5", 4),
    ("wait:10:20|ms|#q:1", 2),
    ("size:1:2:2:2:1000.5|d|#q:1", 5),
    ("_e{5,9}:title|a\\nb text|t:error|#x:1", 1),
    ("_sc|db|2|#x:1|m:down", 1),
];

/// Sends the traffic to a daemon that relays to `address`, and stops it: that flushes.
fn relayed(address: &str) -> Stopped {
    let leaf = Setup::new()
        .with("greyhound.relay.address", address)
        .start();
    for (packet, _) in TRAFFIC {
        send::udp(leaf.udp(), packet);
    }
    leaf.wait_processed(TRAFFIC.iter().map(|(_, items)| items).sum());
    leaf.stop()
}

/// What both daemons wrote is the same.
fn assert_same(leaf: &Stopped, root: &Stopped) {
    let (leaf, root) = (&leaf.records, &root.records);
    for name in [
        "hits",
        "load",
        "users",
        "time.count",
        "wait.count",
        "time.max",
        "wait.max",
    ] {
        assert_eq!(root.total(name), leaf.total(name), "{name}");
        assert_eq!(root.tags(name), leaf.tags(name), "{name}");
        assert_eq!(root.series(name)[0]["host"], HOSTNAME, "{name}");
        assert_eq!(
            root.series(name)[0]["type"],
            leaf.series(name)[0]["type"],
            "{name}"
        );
    }
    for name in ["time.avg", "time.median", "time.95percentile", "wait.avg"] {
        let (got, want) = (root.total(name), leaf.total(name));
        assert!(
            (got - want).abs() <= 0.016 * want,
            "{name}: {got} for {want}"
        );
    }
    assert_eq!(root.series("wait.max")[0]["unit"], "millisecond");
    let (got, want) = (root.sketch("size"), leaf.sketch("size"));
    assert_eq!(
        (got.count, got.min, got.max),
        (want.count, want.min, want.max)
    );
    assert!(
        (got.sum - want.sum).abs() <= 1e-3 * want.sum,
        "{got:?} {want:?}"
    );
    let bins = |records: &greyhound_tests::records::Records| {
        let line = records.lines.iter().find(|line| line["kind"] == "sketch");
        let point = &line.expect("a sketch")["points"][0];
        (point["k"].clone(), point["n"].clone())
    };
    assert_eq!(bins(root), bins(leaf));
    for key in ["text", "alert_type", "tags", "host", "timestamp"] {
        assert_eq!(root.event("title")[key], leaf.event("title")[key], "{key}");
    }
    for key in ["status", "message", "tags", "host", "timestamp"] {
        assert_eq!(
            root.service_check("db")[key],
            leaf.service_check("db")[key],
            "{key}"
        );
    }
}

fn root() -> Daemon {
    // As if it ran on another host: what is relayed must not take its name.
    Setup::new()
        .with("hostname", "root-host")
        .uds()
        .stream()
        .start()
}

/// Waits until what the leaf counts as sent has been processed.
fn wait_relayed(root: &Daemon) {
    // Sums, gauges, two members, four lines of histogram values and so on: the service check goes last.
    greyhound_tests::wait::until("the relayed service check", || {
        let seen = root.telemetry().sum(
            "dogstatsd__processed",
            &[("message_type", "service_checks")],
        );
        (seen >= 1.0).then_some(())
    });
}

#[test]
fn a_second_daemon_has_the_same_totals_over_udp() {
    let root = root();
    let leaf = relayed(&format!("udp://{}", root.udp()));
    wait_relayed(&root);
    assert_same(&leaf, &root.stop());
}

#[test]
fn a_second_daemon_has_the_same_totals_over_unix_sockets() {
    for stream in [false, true] {
        let root = root();
        let address = match stream {
            false => format!("unixgram://{}", root.uds().display()),
            true => format!("unix://{}", root.stream().display()),
        };
        let leaf = relayed(&address);
        wait_relayed(&root);
        assert_same(&leaf, &root.stop());
    }
}

#[test]
fn what_two_daemons_relay_adds_up() {
    let root = root();
    let address = format!("unix://{}", root.stream().display());
    for (name, packet) in [
        ("a", "hits:3|c\nusers:x|s\nusers:y|s\nsize:1|d"),
        ("b", "hits:4|c\nusers:y|s\nusers:z|s\nsize:9|d"),
    ] {
        let leaf = Setup::new()
            .with("hostname", name)
            .with("greyhound.relay.address", address.clone())
            // Both name no host any more, so that they meet.
            .with(
                "greyhound.routing.tag_policies",
                serde_json::json!([{ "outputs": ["relay"], "drop": ["host"] }]),
            )
            .start();
        send::udp(leaf.udp(), packet);
        leaf.wait_processed(4);
        leaf.stop();
    }
    root.wait_processed(8);
    let records = root.stop().records;
    assert_eq!(records.total("hits"), 7.0);
    assert_eq!(records.total("users"), 3.0);
    assert_eq!(records.series("hits").len(), 1);
    let sketch = records.sketch("size");
    assert_eq!((sketch.count, sketch.sum, sketch.max), (2, 10.0, 9.0));
}

#[test]
fn a_receiver_that_is_not_there_costs_points_that_are_counted() {
    let leaf = Setup::new()
        .with("greyhound.relay.address", "unixgram:///nonexistent/socket")
        .with("greyhound.stop_timeout_seconds", 1)
        .start();
    send::udp(leaf.udp(), "hits:1|c");
    leaf.wait_processed(1);
    let stopped = leaf.stop_with(3);
    assert!(
        stopped.log.contains("does not reach its receiver"),
        "{}",
        stopped.log
    );
    assert_eq!(stopped.records.total("hits"), 1.0);
}
