//! Random sequences: the end is what a fresh load gives, and the feed tells all of it.

use proptest::prelude::*;

use super::*;
use crate::live::feed::{Setting, Snapshot, Update};

/// Keys of several kinds and what they take; the last of each is refused.
const KEYS: [(&str, [&str; 4]); 6] = [
    ("log_level", ["info", "debug", "warn", "loud"]),
    ("dogstatsd_port", ["0", "8125", "__random__", "70000"]),
    ("dogstatsd_tags", ["a:1", "a:1 b:2", "", "[\"x y\"]"]),
    ("api_key", ["one", "two", "", "three"]),
    ("dogstatsd_expiry_seconds", ["300", "5m", "10", "never"]),
    (
        "metric_tag_filterlist",
        [
            "[]",
            r#"[{"metric_name":"a","action":"exclude","tags":["x"]}]"#,
            r#"[{"metric_name":"b","action":"include","tags":[]}]"#,
            "{",
        ],
    ),
];

/// Layers commands write to.
const LAYERS: [Layer; 3] = [Layer::AgentRuntime, Layer::RemoteConfig, Layer::Cli];

#[derive(Clone, Debug)]
enum Step {
    Set(usize, usize, usize),
    Unset(usize, usize),
    /// A file with these values, in the order of [`KEYS`]; none = left out.
    Reload(Vec<Option<usize>>),
    Rollback(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..KEYS.len(), 0..LAYERS.len(), 0..4_usize)
            .prop_map(|(key, layer, text)| Step::Set(key, layer, text)),
        2 => (0..KEYS.len(), 0..LAYERS.len()).prop_map(|(key, layer)| Step::Unset(key, layer)),
        3 => proptest::collection::vec(proptest::option::of(0..4_usize), KEYS.len())
            .prop_map(Step::Reload),
        1 => (1..6_u64).prop_map(Step::Rollback),
    ]
}

fn file_of(values: &[Option<usize>]) -> String {
    let line = |(index, value): (usize, &Option<usize>)| {
        let (key, texts) = KEYS[index];
        let text = texts[(*value)?];
        let quoted = serde_json::Value::from(text);
        // What is structured stands in the file as it is.
        let written = if text.starts_with(['[', '{']) {
            text.to_owned()
        } else {
            quoted.to_string()
        };
        Some(format!("{key}: {written}\n"))
    };
    values.iter().enumerate().filter_map(line).collect()
}

/// What a subscriber makes of an update.
fn replay(settings: &mut [Setting], update: &Update) {
    let setting = settings
        .iter_mut()
        .find(|setting| setting.key == update.key)
        .expect("updates are of keys of the snapshot");
    setting.value = update.value.clone();
    setting.source = update.source;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_sequence_ends_as_a_fresh_load_and_the_feed_tells_it(
        steps in proptest::collection::vec(step(), 1..24),
    ) {
        let fixture = Fixture::with_environment("", &[("DD_DOGSTATSD_TAGS", "env:1")]);
        let live = &fixture.live;
        let updates: Arc<Mutex<Vec<Arc<Update>>>> = Arc::default();
        let sink = Arc::clone(&updates);
        let (first, _guard) = live.feed().snapshot_and_subscribe(Box::new(move |update| {
            sink.lock().expect("a list").push(Arc::clone(update));
        }));
        for step in &steps {
            let before = live.generation();
            let made = match step {
                Step::Set(key, layer, text) => {
                    let (key, texts) = KEYS[*key];
                    live.set(key, LAYERS[*layer], texts[*text], by("a test"), Cause::Api).ok()
                }
                Step::Unset(key, layer) => {
                    live.unset(KEYS[*key].0, LAYERS[*layer], Cause::Api).ok()
                }
                Step::Reload(values) => {
                    fixture.write(&file_of(values));
                    live.reload(Cause::FileChanged).ok()
                }
                Step::Rollback(generation) => live.rollback(*generation).ok(),
            };
            let after = live.generation();
            match made {
                None => prop_assert!(before.store.differences(&after.store).is_empty()),
                Some(change) if change.is_empty() => prop_assert_eq!(before.number, after.number),
                Some(_) => prop_assert_eq!(before.number + 1, after.number),
            }
            // The typed settings are always those a fresh read of the store gives.
            let fresh = Settings::read(&after.store, &mut Report::default());
            prop_assert_eq!(&*after.settings, &fresh);
        }
        // A good file at the end: those layers are then exactly a fresh load's.
        fixture.write("log_level: error\n");
        fixture.reload().expect("a reload");
        let fresh = load::load(&live.0.sources).expect("settings").store;
        for row in table::table().rows() {
            let of = |store: &Store| -> Vec<(Layer, Value)> {
                let layers = store.layers(row.key).iter();
                layers
                    .filter(|assigned| RELOADED.contains(&assigned.layer))
                    .map(|assigned| (assigned.layer, assigned.value.clone()))
                    .collect()
            };
            prop_assert_eq!(of(&live.store()), of(&fresh), "{}", row.key);
        }
        let mut replayed = first.settings.clone();
        for (index, update) in updates.lock().expect("a list").iter().enumerate() {
            prop_assert_eq!(update.sequence, first.sequence + 1 + index as u64);
            replay(&mut replayed, update);
        }
        let last = live.feed().snapshot();
        let replayed = Snapshot { sequence: last.sequence, settings: replayed };
        prop_assert_eq!(&*last, &replayed);
    }
}
