//! Without a right, without a namespace: one message with the command that mends it, and metrics go on.

use greyhound_tests::daemon::Setup;
use greyhound_tests::{binary, command, skip};
use serde_json::Value;

use super::net::{Net, PATIENCE, ask, ask_until, post};
use crate::send;

/// Takes rights away from what it starts, root or not.
const WITHOUT_ADMIN: [&str; 3] = [
    "setpriv",
    "--bounding-set",
    "-net_admin,-sys_admin,-sys_ptrace",
];

fn can_drop() -> bool {
    let mut run = std::process::Command::new(WITHOUT_ADMIN[0]);
    let tried = command::succeed(run.args(&WITHOUT_ADMIN[1..]).arg("true"), PATIENCE);
    skip::or_skip(tried).is_some()
}

#[test]
fn without_the_right_it_says_what_to_grant_and_metrics_go_on() {
    if !can_drop() {
        return;
    }
    let daemon = Setup::new()
        .live()
        .within(&WITHOUT_ADMIN)
        .with("greyhound.conntrack.mode", "events")
        .with("greyhound.conntrack.namespaces", vec!["self", "host"])
        .with("greyhound.conntrack.stats_interval", "1s")
        .start();
    let view = ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["state"] == "unsupported").then(|| view.clone())
    });
    assert!(
        view["reason"]
            .to_string()
            .contains("CAP_NET_ADMIN is missing"),
        "{view}"
    );
    assert!(
        view["cure"].to_string().contains("setcap cap_net_admin+ep"),
        "{view}"
    );
    let (_, page) = ask(&daemon, "/agent/status?format=json");
    let problems = page["problems"].to_string();
    assert!(
        problems.contains("CAP_NET_ADMIN") && problems.contains("setcap"),
        "{problems}"
    );
    // Said once, in one line.
    let lines = daemon.log().matches("CAP_NET_ADMIN is missing").count();
    assert_eq!(lines, 1, "{}", daemon.log());
    assert_eq!(ask(&daemon, "/agent/v1/conntrack/flows").0, 503);
    // Anybody may read these.
    let (status, stats) = ask(&daemon, "/agent/v1/conntrack/stats");
    assert_eq!(status, 200, "{stats}");
    assert!(stats["max_entries"].as_u64() > Some(0), "{stats}");
    daemon.wait_metric(
        "system_net_conntrack_max",
        &[("netns", "self")],
        stats["max_entries"].as_f64().expect("a number"),
    );
    let socket = send::udp_socket(daemon.udp());
    socket.send(b"hits:1|c").expect("sent");
    daemon.wait_metric("hits_total", &[], 1.0);
    assert_eq!(daemon.stop().ledger.aggregated, 1);
    // The command line says the same.
    for (arguments, words) in [
        (
            &["list"][..],
            ["CAP_NET_ADMIN is missing", "setcap cap_net_admin+ep"],
        ),
        (
            &["watch", "--count", "1"],
            ["CAP_NET_ADMIN is missing", "setcap cap_net_admin+ep"],
        ),
        (
            &["purge-stale"],
            ["CAP_NET_ADMIN is missing", "setcap cap_net_admin+ep"],
        ),
        (
            &["list", "--netns", "host"],
            ["may not be entered", "cap_sys_admin"],
        ),
        (
            &["list", "--netns", "nowhere"],
            ["no network namespace", "ip netns list"],
        ),
    ] {
        let mut run = std::process::Command::new(WITHOUT_ADMIN[0]);
        run.args(&WITHOUT_ADMIN[1..])
            .arg(binary::path())
            .arg("conntrack")
            .args(arguments);
        let done = command::finish(&mut run, PATIENCE).expect("it ends");
        assert_eq!(done.code(), 1, "{arguments:?}: {}", done.stdout);
        for word in words {
            assert!(done.stderr.contains(word), "{arguments:?}: {}", done.stderr);
        }
    }
}

#[test]
fn one_namespace_that_cannot_be_entered_leaves_the_other_at_work() {
    let Some(net) = Net::or_skip("ns") else {
        return;
    };
    net.udp_timeout(300);
    net.send("10.77.1.2:40000", "10.77.100.1");
    let daemon = net
        .setup("pull")
        .with(
            "greyhound.conntrack.namespaces",
            vec!["gh-never-made".to_owned(), net.name("r")],
        )
        .start();
    let view = ask_until(&daemon, "/agent/v1/conntrack", |view| {
        (view["namespaces"][1]["state"] == "ready").then(|| view.clone())
    });
    assert_eq!(view["state"], "degraded", "{view}");
    let first = &view["namespaces"][0];
    assert!(
        first["reason"].to_string().contains("no network namespace"),
        "{view}"
    );
    let path = format!("/agent/v1/conntrack/flows?netns={}", net.name("r"));
    assert_eq!(ask(&daemon, &path).1["matching"], 1);
    // A purge looks where it can.
    let (status, done) = post(&daemon, "/agent/v1/conntrack/dogstatsd/purge-stale");
    assert_eq!((status, done.is_object()), (403, true), "{done}");
    assert_eq!(view["stale_flows"], Value::from(0));
}
