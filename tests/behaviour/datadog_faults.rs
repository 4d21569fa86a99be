//! Everything that can go wrong on the way to the intake. After each fault the account adds up, nothing is
//! lost but what was refused for good, and nothing arrives twice but what was reported as possibly twice.

use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use greyhound_tests::daemon::{Daemon, Setup, Stopped};
use greyhound_tests::intake::{Certificate, Class, Intake, KEY, Reply};
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::wait;

use crate::datadog::{delivery, setup, wait_drained};
use crate::send;

/// Lines of one [`load`].
const LINES: u64 = 100;

/// Resident memory no fault may need, in KiB. The tests' build is not the release build.
const MEMORY_KIB_MAX: u64 = 256 * 1024;

/// Sends one of everything, many times. Gives the number of items.
fn load(daemon: &Daemon) -> u64 {
    let socket = send::udp_socket(daemon.udp());
    for number in 0..LINES {
        let line = format!("load:1|c|#n:{}\nload.d:{number}|d", number % 10);
        socket.send(line.as_bytes()).unwrap();
    }
    socket.send(b"_e{4,4}:load|text\n_sc|load|1").unwrap();
    2 * LINES + 2
}

/// [`load`], and waits until it is in.
fn load_in(daemon: &Daemon, before: u64) -> u64 {
    let count = before + load(daemon);
    daemon.wait_processed(count);
    count
}

fn failures(daemon: &Daemon, kind: &str) -> f64 {
    delivery(daemon, "failures", &[("kind", kind)])
}

fn wait_failures(daemon: &Daemon, kind: &str, count: f64) {
    wait::until(&format!("{count} failures of kind {kind}"), || {
        (failures(daemon, kind) >= count).then_some(())
    });
}

