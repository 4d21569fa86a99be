//! Changes as an operator makes them, and the state they leave.

mod replay;

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::error::SetError;
use crate::load::DefaultFile;

/// A file and the settings that run from it.
struct Fixture {
    _folder: TempDir,
    file: PathBuf,
    live: Live,
}

impl Fixture {
    fn new(text: &str) -> Self {
        Self::with_environment(text, &[])
    }

    fn with_environment(text: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("datadog.yaml");
        fs::write(&file, text).expect("a file");
        let sources = Sources {
            file: Some(file.clone()),
            default_file: DefaultFile::None,
            environment: variables
                .iter()
                .map(|(name, text)| (name.into(), text.into()))
                .collect(),
            ..Sources::default()
        };
        let loaded = load::load(&sources).expect("settings");
        Self {
            live: Live::new(loaded, sources),
            file,
            _folder: folder,
        }
    }

    fn write(&self, text: &str) {
        fs::write(&self.file, text).expect("a file");
    }

    fn reload(&self) -> Result<Change, ReloadError> {
        self.live.reload(Cause::Signal)
    }

    fn set(&self, key: &str, text: &str) -> Result<Change, ChangeError> {
        self.live
            .set(key, Layer::Cli, text, by("a test"), Cause::Api)
    }

    fn value(&self, key: &str) -> String {
        let store = self.live.store();
        let resolved = store.get(key).expect("a key");
        format!("{} {}", resolved.value.text(), resolved.layer)
    }
}

fn by(name: &str) -> Place {
    Place::Other {
        name: name.to_owned(),
    }
}

fn results(change: &Change) -> Vec<String> {
    let line = |result: &KeyResult| format!("{} {}", result.key, result.outcome);
    change.keys.iter().map(line).collect()
}

/// Refuses one key, and knows what it was asked and told.
#[derive(Default)]
struct Part {
    refuses: Option<&'static str>,
    log: Arc<Mutex<Vec<String>>>,
}

struct Step {
    log: Arc<Mutex<Vec<String>>>,
    keys: Vec<&'static str>,
}

impl Apply for Part {
    fn prepare(
        &self,
        _old: &Settings,
        _new: &Settings,
        changed: &[&'static str],
    ) -> Result<Box<dyn Prepared>, Vec<KeyResult>> {
        if let Some(key) = self.refuses.filter(|key| changed.contains(key)) {
            let outcome = Outcome::Refused("the socket is taken".to_owned());
            return Err(vec![KeyResult { key, outcome }]);
        }
        self.log
            .lock()
            .expect("a log")
            .push(format!("prepare {}", changed.join(" ")));
        Ok(Box::new(Step {
            log: Arc::clone(&self.log),
            keys: changed.to_vec(),
        }))
    }
}

impl Prepared for Step {
    fn commit(self: Box<Self>) -> Vec<KeyResult> {
        let mut log = self.log.lock().expect("a log");
        log.push(format!("commit {}", self.keys.join(" ")));
        let applied = |key: &&'static str| KeyResult {
            key,
            outcome: Outcome::Applied,
        };
        self.keys.iter().map(applied).collect()
    }
}

#[test]
fn a_reload_takes_the_file_and_keeps_what_was_set_while_running() {
    let fixture = Fixture::new("log_level: warn\ndogstatsd_tags: [a:1]\n");
    fixture.set("log_level", "debug").expect("a change");
    fixture.write("log_level: error\ndogstatsd_tags: [a:2]\n");
    let change = fixture.reload().expect("a reload");
    assert_eq!(fixture.value("log_level"), "debug cli");
    assert_eq!(fixture.value("dogstatsd_tags"), "a:2 file");
    assert_eq!(change.generation, 3);
    let log_level = change.keys.iter().find(|result| result.key == "log_level");
    assert_eq!(
        log_level.map(|result| &result.outcome),
        Some(&Outcome::Unchanged)
    );
    fixture
        .live
        .unset("log_level", Layer::Cli, Cause::Api)
        .expect("a change");
    assert_eq!(fixture.value("log_level"), "error file");
}

#[test]
fn a_bad_file_changes_nothing_and_says_where() {
    let fixture = Fixture::new("log_level: warn\n");
    fixture.write("dogstatsd_tags: [a:2]\nlog_level: loud\n");
    let error = fixture.reload().unwrap_err().to_string();
    assert!(
        error.contains("datadog.yaml:2:12") && error.contains("log_level"),
        "{error}"
    );
    assert_eq!(fixture.value("log_level"), "warn file");
    assert_eq!(fixture.value("dogstatsd_tags"), " default");
    assert_eq!(fixture.live.generation().number, 1);
    let state = fixture.live.reloads();
    assert_eq!((state.taken, state.refused), (0, 1));
    assert!(state.last_error.is_some());

    fixture.write("log_level: info\n");
    fixture.reload().expect("a reload");
    assert_eq!(fixture.live.reloads().last_error, None);
}

#[test]
fn a_file_that_is_gone_changes_nothing() {
    let fixture = Fixture::new("log_level: warn\n");
    fs::remove_file(&fixture.file).expect("it was there");
    fixture.reload().unwrap_err();
    assert_eq!(fixture.value("log_level"), "warn file");
}

#[test]
fn a_reload_of_the_same_file_makes_no_generation() {
    let fixture = Fixture::new("log_level: warn\n");
    fixture.write("# a comment moves everything by a line\nlog_level: warn\n");
    let change = fixture.reload().expect("a reload");
    assert!(change.is_empty());
    assert_eq!(change.generation, 1);
    assert_eq!(fixture.live.history().len(), 1);
    let place = fixture.live.store().layers("log_level")[0]
        .place
        .to_string();
    assert!(place.ends_with(":2:12"), "{place}");
}

