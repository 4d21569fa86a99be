//! Files, variables and flags together, as an operator meets them.

use std::path::Path;

mod hostile;
mod report;

use super::*;
use crate::settings::{LogFormat, NdjsonTarget, Port};

const FILE: &str = "/etc/test.yaml";

fn sources(variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Sources {
    Sources {
        file: None,
        default_file: DefaultFile::None,
        environment: variables
            .iter()
            .map(|(name, text)| (name.into(), text.into()))
            .collect(),
        flags: flags
            .iter()
            .map(|(key, text)| Flag {
                name: "--set".to_owned(),
                key: (*key).to_owned(),
                text: (*text).to_owned(),
            })
            .collect(),
        ..Sources::default()
    }
}

fn from_yaml(text: &str) -> Result<Loaded, SettingsError> {
    load_text(text, Path::new(FILE), &sources(&[], &[]))
}

fn from_env(variables: &[(&str, &str)]) -> Result<Loaded, SettingsError> {
    load(&sources(variables, &[]))
}

/// Loads a file and compares the listing of one key: value, then place.
#[track_caller]
fn check(text: &str, key: &str, expected: &str) {
    let loaded = from_yaml(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
    assert_eq!(shown(&loaded, key), expected, "{text:?}");
}

/// Loads a file that must be refused with exactly this text.
#[track_caller]
fn check_refused(text: &str, expected: &str) {
    match from_yaml(text) {
        Ok(_) => panic!("{text:?} was taken"),
        Err(error) => assert_eq!(error.to_string().replace(FILE, "F"), expected, "{text:?}"),
    }
}

fn shown(loaded: &Loaded, key: &str) -> String {
    let resolved = loaded.store.get(key).unwrap();
    format!("{} @ {}", resolved.value.text(), resolved.place).replace(FILE, "F")
}

#[test]
fn nothing_at_all_gives_the_defaults() {
    let loaded = load(&sources(&[], &[])).unwrap();
    assert!(loaded.report.is_empty());
    assert_eq!(loaded.store.generation(), 0);
    assert_eq!(loaded.file, None);
    let settings = loaded.settings;
    let udp = settings.listen.udp.unwrap();
    assert_eq!(
        (udp.host.as_str(), udp.port),
        ("localhost", Port::Number(8125))
    );
    assert!(settings.listen.datagram_sockets[0].is_default);
    assert_eq!(settings.listen.socket_mode, 0o722);
    assert_eq!(settings.listen.udp_receive_buffer_bytes, 16 << 20);
    assert_eq!(settings.lanes.lanes, None);
    assert_eq!(settings.flush.bucket_seconds, 10);
    assert!(settings.flush.open_buckets_on_stop);
    assert_eq!(settings.rules.namespace_exempt.len(), 21);
    assert_eq!(settings.rules.histogram.percentiles, [0.95]);
    let prometheus = settings.outputs.prometheus.unwrap();
    assert_eq!(prometheus.listen, "127.0.0.1:9125");
    assert_eq!(prometheus.quantiles, [0.5, 0.9, 0.95, 0.99]);
    assert_eq!(settings.outputs.ndjson, None);
    assert_eq!(settings.log.format, LogFormat::Auto);
}

#[test]
fn layers_win_in_their_order() {
    let text = "dogstatsd_port: 1\ndogstatsd_tags: [a]\n";
    let path = Path::new(FILE);
    let key = "dogstatsd_port";
    let steps: [(Sources, &str); 3] = [
        (sources(&[], &[]), "1 @ F:1:17"),
        (
            sources(&[("DD_DOGSTATSD_PORT", "2")], &[]),
            "2 @ environment DD_DOGSTATSD_PORT",
        ),
        (
            sources(&[("DD_DOGSTATSD_PORT", "2")], &[(key, "3")]),
            "3 @ flag --set",
        ),
    ];
    for (sources, expected) in steps {
        let loaded = load_text(text, path, &sources).unwrap();
        assert_eq!(shown(&loaded, key), expected);
        assert_eq!(shown(&loaded, "dogstatsd_tags"), "a @ F:2:17");
    }
}

#[test]
fn every_layer_beats_the_one_below_and_unset_gives_way_again() {
    let mut store = Store::new();
    let place = Place::Other {
        name: "test".to_owned(),
    };
    for (step, layer) in Layer::ALL.into_iter().enumerate().skip(1) {
        let text = step.to_string();
        let generation = store
            .set_text("dogstatsd_port", layer, &text, place.clone())
            .unwrap();
        assert_eq!(generation, u64::try_from(step).unwrap());
        let resolved = store.get("dogstatsd_port").unwrap();
        assert_eq!((resolved.value.text(), resolved.layer), (text, layer));
    }
    // The same value again is no change.
    let text = (Layer::ALL.len() - 1).to_string();
    let generation = store
        .set_text("dogstatsd_port", Layer::Cli, &text, place.clone())
        .unwrap();
    assert_eq!(generation, store.generation());
    for layer in Layer::ALL.into_iter().rev().take(Layer::ALL.len() - 1) {
        assert_eq!(store.get("dogstatsd_port").unwrap().layer, layer);
        let before = store.generation();
        assert_eq!(store.unset("dogstatsd_port", layer).unwrap(), before + 1);
        assert_eq!(store.unset("dogstatsd_port", layer).unwrap(), before + 1);
    }
    assert_eq!(store.get("dogstatsd_port").unwrap().layer, Layer::Default);
    assert!(
        store
            .set_text("dogstatsd_port", Layer::Default, "1", place.clone())
            .is_err()
    );
    assert!(store.set_text("nothing", Layer::Cli, "1", place).is_err());
}

#[test]
fn places_name_line_and_column() {
    check("dogstatsd_port: 9", "dogstatsd_port", "9 @ F:1:17");
    check(
        "\n\n  dogstatsd_port :   9\n",
        "dogstatsd_port",
        "9 @ F:3:22",
    );
    check(
        "greyhound:\n  prometheus:\n    listen: 1.2.3.4:5\n",
        "greyhound.prometheus.listen",
        "1.2.3.4:5 @ F:3:13",
    );
    check(
        "greyhound.prometheus.listen: 1.2.3.4:5",
        "greyhound.prometheus.listen",
        "1.2.3.4:5 @ F:1:30",
    );
    check(
        "greyhound: {prometheus.listen: '[::1]:5'}",
        "greyhound.prometheus.listen",
        "[::1]:5 @ F:1:32",
    );
    check(
        "dogstatsd_tags:\n- a:b\n- c\n",
        "dogstatsd_tags",
        "a:b c @ F:2:3",
    );
    check(
        "x: &p 7\ndogstatsd_port: *p\n",
        "dogstatsd_port",
        "7 @ F:2:17",
    );
    check("\u{feff}dogstatsd_port: 9", "dogstatsd_port", "9 @ F:1:17");
}

#[test]
fn texts_stay_as_written() {
    check("hostname: 010", "hostname", "010 @ F:1:11");
    check("hostname: on", "hostname", "on @ F:1:11");
    check("hostname: 1.10", "hostname", "1.10 @ F:1:11");
    check("hostname: 'null'", "hostname", "null @ F:1:11");
    check(
        "dogstatsd_tags: [1.0, yes, '']",
        "dogstatsd_tags",
        "[\"1.0\",\"yes\",\"\"] @ F:1:17",
    );
    check("dogstatsd_tags: a b", "dogstatsd_tags", "a b @ F:1:17");
    check(
        "greyhound.uds.mode: 0722",
        "greyhound.uds.mode",
        "0722 @ F:1:21",
    );
    check(
        "greyhound.uds.mode: 0o600",
        "greyhound.uds.mode",
        "0600 @ F:1:21",
    );
}

#[test]
fn booleans_of_yaml_and_of_the_agents_parser() {
    for word in ["yes", "Yes", "ON", "true", "'true'", "1", "y", "t"] {
        check(
            &format!("dogstatsd_origin_detection: {word}"),
            "dogstatsd_origin_detection",
            "true @ F:1:29",
        );
    }
    for word in ["no", "OFF", "False", "0", "n", "\"f\""] {
        check(
            &format!("use_dogstatsd: {word}"),
            "use_dogstatsd",
            "false @ F:1:16",
        );
    }
    check_refused(
        "use_dogstatsd: maybe",
        "F:1:16: `use_dogstatsd` is \"maybe\", expected true or false",
    );
}

#[test]
fn nothing_is_not_a_value() {
    for text in [
        "",
        "# only a comment\n",
        "---\n",
        "~",
        "dogstatsd_port:",
        "dogstatsd_port: ~",
        "greyhound:\n",
    ] {
        check(text, "dogstatsd_port", "8125 @ built in");
    }
}

#[test]
fn keys_ignore_case_and_merge_keys_work() {
    check("DogStatsD_Port: 9", "dogstatsd_port", "9 @ F:1:17");
    check(
        "x: &x {dogstatsd_port: 9}\n<<: *x\n",
        "dogstatsd_port",
        "9 @ F:1:24",
    );
    check(
        "x: &x {dogstatsd_port: 9}\n<<: [*x]\ndogstatsd_port: 8",
        "dogstatsd_port",
        "8 @ F:3:17",
    );
}

#[test]
fn variables_follow_the_agents_rules() {
    let loaded = from_env(&[
        ("DD_DOGSTATSD_TAGS", "a:1  b:2\tc"),
        ("DD_METRIC_FILTERLIST", "[\"x y\", \"z\"]"),
        ("DD_DOGSTATSD_SOCKET", ""),
        ("GREYHOUND_PROMETHEUS_LISTEN", ""),
        ("DD_GREYHOUND_LANES", "3"),
        ("DD_STATSD_FORWARD_HOST", "h"),
        ("DD_STATSD_FORWARD_PORT", "9"),
        ("DD_METRIC_TAG_FILTERLIST", r#"[{"metric_name":"m","action":"include","tags":["a"]}]"#),
        ("DD_DOGSTATSD_MAPPER_PROFILES", r#"[{"name":"n","prefix":"p.","mappings":[{"match":"p.*","name":"q","tags":{"t":"$1"}}]}]"#),
    ])
    .unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.rules.tags, ["a:1", "b:2", "c"]);
    assert_eq!(settings.rules.filter_names, ["x y", "z"]);
    assert!(settings.listen.datagram_sockets[0].is_default);
    assert_eq!(settings.outputs.prometheus, None);
    assert_eq!(settings.lanes.lanes, Some(3));
    assert_eq!(settings.listen.forward, Some(("h".to_owned(), 9)));
    assert_eq!(settings.rules.tag_filter[0].tags, ["a"]);
    assert_eq!(
        settings.rules.mapper_profiles[0].mappings[0].tags[0].1,
        "$1"
    );
}

#[test]
fn what_the_user_set_wins_over_our_own_defaults() {
    let settings = |text: &str| from_yaml(text).unwrap().settings;
    assert!(
        !settings("dogstatsd_flush_incomplete_buckets: false")
            .flush
            .open_buckets_on_stop
    );
    assert!(
        settings(
            "dogstatsd_flush_incomplete_buckets: true\ngreyhound.flush_open_bucket_on_stop: false"
        )
        .flush
        .open_buckets_on_stop
    );
    assert!(
        !settings("greyhound.flush_open_bucket_on_stop: false")
            .flush
            .open_buckets_on_stop
    );
    assert_eq!(
        settings("dogstatsd_packet_buffer_size: 5")
            .lanes
            .batch_packets,
        5
    );
    assert_eq!(
        settings("dogstatsd_so_rcvbuf: 4096")
            .listen
            .udp_receive_buffer_bytes,
        4096
    );
    assert_eq!(
        settings("log_format_json: true").log.format,
        LogFormat::Json
    );
    assert_eq!(
        settings("log_format_json: true\ngreyhound.log.format: text")
            .log
            .format,
        LogFormat::Text
    );
    assert_eq!(
        settings("statsd_metric_blocklist: [a]\nstatsd_metric_blocklist_match_prefix: true")
            .rules
            .filter_names,
        ["a"]
    );
    assert_eq!(
        settings("statsd_metric_blocklist: [a]\nmetric_filterlist: [b]")
            .rules
            .filter_names,
        ["b"]
    );
    assert_eq!(
        settings("greyhound.ndjson.path: '-'").outputs.ndjson,
        Some(NdjsonTarget::Stdout)
    );
    assert_eq!(settings("dogstatsd_port: 0").listen.udp, None);
    assert_eq!(
        settings("dogstatsd_port: __random__")
            .listen
            .udp
            .unwrap()
            .port,
        Port::Random
    );
    assert_eq!(settings("dogstatsd_socket: ''").listen.datagram_sockets, []);
}

#[test]
fn files_are_found_by_flag_then_variable() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let named = write("a.yaml", "dogstatsd_port: 1\n");
    let from_variable = write("b.yaml", "dogstatsd_port: 2\n");
    let mut sources = sources(
        &[("GREYHOUND_CONFIG", from_variable.to_str().unwrap())],
        &[],
    );
    assert_eq!(load(&sources).unwrap().file, Some(from_variable));
    sources.file = Some(named.clone());
    let loaded = load(&sources).unwrap();
    assert_eq!(
        loaded.store.get("dogstatsd_port").unwrap().value.text(),
        "1"
    );
    assert_eq!(loaded.file, Some(named));

    sources.file = Some(folder.path().join("missing.yaml"));
    assert!(
        load(&sources)
            .unwrap_err()
            .to_string()
            .contains("missing.yaml: cannot read")
    );
    sources.file = Some(folder.path().to_owned());
    assert!(
        load(&sources)
            .unwrap_err()
            .to_string()
            .ends_with("is a directory, expected a settings file")
    );
}
