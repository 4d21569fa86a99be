//! Flushes at Datadog's intake: what clients sent arrives there to the last bit, and every payload keeps every
//! rule of the intake, which [`greyhound_tests::intake`] checks on each of them.

use std::collections::BTreeMap;

use greyhound_tests::daemon::{Daemon, HOSTNAME, Setup, Stopped};
use greyhound_tests::intake::payload::Series;
use greyhound_tests::intake::{Certificate, Class, Intake, KEY};
use greyhound_tests::records::{Records, tags_of};
use greyhound_tests::sink_end::SinkEnd;
use greyhound_tests::{python, wait};
use serde_json::{Value, json};

use crate::send;

const COUNT: u64 = 1;
const RATE: u64 = 2;
const GAUGE: u64 = 3;

/// A daemon that sends to the intake, with short buckets and short waits. It does not say that it runs: two
/// processes that do so in the same second look like one that repeats itself.
pub(crate) fn setup(intake: &Intake) -> Setup {
    Setup::new()
        .live()
        .with("api_key", KEY)
        .with("dd_url", intake.url())
        .with("greyhound.datadog.running", false)
        .with("forwarder_timeout", 1)
        .with("forwarder_backoff_base", 0.05)
        .with("forwarder_backoff_max", 0.2)
        .env("NO_PROXY", "*")
}

/// Waits until nothing waits for its delivery any more.
pub(crate) fn wait_drained(daemon: &Daemon, sink: &str) {
    wait::until("everything to be delivered", || {
        let page = daemon.telemetry();
        let labels = [("sink", sink)];
        let queued = page.sum("greyhound__delivery__payloads_queued", &labels);
        (queued == 0.0 && page.sum("greyhound__sink__points_waiting", &labels) == 0.0).then_some(())
    });
}

/// A counter of the delivery.
pub(crate) fn delivery(daemon: &Daemon, name: &str, labels: &[(&str, &str)]) -> f64 {
    let name = format!("greyhound__delivery__{name}");
    daemon.telemetry().sum(&name, labels)
}

/// The account of a run whose intake took everything: what the sink says it delivered is what arrived, and
/// nothing arrived twice.
pub(crate) fn check_all_arrived(intake: &Intake, stopped: &Stopped) -> SinkEnd {
    let end = SinkEnd::of(stopped, "datadog");
    assert_eq!((end.dropped, end.kept), (0, 0), "{end:?}\n{}", stopped.log);
    intake.look(|records| {
        assert_eq!(records.duplicates(), (0, 0));
        assert_eq!(records.points(), end.delivered, "{}", stopped.log);
    });
    end
}

fn resources(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, name): &(&str, &str)| ((*kind).to_owned(), (*name).to_owned());
    pairs.iter().map(owned).collect()
}

/// One value per name, tags, resources and second, of all that arrived.
fn values<'a>(series: impl Iterator<Item = &'a Series>) -> BTreeMap<(String, String, i64), f64> {
    let mut all = BTreeMap::new();
    for one in series {
        let mut tags = one.tags.clone();
        // Where the tag came from, so that both sides speak of the same.
        tags.extend(
            one.resources
                .iter()
                .filter_map(|(kind, name)| match kind.as_str() {
                    "host" => None,
                    kind => Some(format!("{kind}:{name}")),
                }),
        );
        tags.sort();
        for (seconds, value) in &one.points {
            all.insert((one.name.clone(), tags.join(","), *seconds), *value);
        }
    }
    all
}

/// The same of what the NDJSON sink wrote.
fn values_of_records(records: &Records) -> BTreeMap<(String, String, i64), f64> {
    let mut all = BTreeMap::new();
    for line in records.lines.iter().filter(|line| line["kind"] == "series") {
        let name = line["name"].as_str().unwrap().to_owned();
        for point in line["points"].as_array().unwrap() {
            let (seconds, value) = (point[0].as_i64().unwrap(), point[1].as_f64().unwrap());
            all.insert((name.clone(), tags_of(line).join(","), seconds), value);
        }
    }
    all
}

