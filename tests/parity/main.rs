//! The Agent's answers as rows, and ours beside them.
//!
//! ```text
//!  *.jsonl ──▶ vectors ──▶ engine: greyhound::explain, greyhound::simulate ──▶ compare ──▶ differences
//!                                                       deviations: what we do otherwise on purpose ┘
//! ```
//!
//! Read are `parity/*.jsonl`, and where the environment variable `GREYHOUND_VECTORS` names a folder, every
//! `dogstatsd*.jsonl` and `aggregation*.jsonl` in it too. A case passes when nothing differs; a case in the
//! table of deviations has to differ, so that the table cannot outlive its reason.
#![forbid(unsafe_code)]

mod aggregation;
mod deviations;
mod lanes;
mod message;
mod number;
mod vectors;

use std::fmt::Write;

use serde_json::Value;

/// Runs every case of `family` and fails with all differences at once.
fn run(family: &str, answer: impl Fn(&Value) -> Value, compare: fn(&Value, &Value) -> Vec<String>) {
    let (mut passed, mut deviating, mut failures) = (0, 0, String::new());
    for case in vectors::all(family) {
        let differences =
            match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(&case.value))) {
                Ok(ours) => match &ours["invalid"] {
                    Value::Null => compare(&case.value, &ours),
                    reason => vec![format!("the case cannot be run: {reason}")],
                },
                Err(_) => vec!["the engine panicked".to_owned()],
            };
        match (deviations::reason(&case.id), differences.is_empty()) {
            (None, true) => passed += 1,
            (Some(_), false) => deviating += 1,
            (Some(reason), true) => {
                writeln!(
                    failures,
                    "{}: a known deviation that no longer deviates ({reason})",
                    case.id
                )
                .expect("a string takes all text");
            }
            (None, false) => {
                writeln!(failures, "{} ({}): {}", case.id, case.file, case.rule)
                    .expect("a string takes all text");
                for difference in differences {
                    writeln!(failures, "    {difference}").expect("a string takes all text");
                }
            }
        }
    }
    let failed = failures
        .lines()
        .filter(|line| !line.starts_with(' '))
        .count();
    vectors::report(&format!(
        "{family}: {passed} cases passed, {deviating} known deviations, {failed} failed"
    ));
    assert!(failures.is_empty(), "{failed} cases failed:\n{failures}");
}

#[test]
fn every_message_is_understood_as_the_agent_does() {
    run(
        "dogstatsd",
        greyhound::explain::vector_json,
        message::compare,
    );
}

#[test]
fn every_flush_is_the_agents() {
    run(
        "aggregation",
        greyhound::simulate::run,
        aggregation::compare,
    );
}
