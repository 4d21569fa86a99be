//! Mode `events` of the real binary as a whole loop, and every query: routes of the control port and the command
//! line.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use greyhound_tests::{binary, command};
use serde_json::Value;

use super::net::{Net, PATIENCE, Running, ask, ask_until, post};

/// From one port to so many, each a flow of its own.
fn flood(net: &Net, from: u16, flows: u16) {
    let program = format!(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('10.77.1.2', {from}))\n\
         [s.sendto(b'x', ('10.77.101.1', 10000 + n)) for n in range({flows})]"
    );
    let mut run = net.program("c", "python3");
    command::succeed(run.args(["-c", &program]), PATIENCE).expect("sent");
}

fn number(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// A sink for any port behind one address of the router.
fn door(net: &Net) {
    net.rules("add rule inet gw pre ip daddr 10.77.101.1 meta l4proto udp dnat ip to 10.77.2.3");
    // The server does not answer: an answer that nobody listens would be an ICMP message each.
    let mut nft = net.program("s", "nft");
    let drop = "table inet quiet { chain in { type filter hook input priority 0; udp dport 10000-18000 drop; }; }";
    command::succeed(nft.arg(drop), PATIENCE).expect("rules");
}

#[test]
fn a_daemon_joins_loads_follows_counts_losses_and_repairs_them() {
    let Some(net) = Net::or_skip("ev") else {
        return;
    };
    door(&net);
    net.udp_timeout(300);
    // There before the daemon is.
    flood(&net, 5000, 100);
    let daemon = net.setup("events").start();
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        let first = &view["namespaces"][0];
        (first["rows"] == 100 && first["last_load"]["cause"] == "start").then_some(())
    });
    // New ones come by themselves, in pages.
    flood(&net, 5001, 20);
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["namespaces"][0]["rows"] == 120).then_some(())
    });
    let mut seen = std::collections::BTreeSet::new();
    let mut cursor = Value::from(0);
    while !cursor.is_null() {
        let path = format!("/agent/v1/conntrack/flows?nat=1&limit=50&cursor={cursor}");
        let (status, page) = ask(&daemon, &path);
        assert_eq!(
            (status, &page["source"]),
            (200, &Value::from("table")),
            "{page}"
        );
        let flows = page["flows"].as_array().expect("flows");
        assert!(flows.len() <= 50);
        assert!(
            flows
                .iter()
                .all(|flow| flow["original"]["src"] == "10.77.1.2")
        );
        seen.extend(flows.iter().map(|flow| flow["original"].to_string()));
        cursor = page["cursor"].clone();
    }
    assert_eq!(seen.len(), 120);
    // One that ends goes by itself.
    let flush = |arguments: &[&str]| {
        let mut conntrack = net.program("r", "python3");
        command::succeed(conntrack.args(["-c", FLUSH]).args(arguments), PATIENCE).expect("flushed");
    };
    flush(&[]);
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        // The hundred from before may end unseen.
        (number(&view["namespaces"][0]["rows"]) <= 100).then_some(())
    });
    // What came and went is counted by kind.
    net.metrics_until(|metrics| {
        metrics.lines().any(|line| {
            line.starts_with("greyhound_conntrack_flows_new_total{")
                && line.contains("nat=\"both\"")
                && line.contains("proto=\"udp\"")
        })
    });
    assert_eq!(daemon.stop().ledger.received, 0);
}

#[test]
fn lost_events_are_counted_and_a_load_repairs_the_table() {
    let Some(net) = Net::or_skip("lo") else {
        return;
    };
    door(&net);
    net.udp_timeout(300);
    // Room for one event or two.
    let daemon = net
        .setup("events")
        .with("greyhound.conntrack.receive_buffer", "4KiB")
        .with("greyhound.conntrack.receive_buffer_max", "4KiB")
        .start();
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["namespaces"][0]["last_load"]["cause"] == "start").then_some(())
    });
    flood(&net, 5002, 8000);
    let lost = ask_until(&daemon, "/agent/v1/conntrack", |view| {
        let lost = number(&view["namespaces"][0]["lost_events"]);
        (lost > 0).then_some(lost)
    });
    let (status, planned) = post(&daemon, "/agent/v1/conntrack/resync");
    assert_eq!((status, &planned["resync"]), (200, &Value::from("planned")));
    assert_eq!(post(&daemon, "/agent/v1/conntrack/resync").0, 429);
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        let first = &view["namespaces"][0];
        (first["rows"] == 8000 && first["last_load"]["cause"] == "asked").then_some(())
    });
    assert_eq!(ask(&daemon, "/agent/v1/conntrack/stats").1["entries"], 8000);
    let telemetry = net.page("/telemetry");
    let line = |name: &str| {
        let found = telemetry.lines().find(|line| line.starts_with(name));
        found
            .unwrap_or_else(|| panic!("{name} in {telemetry}"))
            .to_owned()
    };
    assert!(line("network_tracer__conntracker__state_size").ends_with(" 8000"));
    assert!(line("greyhound__conntrack__loads").ends_with(" 2"));
    let told: f64 = line("greyhound__conntrack__lost_events")
        .rsplit_once(' ')
        .and_then(|(_, value)| value.parse().ok())
        .expect("a number");
    assert!(told >= lost as f64);
}

/// Deletes everything the router tracks.
const FLUSH: &str = "\
import socket, struct
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)
s.bind((0, 0))
s.send(struct.pack('=IHHIIBBH', 20, 0x102, 5, 1, 0, 0, 0, 0))
assert struct.unpack('=i', s.recv(4096)[16:20]) == (0,)
";

