//! What is said about settings that are wrong, unknown, or without effect.

use super::*;

#[test]
fn wrong_values_are_reported_together_with_their_places() {
    check_refused(
        "dogstatsd_port: 70000\ndogstatsd_tag_cardinality: medium\ngreyhound:\n  lanes: -1\n",
        "F:1:17: `dogstatsd_port` is \"70000\", expected a port from 0 to 65535, or __random__\n\
         F:2:28: `dogstatsd_tag_cardinality` is \"medium\", expected one of none, low, orchestrator, high\n\
         F:4:10: `greyhound.lanes` is \"-1\", expected a whole number from 0 to 1024",
    );
    check_refused(
        "dogstatsd_tags:\n  - a\n  - {b: c}\n",
        "F:3:5: `dogstatsd_tags` is a mapping, expected a list of texts",
    );
    check_refused(
        "greyhound: 5",
        "F:1:12: `greyhound` is \"5\", expected a mapping of settings",
    );
    check_refused(
        "- a",
        "F:1:1: the file holds a list, expected a mapping of settings",
    );
    check_refused(
        "dogstatsd_port: 010",
        "F:1:17: `dogstatsd_port` is \"010\", expected a port from 0 to 65535, or __random__",
    );
    check_refused(
        "greyhound:\n  lanes: 1\ngreyhound.lanes: 2\n",
        "F:3:1: `greyhound.lanes`: set a second time, first at line 2",
    );
    let error = from_env(&[("DD_DOGSTATSD_PORT", "x"), ("GREYHOUND_LANES", "y")]).unwrap_err();
    assert_eq!(error.problems.len(), 2);
    assert!(
        error
            .to_string()
            .contains("environment GREYHOUND_LANES: `greyhound.lanes` is \"y\"")
    );
}

#[test]
fn problems_are_kept_to_a_hundred() {
    let text: String = (0..5000).map(|_| "- {}\n").collect();
    let error = from_yaml(&format!("dogstatsd_tags:\n{text}")).unwrap_err();
    assert_eq!(error.problems.len(), 1);
    let mut error = SettingsError::default();
    for problem in error_of_many() {
        error.push(problem);
    }
    assert_eq!((error.problems.len(), error.further), (100, 150));
    assert!(error.to_string().ends_with("\nand 150 more"));
}

fn error_of_many() -> impl Iterator<Item = crate::error::Problem> {
    (0..250).map(|line| crate::error::Problem {
        place: Place::File {
            path: Path::new(FILE).into(),
            at: crate::Mark { line, column: 1 },
        },
        key: "k".to_owned(),
        value: String::new(),
        expected: "better".to_owned(),
    })
}

#[test]
fn unknown_names_are_listed_with_the_nearest_known_one() {
    let rows = [
        (
            "dogstatsd_prot: 1",
            "F:1:1: `dogstatsd_prot` is not a setting, did you mean `dogstatsd_port`?",
        ),
        (
            "greyhound: {lane: 1}",
            "F:1:13: `greyhound.lane` is not a setting, did you mean `greyhound.lanes`?",
        ),
        (
            "greyhund: {lanes: 1}",
            "F:1:1: `greyhund` is not a setting, did you mean `greyhound`?",
        ),
        (
            "logs_config: {container_collect_all: true}",
            "F:1:1: `logs_config` is not a setting",
        ),
        (
            "dogstatsd-port: 1",
            "F:1:1: `dogstatsd-port` is not a setting, did you mean `dogstatsd_port`?",
        ),
    ];
    for (text, expected) in rows {
        let lines = from_yaml(text).unwrap().report.lines();
        assert_eq!(lines.len(), 1, "{text}: {lines:?}");
        assert_eq!(lines[0].replace(FILE, "F"), expected);
    }
}

#[test]
fn unknown_variables_are_listed_when_they_are_ours_or_nearly() {
    let loaded = from_env(&[
        ("GREYHOUND_LANE", "1"),
        ("DD_DOGSTATSD_PROT", "1"),
        ("DD_HISTOGRAM_AGREGATES", "1"),
        ("DD_TRACE_SAMPLE_RATE", "1"),
        ("DD_SERVICE", "1"),
        ("DD_DOGSTATSD_HOST", "h"),
        ("GREYHOUND_CONFIG", ""),
        ("PATH", "/bin"),
    ])
    .unwrap();
    assert_eq!(
        loaded.report.lines(),
        [
            "environment DD_DOGSTATSD_PROT: `DD_DOGSTATSD_PROT` is not a setting, did you mean `DD_DOGSTATSD_PORT`?",
            "environment DD_HISTOGRAM_AGREGATES: `DD_HISTOGRAM_AGREGATES` is not a setting, did you mean `DD_HISTOGRAM_AGGREGATES`?",
            "environment GREYHOUND_LANE: `GREYHOUND_LANE` is not a setting, did you mean `GREYHOUND_LANES`?",
        ],
    );
}

