//! Where the cases come from.

use std::io::Write;
use std::path::{Path, PathBuf};

use greyhound_tests::source;
use serde_json::Value;

/// One line of a file.
pub(crate) struct Case {
    pub(crate) id: String,
    pub(crate) rule: String,
    pub(crate) file: String,
    pub(crate) value: Value,
}

/// All cases of a family, `dogstatsd` or `aggregation`: ours, then those of `GREYHOUND_VECTORS`.
pub(crate) fn all(family: &str) -> Vec<Case> {
    let mut cases = of_folder(&source::root().join("tests/parity"), family);
    assert!(!cases.is_empty(), "our own {family} cases are gone");
    if let Some(folder) = std::env::var_os("GREYHOUND_VECTORS") {
        let more = of_folder(&PathBuf::from(&folder), family);
        report(&format!(
            "{family}: {} cases from GREYHOUND_VECTORS",
            more.len()
        ));
        cases.extend(more);
    }
    cases
}

/// Prints past the capture of the test runner: the counts are wanted when all is well, too.
pub(crate) fn report(line: &str) {
    // If standard error is gone there is nobody to tell.
    drop(writeln!(std::io::stderr(), "parity: {line}"));
}

fn of_folder(folder: &Path, family: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for file in source::files(folder, "jsonl") {
        let name = file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if file.parent() != Some(folder) || !name.starts_with(family) {
            continue;
        }
        let text = std::fs::read_to_string(&file).expect("a listed file can be read");
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let value: Value = serde_json::from_str(line)
                .unwrap_or_else(|error| panic!("{name}:{}: {error}", index + 1));
            let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
            cases.push(Case {
                id: text("id"),
                rule: text("rule"),
                file: format!("{name}:{}", index + 1),
                value,
            });
        }
    }
    cases
}
