//! Who sent this: clients behind a router that translates, in network namespaces of our own.
//!
//! Needs root, iproute2 and nftables.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use greyhound_tests::{binary, command, python, skip, source, wait};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);

/// The namespaces of one test; gone when dropped.
struct Net {
    suffix: String,
}

/// A daemon in the server's namespace.
struct Served {
    child: Child,
    folder: TempDir,
}

// === impl Net ===

impl Net {
    fn new(test: &str) -> Result<Self, String> {
        let net = Self {
            suffix: format!("{test}{}", std::process::id()),
        };
        // The left-overs of a process that had our number.
        net.script("down").ok();
        net.script("up")?;
        Ok(net)
    }

    fn script(&self, action: &str) -> Result<String, String> {
        let script = source::root().join("tests/namespaces/client_router_server");
        let mut run = Command::new(script);
        command::succeed(run.args([action, &self.suffix]), PATIENCE)
    }

    /// A program in the namespace of the client (`c`), the router (`r`) or the server (`s`).
    fn program(&self, place: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new("ip");
        let name = format!("gh-{place}-{}", self.suffix);
        command.args(["netns", "exec", &name]).arg(program);
        command
    }

    fn in_server(&self, arguments: &[&str]) -> String {
        let mut run = self.program("s", binary::path());
        command::succeed(run.args(arguments), PATIENCE).expect("the command works")
    }

    fn router(&self) -> String {
        format!("gh-r-{}", self.suffix)
    }

    fn serve(&self, more: &str) -> Served {
        let folder = TempDir::new().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let settings = format!(
            "dogstatsd_port: 18125\ndogstatsd_non_local_traffic: true\ndogstatsd_socket: {socket}\nhostname: box\n\
             greyhound:\n  bucket_seconds: 1\n  control: {{enabled: false}}\n  conntrack:\n    mode: pull\n    \
             namespaces: [{router}]\n    stats_interval: 1s\n{more}",
            socket = path("socket"),
            router = self.router(),
        );
        std::fs::write(path("settings"), settings).expect("settings");
        let child = self
            .program("s", binary::path())
            .args(["run", "--config", &path("settings")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a daemon");
        let served = Served { child, folder };
        self.wait_for(|metrics| !metrics.is_empty());
        served
    }

    fn metrics(&self) -> String {
        let mut curl = self.program("s", "curl");
        curl.args(["-s", "http://127.0.0.1:9125/metrics"]);
        command::finish(&mut curl, PATIENCE).map_or(String::new(), |done| done.stdout)
    }

    fn wait_for(&self, is_there: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = wait::try_within(PATIENCE, || {
            last = self.metrics();
            is_there(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("never came: {last}"))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.script("down").ok();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let pid = self.child.id().to_string();
        Command::new("kill").arg(pid).status().ok();
        self.child.wait().ok();
        assert!(self.folder.path().exists());
    }
}

fn net(test: &str) -> Option<Net> {
    skip::or_skip(Net::new(test))
}

fn python() -> Option<PathBuf> {
    python::datadog()
}

#[test]
fn a_python_client_behind_nat_is_named_by_its_real_address() {
    let (Some(net), Some(python)) = (net("py"), python()) else {
        return;
    };
    let served = net.serve("    attribution_tag: client\n");
    let program = "\
import sys, time
from datadog.dogstatsd import DogStatsd
client = DogStatsd(host='10.77.100.1', port=8125, disable_buffering=True, disable_telemetry=True)
end = time.time() + 50
while time.time() < end:
    client.increment('hits')
    time.sleep(0.02)
";
    let mut sender = net
        .program("c", python)
        .args(["-c", program])
        .spawn()
        .expect("a client");
    let named = "hits_total{client=\"10.77.1.2\"}";
    let metrics = net.wait_for(|metrics| metrics.contains(named));
    assert!(!metrics.contains("10.77.2.1"), "{metrics}");
    let health = net.wait_for(|metrics| metrics.contains("system_net_conntrack_count 1"));
    assert!(health.contains("system_net_conntrack_max"), "{health}");
    sender.kill().ok();
    sender.wait().ok();
    // What the daemon saw, asked for by hand.
    let list = net.in_server(&["conntrack", "list", "--netns", &net.router(), "--nat"]);
    let seen = list
        .split("> ")
        .find_map(|part| part.strip_prefix("10.77.2.1:"))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_else(|| panic!("no translated flow: {list}"));
    let found = net.in_server(&[
        "conntrack",
        "lookup",
        &format!("10.77.2.1:{seen}"),
        "10.77.2.2:18125",
        "--netns",
        &net.router(),
    ]);
    assert!(found.contains("client 10.77.1.2"), "{found}");
    drop(served);
}

#[test]
fn flows_to_an_engine_that_is_gone_are_found_and_only_they_are_deleted() {
    let Some(net) = net("st") else {
        return;
    };
    let send = |address: &str| {
        let program = format!(
            "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('{address}', 40000))\n\
             s.sendto(b'hits:1|c', ('10.77.100.1', 8125))"
        );
        let mut run = net.program("c", "python3");
        command::succeed(run.args(["-c", &program]), PATIENCE).expect("sent");
    };
    let rules = |script: &str| {
        let mut nft = net.program("r", "nft");
        command::succeed(nft.arg(script), PATIENCE).expect("rules");
    };
    // Entries of this test outlive a slow machine.
    let mut sysctl = net.program("r", "sysctl");
    sysctl.args(["-qw", "net.netfilter.nf_conntrack_udp_timeout=300"]);
    command::succeed(&mut sysctl, PATIENCE).expect("a longer life");
    // An engine at .4 that is gone by now; then one at .2.
    rules("insert rule inet gw pre ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.4:18125");
    send("10.77.1.2");
    rules("flush chain inet gw pre");
    rules("add rule inet gw pre ip daddr 10.77.100.1 udp dport 8125 dnat ip to 10.77.2.2:18125");
    send("10.77.1.3");
    let router = net.router();
    let purge = [
        "conntrack",
        "purge-stale",
        "--netns",
        &router,
        "--port",
        "18125",
    ];
    let dry = net.in_server(&[&purge[..], &["--dry-run"]].concat());
    assert!(
        dry.contains("10.77.1.2:40000") && !dry.contains("10.77.1.3:40000"),
        "{dry}"
    );
    assert!(dry.contains("1 stale"), "{dry}");
    let mut refused = net.program("s", binary::path());
    refused.args(purge);
    let refused = command::finish(&mut refused, PATIENCE).expect("it ends");
    assert_eq!(refused.code(), 1);
    assert!(
        refused.stderr.contains("allow_delete"),
        "{}",
        refused.stderr
    );
    let allowed = ["--set", "greyhound.conntrack.allow_delete=true"];
    let done = net.in_server(&[&purge[..], &allowed].concat());
    assert!(done.contains("deleted 1,"), "{done}");
    let list = net.in_server(&["conntrack", "list", "--netns", &router]);
    assert!(
        !list.contains("10.77.1.2:40000") && list.contains("10.77.1.3:40000"),
        "{list}"
    );
}
