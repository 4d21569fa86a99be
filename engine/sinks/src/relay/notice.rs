//! Events and service checks as lines.

use greyhound_model::event::{AlertType, Event, Priority};
use greyhound_model::service_check::ServiceCheck;

use super::line::push_tag;
use super::pack::Packer;

/// `_e{title,text}:title|text|d:…|h:…|…`; lengths are those of the bytes on the wire.
pub(super) fn event(event: &Event, packer: &mut Packer<'_>) {
    let (title, text) = (escaped(&event.title), escaped(&event.text));
    if title.is_empty() {
        packer.refuse(1);
        return;
    }
    let mut line = format!("_e{{{},{}}}:", title.len(), text.len()).into_bytes();
    line.extend_from_slice(&title);
    line.push(b'|');
    line.extend_from_slice(&text);
    time(event.unix_seconds, &mut line);
    field(b"|h:", &event.host, &mut line);
    if event.priority == Priority::Low {
        line.extend_from_slice(b"|p:low");
    }
    if event.alert_type != AlertType::Info {
        field(b"|t:", event.alert_type.as_str().as_bytes(), &mut line);
    }
    field(b"|k:", &event.aggregation_key, &mut line);
    field(b"|s:", &event.source_type, &mut line);
    tags(&event.tags, &mut line);
    packer.add(&line, 1);
}

/// `_sc|name|status|d:…|h:…|#tags|m:message`.
pub(super) fn service_check(check: &ServiceCheck, packer: &mut Packer<'_>) {
    let breaks = |byte: &u8| matches!(byte, b'|' | b'\n');
    if check.name.is_empty() || check.name.iter().any(breaks) {
        packer.refuse(1);
        return;
    }
    let mut line = b"_sc|".to_vec();
    line.extend_from_slice(&check.name);
    line.push(b'|');
    line.push(b'0' + check.status as u8);
    time(check.unix_seconds, &mut line);
    field(b"|h:", &check.host, &mut line);
    tags(&check.tags, &mut line);
    if !check.message.is_empty() {
        line.extend_from_slice(b"|m:");
        line.extend_from_slice(&escaped(&check.message));
    }
    packer.add(&line, 1);
}

fn time(unix_seconds: i64, line: &mut Vec<u8>) {
    if unix_seconds > 0 {
        line.extend_from_slice(b"|d:");
        line.extend_from_slice(unix_seconds.to_string().as_bytes());
    }
}

fn field(lead: &[u8], text: &[u8], line: &mut Vec<u8>) {
    if !text.is_empty() {
        line.extend_from_slice(lead);
        line.extend(text.iter().map(|byte| match byte {
            b'|' | b'\n' => b'_',
            other => *other,
        }));
    }
}

fn tags(tags: &[Vec<u8>], line: &mut Vec<u8>) {
    for (at, tag) in tags.iter().enumerate() {
        line.extend_from_slice(if at == 0 { b"|#" } else { b"," });
        push_tag(tag, line);
    }
}

/// A newline is written as `\n`.
fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            other => out.push(*other),
        }
    }
    out
}
