//! The bytes of the encoders that push, as they were when an independent decoder last agreed with them: a change
//! of a request is seen in the diff. `tests/behaviour/push_golden.rs` lets that decoder read the same files.
//!
//! `GREYHOUND_BLESS=1` writes them anew.

use std::path::Path;

use greyhound_model::flush::FlushBatch;
use greyhound_model::series::Unit;

use crate::fixtures;

/// One of everything that has a form of its own.
pub(crate) fn batch() -> FlushBatch {
    let mut timing = fixtures::gauge("request.wait", "env:prod", 0.1);
    timing.unit = Unit::Millisecond;
    FlushBatch {
        sketches: vec![fixtures::distribution(
            "request.size",
            "env:prod,canary",
            &[0.0, 1.0, 2.0, 2.0, 1024.0, -3.0],
        )],
        histograms: vec![fixtures::histogram(
            "took",
            "",
            Unit::Millisecond,
            &[1.0, 3.0],
        )],
        ..fixtures::flush([
            fixtures::counter("page.views", "env:prod,role:a,role:b", 25.0),
            fixtures::counter("net", "latin:\u{e9}", -2.5),
            fixtures::gauge("zero", "service:api", 0.0),
            timing,
        ])
    }
}

/// Compares with the file of this name, or writes it.
pub(crate) fn check(name: &str, bytes: &[u8]) {
    let lines = bytes.chunks(32).map(|line| {
        let digits = line.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<String>() + "\n"
    });
    let hex: String = lines.collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("golden/push")
        .join(name);
    if std::env::var_os("GREYHOUND_BLESS").is_some() {
        std::fs::write(&file, &hex).expect("the tree can be written");
    }
    let known = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(hex, known, "{}: see the head of golden.rs", file.display());
}
