//! What texts mean, and that values survive being written.

use proptest::prelude::*;

use super::duration::Bare;
use super::*;
use crate::kind::{Kind, read};
use crate::node::Node;

fn nanos(text: &str) -> Option<u64> {
    duration::parse(text, Bare::Seconds).map(|span| u64::try_from(span.as_nanos()).unwrap())
}

#[test]
fn durations_in_gos_notation() {
    let rows = [
        ("100ms", Some(100_000_000)),
        ("1m30s", Some(90_000_000_000)),
        ("1h0.5s", Some(3_600_500_000_000)),
        (" +2us ", Some(2_000)),
        ("2µs", Some(2_000)),
        ("2μs", Some(2_000)),
        (".5ms", Some(500_000)),
        ("5.s", Some(5_000_000_000)),
        ("0.1h", Some(360_000_000_000)),
        ("0.3us", Some(300)),
        ("1.0000000000000000001ns", Some(1)),
        ("60", Some(60_000_000_000)),
        ("0.25", Some(250_000_000)),
        ("0", Some(0)),
        ("", None),
        (".", None),
        ("s", None),
        (".s", None),
        ("1.2.3s", None),
        ("-1s", None),
        ("1 s", None),
        ("1d", None),
        ("1s2", None),
        ("1e3", None),
        ("99999999999h", None),
        ("18446744073709551615ns", Some(u64::MAX)),
        ("18446744073709551616ns", None),
    ];
    for (text, expected) in rows {
        assert_eq!(nanos(text), expected, "{text:?}");
    }
    assert_eq!(
        duration::parse("7", Bare::Microseconds),
        Some(Duration::from_micros(7))
    );
    assert_eq!(
        duration::parse("7", Bare::Nanoseconds),
        Some(Duration::from_nanos(7))
    );
}

#[test]
fn durations_are_written_short() {
    let rows = [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1500ns"),
        (200_000, "200us"),
        (100_000_000, "100ms"),
        (90_000_000_000, "1m30s"),
        (300_000_000_000, "5m"),
        (3_600_500_000_000, "1h0.5s"),
    ];
    for (nanos, expected) in rows {
        assert_eq!(duration::format(Duration::from_nanos(nanos)), expected);
    }
}

#[test]
fn sizes_count_in_steps_of_1024() {
    let rows = [
        ("0", Some(0)),
        ("65536", Some(65_536)),
        ("10Mb", Some(10 << 20)),
        ("16MiB", Some(16 << 20)),
        ("2k", Some(2048)),
        ("1GB", Some(1 << 30)),
        ("1 TiB", Some(1 << 40)),
        ("7B", Some(7)),
        ("", None),
        ("MiB", None),
        ("7iB", None),
        ("1.5MiB", None),
        ("-1", None),
        ("1PiB", None),
        ("9223372036854775807", Some(i64::MAX.unsigned_abs())),
        ("9999999TiB", Some(9_999_999 << 40)),
        ("99999999TiB", None),
    ];
    for (text, expected) in rows {
        assert_eq!(size::parse(text), expected, "{text:?}");
    }
    assert_eq!(size::format(16 << 20), "16MiB");
    assert_eq!(size::format(8192), "8KiB");
    assert_eq!(size::format(1000), "1000");
}

#[test]
fn whole_numbers() {
    let rows = [
        ("0", Some(0)),
        ("-7", Some(-7)),
        ("+7", Some(7)),
        (" 7 ", Some(7)),
        ("0x1F", Some(31)),
        ("0o17", Some(15)),
        ("0b11", Some(3)),
        ("1_000", Some(1000)),
        ("8.0", Some(8)),
        ("1e3", Some(1000)),
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("1e300", None),
        ("010", None),
        ("8.5", None),
        ("", None),
        ("-", None),
        ("_1", None),
        ("1_", None),
        ("0x", None),
        ("0x_1", None),
        ("--1", None),
        ("NaN", None),
        ("inf", None),
        ("é1", None),
    ];
    for (text, expected) in rows {
        assert_eq!(number::int(text), expected, "{text:?}");
    }
}

#[test]
fn addresses() {
    for good in [
        "1.2.3.4:5",
        "localhost:0",
        ":8125",
        "[::1]:65535",
        "[fe80::1%eth0]:1",
        "*:1",
    ] {
        assert!(read::is_address(good), "{good}");
    }
    for bad in [
        "",
        "1",
        "a:",
        "a:b",
        "a:65536",
        "::1:5",
        "[::1]",
        "[x]:1",
        "a b:1",
        "http://a:1",
        "[::1:1",
        "a:+1",
    ] {
        assert!(!read::is_address(bad), "{bad}");
    }
}

fn read_text(kind: &Kind, text: &str) -> Value {
    let node = match kind.is_structured() {
        true => Node::from_json(serde_json::from_str(text).unwrap()),
        false => Node::scalar(text),
    };
    read_node(kind, &node)
}

fn read_node(kind: &Kind, node: &Node) -> Value {
    let mut asides = Vec::new();
    let value = read::value(kind, node, &mut asides);
    assert_eq!(asides, []);
    value.unwrap_or_else(|wrong| panic!("{node:?}: {wrong:?}"))
}

