//! The schema against the loader: it passes what loads, and stops what should not be rolled out.

use std::path::Path;

use super::*;
use crate::load::{DefaultFile, Sources, load_text};
use crate::table::table;

fn validator() -> jsonschema::Validator {
    jsonschema::draft202012::new(&json_schema()).unwrap()
}

/// Whether the loader takes the same settings.
fn loads(settings: &Json) -> bool {
    let sources = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    // JSON is YAML.
    load_text(&settings.to_string(), Path::new("test.json"), &sources).is_ok()
}

#[test]
fn the_schema_is_a_schema_of_its_draft() {
    let schema = json_schema();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    assert_eq!(
        schema["$schema"],
        "https://json-schema.org/draft/2020-12/schema"
    );
}

#[test]
fn every_default_passes_nested_and_dotted() {
    let validator = validator();
    for row in table().rows() {
        let default = table().default(table().index(row.key).unwrap()).json();
        let dotted = json!({ row.key: default.clone() });
        let nested = row
            .key
            .rsplit('.')
            .fold(default, |inner, name| json!({ name: inner }));
        for settings in [dotted, nested] {
            assert!(validator.is_valid(&settings), "{settings}");
            assert!(loads(&settings), "{settings}");
        }
    }
}

#[test]
fn good_settings_pass_both() {
    let validator = validator();
    let rows = [
        json!({}),
        json!(null),
        json!({"dogstatsd_port": 8125, "logs_enabled": true, "apm_config": {"enabled": true}}),
        json!({"dogstatsd_port": "__random__", "use_dogstatsd": "Yes", "dogstatsd_tags": "a b"}),
        json!({"dogstatsd_port": null, "greyhound": null}),
        json!({"dogstatsd_so_rcvbuf": "4MiB", "expected_tags_duration": "1m30s"}),
        json!({"greyhound": {"lanes": 2, "prometheus": {"listen": "off", "quantiles": [0.5, "0.9"]}}}),
        json!({"greyhound": {"prometheus.listen": "[::1]:9125", "uds": {"mode": "0722"}}}),
        json!({"greyhound.udp.listeners": ["127.0.0.1:1", ":2"]}),
        json!({"telemetry": {"enabled": false, "another": 1}}),
        json!({"dogstatsd_mapper_profiles": [
            {"name": "n", "prefix": "p.", "mappings": [{"match": "p.*", "name": "q", "tags": {"t": "$1"}}]},
        ]}),
        json!({"metric_tag_filterlist": [{"metric_name": "m", "action": "include", "tags": ["a"]}]}),
        json!({"additional_endpoints": {"https://a": ["k1", "k2"]}}),
        json!({"log_level": "WARN", "histogram_aggregates": ["max", "Sum"]}),
    ];
    for settings in rows {
        assert!(loads(&settings), "{settings}");
        if let Err(error) = validator.validate(&settings) {
            panic!("{settings}: {error}");
        }
    }
}

#[test]
fn wrong_settings_pass_neither() {
    let validator = validator();
    let rows = [
        json!([]),
        json!({"dogstatsd_port": 70000}),
        json!({"dogstatsd_port": "abc"}),
        json!({"use_dogstatsd": "perhaps"}),
        json!({"use_dogstatsd": 2}),
        json!({"dogstatsd_tags": {"a": "b"}}),
        json!({"dogstatsd_tags": [["a"]]}),
        json!({"dogstatsd_tag_cardinality": "medium"}),
        json!({"dogstatsd_expiry_seconds": -1}),
        json!({"dogstatsd_expiry_seconds": "5 minutes"}),
        json!({"dogstatsd_buffer_size": 0}),
        json!({"dogstatsd_buffer_size": "8 potatoes"}),
        json!({"greyhound": 5}),
        json!({"greyhound": {"lanes": -1}}),
        json!({"greyhound": {"prometheus": {"listen": "nowhere"}}}),
        json!({"greyhound.udp.listeners": ["127.0.0.1"]}),
        json!({"greyhound.uds.mode": "rwx"}),
        json!({"metric_tag_filterlist": [{"metric_name": "m"}]}),
        json!({"metric_tag_filterlist": [{"metric_name": "m", "action": "keep"}]}),
        json!({"additional_endpoints": "https://a"}),
    ];
    for settings in rows {
        assert!(!validator.is_valid(&settings), "{settings}");
        assert!(!loads(&settings), "{settings}");
    }
}

#[test]
fn what_loading_only_warns_of_is_stopped_by_the_schema() {
    let validator = validator();
    for settings in [
        json!({"histogram_percentiles": [95]}),
        json!({"histogram_aggregates": ["mean"]}),
        json!({"greyhound": {"lane": 1}}),
        json!({"greyhound": {"prometheus": {"lisen": "off"}}}),
    ] {
        assert!(!validator.is_valid(&settings), "{settings}");
        assert!(loads(&settings), "{settings}");
    }
}

#[test]
fn secrets_have_no_default_in_the_schema() {
    let schema = json_schema();
    assert!(
        schema["properties"]["api_key"]["anyOf"][0]
            .get("default")
            .is_none()
    );
    assert_eq!(
        schema["properties"]["dogstatsd_port"]["anyOf"][0]["default"],
        8125
    );
}
