//! Simulations answer in the vectors' shape, whatever the number of lanes.

use super::*;

#[test]
fn a_case_is_answered_in_the_shape_of_its_expectation() {
    let case = json!({ "steps": [
        { "at": 1_700_000_001, "lines": ["hits:3|c|#b:2,a:1", "size:1:2|d", "bad"] },
        { "at": 1_700_000_002, "lines": ["old:5|g|T1690000003", "_sc|up|0"] },
        { "flush": 1_700_000_015 },
    ]});
    let answer = run(&case);
    assert_eq!(
        answer["flushes"][0]["series"],
        json!([{
            "name": "hits", "host": "agent-host", "tags": ["a:1", "b:2"], "interval": 10,
            "type": "rate", "points": [[1_700_000_000, 0.3]],
        }])
    );
    let sketch = &answer["flushes"][0]["sketches"][0]["points"][0];
    assert_eq!(
        (sketch["k"].clone(), sketch["n"].clone()),
        (json!([1338, 1383]), json!([1, 1]))
    );
    assert_eq!(
        answer["no_aggregation"][0]["points"],
        json!([[1_690_000_003, 5.0]])
    );
    assert_eq!(answer["service_checks"][0]["name"], "up");
    assert_eq!(
        answer["counters"],
        json!({ "metrics.ok": 4, "metrics.error": 1, "service_checks.ok": 1 })
    );
}

#[test]
fn lanes_do_not_change_the_result() {
    let step = |lane: u64, line: &str| json!({ "at": 1_700_000_001 + lane, "lines": [line], "lane": lane });
    let steps = json!([
        step(0, "a:1|c"), step(1, "a:2|c"), step(2, "u:x|s"), step(3, "u:y|s"), step(0, "u:x|s"),
        step(1, "g:1|g"), step(2, "g:2|g"), step(0, "h:1:2|h"), step(3, "h:3|h"), step(1, "d:4|d"),
        { "flush": 1_700_000_010 }, { "flush": 1_700_000_020 },
    ]);
    let answers: Vec<Value> = [1, 2, 4]
        .into_iter()
        .map(|lanes| run(&json!({ "lanes": lanes, "steps": steps })))
        .collect();
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert_eq!(answers[0]["counters"], json!({ "metrics.ok": 11 }));
}

#[test]
fn what_is_no_case_is_said_to_be_none() {
    for case in [
        json!({}),
        json!({ "steps": [{}] }),
        json!({ "steps": [], "tagger": 1 }),
        json!({ "steps": [], "config": { "dogstatsd_port": [] } }),
    ] {
        assert!(run(&case).get("invalid").is_some(), "{case}");
    }
}
