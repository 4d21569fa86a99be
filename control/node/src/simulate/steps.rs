//! What happens when: the steps of a case.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Second 9999-12-31: later ones say more about the file than about time.
const SECOND_MAX: f64 = 253_402_300_799.0;

/// One step of a simulation.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Packets arrive together.
    Packets {
        /// Unix seconds, perhaps with a fraction.
        at: f64,
        /// Their bytes.
        packets: Vec<Vec<u8>>,
        /// Container behind the socket.
        origin: Option<String>,
        /// Which lane takes them, modulo the number of lanes.
        lane: usize,
    },
    /// A flush on the grid.
    Flush {
        /// Whole Unix seconds.
        at: i64,
    },
    /// The last flush.
    Stop {
        /// Whole Unix seconds.
        at: i64,
    },
}

/// The steps of a case, each with its number in what is said about errors.
pub(super) fn read(case: &Value) -> anyhow::Result<Vec<Step>> {
    let steps = case.get("steps").and_then(Value::as_array);
    let steps = steps.context("a case has a list of `steps`")?;
    steps
        .iter()
        .enumerate()
        .map(|(index, step)| read_step(step).with_context(|| format!("step {}", index + 1)))
        .collect()
}

fn read_step(step: &Value) -> anyhow::Result<Step> {
    if let Some(at) = step.get("flush") {
        return Ok(Step::Flush {
            at: whole_second(at)?,
        });
    }
    if let Some(at) = step.get("stop") {
        return Ok(Step::Stop {
            at: whole_second(at)?,
        });
    }
    let Some(at) = step.get("at") else {
        bail!("a step has `at` and `lines`, or `flush`, or `stop`");
    };
    let lines = step
        .get("lines")
        .and_then(Value::as_array)
        .context("`lines` is a list")?;
    let lines: Vec<Vec<u8>> = lines
        .iter()
        .map(|line| line.as_str().map(|line| line.as_bytes().to_vec()))
        .collect::<Option<_>>()
        .context("`lines` are texts")?;
    let is_packed = step.get("pack").and_then(Value::as_bool).unwrap_or(false);
    Ok(Step::Packets {
        at: second(at)?,
        packets: if is_packed {
            vec![lines.join(&b'\n')]
        } else {
            lines
        },
        origin: step
            .get("origin")
            .and_then(Value::as_str)
            .map(str::to_owned),
        lane: step.get("lane").and_then(Value::as_u64).unwrap_or(0) as usize,
    })
}

fn second(at: &Value) -> anyhow::Result<f64> {
    let at = at.as_f64().context("times are Unix seconds")?;
    ensure!(
        (0.0..=SECOND_MAX).contains(&at),
        "{at} is no Unix second a clock shows"
    );
    Ok(at)
}

fn whole_second(at: &Value) -> anyhow::Result<i64> {
    Ok(second(at)?.floor() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn packed_lines_are_one_packet() {
        let case = json!({ "steps": [
            { "at": 1.5, "lines": ["a", "b"], "pack": true, "origin": "c1", "lane": 3 },
            { "at": 2, "lines": ["a", "b"] },
            { "flush": 10 },
            { "stop": 12 },
        ]});
        let steps = read(&case).expect("steps");
        assert_eq!(
            steps,
            [
                Step::Packets {
                    at: 1.5,
                    packets: vec![b"a\nb".to_vec()],
                    origin: Some("c1".into()),
                    lane: 3,
                },
                Step::Packets {
                    at: 2.0,
                    packets: vec![b"a".to_vec(), b"b".to_vec()],
                    origin: None,
                    lane: 0,
                },
                Step::Flush { at: 10 },
                Step::Stop { at: 12 },
            ]
        );
    }

    #[test]
    fn a_broken_step_is_told_by_its_number() {
        let case = json!({ "steps": [{ "flush": 1 }, { "at": -1, "lines": [] }] });
        assert!(read(&case).unwrap_err().to_string().contains("step 2"));
        for case in [
            json!({}),
            json!({ "steps": [{}] }),
            json!({ "steps": [{ "flush": "x" }] }),
        ] {
            assert!(read(&case).is_err(), "{case}");
        }
    }
}
