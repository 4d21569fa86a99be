//! Comparing one parsed packet: message objects field by field, an absent field being its default.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::number;

/// What differs between the case and our answer `{"expect": …, "counters": …}`.
pub(crate) fn compare(case: &Value, ours: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    let (theirs, our) = (&case["expect"], &ours["expect"]);
    if theirs["connection"] != our["connection"] {
        differences.push(format!(
            "connection: {} expected, {} found",
            theirs["connection"], our["connection"]
        ));
    }
    let (theirs, our) = (messages(theirs), messages(our));
    if theirs.len() != our.len() {
        differences.push(format!(
            "{} messages expected, {} found: {our:?}",
            theirs.len(),
            our.len()
        ));
    }
    for (theirs, our) in theirs.iter().zip(&our) {
        compare_message(theirs, our, &mut differences);
    }
    differences.extend(compare_counters(&case["counters"], &ours["counters"]));
    differences
}

/// Counters are all that move, where the case gives any: what is not named is zero.
pub(crate) fn compare_counters(theirs: &Value, ours: &Value) -> Vec<String> {
    let Some(theirs) = theirs.as_object() else {
        return Vec::new();
    };
    let read = |counters: &serde_json::Map<String, Value>| -> BTreeMap<String, f64> {
        counters
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), number::of(value)?)))
            .filter(|(_, value)| *value != 0.0)
            .collect()
    };
    let ours = ours.as_object().map(read).unwrap_or_default();
    let theirs = read(theirs);
    if theirs == ours {
        return Vec::new();
    }
    vec![format!("counters: {theirs:?} expected, {ours:?} found")]
}

fn messages(expect: &Value) -> Vec<Value> {
    match expect["messages"].as_array() {
        Some(messages) => messages.clone(),
        None => vec![expect.clone()],
    }
}

fn compare_message(theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    let fields = |message: &Value| -> BTreeSet<String> {
        message
            .as_object()
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default()
    };
    for field in &fields(theirs) | &fields(ours) {
        if field == "messages" || field == "connection" {
            continue;
        }
        let get = |message: &Value| {
            message
                .get(&field)
                .cloned()
                .unwrap_or_else(|| default(&field))
        };
        let (theirs, ours) = (get(theirs), get(ours));
        if !number::equal_values(&theirs, &ours, number::same) {
            differences.push(format!("{field}: {theirs} expected, {ours} found"));
        }
    }
}

/// What a field that is not there means. The host has no default: empty is not absent.
fn default(field: &str) -> Value {
    match field {
        "tags" => json!([]),
        "sample_rate" => json!(1.0),
        "priority" => json!("normal"),
        "alert_type" => json!("info"),
        "text" | "message" | "aggregation_key" | "source_type" => json!(""),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn every_case_agrees_with_itself() {
        for case in vectors::all("dogstatsd") {
            assert_eq!(compare(&case.value, &case.value), Vec::<String>::new());
        }
    }

    #[test]
    fn every_difference_is_seen() {
        let case = json!({
            "expect": {"kind": "metric", "name": "a", "values": [1.0], "tags": ["x"], "sample_rate": 1.0},
            "counters": {"metrics.ok": 1}
        });
        for (pointer, wrong) in [
            ("/expect/name", json!("b")),
            ("/expect/values", json!([1.5])),
            ("/expect/values", json!([1.0, 1.0])),
            ("/expect/tags", json!([])),
            ("/expect/sample_rate", json!(0.5)),
            ("/expect/kind", json!("event")),
            ("/counters/metrics.ok", json!(2)),
            ("/expect", json!({"error": "metric_value"})),
            ("/expect", json!({"messages": []})),
        ] {
            let mut ours = case.clone();
            *ours.pointer_mut(pointer).unwrap() = wrong;
            assert!(!compare(&case, &ours).is_empty(), "{pointer}");
        }
        let mut ours = case.clone();
        ours["expect"]["host"] = json!("");
        assert_eq!(compare(&case, &ours), ["host: null expected, \"\" found"]);
    }
}
