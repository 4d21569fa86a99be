//! Messages as datadog-go writes them, for everything that plays a client.
//!
//! Field order, escapes and number forms are that client's. As there, names and texts are not
//! checked: a name with a pipe makes a message that means something else. Each function appends one
//! message without newline; whoever sends adds one behind each.

use std::io::Write;

use greyhound_model::event::{AlertType, Priority};
use greyhound_model::metric::MetricKind;
use greyhound_model::service_check::Status;

use crate::origin::OriginFields;

/// A metric to write.
#[derive(Clone, Copy, Debug)]
pub struct MetricText<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Decides the type, and how numbers look.
    pub kind: MetricKind,
    /// At least one.
    pub values: ValuesText<'a>,
    /// Written when it is below 1.
    pub sample_rate: f64,
    /// Written when there are some.
    pub tags: &'a [&'a [u8]],
    /// Unix seconds.
    pub timestamp: Option<i64>,
    /// Empty ones are left out.
    pub origin: OriginFields<'a>,
}

/// The values of a metric to write.
#[derive(Clone, Copy, Debug)]
pub enum ValuesText<'a> {
    /// Numbers, packed into one message. Timings get six decimals, others the shortest form that
    /// reads back the same, without exponent.
    Numbers(&'a [f64]),
    /// A member of a set, or any text in place of numbers.
    Raw(&'a [u8]),
}

/// An event to write. Empty texts are left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventText<'a> {
    /// Newlines are escaped.
    pub title: &'a [u8],
    /// Newlines are escaped.
    pub text: &'a [u8],
    /// Unix seconds.
    pub timestamp: Option<i64>,
    /// Host.
    pub host: &'a [u8],
    /// Aggregation key.
    pub aggregation_key: &'a [u8],
    /// Left out when not given.
    pub priority: Option<Priority>,
    /// Source type name.
    pub source_type: &'a [u8],
    /// Left out when not given.
    pub alert_type: Option<AlertType>,
    /// Written when there are some.
    pub tags: &'a [&'a [u8]],
    /// Empty ones are left out.
    pub origin: OriginFields<'a>,
}

/// A service check to write. Empty texts are left out.
#[derive(Clone, Copy, Debug)]
pub struct ServiceCheckText<'a> {
    /// Name.
    pub name: &'a [u8],
    /// Status.
    pub status: Status,
    /// Unix seconds.
    pub timestamp: Option<i64>,
    /// Host.
    pub host: &'a [u8],
    /// Written when there are some.
    pub tags: &'a [&'a [u8]],
    /// Newlines and `m:` are escaped; the server keeps those escapes.
    pub message: &'a [u8],
    /// Empty ones are left out.
    pub origin: OriginFields<'a>,
}

/// Appends a metric: `name:value|type|@rate|#tags|c:|e:|T|card:`.
pub fn write_metric(out: &mut Vec<u8>, metric: &MetricText<'_>) {
    out.extend_from_slice(metric.name);
    match metric.values {
        ValuesText::Raw(text) => {
            out.push(b':');
            out.extend_from_slice(text);
        }
        ValuesText::Numbers(numbers) => {
            for &number in numbers {
                out.push(b':');
                if metric.kind == MetricKind::Timing {
                    push(out, format_args!("{number:.6}"));
                } else {
                    push(out, format_args!("{number}"));
                }
            }
        }
    }
    out.push(b'|');
    out.extend_from_slice(metric.kind.symbol().as_bytes());
    if metric.sample_rate < 1.0 {
        push(out, format_args!("|@{}", metric.sample_rate));
    }
    push_tags(out, metric.tags);
    push_text(out, b"|c:", metric.origin.local_data);
    push_text(out, b"|e:", metric.origin.external_data);
    if let Some(seconds) = metric.timestamp {
        push(out, format_args!("|T{seconds}"));
    }
    push_text(out, b"|card:", metric.origin.cardinality);
}

/// Appends an event: `_e{…}:title|text|d:|h:|k:|p:|s:|t:|#tags|c:|e:|card:`.
pub fn write_event(out: &mut Vec<u8>, event: &EventText<'_>) {
    let title_len = escaped_len(event.title);
    let text_len = escaped_len(event.text);
    push(out, format_args!("_e{{{title_len},{text_len}}}:"));
    push_escaped(out, event.title);
    out.push(b'|');
    push_escaped(out, event.text);
    if let Some(seconds) = event.timestamp {
        push(out, format_args!("|d:{seconds}"));
    }
    push_text(out, b"|h:", event.host);
    push_text(out, b"|k:", event.aggregation_key);
    if let Some(priority) = event.priority {
        push_text(out, b"|p:", priority.as_str().as_bytes());
    }
    push_text(out, b"|s:", event.source_type);
    if let Some(alert_type) = event.alert_type {
        push_text(out, b"|t:", alert_type.as_str().as_bytes());
    }
    push_tags(out, event.tags);
    push_origin(out, &event.origin);
}

/// Appends a service check: `_sc|name|status|d:|h:|#tags|m:|c:|e:|card:`.
pub fn write_service_check(out: &mut Vec<u8>, check: &ServiceCheckText<'_>) {
    out.extend_from_slice(b"_sc|");
    out.extend_from_slice(check.name);
    push(out, format_args!("|{}", check.status as u8));
    if let Some(seconds) = check.timestamp {
        push(out, format_args!("|d:{seconds}"));
    }
    push_text(out, b"|h:", check.host);
    push_tags(out, check.tags);
    if !check.message.is_empty() {
        out.extend_from_slice(b"|m:");
        push_message(out, check.message);
    }
    push_origin(out, &check.origin);
}

fn push(out: &mut Vec<u8>, arguments: std::fmt::Arguments<'_>) {
    out.write_fmt(arguments)
        .expect("writing to memory does not fail");
}

fn push_text(out: &mut Vec<u8>, prefix: &[u8], text: &[u8]) {
    if !text.is_empty() {
        out.extend_from_slice(prefix);
        out.extend_from_slice(text);
    }
}

fn push_origin(out: &mut Vec<u8>, origin: &OriginFields<'_>) {
    push_text(out, b"|c:", origin.local_data);
    push_text(out, b"|e:", origin.external_data);
    push_text(out, b"|card:", origin.cardinality);
}

/// Newlines vanish from tags, as in the client.
fn push_tags(out: &mut Vec<u8>, tags: &[&[u8]]) {
    for (index, tag) in tags.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"|#" } else { b"," });
        out.extend(tag.iter().filter(|&&byte| byte != b'\n'));
    }
}

fn escaped_len(text: &[u8]) -> usize {
    text.len() + memchr::memchr_iter(b'\n', text).count()
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.push(byte),
        }
    }
}

fn push_message(out: &mut Vec<u8>, text: &[u8]) {
    let mut last = 0;
    for &byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b':' if last == b'm' => out.extend_from_slice(b"\\:"),
            _ => out.push(byte),
        }
        last = byte;
    }
}