fn any_value() -> impl Strategy<Value = (Kind, Value)> {
    const WORDS: &[&str] = &["low", "high", "per_origin"];
    let with = |kind: Kind| move |value: Value| (kind, value);
    let number = (-1e300..1e300_f64).boxed();
    let word = proptest::sample::select(WORDS).prop_map(str::to_owned);
    prop_oneof![
        any::<bool>()
            .prop_map(Value::Bool)
            .prop_map(with(Kind::Bool)),
        any::<i64>().prop_map(Value::Int).prop_map(with(Kind::Int {
            min: i64::MIN,
            max: i64::MAX
        })),
        number
            .clone()
            .prop_map(Value::Float)
            .prop_map(with(Kind::Float {
                min: f64::NEG_INFINITY,
                max: f64::INFINITY
            })),
        ".*".prop_map(Value::Text).prop_map(with(Kind::Text)),
        word.clone()
            .prop_map(Value::Text)
            .prop_map(with(Kind::Word(WORDS))),
        proptest::option::of(any::<u16>())
            .prop_map(|port| Value::Port(port.map_or(Port::Random, Port::Number)))
            .prop_map(with(Kind::Port)),
        any::<u64>()
            .prop_map(|nanos| Value::Duration(Duration::from_nanos(nanos)))
            .prop_map(with(Kind::SPAN)),
        any::<u32>()
            .prop_map(|seconds| Value::Duration(Duration::from_secs(seconds.into())))
            .prop_map(with(Kind::SECONDS)),
        (0..i64::MAX.unsigned_abs())
            .prop_map(Value::Size)
            .prop_map(with(Kind::BYTES)),
        (0_u64..1 << 20)
            .prop_map(|kib| Value::Size(kib << 10))
            .prop_map(with(Kind::BYTES)),
        (0_u32..=0o7777)
            .prop_map(Value::Mode)
            .prop_map(with(Kind::Mode)),
        proptest::collection::vec(".*", 0..5)
            .prop_map(Value::List)
            .prop_map(with(Kind::Texts)),
        proptest::collection::vec("[\\[\\]a \",]{0,4}", 0..5)
            .prop_map(Value::List)
            .prop_map(with(Kind::Texts)),
        proptest::collection::vec(word, 0..5)
            .prop_map(Value::List)
            .prop_map(with(Kind::Words(WORDS))),
        proptest::collection::vec(number, 0..5)
            .prop_map(Value::Numbers)
            .prop_map(with(Kind::Numbers {
                min: f64::MIN,
                max: f64::MAX
            })),
        proptest::collection::vec(any_profile(), 0..3)
            .prop_map(Value::MapperProfiles)
            .prop_map(with(Kind::MapperProfiles)),
        proptest::collection::vec(any_tag_filter(), 0..3)
            .prop_map(Value::TagFilters)
            .prop_map(with(Kind::TagFilters)),
    ]
}

fn any_profile() -> impl Strategy<Value = MapperProfile> {
    use crate::mapper::{Mapping, MatchType};
    let match_type = prop_oneof![Just(MatchType::Wildcard), Just(MatchType::Regex)];
    let tags = proptest::collection::btree_map(".+", ".*", 0..3);
    let mapping =
        (".+", match_type, ".+", tags).prop_map(|(pattern, match_type, name, tags)| Mapping {
            pattern,
            match_type,
            name,
            tags: tags.into_iter().collect(),
        });
    (".+", ".+", proptest::collection::vec(mapping, 0..3)).prop_map(|(name, prefix, mappings)| {
        MapperProfile {
            name,
            prefix,
            mappings,
        }
    })
}

fn any_tag_filter() -> impl Strategy<Value = TagFilterRule> {
    use crate::tag_filter::TagFilterAction;
    let action = prop_oneof![
        Just(TagFilterAction::Include),
        Just(TagFilterAction::Exclude)
    ];
    (".+", action, proptest::collection::vec(".*", 0..3)).prop_map(|(metric_name, action, tags)| {
        TagFilterRule {
            metric_name,
            action,
            tags,
        }
    })
}

proptest! {
    #[test]
    fn a_value_survives_its_text((kind, value) in any_value()) {
        prop_assert!(kind.accepts(&value));
        prop_assert_eq!(read_text(&kind, &value.text()), value);
    }

    #[test]
    fn a_value_survives_its_json((kind, value) in any_value()) {
        let node = Node::from_json(value.json());
        prop_assert_eq!(read_node(&kind, &node), value);
    }

    #[test]
    fn no_text_upsets_any_kind(text in ".*") {
        for row in crate::table::table().rows() {
            if let Ok(value) = row.read_text(&text) {
                prop_assert!(row.kind.accepts(&value), "{}", row.key);
            }
        }
    }

    #[test]
    fn number_like_text_upsets_no_kind(text in "[-+]?[0-9._eExXobhmsnuµkMGTiB]{0,24}") {
        for row in crate::table::table().rows() {
            if let Ok(value) = row.read_text(&text) {
                prop_assert!(row.kind.accepts(&value), "{}", row.key);
                if !row.is_secret() {
                    prop_assert_eq!(row.read_text(&value.text()).unwrap(), value);
                }
            }
        }
    }
}
