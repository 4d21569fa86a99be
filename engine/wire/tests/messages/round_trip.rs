//! What `format` writes is read back as what was meant.

use greyhound_model::event::{AlertType, Priority};
use greyhound_model::metric::MetricKind;
use greyhound_model::service_check::Status;
use greyhound_wire::format::{
    EventText, MetricText, ServiceCheckText, ValuesText, write_event, write_metric,
    write_service_check,
};
use greyhound_wire::{Message, Options, OriginFields, Values, parse, write_unescaped};
use proptest::prelude::*;
use proptest::sample::select;

const EVERYTHING: Options = Options {
    timestamps: true,
    client_origin: true,
};

fn check(write: impl FnOnce(&mut Vec<u8>), expected: &str) {
    let mut out = Vec::new();
    write(&mut out);
    assert_eq!(out.escape_ascii().to_string(), expected);
}

fn metric<'a>(kind: MetricKind, values: ValuesText<'a>) -> MetricText<'a> {
    MetricText {
        name: b"a.b",
        kind,
        values,
        sample_rate: 1.0,
        tags: &[],
        timestamp: None,
        origin: OriginFields::default(),
    }
}

const ORIGIN: OriginFields<'_> = OriginFields {
    local_data: b"ci-1",
    external_data: b"cn-x",
    cardinality: b"low",
};

#[test]
fn metrics_look_like_those_of_the_client() {
    let numbers = ValuesText::Numbers(&[1.0, 2.5, -0.001, 1e21]);
    check(
        |out| write_metric(out, &metric(MetricKind::Counter, numbers)),
        "a.b:1:2.5:-0.001:1000000000000000000000|c",
    );
    check(
        |out| {
            write_metric(
                out,
                &metric(MetricKind::Timing, ValuesText::Numbers(&[12.5])),
            )
        },
        "a.b:12.500000|ms",
    );
    check(
        |out| {
            let metric = MetricText {
                sample_rate: 0.5,
                tags: &[b"x:1", b"two\nlines"],
                timestamp: Some(17),
                origin: ORIGIN,
                ..metric(MetricKind::Set, ValuesText::Raw(b"me"))
            };
            write_metric(out, &metric);
        },
        "a.b:me|s|@0.5|#x:1,twolines|c:ci-1|e:cn-x|T17|card:low",
    );
}

#[test]
fn events_look_like_those_of_the_client() {
    let event = EventText {
        title: b"one\ntwo",
        text: b"t",
        ..EventText::default()
    };
    check(|out| write_event(out, &event), "_e{8,1}:one\\\\ntwo|t");
    let event = EventText {
        timestamp: Some(17),
        host: b"h",
        aggregation_key: b"k",
        priority: Some(Priority::Low),
        source_type: b"s",
        alert_type: Some(AlertType::Error),
        tags: &[b"a", b"b"],
        origin: ORIGIN,
        ..event
    };
    check(
        |out| write_event(out, &event),
        "_e{8,1}:one\\\\ntwo|t|d:17|h:h|k:k|p:low|s:s|t:error|#a,b|c:ci-1|e:cn-x|card:low",
    );
}

#[test]
fn service_checks_look_like_those_of_the_client() {
    let check_text = ServiceCheckText {
        name: b"up",
        status: Status::Critical,
        timestamp: Some(17),
        host: b"h",
        tags: &[b"a"],
        message: b"m:no\nroute",
        origin: ORIGIN,
    };
    check(
        |out| write_service_check(out, &check_text),
        "_sc|up|2|d:17|h:h|#a|m:m\\\\:no\\\\nroute|c:ci-1|e:cn-x|card:low",
    );
}

fn bytes(shape: &'static str) -> impl Strategy<Value = Vec<u8>> {
    proptest::string::string_regex(shape)
        .expect("a pattern")
        .prop_map(String::into_bytes)
}

fn tags() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(bytes("[^|,\n]{1,12}"), 0..6)
}

fn slices(tags: &[Vec<u8>]) -> Vec<&[u8]> {
    tags.iter().map(Vec::as_slice).collect()
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    write_unescaped(text, &mut out);
    out
}

