//! Which form a scraper asked for, from its `Accept` header.

use super::{Format, Syntax};

/// The form the reader likes best among those we write; plain text when it names none of them, for
/// a page in another form serves better than none. Of equals the first one wins.
pub fn negotiate(accept_header: &str) -> Format {
    let mut best = (Format::TEXT, 0.0);
    for range in accept_header.split(',') {
        if let Some((format, quality)) = parse_range(range)
            && quality > best.1
        {
            best = (format, quality);
        }
    }
    best.0
}

/// One media range with its quality, if we write that form.
fn parse_range(range: &str) -> Option<(Format, f32)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    let (mut version, mut quality, mut utf8_names) = (None, 1.0, false);
    for (key, value) in parts.filter_map(|part| part.split_once('=')) {
        let value = value.trim().trim_matches('"');
        match key.trim() {
            key if key.eq_ignore_ascii_case("q") => quality = value.parse().ok()?,
            key if key.eq_ignore_ascii_case("version") => version = Some(value),
            key if key.eq_ignore_ascii_case("escaping") => utf8_names = value == "allow-utf-8",
            _ => {}
        }
    }
    let is = |name: &str| media.eq_ignore_ascii_case(name);
    let syntax = match version {
        Some("1.0.0") | None if is("application/openmetrics-text") => Syntax::OpenMetrics,
        Some("1.0.0" | "0.0.4") | None if is("text/plain") => Syntax::Text,
        None if is("text/*") || is("*/*") => Syntax::Text,
        _ => return None,
    };
    Some((Format { syntax, utf8_names }, quality))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, syntax: Syntax, utf8_names: bool) {
        assert_eq!(negotiate(accept), Format { syntax, utf8_names }, "{accept}");
    }

    #[test]
    fn prometheus_asks_for_open_metrics_first() {
        check(
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            Syntax::OpenMetrics,
            false,
        );
        check(
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
            Syntax::OpenMetrics,
            true,
        );
    }

    #[test]
    fn quality_decides_and_zero_refuses() {
        check(
            "application/openmetrics-text;q=0.3, text/plain;q=0.9",
            Syntax::Text,
            false,
        );
        check(
            "text/plain; q=0, application/openmetrics-text; q=0.001",
            Syntax::OpenMetrics,
            false,
        );
        check(
            "text/plain; version=1.0.0; escaping=allow-utf-8",
            Syntax::Text,
            true,
        );
    }

    #[test]
    fn browsers_curl_and_nonsense_get_plain_text() {
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/openmetrics-text;version=0.0.1",
            "application/openmetrics-text;q=NaN",
            "application/openmetrics-text;q=much",
            ";;,,=;q=,\u{1F600}",
        ] {
            check(accept, Syntax::Text, false);
        }
    }

    #[test]
    fn other_ways_of_escaping_are_not_utf8() {
        check(
            "application/openmetrics-text;version=1.0.0;escaping=underscores",
            Syntax::OpenMetrics,
            false,
        );
    }

    #[test]
    fn case_and_quotes_do_not_matter() {
        check(
            "Application/OpenMetrics-Text; Version=\"1.0.0\" ; Q=1",
            Syntax::OpenMetrics,
            false,
        );
    }
}
