//! Network namespaces of a client, a router that translates, and a server: made by `tests/namespaces`, gone when
//! dropped.

use std::ffi::OsStr;
use std::process::{Child, Command};
use std::time::Duration;

use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::{binary, command, skip, source, wait};
use serde_json::Value;

pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The namespaces of one test.
pub(super) struct Net {
    suffix: String,
}

/// A program that is killed when the test is over.
pub(super) struct Running(pub(super) Child);

// === impl Net ===

impl Net {
    /// Namespaces of their own for this test, or a skip.
    pub(super) fn or_skip(test: &str) -> Option<Self> {
        skip::or_skip(Self::new(test))
    }

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
        command::succeed(&mut self.by_script(action), PATIENCE)
    }

    /// The script, to be given more arguments.
    pub(super) fn by_script(&self, action: &str) -> Command {
        let script = source::root().join("tests/namespaces/client_router_server");
        let mut run = Command::new(script);
        run.args([action, &self.suffix]);
        run
    }

    /// The name of a namespace: the client's (`c`), the router's (`r`) or the server's (`s`).
    pub(super) fn name(&self, place: &str) -> String {
        format!("gh-{place}-{}", self.suffix)
    }

    /// A program in one of them.
    pub(super) fn program(&self, place: &str, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.name(place)])
            .arg(program);
        command
    }

    /// Runs `greyhound` beside the server; it has to succeed.
    pub(super) fn greyhound(&self, arguments: &[&str]) -> String {
        let mut run = self.program("s", binary::path());
        command::succeed(run.args(arguments), PATIENCE).expect("the command works")
    }

    /// Settings of a daemon on the server that looks into the router's table.
    pub(super) fn setup(&self, mode: &str) -> Setup {
        Setup::new()
            .live()
            .within(&["ip", "netns", "exec", &self.name("s")])
            .with("bind_host", "0.0.0.0")
            .with("dogstatsd_non_local_traffic", true)
            .with("dogstatsd_port", 18125)
            .with("greyhound.prometheus.listen", "127.0.0.1:9125")
            .with("greyhound.conntrack.mode", mode)
            .with("greyhound.conntrack.namespaces", vec![self.name("r")])
            .with("greyhound.conntrack.stats_interval", "1s")
    }

    /// A page of a daemon's own port.
    pub(super) fn page(&self, path: &str) -> String {
        let mut curl = self.program("s", "curl");
        curl.args(["-s", &format!("http://127.0.0.1:9125{path}")]);
        command::finish(&mut curl, PATIENCE).map_or(String::new(), |done| done.stdout)
    }

    /// Waits until `/metrics` is as wanted.
    pub(super) fn metrics_until(&self, is_there: impl Fn(&str) -> bool) -> String {
        let mut last = String::new();
        let found = wait::try_within(PATIENCE, || {
            last = self.page("/metrics");
            is_there(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("never came: {last}"))
    }

    /// Sends one datagram from an address and port of the client to a service address.
    pub(super) fn send(&self, from: &str, to: &str) {
        let (host, port) = from.rsplit_once(':').expect("address:port");
        let program = format!(
            "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\ns.bind(('{host}', {port}))\n\
             s.sendto(b'hits:1|c', ('{to}', 8125))"
        );
        let mut run = self.program("c", "python3");
        command::succeed(run.args(["-c", &program]), PATIENCE).expect("sent");
    }

    /// Changes the rules of the router.
    pub(super) fn rules(&self, script: &str) {
        let mut nft = self.program("r", "nft");
        command::succeed(nft.arg(script), PATIENCE).expect("rules");
    }

    /// Seconds the router keeps an entry that nobody answers.
    pub(super) fn udp_timeout(&self, seconds: u32) {
        let mut sysctl = self.program("r", "sysctl");
        let setting = format!("net.netfilter.nf_conntrack_udp_timeout={seconds}");
        command::succeed(sysctl.args(["-qw", &setting]), PATIENCE).expect("a setting");
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.script("down").ok();
    }
}

// === impl Running ===

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// `GET` over the control socket, which network namespaces do not separate.
pub(super) fn ask(daemon: &Daemon, path: &str) -> (u16, Value) {
    curl(daemon, path, "GET")
}

/// `POST` over the control socket.
pub(super) fn post(daemon: &Daemon, path: &str) -> (u16, Value) {
    curl(daemon, path, "POST")
}

fn curl(daemon: &Daemon, path: &str, method: &str) -> (u16, Value) {
    let mut run = Command::new("curl");
    run.args(["-sS", "-X", method, "-w", "\n%{http_code}", "--unix-socket"])
        .arg(&daemon.ready().control_socket)
        .arg(format!("http://x{path}"));
    let done = command::succeed(&mut run, PATIENCE).expect("an answer");
    let (body, status) = done.rsplit_once('\n').expect("a status");
    let value = serde_json::from_str(body).unwrap_or(Value::String(body.to_owned()));
    (status.parse().expect("a number"), value)
}

/// Asks until the answer is as wanted.
pub(super) fn ask_until<T>(
    daemon: &Daemon,
    path: &str,
    mut wanted: impl FnMut(&Value) -> Option<T>,
) -> T {
    let mut last = Value::Null;
    let found = wait::try_within(PATIENCE, || {
        last = ask(daemon, path).1;
        wanted(&last)
    });
    found.unwrap_or_else(|| panic!("never came: {last:#}"))
}
