//! What an operator does to a running daemon: find the exploding tag, count samples by metric, change the key,
//! turn the log up, send a flare; and what the start says of a key that is not there.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use greyhound_tests::control::{has_curl, with_token};
use greyhound_tests::daemon::{Daemon, Setup};
use greyhound_tests::intake::{Intake, KEY};
use greyhound_tests::wait;
use serde_json::{Value, json};

use crate::send;
use crate::status::ask;

const REDIRECT: &str =
    "HTTP/1.1 307 Temporary Redirect\r\nLocation: /moved?to=here\r\nContent-Length: 0\r\n\r\n";
const OTHER_KEY: &str = "fedcba9876543210fedcba9876543210";

fn json(daemon: &Daemon, arguments: &[&str]) -> Value {
    let answer = ask(daemon, arguments);
    assert_eq!(answer.code(), 0, "{arguments:?}: {}", answer.stderr);
    serde_json::from_str(&answer.stdout).expect("JSON")
}

fn set(daemon: &Daemon, key: &str, value: &str) {
    let done = ask(daemon, &["config", "set", key, value]);
    assert_eq!(done.code(), 0, "{key}: {}{}", done.stdout, done.stderr);
}

#[test]
fn the_exploding_tag_is_named_by_status_and_top_and_in_a_dump() {
    let setup = Setup::new().live();
    let run = setup.path("run");
    let daemon = setup.with("run_path", run.to_str().expect("text")).start();
    let socket = send::udp_socket(daemon.udp());
    for id in 0..200 {
        let message = format!("exploding:1|c|#env:test,user:{id}\nquiet:1|g|#env:test");
        socket.send(message.as_bytes()).expect("sent");
    }
    daemon.wait_processed(400);
    let ask_top = &["dogstatsd", "top", "-m", "1", "-t", "1", "--json"];
    let top = wait::until("the contexts to be flushed", || {
        let top = json(&daemon, ask_top);
        (top["contexts"].as_u64() >= Some(201)).then_some(top)
    });
    assert_eq!(top["source"], "live");
    let largest = json!([
        { "name": "exploding", "contexts": 200, "tags": [{ "key": "user", "values": 200 }] }
    ]);
    assert_eq!(top["metrics"], largest);
    assert_eq!(top["tags"][0], json!({ "key": "user", "values": 200 }));
    let text = ask(&daemon, &["dogstatsd", "contexts"]).stdout;
    assert!(text.contains("200  exploding (200 user, 1 env)"), "{text}");
    wait::until("the status page to name it", || {
        let page = ask(&daemon, &["status", "contexts"]).stdout;
        (page.contains("200  exploding (user 200, env 1)")
            && page.contains("tags with the most values: user 200"))
        .then_some(())
    });
    let dump = json(&daemon, &["dogstatsd", "dump-contexts", "--json"]);
    assert_eq!(
        dump["path"],
        run.join("dogstatsd_contexts.json.zstd")
            .to_str()
            .expect("text")
    );
    let of_dump = json(
        &daemon,
        &["dogstatsd", "top", "-m", "1", "-t", "1", "--dump", "--json"],
    );
    assert_eq!(of_dump["metrics"], largest);
    assert_eq!(of_dump["source"], "dump");
    daemon.stop();
}

#[test]
fn samples_are_counted_by_metric_from_the_moment_they_are_asked_for() {
    let daemon = Setup::new().live().start();
    let off = ask(&daemon, &["dogstatsd-stats"]);
    assert_eq!(off.code(), 1);
    assert!(
        off.stderr.contains("dogstatsd_stats true"),
        "{}",
        off.stderr
    );
    send::udp(daemon.udp(), "before:1|c");
    daemon.wait_processed(1);
    set(&daemon, "dogstatsd_stats", "true");
    send::udp(
        daemon.udp(),
        "often:1:2:3|c|#b:2,a:1\nrare:1|ms\noften:1|c|#a:1,b:2",
    );
    daemon.wait_processed(6);
    let counts = wait::until("the bucket to close", || {
        let stats = json(&daemon, &["dogstatsd-stats", "--json"]);
        let rows = stats.as_object().expect("an object");
        (rows.len() == 2).then(|| rows.values().cloned().collect::<Vec<_>>())
    });
    let of = |name: &str| {
        counts
            .iter()
            .find(|row| row["name"] == name)
            .expect("a row")
    };
    assert_eq!(of("often")["count"], 4);
    assert_eq!(of("often")["tags"], "a:1 b:2");
    assert_eq!(of("rare")["count"], 1);
    assert!(
        of("rare")["last_seen"]
            .as_str()
            .is_some_and(|at| at.ends_with('Z'))
    );
    let text = ask(&daemon, &["dogstatsd-stats"]).stdout;
    let rows: Vec<&str> = text.lines().skip(1).collect();
    assert!(
        rows[0].starts_with("often") && rows[1].starts_with("rare"),
        "{text}"
    );
    set(&daemon, "dogstatsd_stats", "false");
    assert_eq!(ask(&daemon, &["dogstatsd-stats"]).code(), 1);
    set(&daemon, "dogstatsd_stats", "true");
    assert_eq!(
        json(&daemon, &["dogstatsd-stats", "--json"]),
        json!({}),
        "from nothing"
    );
    daemon.stop();
}