#[test]
fn every_query_has_an_answer_or_a_reason() {
    let Some(net) = Net::or_skip("qu") else {
        return;
    };
    net.udp_timeout(300);
    net.send("10.77.1.2:40000", "10.77.100.1");
    net.send("10.77.1.3:40000", "10.77.100.1");
    let daemon = net.setup("pull").start();
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["namespaces"][0]["entries"] == 2).then_some(())
    });
    let base = "/agent/v1/conntrack";
    let lookup = |query: &str| ask(&daemon, &format!("{base}/lookup?{query}"));
    // As the client sent it, and as it arrived.
    for tuple in [
        "src=10.77.1.2&sport=40000&dst=10.77.100.1&dport=8125",
        "src=10.77.2.1&sport=40000&dst=10.77.2.2&dport=18125",
    ] {
        let (status, flow) = lookup(tuple);
        assert_eq!(
            (status, &flow["client"]),
            (200, &Value::from("10.77.1.2")),
            "{flow}"
        );
        assert_eq!(flow["nat"], "both");
    }
    for (query, status, word) in [
        (
            "src=10.9.9.9&sport=1&dst=10.77.100.1&dport=8125",
            404,
            "no such flow",
        ),
        ("src=ten&sport=1&dst=10.77.100.1&dport=8125", 400, "src"),
        (
            "src=10.9.9.9&sport=65536&dst=10.77.100.1&dport=8125",
            400,
            "sport",
        ),
        (
            "src=10.9.9.9&sport=1&dst=fd77::1&dport=8125",
            400,
            "families",
        ),
        ("proto=icmp&src=10.9.9.9&sport=1&dst=10.9.9.8", 400, "ICMP"),
        ("proto=quic&src=10.9.9.9&dst=10.9.9.8", 400, "proto"),
        ("src=10.9.9.9&dst=10.9.9.8&netns=elsewhere", 400, "netns"),
        ("dst=10.9.9.8", 400, "`src` is missing"),
    ] {
        let (got, why) = lookup(query);
        assert_eq!(got, status, "{query}: {why}");
        assert!(why.to_string().contains(word), "{query}: {why}");
    }
    let flows = |query: &str| ask(&daemon, &format!("{base}/flows?{query}")).1;
    assert_eq!(flows("")["matching"], 2);
    assert_eq!(flows("ip=10.77.1.3")["matching"], 1);
    assert_eq!(
        flows("port=40000&proto=udp&limit=1")["flows"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(flows("proto=tcp")["matching"], 0);
    assert_eq!(post(&daemon, &format!("{base}/resync")).0, 409);
    drop(daemon);
    // Off, there is a reason instead.
    let daemon = net.setup("off").start();
    for path in ["", "/flows", "/lookup", "/stats", "/dogstatsd"] {
        let (status, why) = ask(&daemon, &format!("{base}{path}"));
        assert_eq!(status, 503, "{path}: {why}");
        assert!(
            why.to_string().contains("greyhound.conntrack.mode"),
            "{why}"
        );
    }
    drop(daemon);
    let router = net.name("r");
    let stats = net.greyhound(&["conntrack", "stats", "--netns", &router]);
    assert!(
        stats.starts_with("entries 2 of ") && stats.contains("insert_failed"),
        "{stats}"
    );
}

#[test]
fn watch_prints_flows_as_they_come_and_go() {
    let Some(net) = Net::or_skip("wa") else {
        return;
    };
    let watch = [
        "conntrack",
        "watch",
        "--nat",
        "--proto",
        "udp",
        "--count",
        "3",
        "--netns",
    ];
    let mut run = net.program("s", binary::path());
    run.args(watch).arg(net.name("r")).stdout(Stdio::piped());
    let mut watching = Running(run.spawn().expect("it starts"));
    let output = watching.0.stdout.take().expect("a pipe");
    let (said, lines) = std::sync::mpsc::channel();
    let reader = std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            said.send(line).expect("somebody reads");
        }
    });
    // It says nothing before it has joined, so new flows are sent until one is seen.
    let mut port = 41_000;
    let first = greyhound_tests::wait::within(PATIENCE, "a new flow", || {
        net.send(&format!("10.77.1.2:{port}"), "10.77.100.1");
        port += 1;
        lines
            .recv_timeout(std::time::Duration::from_millis(200))
            .ok()
    });
    assert!(
        first.starts_with("new udp 10.77.1.2:41") && first.contains("nat both"),
        "{first}"
    );
    assert!(
        first.contains("answered 10.77.2.2:18125 > 10.77.2.1:41"),
        "{first}"
    );
    let mut flush = net.program("r", "python3");
    command::succeed(flush.args(["-c", FLUSH]), PATIENCE).expect("flushed");
    net.send("10.77.1.2:42000", "10.77.100.1");
    let mut rest = Vec::new();
    while rest.len() < 2 {
        rest.push(lines.recv_timeout(PATIENCE).expect("another line"));
    }
    assert!(
        rest.iter()
            .any(|line| line.starts_with("end udp 10.77.1.2:41")),
        "{rest:?}"
    );
    let status = greyhound_tests::wait::within(PATIENCE, "its end", || {
        watching.0.try_wait().expect("our own child")
    });
    assert!(status.success());
    reader.join().expect("it read all");
}
