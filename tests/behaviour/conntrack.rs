//! Who sent this: clients behind a router that translates, in network namespaces of our own.
//!
//! Needs root, iproute2, nftables and curl.

mod events;
mod net;
mod refused;
mod tour;

use std::path::PathBuf;

use greyhound_tests::{binary, command, python};
use serde_json::Value;

use net::{Net, PATIENCE, Running, ask, ask_until, post};

/// Counts hits towards a service address until it is killed.
const CLIENT: &str = "\
import sys, time
from datadog.dogstatsd import DogStatsd
client = DogStatsd(host=sys.argv[1], port=8125, disable_buffering=True, disable_telemetry=True)
end = time.time() + 100
while time.time() < end:
    client.increment('hits')
    time.sleep(0.02)
";

/// A Python client at work.
fn client(net: &Net, python: &PathBuf, address: &str) -> Running {
    let mut run = net.program("c", python);
    run.args(["-c", CLIENT, address]);
    Running(run.spawn().expect("a client"))
}

fn addresses(clients: &Value) -> Vec<&str> {
    let all = clients.as_array().into_iter().flatten();
    all.filter_map(|client| client["address"].as_str())
        .collect()
}

#[test]
fn a_python_client_behind_nat_is_named_by_its_real_address() {
    let (Some(net), Some(python)) = (Net::or_skip("py"), python::datadog()) else {
        return;
    };
    for mode in ["pull", "events"] {
        let daemon = net
            .setup(mode)
            .with("greyhound.conntrack.attribution_tag", "client")
            .start();
        let sender = client(&net, &python, "10.77.100.1");
        let metrics = net.metrics_until(|metrics| {
            metrics.contains("hits_total{client=\"10.77.1.2\"}")
                && metrics.contains("system_net_conntrack_count ")
        });
        assert!(!metrics.contains("10.77.2.1"), "{mode}: {metrics}");
        assert!(metrics.contains("system_net_conntrack_max"), "{metrics}");
        // IPv6 goes the same way.
        let v6 = client(&net, &python, "fd77:100::1");
        net.metrics_until(|metrics| metrics.contains("hits_total{client=\"fd77:1::2\"}"));
        // The ledger of clients knows both, and nobody else.
        let clients = ask_until(&daemon, "/agent/v1/conntrack/dogstatsd", |seen| {
            let known = addresses(&seen["clients"]);
            (known.len() == 2).then(|| seen.clone())
        });
        let mut known = addresses(&clients["clients"]);
        known.sort_unstable();
        assert_eq!(known, ["10.77.1.2", "fd77:1::2"]);
        drop((sender, v6));
        let stopped = daemon.stop();
        assert_eq!(stopped.ledger.rejected, 0, "{mode}");
        assert!(stopped.ledger.aggregated > 0, "{mode}");
    }
}

#[test]
fn flows_to_an_engine_that_is_gone_are_found_and_only_they_are_deleted() {
    let Some(net) = Net::or_skip("st") else {
        return;
    };
    // Entries of this test outlive a slow machine.
    net.udp_timeout(300);
    // Engines at .4 that are gone by now; then one at .2.
    net.rules(
        "insert rule inet gw pre ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.4:18125",
    );
    net.send("10.77.1.2:40000", "10.77.100.1");
    net.send("10.77.1.2:40002", "10.77.100.1");
    net.rules("flush chain inet gw pre");
    net.rules(
        "add rule inet gw pre ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.2:18125",
    );
    net.send("10.77.1.3:40000", "10.77.100.1");
    let router = net.name("r");
    let netns = ["--netns", &router];
    let purge = [&["conntrack", "purge-stale", "--port", "18125"], &netns[..]].concat();
    let dry = net.greyhound(&[&purge[..], &["--dry-run"]].concat());
    assert!(
        dry.contains("10.77.1.2:40000") && !dry.contains("10.77.1.3:40000"),
        "{dry}"
    );
    assert!(dry.contains("2 stale"), "{dry}");
    let mut refused = net.program("s", binary::path());
    let refused = command::finish(refused.args(&purge), PATIENCE).expect("it ends");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stderr.contains("allow_delete"),
        "{}",
        refused.stderr
    );
    // A daemon sees them too, names the clients and the cure, and deletes nothing unasked.
    let daemon = net.setup("pull").start();
    let page = ask_until(&daemon, "/agent/status?format=json", |page| {
        let all = page["problems"].as_array()?.iter();
        all.filter(|problem| problem["what"].to_string().contains("address that is gone"))
            .map(|problem| problem.to_string())
            .next()
    });
    for word in ["10.77.1.2", "purge-stale --netns", &router] {
        assert!(page.contains(word), "{word} in {page}");
    }
    assert!(!page.contains("10.77.1.3"), "{page}");
    let (status, seen) = ask(&daemon, "/agent/v1/conntrack/dogstatsd");
    assert_eq!((status, &seen["stale_flows"]), (200, &Value::from(2)));
    let (status, why) = post(&daemon, "/agent/v1/conntrack/dogstatsd/purge-stale");
    assert_eq!(status, 403, "{why}");
    assert!(why.to_string().contains("allow_delete"), "{why}");
    drop(daemon);
    // One by the daemon that may, of two that are there; the command line finds nothing left to do.
    let daemon = net
        .setup("pull")
        .with("greyhound.conntrack.allow_delete", true)
        .start();
    ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["namespaces"][0]["state"] == "ready").then_some(())
    });
    let (status, done) = post(&daemon, "/agent/v1/conntrack/dogstatsd/purge-stale");
    assert_eq!((status, &done["deleted"]), (200, &Value::from(2)), "{done}");
    drop(daemon);
    let none = net.greyhound(&[&purge[..], &["--dry-run"]].concat());
    assert!(none.contains("no stale flows"), "{none}");
    // By hand.
    net.rules(
        "insert rule inet gw pre ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.4:18125",
    );
    net.send("10.77.1.2:40001", "10.77.100.1");
    let allowed = ["--set", "greyhound.conntrack.allow_delete=true"];
    let done = net.greyhound(&[&purge[..], &allowed].concat());
    assert!(done.contains("deleted 1,"), "{done}");
    let list = net.greyhound(&[&["conntrack", "list"], &netns[..]].concat());
    assert!(
        !list.contains("10.77.1.2:4000") && list.contains("10.77.1.3:40000"),
        "{list}"
    );
}
