//! What has to stand at the far end after a client's tour: one of each kind of message, with known values.

use greyhound_tests::records::Records;

/// The time the tour gives to what has a time of its own.
pub(crate) const PAST: i64 = 1_700_000_000;

/// What one client's tour differs in.
#[derive(Clone, Copy)]
pub(crate) struct Tour {
    /// Samples, events and checks it sends.
    pub(crate) items: u64,
    /// What the two sampled counts of 2 and 3 at rate 0.5 come to.
    pub(crate) sampled: f64,
    /// The message of the service check.
    pub(crate) check_message: &'static str,
}

/// Fails unless every value of the tour arrived, exactly.
pub(crate) fn check(records: &Records, tour: Tour) {
    let tags = ["env:dev", "team:grey"];
    let total = |name: &str| records.total(name);
    assert_eq!(total("tour.count"), 6.0);
    assert_eq!(total("tour.sampled"), tour.sampled);
    assert_eq!(records.last("tour.gauge"), -2.25);
    assert_eq!(records.last("tour.set"), 3.0);
    for (name, unit) in [("tour.histogram", 1.0), ("tour.timing", 10.0)] {
        for (aggregate, value) in [
            ("max", 10.0),
            ("median", 3.0),
            ("avg", 4.0),
            ("95percentile", 10.0),
        ] {
            let name = format!("{name}.{aggregate}");
            assert_eq!(records.last(&name), value * unit, "{name}");
            assert_eq!(records.tags(&name), tags, "{name}");
        }
        assert_eq!(total(&format!("{name}.count")), 5.0);
    }
    let sketch = records.sketch("tour.distribution");
    assert_eq!((sketch.count, sketch.sum), (5, 20.0));
    assert_eq!((sketch.min, sketch.max), (1.0, 10.0));
    assert_eq!(records.points("tour.past.gauge"), [(PAST, 7.0)]);
    assert_eq!(total("tour.past.count"), 9.0);
    assert_eq!(records.times("tour.past.count"), [PAST]);
    for name in [
        "tour.count",
        "tour.gauge",
        "tour.set",
        "tour.past.gauge",
        "tour.past.count",
    ] {
        assert_eq!(records.tags(name), tags, "{name}");
    }
    assert_eq!(records.tags("tour.sampled"), Vec::<String>::new());

    let event = records.event("tour title");
    assert_eq!(event["text"], "first line\nsecond | line");
    for (field, value) in [
        ("host", "tour-host"),
        ("alert_type", "warning"),
        ("priority", "low"),
        ("aggregation_key", "tour-key"),
        ("source_type", "tour-source"),
    ] {
        assert_eq!(event[field], value, "{field} of {event}");
    }
    let check = records.service_check("tour.check");
    assert_eq!(check["status"], "critical", "{check}");
    assert_eq!(check["host"], "tour-host", "{check}");
    assert_eq!(
        check["message"].as_str().unwrap_or_default(),
        tour.check_message
    );
    for item in [event, check] {
        assert_eq!(item["timestamp"], PAST, "{item}");
        assert_eq!(greyhound_tests::records::tags_of(item), tags, "{item}");
    }
}
