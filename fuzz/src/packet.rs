//! Packets: split and parsed as by the slow parser, and the same after being written again.
//!
//! Input: one byte of switches (bit 0: timestamps off, bit 1: client origin on, bit 2: a last
//! newline required), then the packet.

use crate::slow_parser::{self as slow, Common, Number, Switches, Told};
use greyhound_model::event::{AlertType, Priority};
use greyhound_wire::format::{EventText, MetricText, ValuesText};
use greyhound_wire::tags::Tags;
use greyhound_wire::{Event, Message, Metric, Options, OriginFields, ServiceCheck, Values};
use greyhound_wire::{format, frame, parse, tags, write_unescaped};

/// Panics if packet, lines or messages are read otherwise than their description says.
pub fn check(data: &[u8]) {
    let Some((&bits, packet)) = data.split_first() else {
        return;
    };
    let switches = Switches {
        timestamps: bits & 1 == 0,
        client_origin: bits & 2 != 0,
    };
    let eol_required = bits & 4 != 0;

    let mut lines = frame::lines(packet, eol_required);
    let found: Vec<&[u8]> = lines.by_ref().collect();
    assert_eq!(
        (to_vecs(&found), lines.unterminated()),
        slow::lines(packet, eol_required)
    );
    for line in found {
        check_line(line, switches);
    }
}

fn check_line(line: &[u8], switches: Switches) {
    let Switches {
        timestamps,
        client_origin,
    } = switches;
    let options = Options {
        timestamps,
        client_origin,
    };
    let parsed = parse(line, options);
    let told = match &parsed {
        Ok(message) => tell(message),
        Err(error) => {
            assert!(
                error.offset as usize <= line.len(),
                "the error lies within the line"
            );
            Told::Refused(error.kind.as_str())
        }
    };
    assert_eq!(told, slow::parse(line, switches), "{}", line.escape_ascii());
    match parsed {
        Ok(Message::Metric(metric)) => {
            check_tags(metric.tags, &metric.origin);
            check_metric_written(&metric, options);
        }
        Ok(Message::Event(event)) => {
            check_tags(event.tags, &event.origin);
            check_event_written(&event, options);
        }
        Ok(Message::ServiceCheck(check)) => check_tags(check.tags, &check.origin),
        Err(_) => {}
    }
}

fn check_tags(tags: Tags<'_>, origin: &OriginFields<'_>) {
    let mut stay = Vec::new();
    let metadata = tags::extract(tags, origin.cardinality, |tag| stay.push(tag.to_vec()));
    let found = slow::Special {
        host: metadata.host.map(<[u8]>::to_vec),
        entity_id: metadata.entity_id.to_vec(),
        cardinality: metadata.cardinality.to_vec(),
        jmx_check_name: metadata.jmx_check_name.map(<[u8]>::to_vec),
        stay,
    };
    let all: Vec<Vec<u8>> = tags.iter().map(<[u8]>::to_vec).collect();
    assert_eq!(found, slow::special(&all, origin.cardinality));
    // Whatever these hold, they are taken apart without a complaint, into parts of themselves.
    let (local, external) = (origin.local_data(), origin.external_data());
    assert!(local.container_id.len() <= origin.local_data.len());
    assert!(external.pod_uid.len() <= origin.external_data.len());
}

/// Writes the metric as a client would and reads it again.
fn check_metric_written(metric: &Metric<'_>, options: Options) {
    let numbers: Vec<f64> = metric.values.iter().collect();
    let tags: Vec<&[u8]> = metric.tags.iter().collect();
    let mut line = Vec::new();
    let values = match metric.values {
        Values::Set(member) => ValuesText::Raw(member),
        Values::One(_) | Values::Pack(_) => ValuesText::Numbers(&numbers),
    };
    let Metric {
        name,
        kind,
        sample_rate,
        timestamp,
        origin,
        ..
    } = *metric;
    let tags = &tags;
    let text = MetricText {
        name,
        kind,
        values,
        sample_rate,
        tags,
        timestamp,
        origin,
    };
    format::write_metric(&mut line, &text);
    let Ok(Message::Metric(again)) = parse(&line, options) else {
        panic!(
            "a metric that was written is read as one: {}",
            line.escape_ascii()
        );
    };
    let (Told::Metric(mut before), Told::Metric(after)) = (
        tell(&Message::Metric(*metric)),
        tell(&Message::Metric(again)),
    ) else {
        unreachable!("both are metrics");
    };
    // Only rates below 1 are written, and timings with six decimals only.
    let rate_written = before.sample_rate.value() < 1.0;
    before.sample_rate = if rate_written {
        before.sample_rate
    } else {
        Number::new(1.0)
    };
    if let (slow::Values::Numbers(numbers), "ms") = (&mut before.values, before.kind) {
        for number in numbers {
            let text = format!("{:.6}", number.value());
            *number = Number::new(text.parse().expect("a number was written"));
        }
    }
    assert_eq!(before, after, "{}", line.escape_ascii());
}