/// What is in memory now, in KiB.
fn memory_kib(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Lets everything arrive, stops, and closes the account: all `loads` arrived, duplicates as reported.
fn close_account(intake: &Intake, daemon: Daemon, loads: u64) -> Stopped {
    intake.reply(Reply::Accept);
    wait_drained(&daemon, "datadog");
    assert!(memory_kib(&daemon) < MEMORY_KIB_MAX);
    let resent = [
        delivery(&daemon, "payloads_resent", &[]),
        delivery(&daemon, "points_resent", &[]),
    ];
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!((end.dropped, end.kept), (0, 0), "{end:?}");
    intake.look(|records| {
        assert_eq!(records.points(), end.delivered, "{}", stopped.log);
        assert_eq!(records.total("load"), (loads * LINES) as f64);
        assert_eq!(records.sketch("load.d").count.unsigned_abs(), loads * LINES);
        let events = records.events().len() + records.service_checks("load").len();
        assert_eq!(events as u64, 2 * loads);
        let (payloads, points) = records.duplicates();
        assert!(
            payloads as f64 <= resent[0] && points as f64 <= resent[1],
            "{payloads} payloads of {points} points twice, {resent:?} reported"
        );
    });
    stopped
}

/// Runs through a fault of the intake that is over after a while.
fn survive(reply: Reply, seen: impl Fn(&Daemon, &Intake) -> bool) -> (Intake, Stopped) {
    let intake = Intake::start();
    intake.reply(reply);
    let daemon = setup(&intake).start();
    let count = load_in(&daemon, 0);
    wait::until("the fault to be felt", || {
        seen(&daemon, &intake).then_some(())
    });
    load_in(&daemon, count);
    let stopped = close_account(&intake, daemon, 2);
    (intake, stopped)
}

fn failed(kind: &'static str, count: f64) -> impl Fn(&Daemon, &Intake) -> bool {
    move |daemon, _| failures(daemon, kind) >= count
}

fn answered(class: &'static str, count: f64) -> impl Fn(&Daemon, &Intake) -> bool {
    move |daemon, _| delivery(daemon, "answers", &[("status", class)]) >= count
}

#[test]
fn nobody_listens() {
    let intake = Intake::start();
    intake.close();
    let daemon = setup(&intake).start();
    let count = load_in(&daemon, 0);
    wait_failures(&daemon, "connect", 3.0);
    load_in(&daemon, count);
    intake.open();
    close_account(&intake, daemon, 2);
}

#[test]
fn connections_are_reset_before_the_body() {
    survive(Reply::ResetEarly, failed("broken", 3.0));
}

#[test]
fn the_answer_is_lost_and_what_may_have_arrived_is_reported() {
    let intake = Intake::start();
    intake.reply_first(6, Reply::LoseAnswer);
    let daemon = setup(&intake).start();
    load_in(&daemon, 0);
    wait_failures(&daemon, "broken", 6.0);
    close_account(&intake, daemon, 1);
    let (payloads, _) = intake.look(|records| records.duplicates());
    assert!(payloads >= 1, "the fault made no duplicate to be reported");
}

#[test]
fn an_intake_is_silent() {
    let (_, stopped) = survive(Reply::Silence, failed("timeout", 2.0));
    assert!(
        stopped.log.contains("no answer within 1 s"),
        "{}",
        stopped.log
    );
}

#[test]
fn an_answer_comes_byte_by_byte() {
    survive(Reply::Drip, failed("timeout", 2.0));
}

#[test]
fn an_answer_comes_late_but_in_time() {
    let late = Reply::After(Duration::from_millis(400), Box::new(Reply::Accept));
    survive(late, answered("2xx", 3.0));
}

#[test]
fn an_answer_has_a_head_without_end() {
    survive(Reply::EndlessHead, failed("protocol", 2.0));
}

#[test]
fn an_answer_is_preceded_by_others_without_end() {
    survive(Reply::EndlessContinue, |daemon, _| {
        failures(daemon, "timeout") + failures(daemon, "protocol") + failures(daemon, "broken")
            >= 2.0
    });
}

#[test]
fn an_answer_is_not_http() {
    survive(Reply::Garbage, failed("protocol", 2.0));
}

#[test]
fn an_answer_has_a_body_without_end() {
    let (intake, _) = survive(Reply::EndlessBody(202), answered("2xx", 3.0));
    assert_eq!(intake.look(|records| records.duplicates()), (0, 0));
    survive(Reply::EndlessBody(503), answered("5xx", 2.0));
}

#[test]
fn answers_that_ask_for_another_try_get_one() {
    const STATUSES: [u16; 10] = [404, 408, 425, 429, 500, 502, 503, 504, 407, 599];
    let intake = Intake::start();
    intake.reply_with(|request| match STATUSES.get(request.number as usize) {
        Some(status) => Reply::Status(*status),
        None => Reply::Accept,
    });
    let daemon = setup(&intake).start();
    load_in(&daemon, 0);
    intake.wait("all of the answers", |records| {
        records.requests > STATUSES.len() as u64
    });
    close_account(&intake, daemon, 1);
    assert_eq!(intake.look(|records| records.duplicates()), (0, 0));
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Intake::start();
    for status in [301, 302, 307, 308] {
        let location = format!("{}/api/v2/series", elsewhere.url());
        let reply = Reply::Full {
            status,
            headers: vec![("Location", location)],
            body: String::new(),
        };
        let (_, stopped) = survive(reply, answered("3xx", 2.0));
        assert!(stopped.log.contains("not followed"), "{}", stopped.log);
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn a_wait_that_is_asked_for_is_kept() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    load_in(&daemon, 0);
    intake.reply_first(
        1,
        Reply::Full {
            status: 429,
            headers: vec![("Retry-After", "2".to_owned())],
            body: "slow down".to_owned(),
        },
    );
    intake.wait("two requests of the class that was held back", |records| {
        let first = records.times.first().map(|(class, _)| *class);
        records
            .times
            .iter()
            .filter(|(class, _)| Some(*class) == first)
            .count()
            >= 2
    });
    let gap = intake.look(|records| {
        let first = records.times[0];
        let next = records.times[1..]
            .iter()
            .find(|(class, _)| *class == first.0);
        next.unwrap().1.duration_since(first.1)
    });
    assert!(gap >= Duration::from_millis(1_950), "{gap:?}");
    close_account(&intake, daemon, 1);
}

#[test]
fn what_is_refused_for_good_is_dropped_and_counted_and_nothing_else() {
    for (status, reason) in [(400, "http_400"), (422, "http_other")] {
        let intake = Intake::start();
        intake.reply_first(
            5,
            Reply::Full {
                status,
                headers: Vec::new(),
                body: "because\u{1b}[0m".to_owned(),
            },
        );
        let daemon = setup(&intake).start();
        load_in(&daemon, 0);
        intake.wait("more than those refused", |records| records.requests > 5);
        wait_drained(&daemon, "datadog");
        let labels = [("sink", "datadog"), ("reason", reason)];
        let dropped = daemon
            .telemetry()
            .sum("greyhound__sink__points_dropped", &labels);
        let stopped = daemon.stop();
        let end = SinkEnd::of(&stopped, "datadog");
        intake.look(|records| {
            assert_eq!(end.dropped, records.turned_away);
            assert_eq!(dropped, records.turned_away as f64, "all for {reason}");
            assert_eq!(records.points(), end.delivered);
        });
        assert!(
            stopped.log.contains("because\\x1b"),
            "the answer in words, escaped: {}",
            stopped.log
        );
    }
}

#[test]
fn a_refused_key_keeps_everything_until_the_right_one_comes() {
    let intake = Intake::start();
    intake.rules(|rules| rules.keys = vec!["another".to_owned()]);
    let queue = tempfile::tempdir().unwrap();
    let with_key = |key: &str| {
        setup(&intake)
            .with("api_key", key)
            .with("forwarder_storage_path", queue.path().to_string_lossy())
            .start()
    };
    let daemon = with_key(KEY);
    let count = load_in(&daemon, 0);
    intake.wait("one of each class", |records| {
        let classes: std::collections::BTreeSet<_> =
            records.times.iter().map(|(class, _)| *class).collect();
        classes.len() == 4
    });
    let sent = daemon
        .telemetry()
        .sum("greyhound__sink__points_flushed", &[("sink", "datadog")]);
    wait::until("two more flushes", || {
        let now = daemon
            .telemetry()
            .sum("greyhound__sink__points_flushed", &[("sink", "datadog")]);
        (now >= sent + 4.0).then_some(())
    });
    load_in(&daemon, count);
    // One asks for all: two a class at most, for those that left together.
    let asked = intake.look(|records| records.refused_keys);
    assert!(
        asked <= 8,
        "{asked} payloads were tried with a key that is not taken"
    );
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!((end.delivered, end.dropped), (0, 0), "{end:?}");
    assert!(stopped.log.contains("not accepted"), "{}", stopped.log);
    let daemon = with_key("another");
    close_account(&intake, daemon, 2);
}

#[test]
fn another_key_is_taken_while_running_and_what_waited_goes_out_at_once() {
    let intake = Intake::start();
    intake.rules(|rules| rules.keys = vec!["another".to_owned()]);
    let daemon = setup(&intake).start();
    load_in(&daemon, 0);
    intake.wait("a refusal", |records| records.refused_keys >= 1);
    let settings = daemon.path("greyhound.yaml");
    let text = fs::read_to_string(&settings).unwrap();
    fs::write(&settings, text.replace(KEY, "another")).unwrap();
    daemon.signal("HUP");
    // The next try without it would be a minute later.
    close_account(&intake, daemon, 1);
}

#[test]
fn a_refused_key_drops_where_that_is_asked_for() {
    let intake = Intake::start();
    intake.rules(|rules| rules.keys = vec!["another".to_owned()]);
    let daemon = setup(&intake)
        .with("greyhound.delivery.drop_on_auth_error", true)
        .start();
    load_in(&daemon, 0);
    intake.wait("a few refusals", |records| records.refused_keys >= 4);
    wait_drained(&daemon, "datadog");
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!(end.delivered, 0);
    assert_eq!(end.dropped, intake.look(|records| records.turned_away));
}

#[test]
fn a_payload_that_is_too_large_is_halved_whatever_it_holds() {
    const MOST: usize = 3_000;
    let intake = Intake::start();
    intake.rules(|rules| rules.encoding = "");
    intake.reply_with(|request| {
        let len: usize = request
            .header("content-length")
            .parse()
            .unwrap_or(usize::MAX);
        Reply::Status(if len > MOST { 413 } else { 202 })
    });
    let daemon = setup(&intake)
        .with("greyhound.bucket_seconds", 2)
        .with("serializer_compressor_kind", "none")
        .with("serializer_max_series_payload_size", 5_000)
        .with("serializer_max_payload_size", 5_000)
        .start();
    intake.rules(|rules| rules.bucket_seconds = 2);
    let socket = send::udp_socket(daemon.udp());
    for number in 0..200 {
        let line = format!(
            "large:1|c|#n:{number},pad:{number:040}\nlarge.d:{number}|d|#n:{number},pad:{number:040}\n\
             _e{{5,4}}:large|text|s:source{}|#n:{number}\n_sc|large|1|#n:{number}",
            number % 3
        );
        socket.send(line.as_bytes()).unwrap();
    }
    daemon.wait_processed(800);
    intake.wait("all of it", |records| records.events().len() == 200);
    // One that cannot be halved, alone.
    let text = "x".repeat(3_500);
    socket
        .send(format!("_e{{5,3500}}:alone|{text}").as_bytes())
        .unwrap();
    daemon.wait_processed(801);
    let labels = [("sink", "datadog"), ("reason", "http_413")];
    let dropped = || {
        let page = daemon.telemetry();
        page.sum("greyhound__sink__points_dropped", &labels)
    };
    wait::until("its end", || (dropped() > 0.0).then_some(()));
    wait_drained(&daemon, "datadog");
    let dropped = dropped();
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!((end.dropped, dropped), (1, 1.0), "{}", stopped.log);
    intake.look(|records| {
        assert_eq!(records.points(), end.delivered);
        assert_eq!(records.duplicates(), (0, 0));
        assert_eq!(records.total("large"), 200.0);
        assert_eq!(records.sketch("large.d").count, 200);
        assert_eq!(records.service_checks("large").len(), 200);
        assert!(records.turned_away > 0, "nothing was too large");
    });
}

#[test]
fn a_name_has_no_address() {
    let intake = Intake::start();
    let daemon = setup(&intake)
        .with("dd_url", "http://intake.invalid")
        .start();
    load_in(&daemon, 0);
    wait_failures(&daemon, "dns", 2.0);
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!((end.delivered, end.dropped, end.kept), (0, 0, end.points));
    assert!(
        stopped.log.contains("cannot resolve intake.invalid"),
        "{}",
        stopped.log
    );
}

#[test]
fn a_certificate_that_proves_nothing_gets_nothing() {
    let good = Certificate::good();
    for (certificate, authority, words) in [
        (Certificate::expired(), None, "xpired"),
        (Certificate::of_another_host(), None, "NotValidForName"),
        (Certificate::good(), Some(&good), "UnknownIssuer"),
    ] {
        let intake = Intake::start_tls(&certificate);
        let setup = setup(&intake);
        let path = setup.path("authority.pem");
        let trusted = authority.unwrap_or(&certificate);
        std::fs::write(&path, &trusted.authority_pem).unwrap();
        let daemon = setup
            .with("greyhound.delivery.ca_file", path.to_string_lossy())
            .start();
        load_in(&daemon, 0);
        wait_failures(&daemon, "tls", 2.0);
        let resent = delivery(&daemon, "payloads_resent", &[]);
        let stopped = daemon.stop();
        let end = SinkEnd::of(&stopped, "datadog");
        assert_eq!((end.delivered, end.dropped, end.kept), (0, 0, end.points));
        assert_eq!((intake.requests().len(), resent), (0, 0.0));
        let said = stopped.log.to_lowercase();
        let words = words.to_lowercase();
        assert!(
            said.contains(&words) || said.contains("certificate"),
            "{words}: {}",
            stopped.log
        );
    }
}

#[test]
fn a_handshake_that_does_not_end_is_given_up() {
    // It waits for a request that never comes, as one that speaks no TLS does.
    let intake = Intake::start();
    let secure = intake.url().replace("http://", "https://");
    let daemon = setup(&intake).with("dd_url", secure).start();
    load_in(&daemon, 0);
    wait_failures(&daemon, "timeout", 2.0);
    assert_eq!(
        delivery(&daemon, "payloads_resent", &[]),
        0.0,
        "nothing was sent"
    );
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.delivered, end.dropped), (0, 0));
}

