//! What to tell the person who wrote a refused message, and what to ask the one whose message passed
//! but probably does not mean what they think.

use greyhound_model::metric::MetricKind;
use greyhound_wire::ParseErrorKind;

use super::show::printable;

/// What to do about it. Looks at the message for the mistakes people really make.
pub(crate) fn advice(kind: ParseErrorKind, line: &[u8], offset: usize) -> String {
    match kind {
        ParseErrorKind::MetricFormat if line.contains(&b':') => {
            format!("add a type: {}|g", printable(line))
        }
        ParseErrorKind::MetricFormat | ParseErrorKind::MetricNameValue => {
            "write <name>:<value>|<type>, for example page.views:1|c".to_owned()
        }
        ParseErrorKind::MetricType => type_advice(field_at(line, offset)),
        ParseErrorKind::MetricValue => number_advice(value_at(line, offset)),
        ParseErrorKind::MetricSampleRate => {
            format!(
                "a rate is a number above 0 and up to 1, for example @0.1; {}",
                number_advice(field_at(line, offset).trim_prefix_byte(b'@'))
            )
        }
        ParseErrorKind::MetricTimestamp => timestamp_advice(field_at(line, offset)),
        ParseErrorKind::EventFormat | ParseErrorKind::EventHeader => {
            "write _e{<bytes of title>,<bytes of text>}:<title>|<text>, for example _e{6,5}:Deploy|v1.42"
                .to_owned()
        }
        ParseErrorKind::EventEmptyTitle => {
            "give the title at least one byte; only the text may be empty".to_owned()
        }
        ParseErrorKind::EventLength => event_length_advice(line),
        ParseErrorKind::ServiceCheckFormat if line.get(3).is_some_and(|&byte| byte != b'|') => {
            "every line that starts with _sc is taken for a service check; give the metric another name"
                .to_owned()
        }
        ParseErrorKind::ServiceCheckFormat | ParseErrorKind::ServiceCheckName => {
            "write _sc|<name>|<status>, for example _sc|disk.ok|0".to_owned()
        }
        ParseErrorKind::ServiceCheckStatus => {
            "use 0 (ok), 1 (warning), 2 (critical) or 3 (unknown)".to_owned()
        }
    }
}

/// Where the refused piece ends: the caret's tildes stop there.
pub(crate) fn piece_end(kind: ParseErrorKind, line: &[u8], offset: usize) -> usize {
    let stops: &[u8] = match kind {
        ParseErrorKind::MetricValue => b":|",
        ParseErrorKind::EventHeader => b":",
        _ => b"|",
    };
    let rest = line.get(offset..).unwrap_or_default();
    rest.iter()
        .position(|byte| stops.contains(byte))
        .map_or(line.len(), |at| offset + at)
}

/// The text between the pipes around `offset`.
fn field_at(line: &[u8], offset: usize) -> &[u8] {
    let offset = offset.min(line.len());
    let start = memrchr(b"|", &line[..offset]);
    let end = line[offset..]
        .iter()
        .position(|&byte| byte == b'|')
        .map_or(line.len(), |at| offset + at);
    &line[start..end]
}

/// The same, where colons part the values too.
fn value_at(line: &[u8], offset: usize) -> &[u8] {
    let offset = offset.min(line.len());
    let start = memrchr(b":|", &line[..offset]);
    let end = line[offset..]
        .iter()
        .position(|byte| b":|".contains(byte))
        .map_or(line.len(), |at| offset + at);
    &line[start..end]
}

/// Just behind the last of `stops`, or 0.
fn memrchr(stops: &[u8], text: &[u8]) -> usize {
    text.iter()
        .rposition(|byte| stops.contains(byte))
        .map_or(0, |at| at + 1)
}

trait TrimPrefixByte {
    fn trim_prefix_byte(&self, byte: u8) -> &[u8];
}

impl TrimPrefixByte for [u8] {
    fn trim_prefix_byte(&self, byte: u8) -> &[u8] {
        self.strip_prefix(&[byte]).unwrap_or(self)
    }
}

fn type_advice(text: &[u8]) -> String {
    let word = String::from_utf8_lossy(text.trim_ascii()).to_ascii_lowercase();
    let meant = match word.as_str() {
        "gauge" => Some(MetricKind::Gauge),
        "count" | "counter" | "m" | "meter" => Some(MetricKind::Counter),
        "hist" | "histogram" => Some(MetricKind::Histogram),
        "timing" | "timer" | "t" => Some(MetricKind::Timing),
        "set" => Some(MetricKind::Set),
        "dist" | "distribution" => Some(MetricKind::Distribution),
        _ => MetricKind::ALL
            .into_iter()
            .find(|kind| kind.symbol() == word.as_str()),
    };
    match meant {
        Some(kind) => format!("write `{}` for a {}", kind.symbol(), kind.telemetry_name()),
        None => {
            "types are g gauge, c counter, h histogram, ms timing, d distribution, s set".to_owned()
        }
    }
}

