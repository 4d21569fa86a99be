//! `greyhound explain --simulate`.

use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::path::Path;

use anyhow::Context;
use greyhound_config::settings::Settings;
use greyhound_sinks::config::PrintConfig;
use greyhound_sinks::print::PrintSink;
use serde_json::{Value, json};

use crate::cli::{Exit, Failure, colours_wanted};
use crate::{simulate, wiring};

/// Bytes of a file of steps at most.
const FILE_LEN_BYTES_MAX: u64 = 256 << 20;

/// Runs every case of a file, and all bare steps together as one more. Prints JSON, one object per
/// case; tables when a person looks and did not ask for JSON.
pub(super) fn run(
    file: &Path,
    settings: &Settings,
    json: bool,
    out: &mut dyn Write,
) -> Result<Exit, Failure> {
    let cases = if file == Path::new("-") {
        read_cases(io::stdin().lock())
    } else {
        let file =
            std::fs::File::open(file).with_context(|| format!("cannot open {}", file.display()))?;
        read_cases(BufReader::new(file))
    }?;
    let is_terminal = io::stdout().is_terminal();
    for case in &cases {
        // A whole case brings its own settings, over the Agent's defaults; bare steps run under ours.
        let own = match case.get("config") {
            Some(config) => Some(wiring::settings_from_json(Some(config))?),
            None => None,
        };
        let settings = own.as_ref().unwrap_or(settings);
        if json || !is_terminal {
            writeln!(out, "{}", simulate::run_with(settings, case)?)?;
        } else {
            print_tables(settings, case, out)?;
        }
    }
    Ok(Exit::Done)
}

fn print_tables(settings: &Settings, case: &Value, out: &mut dyn Write) -> Result<(), Failure> {
    let config = PrintConfig {
        color: colours_wanted(true),
    };
    let mut text = Vec::new();
    let mut printed = Ok(());
    simulate::each_batch(settings, case, |batch| {
        if printed.is_ok() {
            printed = PrintSink::new(&mut text, config).print(batch);
        }
    })?;
    printed?;
    out.write_all(&text)?;
    Ok(())
}

/// One JSON object per line: cases as they are, bare steps gathered into a case of their own.
fn read_cases(input: impl BufRead) -> anyhow::Result<Vec<Value>> {
    let mut cases = Vec::new();
    let mut steps = Vec::new();
    for (index, line) in input.take(FILE_LEN_BYTES_MAX).lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let value: Value = serde_json::from_str(&line)
            .with_context(|| format!("line {} is not a JSON object", index + 1))?;
        match value {
            Value::Array(items) => steps.extend(items),
            case if case.get("steps").is_some() => cases.push(case),
            step => steps.push(step),
        }
    }
    if !steps.is_empty() {
        cases.push(json!({ "steps": steps }));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_and_bare_steps_may_stand_in_one_file() {
        let text = "{\"at\": 1, \"lines\": [\"a:1|c\"]}\n\n{\"steps\": []}\n[{\"flush\": 10}]\n";
        let cases = read_cases(text.as_bytes()).expect("cases");
        assert_eq!(cases.len(), 2);
        assert_eq!(cases[1]["steps"].as_array().map(Vec::len), Some(2));
        let error = read_cases(&b"{}\nnot json\n"[..]).unwrap_err();
        assert!(error.to_string().contains("line 2"));
    }

    #[test]
    fn bare_steps_run_under_the_settings_at_hand() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("steps.jsonl");
        std::fs::write(
            &file,
            "{\"at\": 12, \"lines\": [\"a:1|g\"]}\n{\"stop\": 14}\n",
        )
        .expect("a file");
        let settings = wiring::settings_from_json(Some(
            &json!({ "statsd_metric_namespace": "corp", "dogstatsd_flush_incomplete_buckets": true }),
        ))
        .expect("settings");
        let mut out = Vec::new();
        run(&file, &settings, true, &mut out).expect("a run");
        let answer: Value = serde_json::from_slice(&out).expect("json");
        assert_eq!(answer["flushes"][0]["series"][0]["name"], "corp.a");
    }
}
