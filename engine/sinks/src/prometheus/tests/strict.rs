//! A reader of pages that forgives nothing: what a real scraper lets pass is refused too.

use std::collections::BTreeSet;

/// Panics with the line that is wrong.
pub(super) fn check(page: &str, open_metrics: bool) {
    let mut lines: Vec<&str> = page.split_terminator('\n').collect();
    if open_metrics {
        assert_eq!(lines.pop(), Some("# EOF"), "the page is not ended");
    }
    let mut families = BTreeSet::new();
    let mut series = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut family = None;
    for line in lines {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (keyword, name, text) = (words.next(), words.next(), words.next());
            let name = name.unwrap_or_else(|| panic!("no name: {line:?}"));
            assert!(is_name(name, true), "bad name: {line:?}");
            match keyword {
                Some("HELP") => assert!(text.is_some_and(|text| !text.contains('\r'))),
                Some("TYPE") => {
                    let kind = text.unwrap_or_else(|| panic!("no type: {line:?}"));
                    assert!(families.insert(name), "second type of {name}:\n{page}");
                    family = Some((name, kind, names.len()));
                }
                _ => panic!("unknown comment: {line:?}"),
            }
            continue;
        }
        let (name, labels) = read_sample(line);
        let (family, kind, _) = family.unwrap_or_else(|| panic!("no family yet: {line:?}"));
        let ending = name
            .strip_prefix(family)
            .unwrap_or_else(|| panic!("not of family {family}: {line:?}"));
        let has = |label: &str| labels.iter().any(|(name, _)| name == label);
        let fits = match (kind, ending) {
            ("counter", "") => !open_metrics,
            ("counter", "_total" | "_created") => open_metrics,
            ("gauge", "") => true,
            ("summary", "") => has("quantile"),
            ("histogram", "_bucket") => has("le"),
            ("summary" | "histogram", "_sum" | "_count") => !has("quantile") && !has("le"),
            ("summary" | "histogram", "_created") => open_metrics,
            _ => false,
        };
        assert!(fits, "a {kind} has no such sample: {line:?}");
        for window in labels.windows(2) {
            assert_ne!(window[0].0, window[1].0, "label twice: {line:?}");
        }
        let mut identity = labels.clone();
        identity.sort();
        identity.dedup_by(|a, b| a.0 == b.0);
        assert_eq!(identity.len(), labels.len(), "label twice: {line:?}");
        assert!(
            labels.iter().all(|(_, value)| !value.is_empty()),
            "empty label value: {line:?}"
        );
        names.insert((family, name));
        assert!(
            series.insert((name, identity)),
            "series twice: {line:?}\n{page}"
        );
    }
    // One sample name, one family.
    let all: BTreeSet<_> = names.iter().map(|(_, name)| name).collect();
    assert_eq!(
        all.len(),
        names.len(),
        "two families write one name:\n{page}"
    );
}

type Labels = Vec<(String, String)>;

fn read_sample(line: &str) -> (&str, Labels) {
    let bad = || -> ! { panic!("bad sample: {line:?}") };
    let end = line.find(['{', ' ']).unwrap_or_else(|| bad());
    let name = &line[..end];
    assert!(is_name(name, true), "bad name: {line:?}");
    let mut rest = &line[end..];
    let mut labels = Vec::new();
    if let Some(mut inside) = rest.strip_prefix('{') {
        loop {
            let equals = inside.find('=').unwrap_or_else(|| bad());
            let label = &inside[..equals];
            assert!(is_name(label, false), "bad label: {line:?}");
            assert!(!label.starts_with("__"), "reserved label: {line:?}");
            let (value, behind) = read_quoted(&inside[equals + 1..]).unwrap_or_else(|| bad());
            labels.push((label.to_owned(), value));
            match behind.strip_prefix(',') {
                Some(more) => inside = more,
                None => {
                    rest = behind.strip_prefix('}').unwrap_or_else(|| bad());
                    break;
                }
            }
        }
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| bad());
    let known = matches!(value, "NaN" | "+Inf" | "-Inf");
    assert!(
        known || value.parse::<f64>().is_ok_and(f64::is_finite),
        "bad value: {line:?}"
    );
    (name, labels)
}

fn read_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 2..])),
            '\\' => value.push(match characters.next()?.1 {
                'n' => '\n',
                same @ ('\\' | '"') => same,
                _ => return None,
            }),
            control if control.is_control() => return None,
            other => value.push(other),
        }
    }
    None
}

fn is_name(name: &str, colon: bool) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (colon && byte == b':');
    !name.is_empty() && !name.as_bytes()[0].is_ascii_digit() && name.bytes().all(word)
}