#[test]
fn one_part_that_refuses_stops_all() {
    let fixture = Fixture::new("");
    let willing = Part::default();
    let log = Arc::clone(&willing.log);
    fixture.live.attach(Arc::new(willing));
    fixture.live.attach(Arc::new(Part {
        refuses: Some("dogstatsd_port"),
        ..Part::default()
    }));
    fixture.write("dogstatsd_port: 9\ndogstatsd_tags: [a:2]\n");
    let error = fixture.reload().unwrap_err().to_string();
    assert_eq!(error, "`dogstatsd_port`: the socket is taken");
    let error = fixture.set("dogstatsd_port", "9").unwrap_err().to_string();
    assert_eq!(error, "`dogstatsd_port`: the socket is taken");
    assert_eq!(fixture.value("dogstatsd_tags"), " default");
    assert_eq!(fixture.live.generation().number, 1);
    assert!(
        log.lock()
            .expect("a log")
            .iter()
            .all(|line| line.starts_with("prepare"))
    );
}

#[test]
fn what_waits_for_a_restart_is_known_until_it_is_taken_back() {
    let fixture = Fixture::new("greyhound.lanes: 2\n");
    let change = fixture.set("greyhound.lanes", "3").expect("a change");
    assert_eq!(results(&change), ["greyhound.lanes needs a restart"]);
    let change = fixture.set("greyhound.lanes", "4").expect("a change");
    assert_eq!(results(&change), ["greyhound.lanes needs a restart"]);
    assert_eq!(fixture.live.waiting_for_restart(), ["greyhound.lanes"]);
    let change = fixture
        .live
        .unset("greyhound.lanes", Layer::Cli, Cause::Api)
        .expect("a change");
    assert_eq!(results(&change), ["greyhound.lanes applied"]);
    assert!(fixture.live.waiting_for_restart().is_empty());
}

#[test]
fn refused_values_and_unknown_keys_change_nothing() {
    let fixture = Fixture::new("");
    let error = fixture.set("log_level", "loud").unwrap_err();
    assert!(
        matches!(error, ChangeError::Set(SetError::Wrong(_))),
        "{error}"
    );
    let error = fixture.set("log_levle", "info").unwrap_err();
    assert!(
        matches!(error, ChangeError::Set(SetError::UnknownKey(_))),
        "{error}"
    );
    assert_eq!(fixture.live.history().len(), 1);
}

#[test]
fn a_rollback_brings_back_an_earlier_generation() {
    let fixture = Fixture::new("log_level: warn\n");
    fixture.write("log_level: error\ndogstatsd_tags: [a:2]\n");
    fixture.reload().expect("a reload");
    fixture.set("log_level", "debug").expect("a change");
    let change = fixture.live.rollback(1).expect("a rollback");
    assert_eq!(change.generation, 4);
    assert_eq!(change.cause, Cause::Rollback(1));
    assert_eq!(fixture.value("log_level"), "warn file");
    assert_eq!(fixture.value("dogstatsd_tags"), " default");
    assert_eq!(
        fixture.live.rollback(77).unwrap_err(),
        ReloadError::NoGeneration(77)
    );
    fixture.reload().expect("a reload");
    assert_eq!(fixture.value("log_level"), "error file");
}

#[test]
fn the_history_has_a_bound() {
    let fixture = Fixture::new("");
    for number in 0..100 {
        let text = format!("a:{number}");
        fixture.set("dogstatsd_tags", &text).expect("a change");
    }
    let history = fixture.live.history();
    assert_eq!(history.len(), HISTORY_MAX);
    assert_eq!(history.last().map(|change| change.generation), Some(101));
    assert!(fixture.live.store_of(1).is_none() && fixture.live.store_of(101).is_some());
}

#[test]
fn several_steps_can_be_one_generation() {
    let fixture = Fixture::new("");
    let change = fixture
        .live
        .edit(Cause::Stream, |store| {
            store.set_text("log_level", Layer::RemoteConfig, "warn", by("core"))?;
            store.set_text("dogstatsd_tags", Layer::RemoteConfig, "a:1", by("core"))?;
            Ok(())
        })
        .expect("a change");
    assert_eq!((change.generation, change.keys.len()), (2, 2));
    let refused = fixture.live.edit(Cause::Stream, |store| {
        store.set_text("log_level", Layer::RemoteConfig, "info", by("core"))?;
        store.set_text("no_such", Layer::RemoteConfig, "", by("core"))?;
        Ok(())
    });
    refused.unwrap_err();
    assert_eq!(fixture.value("log_level"), "warn remote-config");
}

#[test]
fn secrets_are_in_the_feed_and_nowhere_in_debug() {
    let fixture = Fixture::with_environment("", &[("DD_API_KEY", "canary-1")]);
    let seen: Arc<Mutex<Vec<Arc<feed::Update>>>> = Arc::default();
    let sink = Arc::clone(&seen);
    let (snapshot, guard) = fixture
        .live
        .feed()
        .snapshot_and_subscribe(Box::new(move |update| {
            sink.lock().expect("a list").push(Arc::clone(update));
        }));
    fixture.set("api_key", "canary-2").expect("a change");
    drop(guard);
    fixture.set("api_key", "canary-3").expect("a change");
    let seen = seen.lock().expect("a list");
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].value, "canary-2");
    assert_eq!(seen[0].sequence, snapshot.sequence + 1);
    let printed = format!(
        "{seen:?} {snapshot:?} {:?} {:?}",
        fixture.live,
        fixture.live.store()
    );
    assert!(!printed.contains("canary"), "{printed}");
}