#[test]
fn a_proxy_wants_credentials_at_first() {
    let proxy = Intake::start();
    proxy.reply_first(4, Reply::Status(407));
    let daemon = setup(&proxy)
        .with("dd_url", "http://intake.invalid")
        .with("proxy.http", proxy.url())
        .with("proxy.no_proxy", serde_json::json!(["nowhere.invalid"]))
        .start();
    load_in(&daemon, 0);
    wait::until("the refusals", || {
        (delivery(&daemon, "answers", &[("status", "4xx")]) >= 4.0).then_some(())
    });
    close_account(&proxy, daemon, 1);
}

#[test]
fn a_proxy_that_never_opens_its_tunnel_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            // Reads the CONNECT and leaves it there.
            drop(stream.read(&mut [0; 1024]));
            open.push(stream);
        }
    });
    let intake = Intake::start();
    let daemon = setup(&intake)
        .with("dd_url", "https://intake.invalid")
        .with("proxy.https", proxy)
        .with("proxy.no_proxy", serde_json::json!(["nowhere.invalid"]))
        .start();
    load_in(&daemon, 0);
    wait_failures(&daemon, "timeout", 2.0);
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.delivered, end.dropped, end.kept), (0, 0, end.points));
}

#[test]
fn one_dead_destination_does_not_hold_up_the_other() {
    let dead = Intake::start();
    let live = Intake::start();
    dead.reply(Reply::Silence);
    let daemon = setup(&dead)
        .with(
            "additional_endpoints",
            serde_json::json!({ live.url(): [KEY] }),
        )
        .start();
    let count = load_in(&daemon, 0);
    let begun = Instant::now();
    for _ in 0..3 {
        let before = live.look(|records| records.payloads(Class::Series));
        live.wait("the next flush", |records| {
            records.payloads(Class::Series) > before
        });
    }
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    wait_drained(&daemon, "datadog-2");
    assert_eq!(live.look(|records| records.total("load")), LINES as f64);
    load_in(&daemon, count);
    close_account(&dead, daemon, 2);
    assert_eq!(
        live.look(|records| records.total("load")),
        (2 * LINES) as f64
    );
}