/// The same for an event; service checks hold escapes that are not taken back.
fn check_event_written(event: &Event<'_>, options: Options) {
    let unescaped = |text| {
        let mut out = Vec::new();
        write_unescaped(text, &mut out);
        out
    };
    let (title, text) = (unescaped(event.title), unescaped(event.text));
    let tags: Vec<&[u8]> = event.tags.iter().collect();
    let mut line = Vec::new();
    format::write_event(
        &mut line,
        &EventText {
            title: &title,
            text: &text,
            timestamp: event.timestamp,
            host: event.host,
            aggregation_key: event.aggregation_key,
            priority: Some(event.priority),
            source_type: event.source_type,
            alert_type: Some(event.alert_type),
            tags: &tags,
            origin: event.origin,
        },
    );
    let Ok(Message::Event(again)) = parse(&line, options) else {
        panic!(
            "an event that was written is read as one: {}",
            line.escape_ascii()
        );
    };
    assert_eq!(tell(&Message::Event(*event)), tell(&Message::Event(again)));
}

fn tell(message: &Message<'_>) -> Told {
    match message {
        Message::Metric(metric) => Told::Metric(slow::Metric {
            name: metric.name.to_vec(),
            kind: metric.kind.symbol(),
            values: tell_values(&metric.values),
            sample_rate: Number::new(metric.sample_rate),
            timestamp: metric.timestamp,
            common: tell_common(metric.tags, &metric.origin),
        }),
        Message::Event(event) => Told::Event(slow::Event {
            title: event.title.to_vec(),
            text: event.text.to_vec(),
            timestamp: event.timestamp,
            host: event.host.to_vec(),
            aggregation_key: event.aggregation_key.to_vec(),
            priority: match event.priority {
                Priority::Normal => "normal",
                Priority::Low => "low",
            },
            source_type: event.source_type.to_vec(),
            alert_type: match event.alert_type {
                AlertType::Info => "info",
                AlertType::Success => "success",
                AlertType::Warning => "warning",
                AlertType::Error => "error",
            },
            common: tell_common(event.tags, &event.origin),
        }),
        Message::ServiceCheck(check) => Told::ServiceCheck(tell_service_check(check)),
    }
}

fn tell_service_check(check: &ServiceCheck<'_>) -> slow::ServiceCheck {
    slow::ServiceCheck {
        name: check.name.to_vec(),
        status: check.status as u8,
        timestamp: check.timestamp,
        host: check.host.to_vec(),
        message: check.message.to_vec(),
        common: tell_common(check.tags, &check.origin),
    }
}

fn tell_values(values: &Values<'_>) -> slow::Values {
    match values {
        Values::Set(member) => slow::Values::Member(member.to_vec()),
        Values::One(_) | Values::Pack(_) => {
            let numbers: Vec<Number> = values.iter().map(Number::new).collect();
            assert_eq!(numbers.len(), values.len(), "as many values as counted");
            slow::Values::Numbers(numbers)
        }
    }
}

fn tell_common(tags: Tags<'_>, origin: &OriginFields<'_>) -> Common {
    Common {
        tags: tags.iter().map(<[u8]>::to_vec).collect(),
        local_data: origin.local_data.to_vec(),
        external_data: origin.external_data.to_vec(),
        cardinality: origin.cardinality.to_vec(),
    }
}

fn to_vecs(slices: &[&[u8]]) -> Vec<Vec<u8>> {
    slices.iter().map(|slice| slice.to_vec()).collect()
}
