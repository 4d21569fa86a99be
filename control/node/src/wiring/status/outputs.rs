//! What became of points behind the flush: sinks and their queues.

use greyhound_server::register::{Problem, Severity};
use greyhound_sinks::sink::{Reason, SinkTotals};
use serde_json::{Map, Value, json};

use super::{Observed, grouped, problem, rows};

/// Points on their way that a healthy sink may have.
const WAITING_NOTE: u64 = 1_000_000;

pub(super) fn json(observed: &Observed, _: bool) -> Value {
    let sinks = observed.fanout.totals().into_iter().map(|(name, totals)| {
        let dropped: Map<String, Value> = Reason::ALL
            .into_iter()
            .map(|reason| {
                (
                    reason.as_str().to_owned(),
                    json!(totals.settled.dropped(reason)),
                )
            })
            .collect();
        let sink = json!({
            "flushed": totals.flushed,
            "delivered": totals.settled.delivered(),
            "waiting": totals.waiting(),
            "merged": totals.merged,
            "passed_by": totals.passed_by,
            "dropped": dropped,
        });
        (name, sink)
    });
    Value::Object(sinks.collect())
}

pub(super) fn text(observed: &Observed, _: bool) -> String {
    let mut lines: Vec<(String, String)> = observed
        .fanout
        .totals()
        .iter()
        .map(|(name, totals)| (name.clone(), line(totals)))
        .collect();
    if lines.is_empty() {
        return "  none: what is added up goes nowhere\n".to_owned();
    }
    if let Some(http) = &observed.http {
        lines.push(("metrics".to_owned(), format!("http://{http}/metrics")));
    }
    rows(lines)
}

fn line(totals: &SinkTotals) -> String {
    let mut line = format!(
        "points {}  delivered {}  waiting {}  dropped {}",
        grouped(totals.flushed),
        grouped(totals.settled.delivered()),
        grouped(totals.waiting()),
        grouped(totals.settled.dropped_total())
    );
    for (word, count) in [("merged", totals.merged), ("passed by", totals.passed_by)] {
        if count > 0 {
            line.push_str(&format!("  {word} {}", grouped(count)));
        }
    }
    for reason in Reason::ALL {
        let count = totals.settled.dropped(reason);
        if count > 0 {
            line.push_str(&format!("  {} {}", reason.as_str(), grouped(count)));
        }
    }
    line
}

pub(super) fn problems(observed: &Observed) -> Vec<Problem> {
    let totals = observed.fanout.totals();
    if totals.is_empty() {
        return vec![problem(
            Severity::Warning,
            "there is no sink: what is added up goes nowhere",
            "set `greyhound.prometheus.listen`, `greyhound.print` or `greyhound.ndjson.path`",
        )];
    }
    let mut problems = Vec::new();
    for (name, totals) in &totals {
        for reason in Reason::ALL {
            let count = totals.settled.dropped(reason);
            // A sink that has no place for events is not in trouble.
            if count > 0 && reason != Reason::Unsupported {
                problems.push(problem(
                    Severity::Critical,
                    format!(
                        "sink {name} lost {} points: {}",
                        grouped(count),
                        reason.as_str()
                    ),
                    cure(reason),
                ));
            }
        }
        if totals.waiting() > WAITING_NOTE {
            problems.push(problem(
                Severity::Warning,
                format!("{} points wait for sink {name}", grouped(totals.waiting())),
                "look at what it sends to; it is slower than the flushes",
            ));
        }
    }
    problems
}

fn cure(reason: Reason) -> &'static str {
    match reason {
        Reason::QueueFull => {
            "what it sends to is too slow: mend that, or raise `greyhound.outputs.queue_flushes` and `greyhound.outputs.queue_points`"
        }
        Reason::SeriesLimit => {
            "find the tag that explodes and filter it with `metric_tag_filterlist`, or raise `greyhound.prometheus.series_max`"
        }
        Reason::Collision => "two metrics become the same name in Prometheus: rename one",
        Reason::Write => "look at the disk or pipe it writes to",
        _ => "greyhound flare",
    }
}