#[test]
fn every_kind_of_series_arrives_with_its_value_type_tags_and_resources() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let lines = "views:3|c|#env:prod,device:sda\nviews:4|c|#env:prod,device:sdb\nviews:1|c|@0.5\n\
                 temp:-0.5|g|#host:elsewhere\ntemp:7|g|#dd.internal.resource:aws_ec2:i-1\n\
                 users:a|s\nusers:b|s\nusers:a|s\nload:1|h\nload:3|h\nwait:20|ms|#bare";
    send::udp(daemon.udp(), lines);
    daemon.wait_processed(11);
    intake.wait("the series", |records| {
        !records.series("wait.max").is_empty()
    });
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    for (name, total) in [("views", 9.0), ("users", 2.0), ("load.count", 2.0)] {
        assert_eq!(records.total(name), total, "{name}");
    }
    let first = |name: &str| records.series(name)[0];
    assert_eq!((first("views").kind, first("temp").kind), (RATE, GAUGE));
    assert_eq!(
        (first("load.avg").kind, first("load.count").kind),
        (GAUGE, RATE)
    );
    assert_eq!(first("load.avg").points[0].1, 2.0);
    assert_eq!(
        (
            first("wait.max").unit.as_str(),
            first("load.max").unit.as_str()
        ),
        ("millisecond", "")
    );
    assert_eq!(first("wait.max").tags, ["bare"]);
    let views = records.series("views");
    let of_disk = |disk: &str| {
        let wanted = resources(&[("host", HOSTNAME), ("device", disk)]);
        let found = views.iter().find(|one| one.resources == wanted);
        found.unwrap_or_else(|| panic!("no series of {disk}: {views:?}"))
    };
    assert_eq!(of_disk("sda").tags, ["env:prod"]);
    assert_eq!(of_disk("sdb").points[0].1, 4.0);
    let temp = records.series("temp");
    assert!(
        temp.iter()
            .any(|one| one.host() == "elsewhere" && one.points[0].1 == -0.5)
    );
    let cloud = resources(&[("host", HOSTNAME), ("aws_ec2", "i-1")]);
    assert!(
        temp.iter()
            .any(|one| one.resources == cloud && one.points[0].1 == 7.0)
    );
}

#[test]
fn the_intake_and_a_file_are_told_the_same() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let socket = send::udp_socket(daemon.udp());
    for number in 0..4_000 {
        let line = format!(
            "c{}:1|c|#n:{}\ng{}:{number}.25|g\nh:{number}|h",
            number % 7,
            number % 5,
            number % 3
        );
        socket.send(line.as_bytes()).unwrap();
    }
    daemon.wait_processed(12_000);
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let ours = values_of_records(&stopped.records);
    let theirs = intake.look(|records| values(records.all_series()));
    assert!(ours.len() > 40, "{ours:?}");
    assert_eq!(ours, theirs);
}

#[test]
fn distributions_arrive_with_the_right_quantiles() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let socket = send::udp_socket(daemon.udp());
    // A permutation of 1..=10007 and its mirror image, so that both sides of zero and the order are met.
    for step in 1..=10_007_u64 {
        let value = step * 5_003 % 10_007 + 1;
        let line = format!("up:{value}|d|#device:sda\ndown:-{value}|d\nup:{value}|d|#device:sdb");
        socket.send(line.as_bytes()).unwrap();
    }
    daemon.wait_processed(3 * 10_007);
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    let up = records.sketch("up");
    assert_eq!((up.count, up.min, up.max), (2 * 10_007, 1.0, 10_007.0));
    assert_eq!(up.sum, 2.0 * 10_007.0 * 10_008.0 / 2.0);
    let down = records.sketch("down");
    assert_eq!((down.count, down.min, down.max), (10_007, -10_007.0, -1.0));
    for q in [0.01, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99] {
        let exact = 1.0 + (q * 10_006.0_f64).round();
        let found = up.quantile(q);
        assert!(
            (found - exact).abs() <= 0.016 * exact + 1.0,
            "{q}: {found}, not {exact}"
        );
        let mirrored = -down.quantile(1.0 - q);
        assert!(
            (mirrored - exact).abs() <= 0.016 * exact + 1.0,
            "{q}: {mirrored}, not {exact}"
        );
    }
    // A sketch has no resources: what tells two of them apart stays a tag.
    let disks: std::collections::BTreeSet<_> = records
        .sketches("up")
        .into_iter()
        .map(|one| one.tags.clone())
        .collect();
    assert_eq!(disks.len(), 2, "{disks:?}");
}