fn number_advice(text: &[u8]) -> String {
    let lower = text.to_ascii_lowercase();
    let plain = |bytes: &[u8]| !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    if text.is_empty() {
        "the number is missing".to_owned()
    } else if text.iter().any(u8::is_ascii_whitespace) {
        "take the white space out".to_owned()
    } else if text.contains(&b',') {
        "write the decimal mark as a dot; several values are parted by colons".to_owned()
    } else if lower.starts_with(b"0x") {
        "a hexadecimal number needs an exponent, for example 0x1fp0".to_owned()
    } else if matches!(lower.as_slice(), b"+nan" | b"-nan") {
        "nan has no sign".to_owned()
    } else if text.contains(&b'_') {
        "an underscore stands between two digits".to_owned()
    } else if lower.split(|&byte| byte == b'e').skip(1).any(plain) && lower.contains(&b'e') {
        "it is larger than the largest double, 1.8e308".to_owned()
    } else if text.first().is_some_and(u8::is_ascii_digit) {
        "a number has no unit; put the unit into the name".to_owned()
    } else {
        "numbers look like 3, -0.25 or 1.5e3; only a set (|s) takes words".to_owned()
    }
}

fn timestamp_advice(field: &[u8]) -> String {
    let digits = field.trim_prefix_byte(b'T');
    if digits
        .first()
        .is_some_and(|byte| byte.is_ascii_alphabetic())
    {
        "every field that starts with T is read as a timestamp; tags start with #".to_owned()
    } else if digits.contains(&b'.') {
        "leave the fraction out: timestamps are whole Unix seconds".to_owned()
    } else {
        "write Unix seconds, for example T1700000000".to_owned()
    }
}

/// Lengths count bytes; most mistakes count characters, or something that was there before.
fn event_length_advice(line: &[u8]) -> String {
    let Some(colon) = line.iter().position(|&byte| byte == b':') else {
        return "give the lengths in bytes".to_owned();
    };
    let body = &line[colon + 1..];
    let mut parts = body.splitn(3, |&byte| byte == b'|');
    let title = parts.next().unwrap_or_default().len();
    let text = parts.next().unwrap_or_default().len();
    format!(
        "lengths count bytes; if no pipe is part of title or text, the header is _e{{{title},{text}}}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_the_mistake() {
        for (kind, line, offset, part) in [
            (ParseErrorKind::MetricFormat, &b"a:4"[..], 3, "a:4|g"),
            (ParseErrorKind::MetricType, b"a:4|Gauge", 4, "`g`"),
            (ParseErrorKind::MetricType, b"a:4| MS", 4, "`ms`"),
            (ParseErrorKind::MetricType, b"a:4|zz", 4, "distribution"),
            (ParseErrorKind::MetricValue, b"a:1,5|g", 2, "dot"),
            (ParseErrorKind::MetricValue, b"a:1: 2|g", 4, "white space"),
            (ParseErrorKind::MetricValue, b"a:0x1f|g", 2, "exponent"),
            (ParseErrorKind::MetricValue, b"a:1e309|g", 2, "largest"),
            (ParseErrorKind::MetricValue, b"a:50%|g", 2, "unit"),
            (ParseErrorKind::MetricValue, b"a:five|g", 2, "set"),
            (ParseErrorKind::MetricSampleRate, b"a:1|c|@", 7, "missing"),
            (ParseErrorKind::MetricTimestamp, b"a:1|c|Trace:9", 7, "#"),
            (
                ParseErrorKind::MetricTimestamp,
                b"a:1|c|T1.5",
                7,
                "fraction",
            ),
            (
                ParseErrorKind::EventLength,
                b"_e{9,9}:title|text",
                8,
                "_e{5,4}",
            ),
            (
                ParseErrorKind::ServiceCheckFormat,
                b"_scale:1|g",
                0,
                "another name",
            ),
        ] {
            let advice = advice(kind, line, offset);
            assert!(advice.contains(part), "{kind:?} {advice}");
        }
    }

    #[test]
    fn every_class_has_advice_for_any_bytes() {
        for kind in ParseErrorKind::ALL {
            for line in [&b""[..], b"|", b":", b"\xff|\xff:", b"_e{", b"_sc"] {
                for offset in 0..=line.len() + 1 {
                    assert!(!advice(kind, line, offset).is_empty());
                    assert!(piece_end(kind, line, offset) <= line.len().max(offset));
                }
            }
        }
    }
}
