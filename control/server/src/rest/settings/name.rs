//! Names the Agent gives settings at run time, and what a form value is.

use greyhound_config::table::{self, Row};

/// Names of the Agent's runtime settings that are not the keys they change.
pub(super) const ALIASES: [(&str, &str); 1] =
    [("dogstatsd_stats", "dogstatsd_metrics_stats_enable")];

/// The row behind a key in any case, or behind a runtime name.
pub(super) fn row(name: &str) -> Option<&'static Row> {
    let name = name.to_lowercase();
    let key = ALIASES
        .iter()
        .find(|(alias, _)| *alias == name)
        .map_or(name.as_str(), |(_, key)| key);
    table::table().row(key)
}

/// Undoes what the Agent's command line does to a value before it sends it. Entities it never writes
/// stay as they are.
pub(super) fn unescape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest[1..].split_once(';').map(|(name, _)| name);
        match entity.and_then(character) {
            Some(character) => {
                out.push(character);
                rest = &rest[entity.map_or(1, str::len) + 2..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?).filter(|&character| character != '\0')
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gos_escape_writes_is_undone() {
        let check = |escaped, plain| assert_eq!(unescape_html(escaped), plain);
        check(
            "a &lt;b&gt; &amp;amp; &#34;c&#39;&quot;",
            "a <b> &amp; \"c'\"",
        );
        check("&#x41;&#65;&#X42;", "AAB");
        check(
            "& &; &none; &#; &#0; &#xD800; &#99999999999; é&",
            "& &; &none; &#; &#0; &#xD800; &#99999999999; é&",
        );
    }

    #[test]
    fn runtime_names_lead_to_keys() {
        let key = |name| row(name).map(|row| row.key);
        assert_eq!(
            key("dogstatsd_stats"),
            Some("dogstatsd_metrics_stats_enable")
        );
        assert_eq!(key("LOG_level"), Some("log_level"));
        assert_eq!(key("no_such"), None);
    }
}
