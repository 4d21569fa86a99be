//! Streams of every generation, against the settings they must come to.

use greyhound_config::load::{self, DefaultFile, Flag, Sources};
use greyhound_proto::datadog::model::v1::{ConfigSnapshot, ConfigUpdate};
use prost_types::{ListValue, Struct};

use super::*;

fn live() -> Live {
    let sources = Sources {
        default_file: DefaultFile::None,
        ..Sources::default()
    };
    Live::new(load::load(&sources).expect("defaults"), sources)
}

fn of(kind: Kind) -> Value {
    Value { kind: Some(kind) }
}

fn word(text: &str) -> Value {
    of(Kind::StringValue(text.to_owned()))
}

fn setting(source: &str, key: &str, value: Value) -> ConfigSetting {
    ConfigSetting {
        source: source.to_owned(),
        key: key.to_owned(),
        value: Some(value),
        unset_source: String::new(),
    }
}

fn snapshot(settings: Vec<ConfigSetting>) -> ConfigEvent {
    let snapshot = ConfigSnapshot {
        settings,
        ..Default::default()
    };
    ConfigEvent {
        event: Some(Event::Snapshot(snapshot)),
    }
}

fn update(setting: ConfigSetting) -> ConfigEvent {
    let update = ConfigUpdate {
        setting: Some(setting),
        ..Default::default()
    };
    ConfigEvent {
        event: Some(Event::Update(update)),
    }
}

/// Takes events, and checks what our layer says of a key after each.
fn check(key: &str, rows: Vec<(ConfigEvent, Option<&str>)>) {
    let live = live();
    let mut mirror = Mirror::new("a test".to_owned());
    for (at, (event, expected)) in rows.into_iter().enumerate() {
        mirror.take(event);
        mirror.apply(&live);
        let store = live.store();
        let ours = store.layers(key).iter().find(|held| held.layer == LAYER);
        let text = ours.map(|held| held.value.text());
        assert_eq!(text.as_deref(), expected, "{key} after event {at}");
    }
}

#[test]
fn leaf_keys_with_the_source_that_won() {
    let gone = ConfigSetting {
        unset_source: "cli".to_owned(),
        ..setting("default", "log_level", word("info"))
    };
    let lower = ConfigSetting {
        unset_source: "cli".to_owned(),
        ..setting("file", "log_level", word("error"))
    };
    check(
        "log_level",
        vec![
            (
                snapshot(vec![setting("file", "log_level", word("warn"))]),
                Some("warn"),
            ),
            (
                update(setting("cli", "log_level", word("debug"))),
                Some("debug"),
            ),
            (update(lower), Some("error")),
            (update(gone), Some("error")),
            (
                snapshot(vec![setting("default", "log_level", word("info"))]),
                None,
            ),
        ],
    );
}

#[test]
fn one_entry_per_key_and_source() {
    check(
        "log_level",
        vec![
            (
                snapshot(vec![
                    setting("default", "log_level", word("info")),
                    setting("file", "log_level", word("warn")),
                    setting("agent-runtime", "log_level", word("debug")),
                ]),
                Some("debug"),
            ),
            // Null: this layer no longer has the key.
            (
                update(setting(
                    "agent-runtime",
                    "log_level",
                    of(Kind::NullValue(0)),
                )),
                Some("warn"),
            ),
            (
                update(setting("file", "log_level", of(Kind::NullValue(0)))),
                None,
            ),
        ],
    );
}

#[test]
fn whole_subtrees() {
    let inner = Struct {
        fields: [("idle_timeout".to_owned(), of(Kind::NumberValue(45.0)))].into(),
    };
    let tree = Struct {
        fields: [("registry".to_owned(), of(Kind::StructValue(inner)))].into(),
    };
    check(
        "remote_agent.registry.idle_timeout",
        vec![
            (
                snapshot(vec![setting(
                    "file",
                    "remote_agent",
                    of(Kind::StructValue(tree)),
                )]),
                Some("45s"),
            ),
            (
                update(setting("file", "remote_agent", of(Kind::NullValue(0)))),
                None,
            ),
        ],
    );
}

#[test]
fn values_keep_their_kind() {
    let tags = ListValue {
        values: vec![word("a:1"), word("b")],
    };
    check(
        "tags",
        vec![(
            snapshot(vec![setting("file", "tags", of(Kind::ListValue(tags)))]),
            Some("a:1 b"),
        )],
    );
    check(
        "dogstatsd_metrics_stats_enable",
        vec![(
            snapshot(vec![setting(
                "file",
                "dogstatsd_metrics_stats_enable",
                of(Kind::BoolValue(true)),
            )]),
            Some("true"),
        )],
    );
}

#[test]
fn what_is_wrong_or_not_theirs_to_say_is_left_out() {
    let live = live();
    let mut mirror = Mirror::new("a test".to_owned());
    mirror.take(snapshot(vec![
        setting("file", "dogstatsd_queue_size", word("many")),
        setting("file", "log_level", word("debug")),
        setting("file", "cmd_port", of(Kind::NumberValue(1.0))),
        setting("file", "use_dogstatsd", of(Kind::BoolValue(false))),
        setting(
            "file",
            "greyhound.bucket_seconds",
            of(Kind::NumberValue(1.0)),
        ),
        setting("file", "nobody.knows.this", word("x")),
    ]));
    assert_eq!(mirror.apply(&live), 1);
    assert_eq!(
        live.store().get("log_level").map(|held| held.layer),
        Some(LAYER)
    );
    // The right one came and went in single generations.
    let generation = live.generation().number;
    assert_eq!(mirror.apply(&live), 1);
    assert_eq!(
        live.generation().number,
        generation,
        "nothing new, nothing made"
    );
    mirror.take(snapshot(Vec::new()));
    assert_eq!(mirror.apply(&live), 0);
    assert_eq!(live.generation().number, generation + 1);
    assert!(live.store().layers("log_level").is_empty());
}

#[test]
fn an_operator_on_the_host_has_the_last_word() {
    let sources = Sources {
        default_file: DefaultFile::None,
        flags: vec![Flag {
            key: "log_level".to_owned(),
            text: "error".to_owned(),
            name: "--set".to_owned(),
        }],
        ..Sources::default()
    };
    let live = Live::new(load::load(&sources).expect("settings"), sources);
    let mut mirror = Mirror::new("a test".to_owned());
    mirror.take(snapshot(vec![setting("cli", "log_level", word("debug"))]));
    mirror.apply(&live);
    let store = live.store();
    let counts = store.get("log_level").expect("a known key");
    assert_eq!(
        (counts.layer, counts.value.text()),
        (Layer::Cli, "error".to_owned())
    );
}
