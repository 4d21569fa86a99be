//! One case of the conformance vectors, answered in their own schema.

use std::collections::BTreeMap;

use greyhound_pipeline::ledger::Transport;
use greyhound_wire::MessageKind;
use serde_json::{Value, json};

use super::{Outcome, Reader, json};
use crate::wiring;

/// Everything one input came to.
#[derive(Debug, Default)]
struct Answer {
    messages: Vec<Value>,
    unterminated: u64,
    counters: BTreeMap<&'static str, u64>,
}

/// Answers a case of `dogstatsd.jsonl`: `{"expect": …, "counters": {…}}` with every counter that
/// moved. A case that cannot be read gives `{"invalid": reason}`.
pub fn vector_json(case: &Value) -> Value {
    answer(case).unwrap_or_else(|error| json!({ "invalid": format!("{error:#}") }))
}

fn answer(case: &Value) -> anyhow::Result<Value> {
    let settings = wiring::settings_from_json(case.get("config"))?;
    let reader = Reader::new(&wiring::pipeline::config(&settings, "agent-host")?);
    let packets = packets(case)?;
    let mut answer = Answer::default();
    let transport = case
        .get("transport")
        .and_then(Value::as_str)
        .unwrap_or("udp");
    let connection = match transport {
        "uds_stream" => {
            let mut on_line = |_: &[u8], outcome: Outcome<'_>| answer.add(outcome);
            Some(reader.stream(&packets.concat(), &mut on_line))
        }
        "udp" | "uds" => {
            let transport = match transport {
                "udp" => Transport::Udp,
                _ => Transport::Unixgram,
            };
            for packet in &packets {
                reader.datagram(packet, transport, &mut |_, outcome| answer.add(outcome));
            }
            None
        }
        other => anyhow::bail!("unknown transport {other:?}"),
    };
    let expect = match connection {
        Some(end) => json!({ "messages": answer.messages, "connection": end.as_str() }),
        None if answer.messages.len() == 1 && answer.unterminated == 0 => {
            answer.messages.swap_remove(0)
        }
        None => json!({ "messages": answer.messages }),
    };
    Ok(json!({ "expect": expect, "counters": answer.counters }))
}

// === impl Answer ===

impl Answer {
    fn add(&mut self, outcome: Outcome<'_>) {
        match outcome {
            Outcome::Understood(message) => {
                let (counter, count) = match &message {
                    greyhound_wire::Message::Metric(metric) => ("metrics.ok", metric.values.len()),
                    greyhound_wire::Message::Event(_) => ("events.ok", 1),
                    greyhound_wire::Message::ServiceCheck(_) => ("service_checks.ok", 1),
                };
                self.count(counter, count as u64);
                self.messages.push(json::message(&message));
            }
            Outcome::Refused(error) => {
                let counter = match error.kind.message_kind() {
                    MessageKind::Metric => "metrics.error",
                    MessageKind::Event => "events.error",
                    MessageKind::ServiceCheck => "service_checks.error",
                };
                self.count(counter, 1);
                self.messages.push(json::refusal(error));
            }
            Outcome::Unterminated => {
                self.unterminated += 1;
                self.count("unterminated", 1);
            }
        }
    }

    fn count(&mut self, counter: &'static str, count: u64) {
        *self.counters.entry(counter).or_default() += count;
    }
}

/// The bytes of a case, one item per packet.
fn packets(case: &Value) -> anyhow::Result<Vec<Vec<u8>>> {
    if let Some(text) = case.get("input").and_then(Value::as_str) {
        return Ok(vec![text.as_bytes().to_vec()]);
    }
    if let Some(hex) = case.get("input_hex").and_then(Value::as_str) {
        return Ok(vec![bytes_of_hex(hex)?]);
    }
    let Some(datagrams) = case.get("datagrams").and_then(Value::as_array) else {
        anyhow::bail!("a case has `input`, `input_hex` or `datagrams`");
    };
    datagrams
        .iter()
        .map(|datagram| match datagram.as_str() {
            Some(text) => Ok(text.as_bytes().to_vec()),
            None => anyhow::bail!("`datagrams` are texts"),
        })
        .collect()
}

fn bytes_of_hex(hex: &str) -> anyhow::Result<Vec<u8>> {
    let digits: Option<Vec<u8>> = hex
        .chars()
        .map(|digit| digit.to_digit(16).map(|digit| digit as u8))
        .collect();
    match digits {
        Some(digits) if digits.len() % 2 == 0 => Ok(digits
            .chunks_exact(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()),
        _ => anyhow::bail!("`input_hex` holds pairs of hexadecimal digits"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_answered_in_its_own_schema() {
        let case = json!({ "input": "a:1:nan|g|#x\nbad\n_sc|up|0" });
        let answer = vector_json(&case);
        assert_eq!(
            answer,
            json!({
                "expect": { "messages": [
                    { "kind": "metric", "name": "a", "type": "gauge", "values": [1.0, "NaN"],
                      "sample_rate": 1.0, "tags": ["x"] },
                    { "error": "metric_format" },
                    { "kind": "service_check", "name": "up", "status": "ok", "tags": [] },
                ]},
                "counters": { "metrics.ok": 2, "metrics.error": 1, "service_checks.ok": 1 },
            })
        );
    }

    #[test]
    fn settings_of_a_case_are_honoured() {
        let case = json!({
            "transport": "uds", "input": "a:1|c|T5|c:x",
            "config": { "dogstatsd_eol_required": ["uds"] },
        });
        assert_eq!(
            vector_json(&case),
            json!({ "expect": { "messages": [] }, "counters": { "unterminated": 1 } })
        );
        let case = json!({ "input": "a:1|c\nbb:2|c", "config": { "dogstatsd_buffer_size": 8 } });
        assert_eq!(
            vector_json(&case)["counters"],
            json!({ "metrics.ok": 1, "metrics.error": 1 })
        );
    }

    #[test]
    fn what_is_no_case_is_said_to_be_none() {
        for case in [
            json!({}),
            json!({ "input_hex": "0" }),
            json!({ "datagrams": [1] }),
        ] {
            assert!(vector_json(&case).get("invalid").is_some(), "{case}");
        }
    }
}
