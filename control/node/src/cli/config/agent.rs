//! `greyhound config check --agent FILE`: what becomes of a file of the Agent's, key by key.

use std::io::Write;
use std::path::Path;

use greyhound_config::load::{self, DefaultFile, Sources};
use greyhound_config::place::Place;
use greyhound_config::table::Applies;
use serde_json::{Value, json};

use crate::cli::{Exit, Failure};
use crate::explain::show::printable;

/// Keys that are obeyed, though not quite as the Agent does.
const DIFFERENT: &[(&str, &str)] = &[
    (
        "dogstatsd_packet_buffer_size",
        "packets of one receive call, at most 1024",
    ),
    (
        "dogstatsd_queue_size",
        "one queue that only lanes which are behind use",
    ),
    (
        "dogstatsd_flush_incomplete_buckets",
        "without it open buckets are flushed at stop, where the Agent drops them",
    ),
    (
        "dogstatsd_so_rcvbuf",
        "while it is 0, greyhound.receive_buffer is asked for",
    ),
    ("log_level", "critical counts as error"),
];

/// One line per key the file sets.
struct Verdict {
    key: String,
    place: String,
    verdict: &'static str,
    note: String,
}

pub(super) fn check(path: &Path, as_json: bool, out: &mut dyn Write) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("cannot read {}: {error}", path.display()))?;
    let sources = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    let loaded = load::load_text(&text, path, &sources).map_err(Failure::usage)?;
    let mut verdicts: Vec<Verdict> = Vec::new();
    for resolved in loaded.store.iter() {
        if !matches!(*resolved.place, Place::File { .. }) {
            continue;
        }
        let key = resolved.row.key;
        let different = DIFFERENT.iter().find(|(known, _)| *known == key);
        let (verdict, note) = match (resolved.row.applies, different) {
            (Applies::NoEffect, _) => ("ignored", "this version does nothing with it"),
            (Applies::Now, Some((_, note))) => ("different", *note),
            (Applies::Now, None) => ("same", ""),
        };
        verdicts.push(Verdict {
            key: key.to_owned(),
            place: resolved.place.to_string(),
            verdict,
            note: note.to_owned(),
        });
    }
    for unknown in &loaded.report.unknown {
        let note = match &unknown.nearest {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => "read by other parts of the Agent, if by any".to_owned(),
        };
        verdicts.push(Verdict {
            key: unknown.key.clone(),
            place: unknown.place.to_string(),
            verdict: "unknown",
            note,
        });
    }
    if as_json {
        let keys: Vec<Value> = verdicts.iter().map(Verdict::json).collect();
        let further = loaded.report.unknown_further;
        writeln!(
            out,
            "{:#}",
            json!({ "keys": keys, "unknown_further": further })
        )?;
        return Ok(Exit::Done);
    }
    for verdict in &verdicts {
        let key = printable(verdict.key.as_bytes());
        write!(out, "{:9}  {key}  ({})", verdict.verdict, verdict.place)?;
        match verdict.note.as_str() {
            "" => writeln!(out)?,
            note => writeln!(out, "  {}", printable(note.as_bytes()))?,
        }
    }
    let count = |word: &str| verdicts.iter().filter(|one| one.verdict == word).count();
    writeln!(
        out,
        "{} same, {} different, {} ignored, {} unknown",
        count("same"),
        count("different"),
        count("ignored"),
        count("unknown") + loaded.report.unknown_further
    )?;
    Ok(Exit::Done)
}

// === impl Verdict ===

impl Verdict {
    fn json(&self) -> Value {
        json!({
            "key": self.key,
            "place": self.place,
            "verdict": self.verdict,
            "note": self.note,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_config::table;

    #[test]
    fn every_key_gets_one_of_four_verdicts() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("datadog.yaml");
        let text = "dogstatsd_tags: [a:1]\nlog_level: info\nextra_tags: [x]\ndogstatsd_prot: 1\n";
        std::fs::write(&path, text).expect("a file");
        let mut out = Vec::new();
        check(&path, false, &mut out).expect("a page");
        let page = String::from_utf8(out).expect("text");
        for (verdict, key) in [
            ("same", "dogstatsd_tags"),
            ("different", "log_level"),
            ("ignored", "extra_tags"),
            ("unknown", "dogstatsd_prot"),
        ] {
            let line = page.lines().find(|line| line.contains(key));
            assert!(line.is_some_and(|line| line.starts_with(verdict)), "{page}");
        }
        assert!(page.contains("did you mean `dogstatsd_port`?"), "{page}");
        assert!(
            page.ends_with("1 same, 1 different, 1 ignored, 1 unknown\n"),
            "{page}"
        );
    }

    #[test]
    fn keys_that_differ_are_keys_that_are_obeyed() {
        for (key, _) in DIFFERENT {
            let row = table::table().row(key).expect("a key of the table");
            assert!(row.applies == Applies::Now, "{key}");
        }
    }
}
