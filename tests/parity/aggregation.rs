//! Comparing flushes: series and sketches as sets, points as sets, numbers up to rounding.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::message::compare_counters;
use crate::number;

/// Series or sketches of one flush by their key: name, type, host, sorted tags.
type ByKey<'a> = BTreeMap<String, Vec<&'a Value>>;

/// What differs between the case's `expect` and ours, which has the same form.
pub(crate) fn compare(case: &Value, ours: &Value) -> Vec<String> {
    let theirs = &case["expect"];
    let mut differences = Vec::new();
    let (their_flushes, our_flushes) = (list(&theirs["flushes"]), list(&ours["flushes"]));
    if their_flushes.len() != our_flushes.len() {
        differences.push(format!(
            "{} flushes expected, {} found",
            their_flushes.len(),
            our_flushes.len()
        ));
    }
    for (theirs, ours) in their_flushes.iter().zip(our_flushes) {
        let at = &theirs["at"];
        if !number::equal_values(at, &ours["at"], number::same) {
            differences.push(format!("flush at {at} expected, at {} found", ours["at"]));
        }
        let flush = format!("flush {at}");
        compare_keyed(
            &flush,
            &theirs["series"],
            &ours["series"],
            series,
            &mut differences,
        );
        compare_keyed(
            &flush,
            &theirs["sketches"],
            &ours["sketches"],
            sketch,
            &mut differences,
        );
    }
    // Samples with a time of their own may leave in one batch or in several.
    let (their_merged, our_merged) = (
        merged(&theirs["no_aggregation"]),
        merged(&ours["no_aggregation"]),
    );
    compare_keyed(
        "no aggregation",
        &their_merged,
        &our_merged,
        series,
        &mut differences,
    );
    for kind in ["events", "service_checks"] {
        compare_unordered(kind, &theirs[kind], &ours[kind], &mut differences);
    }
    differences.extend(compare_counters(&theirs["counters"], &ours["counters"]));
    differences
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn sorted_tags(tags: &Value) -> Value {
    let mut tags: Vec<String> = list(tags).iter().map(Value::to_string).collect();
    tags.sort();
    tags.dedup();
    json!(tags)
}

fn key(item: &Value) -> String {
    format!(
        "{} {} host={} tags={}",
        item["name"],
        item["type"].as_str().unwrap_or("sketch"),
        item["host"],
        sorted_tags(&item["tags"])
    )
}

/// One entry per series, with the points of all entries of that series.
fn merged(entries: &Value) -> Value {
    let mut by_key: BTreeMap<String, Value> = BTreeMap::new();
    for entry in list(entries) {
        match by_key.get_mut(&key(entry)) {
            None => {
                by_key.insert(key(entry), entry.clone());
            }
            Some(known) => {
                let more = list(&entry["points"]).to_vec();
                if let Some(points) = known["points"].as_array_mut() {
                    points.extend(more);
                }
            }
        }
    }
    by_key.into_values().collect()
}

fn by_key(items: &Value) -> ByKey<'_> {
    let mut keyed = ByKey::new();
    for item in list(items) {
        keyed.entry(key(item)).or_default().push(item);
    }
    keyed
}

fn compare_keyed(
    place: &str,
    theirs: &Value,
    ours: &Value,
    compare: fn(&Value, &Value) -> Vec<String>,
    differences: &mut Vec<String>,
) {
    let (theirs, mut ours) = (by_key(theirs), by_key(ours));
    for (key, their) in theirs {
        let our = ours.remove(&key).unwrap_or_default();
        if their.len() != our.len() {
            differences.push(format!(
                "{place}: {key}: {} expected, {} found",
                their.len(),
                our.len()
            ));
        }
        for (their, our) in their.iter().zip(our) {
            let found = compare(their, our);
            differences.extend(found.iter().map(|text| format!("{place}: {key}: {text}")));
        }
    }
    differences.extend(
        ours.into_keys()
            .map(|key| format!("{place}: {key}: not expected")),
    );
}

fn series(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut differences = Vec::new();
    if theirs["interval"] != ours["interval"] {
        differences.push(format!(
            "interval {} expected, {} found",
            theirs["interval"], ours["interval"]
        ));
    }
    let (theirs, ours) = (by_time(&theirs["points"]), by_time(&ours["points"]));
    if !number::equal_values(&theirs, &ours, number::near) {
        differences.push(format!("points {theirs} expected, {ours} found"));
    }
    differences
}

/// `[second, value]` pairs in the order of their seconds; equal seconds in the order of their values.
fn by_time(points: &Value) -> Value {
    let mut points = list(points).to_vec();
    let order = |point: &Value| (number::of(&point[0]), number::of(&point[1]));
    points.sort_by(|a, b| {
        let (a, b) = (order(a), order(b));
        a.partial_cmp(&b).unwrap_or(std::cmp::Ordering::Equal)
    });
    points.into()
}

