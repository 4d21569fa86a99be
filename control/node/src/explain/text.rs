//! Messages for people: what was understood, line by line, or a caret under what was not.

use std::io::{self, Write};

use clap::builder::styling::{AnsiColor, Style};
use greyhound_model::metric::MetricKind;
use greyhound_wire::tags::{self, Tags};
use greyhound_wire::{Event, Message, Metric, OriginFields, ParseError, ServiceCheck, Values};

use super::hint;
use super::json::unescaped;
use super::show::{point_at, printable};

const LABEL_COLUMNS: usize = 15;
/// More values or tags than these are counted, not listed.
const LISTED_MAX: usize = 50;
const SECONDS_PER_DAY: i64 = 86_400;

/// Styles, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Palette {
    pub(crate) good: Style,
    pub(crate) bad: Style,
    pub(crate) label: Style,
    pub(crate) note: Style,
}

/// One property of a message and what it says.
pub(crate) type Row = (&'static str, String);

// === impl Palette ===

impl Palette {
    /// Colours if they are wanted.
    pub(crate) fn new(colour: bool) -> Self {
        if !colour {
            let plain = Style::new();
            return Self {
                good: plain,
                bad: plain,
                label: plain,
                note: plain,
            };
        }
        Self {
            good: AnsiColor::Green.on_default().bold(),
            bad: AnsiColor::Red.on_default().bold(),
            label: AnsiColor::Cyan.on_default(),
            note: AnsiColor::Yellow.on_default(),
        }
    }
}

/// Writes an understood message, with what happens to it later and what its sender may want to know.
pub(crate) fn write_understood(
    out: &mut dyn Write,
    palette: Palette,
    line: &[u8],
    message: &Message<'_>,
    later: &[Row],
    notes: &[String],
) -> io::Result<()> {
    let Palette {
        good, label, note, ..
    } = palette;
    let (kind, name, rows) = describe(message);
    writeln!(out, "{}", printable(line))?;
    writeln!(out, "  {good}{kind:LABEL_COLUMNS$}{good:#} {name}")?;
    for (name, value) in rows.iter().chain(later) {
        writeln!(out, "  {label}{name:LABEL_COLUMNS$}{label:#} {value}")?;
    }
    for text in notes {
        writeln!(out, "  {note}{:LABEL_COLUMNS$}{note:#} {text}", "note")?;
    }
    Ok(())
}

/// Writes a refused message: the caret, the class, the reason and what to do.
pub(crate) fn write_refused(
    out: &mut dyn Write,
    palette: Palette,
    line: &[u8],
    error: ParseError,
) -> io::Result<()> {
    let Palette { bad, label, .. } = palette;
    let offset = error.offset as usize;
    let pointed = point_at(line, offset, hint::piece_end(error.kind, line, offset));
    writeln!(out, "{}", pointed.line)?;
    writeln!(out, "{bad}{}{bad:#}", pointed.pointer)?;
    writeln!(
        out,
        "  {bad}{:LABEL_COLUMNS$}{bad:#} {} ({}, byte {offset})",
        "refused",
        error.kind.explanation(),
        error.kind.as_str(),
    )?;
    writeln!(
        out,
        "  {label}{:LABEL_COLUMNS$}{label:#} {}",
        "hint",
        hint::advice(error.kind, line, offset)
    )
}

/// Writes a last line that lacks its newline where one is asked for.
pub(crate) fn write_unterminated(
    out: &mut dyn Write,
    palette: Palette,
    line: &[u8],
) -> io::Result<()> {
    let bad = palette.bad;
    writeln!(out, "{}", printable(line))?;
    writeln!(
        out,
        "  {bad}{:LABEL_COLUMNS$}{bad:#} the last line has no newline, and dogstatsd_eol_required \
         asks for one",
        "refused"
    )
}

/// Kind, name, and every property that is not at its default.
fn describe(message: &Message<'_>) -> (&'static str, String, Vec<Row>) {
    match message {
        Message::Metric(metric) => (
            metric.kind.telemetry_name(),
            printable(metric.name),
            metric_rows(metric),
        ),
        Message::Event(event) => (
            "event",
            printable(&unescaped(event.title)),
            event_rows(event),
        ),
        Message::ServiceCheck(check) => ("service check", printable(check.name), check_rows(check)),
    }
}

fn metric_rows(metric: &Metric<'_>) -> Vec<Row> {
    let mut rows = vec![match metric.values {
        Values::Set(member) => ("member", printable(member)),
        Values::One(value) => ("value", value.to_string()),
        Values::Pack(_) => (
            "values",
            listed(
                metric.values.len(),
                metric.values.iter().map(|v| v.to_string()),
            ),
        ),
    }];
    if metric.sample_rate != 1.0 {
        rows.push(("sample rate", rate_text(metric)));
    }
    if let Some(seconds) = metric.timestamp {
        rows.push(("timestamp", time_text(seconds)));
    }
    push_tags_and_origin(&mut rows, metric.tags, &metric.origin, b"");
    rows
}

fn event_rows(event: &Event<'_>) -> Vec<Row> {
    let mut rows = vec![
        ("text", printable(&unescaped(event.text))),
        ("priority", event.priority.as_str().to_owned()),
        ("alert type", event.alert_type.as_str().to_owned()),
    ];
    if let Some(seconds) = event.timestamp {
        rows.push(("timestamp", time_text(seconds)));
    }
    push_text(&mut rows, "aggregation key", event.aggregation_key);
    push_text(&mut rows, "source type", event.source_type);
    push_tags_and_origin(&mut rows, event.tags, &event.origin, event.host);
    rows
}

fn check_rows(check: &ServiceCheck<'_>) -> Vec<Row> {
    let mut rows = vec![("status", check.status.as_str().to_owned())];
    push_text(&mut rows, "message", check.message);
    if let Some(seconds) = check.timestamp {
        rows.push(("timestamp", time_text(seconds)));
    }
    push_tags_and_origin(&mut rows, check.tags, &check.origin, check.host);
    rows
}

fn push_tags_and_origin(
    rows: &mut Vec<Row>,
    tags: Tags<'_>,
    origin: &OriginFields<'_>,
    host: &[u8],
) {
    let mut kept = Vec::new();
    let special = tags::extract(tags, origin.cardinality, |tag| kept.push(printable(tag)));
    if !kept.is_empty() {
        rows.push(("tags", listed(kept.len(), kept.into_iter())));
    }
    match special.host {
        _ if !host.is_empty() => rows.push(("host", format!("{} (h: field)", printable(host)))),
        Some(b"") => rows.push(("host", "none (host: tag)".to_owned())),
        Some(host) => rows.push(("host", format!("{} (host: tag)", printable(host)))),
        None => {}
    }
    let local = origin.local_data();
    push_text(rows, "container id", local.container_id);
    if local.inode > 0 {
        rows.push(("cgroup inode", local.inode.to_string()));
    }
    let external = origin.external_data();
    push_text(rows, "container name", external.container_name);
    push_text(rows, "pod uid (e:)", external.pod_uid);
    if external.init {
        rows.push(("init container", "yes".to_owned()));
    }
    push_text(rows, "pod uid", special.entity_id);
    push_text(rows, "cardinality", special.cardinality);
    push_text(
        rows,
        "JMX check",
        special.jmx_check_name.unwrap_or_default(),
    );
}

fn push_text(rows: &mut Vec<Row>, label: &'static str, text: &[u8]) {
    if !text.is_empty() {
        rows.push((label, printable(text)));
    }
}

/// Items with commas between, as many as a person reads.
fn listed(count: usize, items: impl Iterator<Item = String>) -> String {
    let mut text = items.take(LISTED_MAX).collect::<Vec<_>>().join(", ");
    if count > LISTED_MAX {
        text.push_str(&format!(", … ({count} in all)"));
    }
    text
}

fn rate_text(metric: &Metric<'_>) -> String {
    let rate = metric.sample_rate;
    let weight = 1.0 / rate;
    match metric.kind {
        MetricKind::Gauge | MetricKind::Set => rate.to_string(),
        _ if metric.timestamp.is_some() => rate.to_string(),
        _ if !(weight.is_finite() && weight > 0.0) => rate.to_string(),
        _ => format!("{rate} (each value stands for {weight})"),
    }
}

/// Seconds, and the date they are. Dates beyond what a person writes are left out.
fn time_text(seconds: i64) -> String {
    const YEAR_9999: i64 = 253_402_300_799;
    if !(-YEAR_9999..=YEAR_9999).contains(&seconds) {
        return seconds.to_string();
    }
    let (year, month, day) = civil(seconds.div_euclid(SECONDS_PER_DAY));
    let second = seconds.rem_euclid(SECONDS_PER_DAY);
    format!(
        "{seconds} ({year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC)",
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar. Counts in eras
/// of 400 years that begin in March, so that the leap day is the last of its year.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use greyhound_wire::Options;

    const OPTIONS: Options = Options {
        timestamps: true,
        client_origin: true,
    };

    fn explained(line: &str) -> String {
        let mut out = Vec::new();
        let palette = Palette::new(false);
        match greyhound_wire::parse(line.as_bytes(), OPTIONS) {
            Ok(message) => write_understood(&mut out, palette, line.as_bytes(), &message, &[], &[]),
            Err(error) => write_refused(&mut out, palette, line.as_bytes(), error),
        }
        .expect("memory takes everything");
        String::from_utf8(out).expect("utf-8")
    }

    #[test]
    fn a_metric_is_taken_apart() {
        assert_eq!(
            explained("page.views:1:2|c|@0.5|#env:dev,host:web-1|c:ci-4f"),
            "page.views:1:2|c|@0.5|#env:dev,host:web-1|c:ci-4f\n\
             \u{20} counter         page.views\n\
             \u{20} values          1, 2\n\
             \u{20} sample rate     0.5 (each value stands for 2)\n\
             \u{20} tags            env:dev\n\
             \u{20} host            web-1 (host: tag)\n\
             \u{20} container id    4f\n"
        );
    }

    #[test]
    fn a_value_with_its_own_time_has_no_weight() {
        let text = explained("a:1|c|@0.5|T1700000000");
        assert!(
            text.contains("timestamp       1700000000 (2023-11-14 22:13:20 UTC)"),
            "{text}"
        );
        assert!(text.contains("sample rate     0.5\n"), "{text}");
    }

    #[test]
    fn events_and_checks_are_taken_apart() {
        let event = explained("_e{6,6}:Deploy|v1\\n42|t:success|k:d|h:box|#a");
        for part in [
            "event           Deploy",
            "v1\\n42",
            "success",
            "box (h: field)",
        ] {
            assert!(event.contains(part), "{event}");
        }
        let check = explained("_sc|disk|2|m:full|d:0");
        for part in ["service check   disk", "critical", "full"] {
            assert!(check.contains(part), "{check}");
        }
    }

    #[test]
    fn a_caret_stands_under_what_is_wrong() {
        assert_eq!(
            explained("page.views:one|c"),
            "page.views:one|c\n\
             \u{20}          ^~~\n\
             \u{20} refused         the value is not a number that fits a double (metric_value, byte 11)\n\
             \u{20} hint            numbers look like 3, -0.25 or 1.5e3; only a set (|s) takes words\n"
        );
    }

    #[test]
    fn days_have_their_dates() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (11_016, (2000, 2, 29)),
            (19_675, (2023, 11, 14)),
            (-1, (1969, 12, 31)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(civil(days), date);
        }
        assert_eq!(time_text(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn long_lists_are_counted() {
        let values = vec!["1"; 60].join(":");
        assert!(explained(&format!("a:{values}|d")).contains("(60 in all)"));
    }
}