#[test]
fn another_api_key_is_taken_while_running_and_nothing_is_lost() {
    let intake = Intake::start();
    intake.rules(|rules| rules.keys = vec![OTHER_KEY.to_owned()]);
    let daemon = crate::datadog::setup(&intake).start();
    send::udp(daemon.udp(), "kept:1|c");
    daemon.wait_processed(1);
    daemon.wait_log("API key");
    let refused = ask(&daemon, &["config", "set", "api_key", "with space"]);
    assert_eq!(refused.code(), 1, "{}", refused.stdout);
    set(&daemon, "api_key", OTHER_KEY);
    intake.wait("what was refused under the old key", |records| {
        records.points() > 0
    });
    let log = daemon.log();
    assert!(!log.contains(KEY) && !log.contains(OTHER_KEY), "{log}");
    daemon.stop();
}

#[test]
fn without_a_key_the_start_warns_or_refuses() {
    let daemon = Setup::new().start();
    daemon.wait_log("no API key: nothing is sent to Datadog's intake");
    daemon.stop();
    let ended = Setup::new()
        .with("greyhound.datadog.require_key", true)
        .run_to_end();
    assert_eq!(ended.code(), 64, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("critical: there is no API key"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_log_at_debug_is_ours_and_fills_a_file_that_rolls() {
    let setup = Setup::new().with("log_level", "debug");
    let file = setup.path("own.log");
    let daemon = setup
        .with("log_file", file.to_str().expect("text"))
        .with("log_file_max_size", 2000)
        .with("log_file_max_rolls", 2)
        .start();
    if has_curl() {
        for _ in 0..20 {
            let asked = with_token(&daemon, "/agent/version", &["--http2"]).expect("an answer");
            assert_eq!((asked.status, &*asked.version), (200, "2"));
        }
        let log = daemon.log();
        let theirs = ["h2::", "hyper", "rustls::"];
        let found = log
            .lines()
            .find(|line| theirs.iter().any(|name| line.contains(name)));
        assert_eq!(found, None);
        assert!(log.contains("DEBUG"), "{log}");
        wait::until("the file to roll", || {
            file.with_extension("log.1").exists().then_some(())
        });
    }
    let own = std::fs::read_to_string(&file).expect("a log file");
    assert!(own.len() <= 2000, "{}", own.len());
    daemon.stop();
}

#[test]
fn health_is_an_exit_code() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let daemon = Setup::new().with("agent_ipc.port", port).start();
    let answer = ask(&daemon, &["health"]);
    assert_eq!(answer.code(), 1, "{}{}", answer.stdout, answer.stderr);
    assert!(
        answer.stdout.contains("unhealthy: control"),
        "{}",
        answer.stdout
    );
    let answer = ask(&daemon, &["health", "--json"]);
    assert_eq!(answer.code(), 1);
    daemon.stop();
}

#[test]
fn reloads_are_counted_by_how_they_went() {
    let daemon = Setup::new().start();
    let count = |result| {
        daemon
            .telemetry()
            .sum("greyhound__config__reloads", &[("result", result)])
    };
    assert_eq!((count("applied"), count("refused")), (0.0, 0.0));
    assert_eq!(ask(&daemon, &["config", "reload"]).code(), 0);
    std::fs::write(daemon.path("greyhound.yaml"), "dogstatsd_port: [").expect("written");
    assert_eq!(ask(&daemon, &["config", "reload"]).code(), 1);
    assert!(count("refused") >= 1.0);
    assert_eq!(count("applied"), 1.0);
    daemon.stop();
}

/// Answers like the receiver of flares: a redirect for the first HEAD, 404 for the second, then the form.
fn receive_flare(answer: &'static str) -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (sender, requests) = channel();
    thread::spawn(move || {
        // Each connection on its own: a client keeps one open and may begin another.
        for mut stream in listener.incoming().flatten() {
            let sender = sender.clone();
            thread::spawn(move || {
                while let Some((head, body)) = request(&mut stream) {
                    let reply = match head.split(' ').take(2).collect::<Vec<_>>()[..] {
                        ["HEAD", path] if path.starts_with("/support/flare") => REDIRECT,
                        ["HEAD", _] => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
                        _ => answer,
                    };
                    let is_heard = sender.send((head, body)).is_ok();
                    if !is_heard || stream.write_all(reply.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    (url, requests)
}

fn request(stream: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 8192];
    loop {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n");
        if let Some(end) = end {
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(": ")?;
                name.eq_ignore_ascii_case("content-length")
                    .then(|| value.parse().ok())?
            });
            let length: usize = length.unwrap_or(0);
            if bytes.len() >= end + 4 + length {
                return Some((head, bytes.split_off(end + 4)));
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&chunk[..read]),
        }
    }
}

fn flare(
    answer: &'static str,
    key: &str,
) -> (greyhound_tests::command::Finished, Vec<(String, Vec<u8>)>) {
    let (url, requests) = receive_flare(answer);
    let setup = Setup::new();
    let config = setup.path("flare.yaml");
    let settings = json!({
        "api_key": key, "dd_url": url, "hostname": "box-7", "run_path": setup.path("run"),
        "greyhound": { "delivery": { "disk_bytes": 0 } },
    });
    std::fs::write(&config, settings.to_string()).expect("written");
    let arguments = [
        "flare",
        "--local",
        "--send",
        "1234",
        "--email",
        "me@example.com",
        "--config",
        config.to_str().expect("text"),
    ];
    let done = greyhound_tests::daemon::greyhound(&arguments, "");
    (done, requests.try_iter().collect())
}

#[test]
fn a_flare_is_sent_as_a_form_with_its_fields_in_order() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"case_id\":1234}";
    let (done, requests) = flare(answer, KEY);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert!(done.stdout.contains("the case is 1234"), "{}", done.stdout);
    let lines: Vec<&str> = requests
        .iter()
        .filter_map(|(head, _)| head.lines().next())
        .collect();
    assert_eq!(
        lines,
        [
            "HEAD /support/flare/1234 HTTP/1.1",
            "HEAD /moved?to=here HTTP/1.1",
            "POST /moved?to=here HTTP/1.1",
        ]
    );
    let with_key = |(head, _): &&(String, Vec<u8>)| head.to_lowercase().contains("dd-api-key");
    assert_eq!(
        requests.iter().filter(with_key).count(),
        1,
        "with the form only"
    );
    let (head, body) = &requests[2];
    let boundary = head
        .split("boundary=")
        .nth(1)
        .expect("a form")
        .lines()
        .next();
    let boundary = format!("--{}", boundary.expect("a boundary"));
    let text = String::from_utf8_lossy(body);
    let parts: Vec<&str> = text.split(&boundary).collect();
    let field = |part: &str| {
        let name = part.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        let value = part
            .split("\r\n\r\n")
            .nth(1)?
            .trim_end_matches("\r\n")
            .to_owned();
        Some((name, value))
    };
    let fields: Vec<(String, String)> = parts.iter().filter_map(|part| field(part)).collect();
    let names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
    assert_eq!(
        names,
        [
            "case_id",
            "email",
            "source",
            "flare_file",
            "agent_version",
            "hostname"
        ]
    );
    assert_eq!(fields[0].1, "1234");
    assert_eq!(fields[1].1, "me@example.com");
    assert_eq!(fields[5].1, "box-7");
    assert!(fields[3].1.starts_with("PK"), "an archive");
    assert!(!text.contains(KEY), "the key is in no file of it");
    assert_eq!(parts.last(), Some(&"--\r\n"));
}

#[test]
fn a_flare_that_is_refused_says_why_and_where_the_archive_is() {
    let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    let (done, _) = flare(refused, KEY);
    assert_eq!(done.code(), 1);
    assert!(
        done.stderr.contains("API Key ending with: bcdef"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("the archive is /"), "{}", done.stderr);
    let error = "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"error\":\"no such case 1234.\"}";
    let (done, _) = flare(error, KEY);
    assert_eq!(done.code(), 1);
    assert!(done.stderr.contains("no such case"), "{}", done.stderr);
    let (done, requests) = flare(refused, "");
    assert_eq!((done.code(), requests.len()), (1, 0));
    assert!(
        done.stderr.contains("API key is missing"),
        "{}",
        done.stderr
    );
}

#[test]
fn the_ready_file_follows_the_listeners() {
    let daemon = Setup::new().start();
    let ready = || -> Value {
        let text = std::fs::read_to_string(daemon.path("ready.json")).expect("a ready file");
        serde_json::from_str(&text).expect("JSON")
    };
    let before = ready();
    set(&daemon, "greyhound.udp.listeners", "127.0.0.1:0");
    let after = ready();
    let udp = after["udp"].as_array().expect("a list");
    assert_eq!(udp.len(), 2, "{after}");
    assert_eq!(udp[0], before["udp"][0]);
    let more: std::net::SocketAddr = udp[1]
        .as_str()
        .and_then(|text| text.parse().ok())
        .expect("an address");
    send::udp(more, "there:1|c");
    daemon.wait_processed(1);
    assert_eq!(
        ask(&daemon, &["config", "unset", "greyhound.udp.listeners"]).code(),
        0
    );
    assert_eq!(ready()["udp"], before["udp"]);
    assert_eq!(ready()["http"], before["http"]);
    daemon.stop();
}

/// Both callbacks go over TLS with the certificate both share, which is compared as a whole.
#[test]
fn a_remote_agents_counters_and_status_are_asked_for_over_tls() {
    if !has_curl() {
        return;
    }
    let core = Setup::new().start();
    let shared = |name: &str| core.path(name).to_string_lossy().into_owned();
    let remote = Setup::new()
        .with("auth_token_file_path", shared("auth_token"))
        .with("ipc_cert_file_path", shared("ipc_cert.pem"))
        .with("greyhound.remote_agent.enabled", true)
        .with(
            "greyhound.remote_agent.address",
            core.ready().control.clone(),
        )
        .start();
    let theirs = wait::until("the counters of the remote agent", || {
        let page = with_token(&core, "/telemetry", &[]).ok()?;
        let line =
            |line: &&str| line.contains("remote_agent=\"") && line.starts_with("greyhound__ready");
        page.body
            .lines()
            .find(line)
            .map(|line| (line.to_owned(), page.body.clone()))
    });
    let (line, page) = theirs;
    assert!(line.ends_with(" 1"), "{line}");
    let families = page
        .lines()
        .filter(|line| line.starts_with("# TYPE greyhound__ready "));
    assert_eq!(families.count(), 1, "each family once");
    let open = ["-H", "Accept: application/openmetrics-text; version=1.0.0"];
    let own = with_token(&core, "/telemetry", &open).expect("an answer");
    assert!(own.body.ends_with("# EOF\n") && !own.body.contains("remote_agent=\""));
    let status = json(&core, &["remote-agents", "--verbose", "--json"]).to_string();
    assert!(
        status.contains(&format!("{}", remote.pid())) || status.contains("greyhound"),
        "{status}"
    );
    remote.stop();
    core.stop();
}

#[test]
fn refused_messages_are_told_with_an_example_and_not_one_by_one() {
    for (quiet, level) in [(false, "WARN"), (true, "DEBUG")] {
        let daemon = Setup::new()
            .with("log_level", "debug")
            .with("greyhound.lanes", 1)
            .with("dogstatsd_disable_verbose_logs", quiet)
            .start();
        let socket = send::udp_socket(daemon.udp());
        for id in 0..50 {
            socket
                .send(format!("bad{id}:one|c").as_bytes())
                .expect("sent");
        }
        daemon.wait_processed(50);
        let line = daemon.wait_log("a message was refused");
        assert!(
            line.contains(level) && line.contains("bad0:one|c"),
            "{line}"
        );
        let told = daemon.log().matches("a message was refused").count();
        // One more when ten seconds went by.
        assert!(told <= 2, "{told}");
        daemon.stop();
    }
}

#[test]
fn histogram_aggregates_change_while_running() {
    let daemon = Setup::new().start();
    send::udp(daemon.udp(), "h:1:2:9|h");
    daemon.wait_processed(1 + 2);
    set(&daemon, "histogram_aggregates", "min");
    let stopped = daemon.stop();
    assert_eq!(stopped.records.last("h.min"), 1.0);
    assert!(stopped.records.series("h.max").is_empty());
}
