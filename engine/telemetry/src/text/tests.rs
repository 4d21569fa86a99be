//! The writer against expected pages, and against a small strict reader of the text form.

use super::*;
use proptest::prelude::*;

const UTF8: Format = Format {
    syntax: Syntax::OpenMetrics,
    utf8_names: true,
};

fn page(format: Format, write: impl FnOnce(&mut Writer<'_>)) -> String {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, format);
    write(&mut writer);
    writer.finish();
    String::from_utf8(out).expect("a page is text")
}

fn sample(format: Format, name: &str, labels: &[(&str, &[u8])], value: f64) -> String {
    let page = page(format, |w| {
        w.sample(name, "", labels.iter().copied(), value)
    });
    page.lines().next().expect("one line").to_owned()
}

fn number(value: f64) -> String {
    let mut out = Vec::new();
    write_number(value, &mut out);
    String::from_utf8(out).expect("numbers are ASCII")
}

#[test]
fn label_values_are_escaped() {
    assert_eq!(
        sample(Format::TEXT, "a", &[("k", b"q\"b\\n\nx\xffy")], 1.0),
        "a{k=\"q\\\"b\\\\n\\nx\u{FFFD}y\"} 1"
    );
}

#[test]
fn numbers() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "0"),
        (3.0, "3"),
        (-17.0, "-17"),
        (0.1, "0.1"),
        (9_007_199_254_740_992.0, "9007199254740992"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(number(value), text);
    }
}

#[test]
fn counters_end_in_total_and_are_declared_without() {
    let write = |w: &mut Writer<'_>| {
        w.family("hits_total", FamilyType::Counter, "Hits.", "");
        w.sample("hits_total", "", NO_LABELS, 1.0);
        w.sample("hits", "_created", NO_LABELS, 2.5);
    };
    assert_eq!(
        page(Format::TEXT, write),
        "# HELP hits_total Hits.\n# TYPE hits_total counter\nhits_total 1\nhits_created 2.5\n"
    );
    assert_eq!(
        page(Format::OPEN_METRICS, write),
        "# HELP hits Hits.\n# TYPE hits counter\nhits_total 1\nhits_created 2.5\n# EOF\n"
    );
}

#[test]
fn a_counter_without_total_is_unknown_to_open_metrics() {
    let write = |w: &mut Writer<'_>| w.family("a__b", FamilyType::Counter, "", "");
    assert_eq!(page(Format::TEXT, write), "# TYPE a__b counter\n");
    assert_eq!(
        page(Format::OPEN_METRICS, write),
        "# TYPE a__b unknown\n# EOF\n"
    );
}

#[test]
fn help_is_escaped_by_the_rules_of_each_form() {
    let write = |w: &mut Writer<'_>| w.family("a", FamilyType::Unknown, "say \"\\\"\n.", "");
    assert_eq!(
        page(Format::TEXT, write),
        "# HELP a say \"\\\\\"\\n.\n# TYPE a untyped\n"
    );
    assert_eq!(
        page(Format::OPEN_METRICS, write),
        "# HELP a say \\\"\\\\\\\"\\n.\n# TYPE a unknown\n# EOF\n"
    );
}

#[test]
fn a_unit_is_only_named_where_the_name_ends_in_it() {
    let declares = |name: &str, family_type, unit: &str| {
        page(Format::OPEN_METRICS, |w| {
            w.family(name, family_type, "", unit)
        })
        .contains("# UNIT")
    };
    assert!(declares("wait_seconds", FamilyType::Gauge, "seconds"));
    assert!(declares("read_bytes_total", FamilyType::Counter, "bytes"));
    assert!(!declares("wait", FamilyType::Gauge, "seconds"));
    assert!(!declares("seconds", FamilyType::Gauge, "seconds"));
    assert!(!declares("wait_", FamilyType::Gauge, ""));
}

#[test]
fn dotted_names_are_quoted_only_for_readers_that_asked() {
    let labels: [(&str, &[u8]); 2] = [("tag.key", b"v"), ("ok", b"w")];
    assert_eq!(
        sample(UTF8, "gh.dotted", &labels, 1.0),
        "{\"gh.dotted\",\"tag.key\"=\"v\",ok=\"w\"} 1"
    );
    assert_eq!(
        sample(Format::TEXT, "gh.dotted", &labels, 1.0),
        "gh_dotted{tag_key=\"v\",ok=\"w\"} 1"
    );
    assert_eq!(sample(UTF8, "gh.dotted", &[], 1.0), "{\"gh.dotted\"} 1");
    let family = page(UTF8, |w| w.family("gh.x", FamilyType::Gauge, "X.", ""));
    assert_eq!(family, "# HELP \"gh.x\" X.\n# TYPE \"gh.x\" gauge\n# EOF\n");
}