#[test]
fn settings_without_effect_are_listed() {
    let loaded = from_yaml("dogstatsd_pipe_name: x\ndogstatsd_port: 1\n").unwrap();
    assert_eq!(
        loaded.report.lines(),
        [format!(
            "{FILE}:1:22: `dogstatsd_pipe_name` has no effect in this version"
        )],
    );
}

#[test]
fn flags_must_be_known() {
    let error = load(&sources(&[], &[("greyhound.lane", "1"), ("x", "y")])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flag --set: `greyhound.lane`: is not a setting, did you mean `greyhound.lanes`?\n\
         flag --set: `x`: is not a setting",
    );
}

#[test]
fn secrets_are_never_shown() {
    let text = "api_key: hunter2\nadditional_endpoints:\n  https://a: [hunter3]\n";
    let loaded = from_yaml(text).unwrap();
    let listing = format!(
        "{:?} {:?} {}",
        loaded,
        loaded.store.effective(),
        loaded.report.lines().join("\n")
    );
    assert!(listing.contains("********"));
    assert!(!listing.contains("hunter"), "{listing}");
    let error = from_yaml("api_key: [hunter2]\nadditional_endpoints: hunter3\n").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter"), "{error}");
    let error = from_env(&[
        ("DD_ADDITIONAL_ENDPOINTS", "hunter2"),
        ("DD_API_KEY", "hunter3"),
    ]);
    assert!(!format!("{error:?}").contains("hunter"));
}

#[test]
fn profiles_of_the_wrong_shape_switch_mapping_off_with_a_warning() {
    let rows = [
        ("dogstatsd_mapper_profiles: nonsense", "1:28"),
        ("dogstatsd_mapper_profiles:\n- prefix: 'a.'\n", "2:3"),
        (
            "dogstatsd_mapper_profiles:\n- name: n\n  prefix: 'a.'\n  mappings:\n  - match: x\n",
            "5:5",
        ),
        (
            "dogstatsd_mapper_profiles:\n- name: n\n  prefix: 'a.'\n  mappings:\n  - {match: x, name: y, match_type: glob}\n",
            "5:37",
        ),
    ];
    for (text, place) in rows {
        let loaded = from_yaml(text).unwrap();
        assert_eq!(loaded.settings.rules.mapper_profiles, []);
        let lines = loaded.report.lines();
        let start = format!("{FILE}:{place}: `dogstatsd_mapper_profiles`: mapping is off: found ");
        assert!(lines[0].starts_with(&start), "{text}: {lines:?}");
    }
    let loaded = from_env(&[("DD_DOGSTATSD_MAPPER_PROFILES", "{")]).unwrap();
    assert_eq!(loaded.report.warnings.len(), 1);
}

#[test]
fn half_a_forwarding_target_is_a_warning() {
    let loaded = from_yaml("statsd_forward_host: h").unwrap();
    assert_eq!(loaded.settings.listen.forward, None);
    assert!(loaded.report.lines()[0].contains("`statsd_forward_port` is missing"));
}

#[test]
fn items_the_agent_skips_are_skipped_with_a_warning() {
    let text = "histogram_percentiles: ['abc', 1.5, 0.9]\n\
                histogram_aggregates: [max, p95, Count]\n\
                dogstatsd_eol_required: [tcp, udp]\n";
    let loaded = from_yaml(text).unwrap();
    assert_eq!(loaded.settings.rules.histogram.percentiles, [0.9]);
    assert_eq!(loaded.settings.rules.histogram.aggregates, ["max", "count"]);
    assert!(loaded.settings.listen.eol_required_udp && !loaded.settings.listen.eol_required_uds);
    let lines = loaded.report.lines();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(
        lines[0].replace(FILE, "F"),
        "F:1:24: `histogram_percentiles`: an item is skipped: found \"abc\", expected a list of numbers from 0 to 1",
    );
    assert_eq!(
        from_env(&[("DD_HISTOGRAM_PERCENTILES", "0.5 x")])
            .unwrap()
            .report
            .warnings
            .len(),
        1
    );
    // A flag is typed for this program alone.
    load(&sources(&[], &[("histogram_percentiles", "0.5 x")])).unwrap_err();
}
