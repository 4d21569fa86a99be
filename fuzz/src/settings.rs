//! Settings: any file, environment and flags are read to an end, with values or with reasons.
//!
//! Input: the file's text, then after a NUL variables as `NAME=value`, then after another NUL flags
//! as `key=value`, one a line. What was read is then changed by every line of the input that looks like
//! one of `key=value` and `!key`: no refusal changes anything, and the feed tells all that happened. Bytes that are not UTF-8 are replaced, as the file's reader refuses
//! them before anything else.

use greyhound_config::layer::Layer;
use greyhound_config::live::Live;
use greyhound_config::live::change::Cause;
use greyhound_config::load::{DefaultFile, Flag, Loaded, Sources, load_text};
use greyhound_config::place::Place;
use greyhound_config::report::Report;
use greyhound_config::settings::Settings;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Changes tried on one input.
const CHANGES_MAX: usize = 64;

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
        ..Sources::default()
    };

    let read = || load_text(file, Path::new("greyhound.yaml"), &sources);
    let first = read();
    match &first {
        Ok(loaded) => assert_eq!(loaded.store.effective().len(), loaded.store.iter().count()),
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal has a reason"),
    }
    if let Ok(loaded) = &first {
        change(loaded, &sources, &text);
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

/// Panics if a refused change left a trace, or if replaying the feed gives another state than the
/// snapshot.
fn change(loaded: &Loaded, sources: &Sources, text: &str) {
    let live = Live::new(loaded.clone(), sources.clone());
    let updates = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&updates);
    let (first, _guard) = live.feed().snapshot_and_subscribe(Box::new(move |update| {
        let mut all = sink.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(update));
    }));
    for (index, line) in text.lines().take(CHANGES_MAX).enumerate() {
        let layer = [Layer::AgentRuntime, Layer::RemoteConfig, Layer::Cli][index % 3];
        let before = live.generation().number;
        let by = Place::Other {
            name: "a change".to_owned(),
        };
        let made = match (line.strip_prefix('!'), line.split_once('=')) {
            (Some("<"), _) => live.rollback(index as u64 / 2).ok(),
            (Some(key), _) => live.unset(key, layer, Cause::Api).ok(),
            (None, Some((key, value))) => live.set(key, layer, value, by, Cause::Api).ok(),
            (None, None) => None,
        };
        let after = live.generation();
        let grown = made.is_some_and(|change| !change.is_empty());
        assert_eq!(after.number, before + u64::from(grown));
        let fresh = Settings::read(&after.store, &mut Report::default());
        assert!(
            *after.settings == fresh,
            "the typed settings are the store's"
        );
    }
    let mut replayed = first.settings.clone();
    let updates = updates.lock().unwrap_or_else(PoisonError::into_inner);
    for update in updates.iter() {
        for setting in &mut replayed {
            if setting.key == update.key {
                setting.value = update.value.clone();
                setting.source = update.source;
            }
        }
    }
    let last = live.feed().snapshot();
    assert_eq!(last.sequence, first.sequence + updates.len() as u64);
    assert!(last.settings == replayed, "the feed told everything");
}
