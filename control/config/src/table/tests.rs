//! What must hold for every row.

use std::collections::HashSet;

use super::*;
use crate::env::CONFIG_FILE;

#[test]
fn keys_are_unique_and_none_is_the_section_of_another() {
    let mut seen = HashSet::new();
    for row in table().rows() {
        assert!(seen.insert(row.key), "{} stands twice", row.key);
        assert!(
            !table().prefixes.contains(row.key),
            "{} is a section too",
            row.key
        );
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte);
        assert!(row.key.bytes().all(fits), "{}", row.key);
    }
}

#[test]
fn environment_names_are_unique() {
    let mut seen = HashSet::from([CONFIG_FILE.to_owned(), format!("DD_{CONFIG_FILE}")]);
    for row in table().rows() {
        for name in row.env_names() {
            assert!(seen.insert(name.clone()), "{name} stands twice");
        }
    }
}

#[test]
fn own_keys_need_no_agent_prefix_and_others_have_it() {
    let names = |key: &str| table().row(key).unwrap().env_names();
    assert_eq!(
        names("greyhound.lanes"),
        ["GREYHOUND_LANES", "DD_GREYHOUND_LANES"]
    );
    assert_eq!(names("dogstatsd_port"), ["DD_DOGSTATSD_PORT"]);
    assert_eq!(names("dd_url"), ["DD_DD_URL", "DD_URL"]);
    assert_eq!(
        names("dogstatsd_mem_based_rate_limiter.rate_check.min"),
        ["DD_DOGSTATSD_MEM_BASED_RATE_LIMITER_RATE_CHECK_MIN"],
    );
}

#[test]
fn every_row_has_one_line_of_help() {
    for row in table().rows() {
        assert!(row.help.len() >= 8, "{}", row.key);
        assert!(
            !row.help.contains('\n') && !row.help.ends_with('.'),
            "{}",
            row.key
        );
        assert!(
            row.help.starts_with(|first: char| first.is_uppercase()),
            "{}",
            row.key
        );
    }
}

#[test]
fn every_default_is_a_value_of_its_type_and_survives_its_own_text() {
    for (index, row) in table().rows().iter().enumerate() {
        let default = row.read_text(row.default);
        let default = default.unwrap_or_else(|wrong| panic!("{}: {wrong:?}", row.key));
        assert!(row.kind.accepts(&default), "{}", row.key);
        assert_eq!(table().default(index), &default);
        assert_eq!(
            row.read_text(&default.text()).unwrap(),
            default,
            "{}",
            row.key
        );
    }
}

#[test]
fn sections_hold_the_agents_keys_this_engine_must_know() {
    const KNOWN: &[&str] = &[
        "use_dogstatsd",
        "dogstatsd_windows_pipe_security_descriptor",
        "dogstatsd_experimental_http.read_timeout",
        "dogstatsd_workload_filter_drop_unresolved",
        "metric_tag_filterlist",
        "origin_detection_unified",
        "telemetry.dogstatsd.listeners_channel_latency_buckets",
        "api_key",
        "aggregator_flush_metrics_and_serialize_in_parallel_buffer_size",
        "forwarder_outdated_file_in_days",
    ];
    for key in KNOWN {
        assert!(table().row(key).is_some(), "{key}");
    }
}
