//! The number of lanes, and which lane takes what, does not change a flush: the rows once more with two and
//! four lanes, and random traffic against one lane.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{aggregation, deviations, vectors};

/// First second of random traffic; a multiple of the bucket.
const START: u64 = 1_700_000_000;
const BUCKETS: u64 = 4;
const BUCKET_MILLIS: u64 = 10_000;

/// Rows that speak of one context under two kinds. Lanes meet only at the flush: there one kind wins and the
/// samples of the other are counted as clashes, not converted.
const OF_ONE_LANE: &[&str] = &[
    "type-clash-bucket",
    "clash-counter-into-histogram",
    "clash-set-into-gauge",
];

fn spread(case: &Value, lanes: usize, lane_of: impl Fn(usize) -> usize) -> Value {
    let mut case = case.clone();
    case["lanes"] = json!(lanes);
    for (number, step) in case["steps"]
        .as_array_mut()
        .into_iter()
        .flatten()
        .enumerate()
    {
        if step.get("lines").is_some() {
            step["lane"] = json!(lane_of(number));
        }
    }
    case
}

#[test]
fn every_row_is_the_same_on_more_lanes() {
    let mut failures = Vec::new();
    for case in vectors::all("aggregation") {
        if deviations::reason(&case.id).is_some() || OF_ONE_LANE.contains(&case.id.as_str()) {
            continue;
        }
        for lanes in [2, 4] {
            let ours = greyhound::simulate::run(&spread(&case.value, lanes, |step| step % lanes));
            let differences = aggregation::compare(&case.value, &ours);
            if !differences.is_empty() {
                failures.push(format!("{} on {lanes} lanes: {differences:?}", case.id));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A line of one of few contexts, so that lanes meet often. A context keeps its kind: which sample of a
/// bucket decides the kind is a rule of its own, with its own rows.
fn line() -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        Just("c"),
        Just("g"),
        Just("h"),
        Just("ms"),
        Just("d"),
        Just("s")
    ];
    let rate = prop_oneof![Just(""), Just("|@0.5"), Just("|@0.1")];
    let tags = prop_oneof![
        Just(""),
        Just("|#a:1,b:2"),
        Just("|#b:2,a:1"),
        Just("|#a:2")
    ];
    (kind, -50_i32..50, rate, tags).prop_map(|(kind, value, rate, tags)| {
        // Quarters add up exactly in any order.
        let value = f64::from(value) / 4.0;
        format!("random.{kind}:{value}|{kind}{rate}{tags}")
    })
}

/// Milliseconds since the start, line, lane.
fn traffic() -> impl Strategy<Value = Vec<(u64, String, usize)>> {
    let message = (0..BUCKETS * BUCKET_MILLIS, line(), 0_usize..4);
    prop::collection::vec(message, 1..80).prop_map(|mut messages| {
        messages.sort_by_key(|(millis, ..)| *millis);
        // Two gauges of one moment on two lanes have no last one.
        messages.dedup_by_key(|(millis, ..)| *millis);
        messages
    })
}

fn steps(traffic: &[(u64, String, usize)], lanes: usize) -> Value {
    let mut steps = Vec::new();
    for bucket in 0..BUCKETS {
        for (millis, line, lane) in traffic {
            if millis / BUCKET_MILLIS == bucket {
                let at = START as f64 + *millis as f64 / 1_000.0;
                steps.push(json!({"at": at, "lines": [line], "lane": lane % lanes}));
            }
        }
        steps.push(json!({"flush": START + (bucket + 1) * BUCKET_MILLIS / 1_000}));
    }
    json!({"lanes": lanes, "steps": steps})
}

proptest! {
    #[test]
    fn random_traffic_is_the_same_on_any_number_of_lanes(traffic in traffic()) {
        let alone = greyhound::simulate::run(&steps(&traffic, 1));
        prop_assert!(alone.get("invalid").is_none(), "{}", alone);
        for lanes in [2, 4] {
            let together = greyhound::simulate::run(&steps(&traffic, lanes));
            let differences = aggregation::compare(&json!({"expect": alone}), &together);
            prop_assert!(differences.is_empty(), "{} lanes: {:?}", lanes, differences);
        }
    }
}