proptest! {
    #[test]
    fn metrics_come_back(
        name in bytes("[^:|\n_][^:|\n]{0,20}"),
        kind in select(&MetricKind::ALL[..]),
        numbers in proptest::collection::vec(any::<f64>(), 1..5),
        member in bytes("[^|\n]{1,12}"),
        sample_rate in 0.000_001f64..=1.0,
        tags in tags(),
        timestamp in proptest::option::of(1i64..),
        texts in proptest::collection::vec(bytes("[^|\n]{0,8}"), 3),
    ) {
        let tags = slices(&tags);
        let is_set = kind == MetricKind::Set;
        let origin = OriginFields { local_data: &texts[0], external_data: &texts[1], cardinality: &texts[2] };
        let metric = MetricText {
            name: &name,
            kind,
            values: if is_set { ValuesText::Raw(&member) } else { ValuesText::Numbers(&numbers) },
            sample_rate,
            tags: &tags,
            timestamp,
            origin,
        };
        let mut out = Vec::new();
        write_metric(&mut out, &metric);
        let Ok(Message::Metric(read)) = parse(&out, EVERYTHING) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!((read.name, read.kind, read.timestamp), (&name[..], kind, timestamp));
        prop_assert_eq!((read.sample_rate, read.origin), (sample_rate, origin));
        prop_assert!(read.tags.iter().eq(tags.iter().copied()));
        match read.values {
            Values::Set(read) => prop_assert_eq!(read, &member[..]),
            values => {
                prop_assert_eq!(values.len(), numbers.len());
                for (read, &sent) in values.iter().zip(&numbers) {
                    if kind == MetricKind::Timing {
                        let rounded: f64 = format!("{sent:.6}").parse().expect("a number");
                        prop_assert_eq!(read.to_bits(), rounded.to_bits());
                    } else {
                        prop_assert!(read.to_bits() == sent.to_bits() || read.is_nan() && sent.is_nan());
                    }
                }
            }
        }
    }

    #[test]
    fn events_come_back(
        title in bytes("[^\\\\]{1,20}"),
        text in bytes("[^\\\\]{0,40}"),
        timestamp in proptest::option::of(1i64..),
        priority in proptest::option::of(select(&[Priority::Normal, Priority::Low][..])),
        alert_type in proptest::option::of(select(
            &[AlertType::Info, AlertType::Success, AlertType::Warning, AlertType::Error][..],
        )),
        tags in tags(),
        texts in proptest::collection::vec(bytes("[^|\n]{0,8}"), 3),
    ) {
        let tags = slices(&tags);
        let event = EventText {
            title: &title,
            text: &text,
            timestamp,
            host: &texts[0],
            aggregation_key: &texts[1],
            priority,
            source_type: &texts[2],
            alert_type,
            tags: &tags,
            origin: ORIGIN,
        };
        let mut out = Vec::new();
        write_event(&mut out, &event);
        let Ok(Message::Event(read)) = parse(&out, EVERYTHING) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!(unescaped(read.title), title);
        prop_assert_eq!(unescaped(read.text), text);
        prop_assert_eq!((read.timestamp, read.host), (timestamp, &texts[0][..]));
        prop_assert_eq!((read.aggregation_key, read.source_type), (&texts[1][..], &texts[2][..]));
        prop_assert_eq!(read.priority, priority.unwrap_or_default());
        prop_assert_eq!(read.alert_type, alert_type.unwrap_or_default());
        prop_assert!(read.tags.iter().eq(tags.iter().copied()));
        prop_assert_eq!(read.origin, ORIGIN);
    }

    #[test]
    fn service_checks_come_back(
        name in bytes("[^|\n]{1,20}"),
        status in select(&[Status::Ok, Status::Warning, Status::Critical, Status::Unknown][..]),
        timestamp in proptest::option::of(1i64..),
        message in bytes("[^|\n:]{0,20}"),
        tags in tags(),
    ) {
        let tags = slices(&tags);
        let check = ServiceCheckText {
            name: &name, status, timestamp, host: b"h", tags: &tags, message: &message, origin: ORIGIN,
        };
        let mut out = Vec::new();
        write_service_check(&mut out, &check);
        let Ok(Message::ServiceCheck(read)) = parse(&out, EVERYTHING) else {
            return Err(TestCaseError::fail(out.escape_ascii().to_string()));
        };
        prop_assert_eq!((read.name, read.status, read.timestamp), (&name[..], status, timestamp));
        prop_assert_eq!((read.host, read.message, read.origin), (&b"h"[..], &message[..], ORIGIN));
        prop_assert!(read.tags.iter().eq(tags.iter().copied()));
    }
}
