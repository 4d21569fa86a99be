//! Remarks on messages that are understood, but perhaps not as their sender meant them.

use greyhound_model::metric::MetricKind;
use greyhound_wire::{Message, Metric, Options};

use super::show::printable;

/// What a sender may want to know about this message.
pub(crate) fn notes(line: &[u8], message: &Message<'_>, options: Options) -> Vec<String> {
    let mut notes = Vec::new();
    let first_field = match message {
        Message::Metric(metric) => {
            value_notes(line, metric, &mut notes);
            rate_notes(metric, &mut notes);
            timestamp_notes(metric, &mut notes);
            2
        }
        Message::Event(_) => 2,
        Message::ServiceCheck(_) => 3,
    };
    // Title and text of an event may hold pipes, so its fields cannot be told apart from here.
    if !matches!(message, Message::Event(_)) {
        field_notes(line, first_field, message, options, &mut notes);
    }
    notes
}

fn value_notes(line: &[u8], metric: &Metric<'_>, notes: &mut Vec<String>) {
    let value = line.get(metric.name.len() + 1..).unwrap_or_default();
    if metric.kind == MetricKind::Gauge && matches!(value.first(), Some(b'+' | b'-')) {
        notes.push("a sign does not make a gauge relative: it is set to this value".to_owned());
    }
    if metric.values.iter().any(|value| !value.is_finite()) {
        notes.push("values that are not finite are dropped and counted (not_finite)".to_owned());
    }
}

fn rate_notes(metric: &Metric<'_>, notes: &mut Vec<String>) {
    let rate = metric.sample_rate;
    if rate == 1.0 {
        return;
    }
    if matches!(metric.kind, MetricKind::Gauge | MetricKind::Set) {
        notes.push(format!(
            "a sample rate does nothing to a {}",
            metric.kind.telemetry_name()
        ));
    } else if metric.timestamp.is_some() {
        notes.push("a sample rate does nothing to a value that brings its time".to_owned());
    } else if !(rate > 0.0 && rate <= 1.0) {
        notes.push("sample rates are meant to be above 0 and at most 1".to_owned());
    }
}

fn timestamp_notes(metric: &Metric<'_>, notes: &mut Vec<String>) {
    if metric.timestamp.is_none() {
        return;
    }
    if matches!(metric.kind, MetricKind::Gauge | MetricKind::Counter) {
        notes
            .push("a value that brings its time is passed on by itself, not aggregated".to_owned());
    } else {
        notes.push(format!(
            "only gauges and counters may bring their own time: this {} is dropped and counted \
             (timestamped_unsupported)",
            metric.kind.telemetry_name()
        ));
    }
}

fn field_notes(
    line: &[u8],
    first_field: usize,
    message: &Message<'_>,
    options: Options,
    notes: &mut Vec<String>,
) {
    let is_metric = matches!(message, Message::Metric(_));
    let mut tag_fields = 0;
    for field in line.split(|&byte| byte == b'|').skip(first_field) {
        let starts = |prefix: &[u8]| field.starts_with(prefix);
        if starts(b"#") {
            tag_fields += 1;
        } else if starts(b"c:") || starts(b"e:") || starts(b"card:") {
            if !options.client_origin {
                notes.push(format!(
                    "`{}` is not read: dogstatsd_origin_detection_client is off",
                    printable(field)
                ));
            }
        } else if is_metric && starts(b"T") {
            if !options.timestamps {
                notes.push(format!(
                    "`{}` is not read: dogstatsd_no_aggregation_pipeline is off",
                    printable(field)
                ));
            }
        } else if !known_field(is_metric, field) {
            notes.push(format!(
                "the field `{}` is unknown and ignored",
                printable(field)
            ));
        }
    }
    if tag_fields > 1 {
        notes.push("of several tag fields only the last one counts".to_owned());
    }
}

fn known_field(is_metric: bool, field: &[u8]) -> bool {
    let prefixes: &[&[u8]] = if is_metric {
        &[b"@"]
    } else {
        &[b"d:", b"h:", b"m:"]
    };
    field.is_empty() || prefixes.iter().any(|prefix| field.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Options = Options {
        timestamps: true,
        client_origin: true,
    };
    const NONE: Options = Options {
        timestamps: false,
        client_origin: false,
    };

    fn check(line: &str, options: Options, expected: &[&str]) {
        let message = greyhound_wire::parse(line.as_bytes(), options).expect(line);
        let notes = notes(line.as_bytes(), &message, options);
        assert_eq!(notes.len(), expected.len(), "{line}: {notes:?}");
        for (note, part) in notes.iter().zip(expected) {
            assert!(note.contains(part), "{line}: {note}");
        }
    }

    #[test]
    fn ordinary_messages_need_no_remark() {
        for line in [
            "a:1|c|@0.5|#b:c",
            "a:-1|c",
            "a:1|g||",
            "a:1|c|c:ci-1|e:cn-a|card:low",
            "_sc|up|0|d:1|h:a|m:fine|#a",
            "_e{1,1}:a|b|x:1",
        ] {
            check(line, ALL, &[]);
        }
    }

    #[test]
    fn misunderstandings_are_named() {
        check("a:+4|g", ALL, &["relative"]);
        check("a:nan|g", ALL, &["not_finite"]);
        check("a:1|g|@0.5", ALL, &["nothing to a gauge"]);
        check("a:1|c|@2", ALL, &["at most 1"]);
        check("a:1|c|T5", ALL, &["by itself"]);
        check("a:1|c|@0.5|T5", ALL, &["does nothing", "by itself"]);
        check("a:1|h|T5", ALL, &["timestamped_unsupported"]);
        check(
            "a:1|c|T5|c:x",
            NONE,
            &["no_aggregation", "origin_detection_client"],
        );
        check("a:1|c|#a|#b", ALL, &["last one"]);
        check("a:1|c|env:x", ALL, &["unknown"]);
        check("_sc|up|0|@1", ALL, &["unknown"]);
    }
}
