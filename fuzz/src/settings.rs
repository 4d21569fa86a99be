//! Settings: any file, environment and flags are read to an end, with values or with reasons.
//!
//! Input: the file's text, then after a NUL variables as `NAME=value`, then after another NUL flags
//! as `key=value`, one a line. Bytes that are not UTF-8 are replaced, as the file's reader refuses
//! them before anything else.

use greyhound_config::load::{DefaultFile, Flag, Sources, load_text};
use std::path::Path;

/// Panics if reading does, or if the same sources read twice say two things.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut parts = text.splitn(3, '\0');
    let file = parts.next().unwrap_or_default();
    let mut pairs = || {
        parts
            .next()
            .unwrap_or_default()
            .lines()
            .filter_map(|l| l.split_once('='))
    };
    let environment = pairs()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let flags = pairs().map(|(key, value)| Flag {
        name: "--set".to_owned(),
        key: key.to_owned(),
        text: value.to_owned(),
    });
    let flags = flags.collect();
    let sources = Sources {
        file: None,
        default_file: DefaultFile::None,
        environment,
        flags,
    };

    let read = || load_text(file, Path::new("greyhound.yaml"), &sources);
    let first = read();
    match &first {
        Ok(loaded) => assert_eq!(loaded.store.effective().len(), loaded.store.iter().count()),
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal has a reason"),
    }
    // Expanding aliases takes long by design, up to a limit; once is enough for those.
    if file.contains('*') {
        return;
    }
    match (first, read()) {
        (Ok(loaded), Ok(again)) => {
            assert_eq!(loaded.report.lines(), again.report.lines());
            assert_eq!(
                format!("{:?}", loaded.settings),
                format!("{:?}", again.settings)
            );
        }
        (Err(error), Err(again)) => assert_eq!(error.to_string(), again.to_string()),
        (one, other) => panic!("accepted once only: {} {}", one.is_ok(), other.is_ok()),
    }
}