#[test]
fn events_and_service_checks_arrive_whole() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let title = "disk \"full\"";
    let text = "line one\\nline \u{2713}";
    // The length of the text is that of the escaped one.
    let event = format!(
        "_e{{{},{}}}:{title}|{text}|d:1700000000|p:low|t:error|k:key|s:nagios|h:box|#a:1,b",
        title.len(),
        text.len()
    );
    send::udp(daemon.udp(), event);
    // A source called like the list of those that name none.
    send::udp(
        daemon.udp(),
        "_e{5,4}:plain|text\n_e{3,1}:own|x|s:api\n_e{3,1}:mid|x|s:aaa",
    );
    send::udp(
        daemon.udp(),
        "_sc|db.up|2|d:1700000001|h:box|#c:3|m:it is down",
    );
    daemon.wait_processed(5);
    intake.wait("events and the check", |records| {
        records.events().len() == 4 && !records.service_checks("db.up").is_empty()
    });
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    let found = |title: &str| {
        let events = records.events();
        let event = events
            .into_iter()
            .find(|event| event.object["msg_title"] == title);
        event.unwrap_or_else(|| panic!("no event {title}"))
    };
    let full = found(title);
    assert_eq!(full.source, "nagios");
    assert_eq!(
        full.object,
        json!({
            "msg_title": title, "msg_text": "line one\nline \u{2713}", "timestamp": 1_700_000_000,
            "priority": "low", "host": "box", "tags": ["a:1", "b"], "alert_type": "error",
            "aggregation_key": "key", "source_type_name": "nagios",
        })
    );
    for (title, source) in [("plain", "api"), ("own", "api"), ("mid", "aaa")] {
        assert_eq!(found(title).source, source);
    }
    assert_eq!(found("plain").object["host"], HOSTNAME);
    assert_eq!(
        records.service_checks("db.up"),
        [&json!({
            "check": "db.up", "host_name": "box", "timestamp": 1_700_000_001, "status": 2,
            "message": "it is down", "tags": ["c:3"],
        })]
    );
}

#[test]
fn every_flush_says_that_we_run() {
    let intake = Intake::start();
    let daemon = setup(&intake)
        .with("greyhound.datadog.running", true)
        .start();
    intake.wait("three flushes", |records| {
        records.series("datadog.agent.running").len() >= 3
    });
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    let running = records.series("datadog.agent.running");
    assert_eq!(running[0].host(), HOSTNAME);
    assert_eq!((running[0].kind, running[0].points[0].1), (GAUGE, 1.0));
    assert!(running[0].tags[0].starts_with("version:"), "{running:?}");
    let up = records.service_checks("datadog.agent.up");
    assert_eq!(up.len(), running.len());
    assert_eq!(
        (&up[0]["status"], &up[0]["host_name"]),
        (&json!(0), &json!(HOSTNAME))
    );
}

#[test]
fn times_of_the_client_are_kept() {
    let intake = Intake::start();
    intake.rules(|rules| rules.own_times = true);
    let daemon = setup(&intake).start();
    send::udp(daemon.udp(), "own:5|c|T1700000003\nown:2.5|g|T1700000007");
    daemon.wait_processed(2);
    intake.wait("both points", |records| records.series("own").len() == 2);
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    let mut times: Vec<i64> = records
        .series("own")
        .iter()
        .map(|one| one.points[0].0)
        .collect();
    times.sort_unstable();
    assert_eq!(times, [1_700_000_003, 1_700_000_007]);
    assert!(
        records.series("own").iter().all(|one| one.kind != COUNT),
        "as the Agent"
    );
}