fn sketch(theirs: &Value, ours: &Value) -> Vec<String> {
    let mut differences = series(
        &json!({"interval": theirs["interval"]}),
        &json!({"interval": ours["interval"]}),
    );
    let point_at = |item: &Value, ts: &Value| {
        list(&item["points"])
            .iter()
            .find(|point| number::equal_values(&point["ts"], ts, number::same))
            .cloned()
    };
    let (their_len, our_len) = (list(&theirs["points"]).len(), list(&ours["points"]).len());
    if their_len != our_len {
        differences.push(format!("{their_len} points expected, {our_len} found"));
    }
    for their in list(&theirs["points"]) {
        let ts = &their["ts"];
        let Some(our) = point_at(ours, ts) else {
            differences.push(format!("no point at {ts}"));
            continue;
        };
        for field in ["cnt", "min", "max", "sum", "avg"] {
            if !number::equal_values(&their[field], &our[field], number::near) {
                differences.push(format!(
                    "{ts}: {field} {} expected, {} found",
                    their[field], our[field]
                ));
            }
        }
        let (their_bins, our_bins) = (bins(their), bins(&our));
        if their_bins != our_bins {
            differences.push(format!(
                "{ts}: bins {their_bins:?} expected, {our_bins:?} found"
            ));
        }
        for (quantile, value) in their["quantiles"].as_object().into_iter().flatten() {
            let found = &our["quantiles"][quantile];
            if !number::equal_values(value, found, number::near) {
                differences.push(format!(
                    "{ts}: quantile {quantile} {value} expected, {found} found"
                ));
            }
        }
    }
    differences
}

/// Bin counts by key, entries of one key added up.
fn bins(point: &Value) -> BTreeMap<i64, u64> {
    let mut bins = BTreeMap::new();
    for (k, n) in list(&point["k"]).iter().zip(list(&point["n"])) {
        if let (Some(k), Some(n)) = (k.as_i64(), n.as_u64()) {
            *bins.entry(k).or_default() += n;
        }
    }
    bins
}

/// Events and service checks: in any order, tags as sets.
fn compare_unordered(kind: &str, theirs: &Value, ours: &Value, differences: &mut Vec<String>) {
    let normal = |item: &Value| {
        let mut item = item.clone();
        item["tags"] = sorted_tags(&item["tags"]);
        if let Some(fields) = item.as_object_mut() {
            fields.retain(|_, value| !value.is_null() && *value != json!(""));
        }
        item
    };
    let mut ours: Vec<Value> = list(ours).iter().map(normal).collect();
    for their in list(theirs).iter().map(normal) {
        let same = |our: &Value| number::equal_values(&their, our, number::near);
        match ours.iter().position(same) {
            Some(at) => drop(ours.remove(at)),
            None => differences.push(format!("{kind}: {their} expected, not found")),
        }
    }
    differences.extend(ours.iter().map(|our| format!("{kind}: {our} not expected")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;

    #[test]
    fn every_case_agrees_with_itself() {
        for case in vectors::all("aggregation") {
            assert_eq!(
                compare(&case.value, &case.value["expect"]),
                Vec::<String>::new()
            );
        }
    }

    fn case() -> Value {
        json!({"expect": {
            "flushes": [{"at": 15, "series": [
                {"name": "a", "type": "rate", "host": "h", "tags": ["x", "y"], "interval": 10, "points": [[0, 1.0], [10, 2.0]]}
            ], "sketches": [
                {"name": "d", "host": "h", "tags": [], "interval": 10, "points": [
                    {"ts": 0, "cnt": 2, "min": 1.0, "max": 1.0, "sum": 2.0, "avg": 1.0, "k": [5], "n": [2], "quantiles": {"0.5": 1.0}}
                ]}
            ]}],
            "events": [{"kind": "event", "title": "t", "tags": []}],
            "counters": {"metrics.ok": 4}
        }})
    }

    #[test]
    fn order_and_repeated_bins_do_not_matter() {
        let case = case();
        let mut ours = case["expect"].clone();
        ours["flushes"][0]["series"][0]["tags"] = json!(["y", "x"]);
        ours["flushes"][0]["series"][0]["points"] = json!([[10, 2.0], [0, 1.0 + 1e-12]]);
        ours["flushes"][0]["sketches"][0]["points"][0]["k"] = json!([5, 5]);
        ours["flushes"][0]["sketches"][0]["points"][0]["n"] = json!([1, 1]);
        assert_eq!(compare(&case, &ours), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_seen() {
        let case = case();
        for (pointer, wrong) in [
            ("/flushes", json!([])),
            ("/flushes/0/at", json!(16)),
            ("/flushes/0/series", json!([])),
            ("/flushes/0/series/0/type", json!("gauge")),
            ("/flushes/0/series/0/host", json!("")),
            ("/flushes/0/series/0/tags", json!(["x"])),
            ("/flushes/0/series/0/interval", json!(1)),
            ("/flushes/0/series/0/points", json!([[0, 1.0]])),
            ("/flushes/0/series/0/points/1/1", json!(2.1)),
            ("/flushes/0/sketches/0/points/0/cnt", json!(3)),
            ("/flushes/0/sketches/0/points/0/n", json!([3])),
            ("/flushes/0/sketches/0/points/0/ts", json!(10)),
            ("/flushes/0/sketches/0/points/0/quantiles", json!({})),
            ("/events", json!([])),
            ("/events/0/title", json!("u")),
            ("/counters", json!({"metrics.ok": 4, "filtered": 1})),
        ] {
            let mut ours = case["expect"].clone();
            *ours.pointer_mut(pointer).unwrap() = wrong;
            assert!(!compare(&case, &ours).is_empty(), "{pointer}");
        }
        let mut ours = case["expect"].clone();
        ours["service_checks"] = json!([{"name": "c"}]);
        assert!(!compare(&case, &ours).is_empty(), "one too many");
    }
}