#[test]
fn after_an_outage_what_is_new_does_not_wait_for_what_is_old() {
    let intake = Intake::start();
    intake.close();
    let daemon = setup(&intake).start();
    let mut count = 0;
    for _ in 0..4 {
        let before = delivery(&daemon, "payloads_queued", &[]);
        count = load_in(&daemon, count);
        wait::until("a flush", || {
            (delivery(&daemon, "payloads_queued", &[]) > before).then_some(())
        });
    }
    // Slow enough that the backlog takes longer than a flush.
    intake.reply(Reply::After(
        Duration::from_millis(150),
        Box::new(Reply::Accept),
    ));
    intake.open();
    close_account(&intake, daemon, 4);
}

#[test]
fn a_stop_with_a_dead_intake_leaves_everything_to_the_next_start() {
    let intake = Intake::start();
    intake.close();
    let queue = tempfile::tempdir().unwrap();
    let start = |setup: Setup| {
        setup
            .with("forwarder_storage_path", queue.path().to_string_lossy())
            .start()
    };
    let daemon = start(setup(&intake));
    load_in(&daemon, 0);
    wait_failures(&daemon, "connect", 1.0);
    let end = SinkEnd::of(&daemon.stop(), "datadog");
    assert_eq!((end.delivered, end.dropped, end.kept), (0, 0, end.points));
    intake.open();
    let daemon = start(setup(&intake));
    wait::until("what was left", || {
        (delivery(&daemon, "payloads_recovered", &[]) > 0.0).then_some(())
    });
    close_account(&intake, daemon, 1);
}

#[test]
fn a_stop_with_a_dead_intake_and_no_disk_counts_what_it_costs() {
    let intake = Intake::start();
    intake.reply(Reply::Silence);
    let daemon = setup(&intake)
        .with("greyhound.delivery.disk_bytes", 0)
        .with("greyhound.stop_timeout_seconds", 2)
        .start();
    load_in(&daemon, 0);
    let begun = Instant::now();
    let stopped = daemon.stop_with(3);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!((end.delivered, end.dropped, end.kept), (0, end.points, 0));
}