#[test]
fn every_compression_is_what_its_header_says() {
    for (setting, encoding) in [
        ("zlib", "deflate"),
        ("gzip", "gzip"),
        ("none", ""),
        ("zstd", "zstd"),
    ] {
        let intake = Intake::start();
        intake.rules(|rules| rules.encoding = encoding);
        let daemon = setup(&intake)
            .with("serializer_compressor_kind", setting)
            .start();
        send::udp(daemon.udp(), "c:1|c\nd:1|d\n_sc|x|0\n_e{1,1}:a|b");
        daemon.wait_processed(4);
        let stopped = daemon.stop();
        check_all_arrived(&intake, &stopped);
        intake.look(|records| {
            assert_eq!(records.total("c"), 1.0, "{setting}");
            assert_eq!(
                (records.sketch("d").count, records.events().len()),
                (1, 1),
                "{setting}"
            );
        });
    }
}

#[test]
fn many_series_become_payloads_within_every_limit() {
    const CONTEXTS: u64 = 30_000;
    let intake = Intake::start();
    let daemon = setup(&intake)
        .with("greyhound.bucket_seconds", 2)
        .uds()
        .start();
    intake.rules(|rules| rules.bucket_seconds = 2);
    let socket = send::uds_socket(daemon.uds());
    for number in 0..CONTEXTS {
        let line = format!(
            "many:1|c|#id:{number:08},pad:{:064x}\nmany.d:{number}|d|#id:{number:08}",
            number * 0x9e37_79b9
        );
        socket.send(line.as_bytes()).unwrap();
    }
    daemon.wait_processed(2 * CONTEXTS);
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    intake.look(|records| {
        assert_eq!(records.total("many"), CONTEXTS as f64);
        assert_eq!(
            records.sketch("many.d").count,
            i64::try_from(CONTEXTS).unwrap()
        );
        assert!(records.payloads(Class::Series) >= 3);
        let largest = |class| {
            let of_class = records
                .arrivals
                .iter()
                .filter(|arrival| arrival.class == class);
            of_class
                .map(|arrival| (arrival.points, arrival.len, arrival.raw_len))
                .max()
                .unwrap()
        };
        // Payloads are filled, not merely kept small.
        assert_eq!(largest(Class::Series).0, 10_000);
        assert!(largest(Class::Sketches).2 > 2_000_000);
    });
}

#[test]
fn small_limits_are_kept_too() {
    let intake = Intake::start();
    intake.rules(|rules| {
        rules.series = [2_000, 6_000, 40];
        rules.other = [2_000, 5_000];
    });
    let daemon = setup(&intake)
        .with("serializer_max_series_payload_size", 2_000)
        .with("serializer_max_series_uncompressed_payload_size", 6_000)
        .with("serializer_max_series_points_per_payload", 40)
        .with("serializer_max_payload_size", 2_000)
        .with("serializer_max_uncompressed_payload_size", 5_000)
        .start();
    let socket = send::udp_socket(daemon.udp());
    for number in 0..1_000 {
        let line =
            format!("m{number}:1|c\nd{number}:1|d\n_sc|c{number}|0\n_e{{6,4}}:t{number:05}|text");
        socket.send(line.as_bytes()).unwrap();
    }
    daemon.wait_processed(4_000);
    let stopped = daemon.stop();
    let end = check_all_arrived(&intake, &stopped);
    assert!(end.delivered >= 4_000);
    intake.look(|records| {
        assert_eq!(records.events().len(), 1_000);
        assert!(records.payloads(Class::Events) > 10);
    });
}

#[test]
fn what_the_intake_would_refuse_is_counted_and_the_rest_arrives() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let long = "n".repeat(351);
    let tags: Vec<String> = (0..130).map(|number| format!("t{number:03}:v")).collect();
    send::udp(
        daemon.udp(),
        format!("{long}:1|g\n123:1|g\ngood:1|g|#{}", tags.join(",")),
    );
    send::udp(daemon.udp(), b"bad\xff.utf8:1|g|#x:\xfe");
    daemon.wait_processed(4);
    intake.wait("the good one", |records| !records.series("good").is_empty());
    let repaired = delivery(&daemon, "texts_repaired", &[]);
    let cut = delivery(&daemon, "tags_cut", &[]);
    let stopped = daemon.stop();
    let end = SinkEnd::of(&stopped, "datadog");
    assert_eq!(end.dropped, 2, "{end:?}");
    intake.look(|records| {
        assert_eq!(records.points(), end.delivered);
        assert_eq!(records.series("good")[0].tags.len(), 100);
        assert_eq!(records.series("bad\u{fffd}.utf8")[0].tags, ["x:\u{fffd}"]);
    });
    assert!(repaired >= 2.0 && cut >= 30.0, "{repaired} {cut}");
}