#[test]
fn no_label_can_pass_for_the_name() {
    for format in [Format::TEXT, UTF8] {
        assert_eq!(
            sample(format, "a", &[("__name__", b"b")], 1.0),
            "a{_name__=\"b\"} 1"
        );
        assert_eq!(
            sample(format, "a", &[("__a.b", b"b")], 1.0),
            "a{_a_b=\"b\"} 1"
        );
    }
}

#[test]
fn repairs_are_counted() {
    let mut out = Vec::new();
    let mut writer = Writer::new(&mut out, Format::TEXT);
    writer.sample("a b", "", [("c d", "e"), ("f", "g")], 1.0);
    writer.sample("fine", "_sum", NO_LABELS, 1.0);
    assert_eq!(writer.finish(), 2);
}

#[test]
fn quantile_and_bucket_labels_have_one_text_per_number() {
    let text = |format: Format, value| {
        let mut out = Vec::new();
        format.write_label_number(value, &mut out);
        String::from_utf8(out).expect("numbers are ASCII")
    };
    assert_eq!(text(Format::TEXT, 1.0), "1");
    assert_eq!(text(Format::OPEN_METRICS, 1.0), "1.0");
    assert_eq!(text(Format::OPEN_METRICS, -5.0), "-5.0");
    assert_eq!(text(Format::OPEN_METRICS, 0.99), "0.99");
    assert_eq!(text(Format::OPEN_METRICS, f64::INFINITY), "+Inf");
}

type Line = (String, Vec<(String, String)>, f64);

/// Reads one sample line as strictly as Prometheus does: name, labels, value.
fn read_line(line: &str) -> Option<Line> {
    let mut rest = line;
    let end = rest.find(['{', ' '])?;
    let mut name = rest[..end].to_owned();
    if !name.is_empty() && !is_metric_name(&name) {
        return None;
    }
    rest = &rest[end..];
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let quoted = rest.starts_with('"');
            let (key, after) = if quoted {
                read_quoted(rest)?
            } else {
                let end = rest.find('=')?;
                let key = rest[..end].to_owned();
                (is_label_name(&key).then_some(key)?, &rest[end..])
            };
            if let Some(after) = after.strip_prefix('=') {
                let (value, after) = read_quoted(after)?;
                labels.push((key, value));
                rest = after;
            } else {
                // Only the name stands alone, quoted, before all labels.
                if !quoted || !labels.is_empty() || !name.is_empty() {
                    return None;
                }
                name = key;
                rest = after;
            }
            rest = match rest.strip_prefix(',') {
                Some(after) if !after.starts_with('}') => after,
                Some(_) => return None,
                None if rest.starts_with('}') => rest,
                None => return None,
            };
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?.parse().ok()?;
    (!name.is_empty()).then_some((name, labels, value))
}

fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut chars = text.strip_prefix('"')?.char_indices();
    let mut out = String::new();
    loop {
        match chars.next()? {
            (at, '"') => return Some((out, &text[at + 2..])),
            (_, '\\') => out.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            (_, c) => out.push(c),
        }
    }
}

proptest! {
    #[test]
    fn whatever_is_written_can_be_read(
        name in ".{0,8}",
        keys in proptest::collection::vec(".{0,6}", 0..4),
        value in proptest::collection::vec(any::<u8>(), 0..12),
        number in any::<f64>(),
        syntax in prop_oneof![Just(Syntax::Text), Just(Syntax::OpenMetrics)],
        utf8_names in any::<bool>(),
    ) {
        let format = Format { syntax, utf8_names };
        let page = page(format, |w| {
            w.family(&name, FamilyType::Counter, &name, "seconds");
            w.sample(&name, "", keys.iter().map(|key| (key, &value)), number);
        });
        let lines: Vec<_> = page.split_terminator('\n').filter(|l| !l.starts_with('#')).collect();
        prop_assert_eq!(lines.len(), 1);
        let (read_name, labels, read_number) = read_line(lines[0])
            .ok_or_else(|| TestCaseError::fail(format!("unreadable: {page:?}")))?;
        if is_metric_name(&name) || (utf8_names && is_quotable(&name)) {
            prop_assert_eq!(read_name, name);
        }
        prop_assert_eq!(labels.len(), keys.len());
        let expected = String::from_utf8_lossy(&value);
        prop_assert!(labels.iter().all(|(_, value)| value == &expected));
        prop_assert!(read_number == number || (number.is_nan() && read_number.is_nan()));
    }

    #[test]
    fn comments_stay_on_their_line(name in "\\PC{0,8}|.{0,8}", help in any::<String>()) {
        let page = page(UTF8, |w| w.family(&name, FamilyType::Gauge, &help, "x"));
        prop_assert!(page.split_terminator('\n').all(|line| line.starts_with("# ")), "{:?}", page);
    }
}