#[test]
fn every_address_and_key_gets_everything() {
    let first = Intake::start();
    let second = Intake::start();
    second.rules(|rules| rules.keys = vec!["one".to_owned(), "two".to_owned()]);
    let daemon = setup(&first)
        .with(
            "additional_endpoints",
            json!({ second.url(): ["one", "two"] }),
        )
        .start();
    send::udp(daemon.udp(), "shared:7|c\nshared.d:7|d");
    daemon.wait_processed(2);
    let stopped = daemon.stop();
    check_all_arrived(&first, &stopped);
    assert_eq!(first.look(|records| records.total("shared")), 7.0);
    let mut arrived = 0;
    second.look(|records| {
        for key in ["one", "two"] {
            let of_key = records.arrivals.iter().filter(|arrival| arrival.key == key);
            let series = of_key
                .clone()
                .filter(|arrival| arrival.class == Class::Series);
            assert!(series.count() > 0, "nothing with the key {key}");
            arrived += of_key.map(|arrival| arrival.points).sum::<u64>();
        }
    });
    let delivered = |name| SinkEnd::of(&stopped, name).delivered;
    assert_eq!(arrived, delivered("datadog-2") + delivered("datadog-3"));
}

#[test]
fn a_destination_is_known_by_its_certificate() {
    let certificate = Certificate::good();
    let intake = Intake::start_tls(&certificate);
    let setup = setup(&intake);
    let authority = setup.path("authority.pem");
    std::fs::write(&authority, &certificate.authority_pem).unwrap();
    let daemon = setup
        .with("greyhound.delivery.ca_file", authority.to_string_lossy())
        .start();
    send::udp(daemon.udp(), "secret:3|c");
    daemon.wait_processed(1);
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    assert_eq!(intake.look(|records| records.total("secret")), 3.0);
}

#[test]
fn a_key_that_is_not_taken_is_asked_about_and_named_by_its_end() {
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let line = daemon.wait_log("the API key is accepted");
    assert!(
        line.contains(&KEY[KEY.len() - 4..]) && !line.contains(KEY),
        "{line}"
    );
    assert!(intake.requests()[&Class::Validate] >= 1);
    daemon.stop();
}

#[test]
fn a_python_client_is_heard_at_the_intake() {
    let Some(python) = python::datadog() else {
        return;
    };
    let intake = Intake::start();
    let daemon = setup(&intake).start();
    let program = format!(
        "from datadog import initialize, statsd\n\
         initialize(statsd_host='127.0.0.1', statsd_port={}, statsd_disable_buffering=True)\n\
         [statsd.increment('py.count', 2, tags=['a:b']) for _ in range(50)]\n\
         [statsd.distribution('py.dist', value) for value in range(1, 101)]\n\
         statsd.event('py title', 'py text', alert_type='success')\n\
         statsd.service_check('py.check', 1, message='hm')\n\
         statsd.flush()\n",
        daemon.udp().port()
    );
    python::run_text(&python, &program);
    intake.wait("all of it", |records| {
        records.total("py.count") == 100.0
            && records
                .sketches("py.dist")
                .iter()
                .flat_map(|one| &one.points)
                .map(|point| point.count)
                .sum::<i64>()
                == 100
            && !records.events().is_empty()
            && !records.service_checks("py.check").is_empty()
    });
    let stopped = daemon.stop();
    check_all_arrived(&intake, &stopped);
    let records = intake.records();
    let sketch = records.sketch("py.dist");
    assert_eq!((sketch.min, sketch.max, sketch.sum), (1.0, 100.0, 5_050.0));
    let event: &Value = &records.events()[0].object;
    assert_eq!(
        (&event["msg_title"], &event["alert_type"]),
        (&json!("py title"), &json!("success"))
    );
}
