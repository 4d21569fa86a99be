//! Bytes of clients to names and labels Prometheus takes, and what may stand beside what.

use std::ops::Range;

use greyhound_model::context::{Context, Host};
use greyhound_telemetry::text::{sanitize_label, sanitize_name};

/// Stands between the texts of a [`Labels`]. Never part of one: control characters are replaced.
const END: char = '\0';

/// Labels that mean something else inside a summary or histogram.
const RESERVED: [&str; 2] = ["le", "quantile"];

/// Put before a reserved label.
const RESERVED_PREFIX: &str = "tag_";

/// What the label of a tag without value says.
const BARE_TAG: &str = "true";

/// What a family says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FamilyKind {
    Counter,
    Gauge,
    Summary,
    Histogram,
}

/// The labels of one series: sorted by name, no name twice, no empty value. Keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Labels {
    /// Names and values as found.
    found: String,
    parts: Vec<Pair>,
    /// Names and values as exposed, each followed by [`END`]: the identity of the series within
    /// its family.
    text: String,
    pairs: Vec<Pair>,
    repaired: bool,
}

#[derive(Clone, Debug)]
struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

// === impl FamilyKind ===

impl FamilyKind {
    /// Every ending a sample of any family may have.
    pub(crate) const ENDINGS: [&'static str; 6] =
        ["", "_total", "_sum", "_count", "_bucket", "_created"];

    /// The endings of this kind's samples and of its `# TYPE` line.
    pub(crate) fn endings(self, created_lines: bool) -> impl Iterator<Item = &'static str> {
        let endings: &[&str] = match self {
            Self::Counter => &["_total"],
            Self::Gauge => &[""],
            Self::Summary => &["", "_sum", "_count"],
            Self::Histogram => &["", "_bucket", "_sum", "_count"],
        };
        let created = (created_lines && self != Self::Gauge).then_some("_created");
        endings.iter().copied().chain(created)
    }
}

/// Writes the name of the family a metric belongs to, without the ending of its samples. A counter
/// that is called `…_total` already does not get a second one.
pub(crate) fn family_name(metric: &[u8], kind: FamilyKind, name: &mut String) {
    name.clear();
    sanitize_name(metric, name);
    if kind == FamilyKind::Counter
        && let Some(base) = name.strip_suffix("_total")
        && !base.is_empty()
    {
        name.truncate(base.len());
    }
}

// === impl Labels ===

impl Labels {
    /// Fills this with the labels of `context`. `own_host` is given when the engine's own host has
    /// to be named.
    pub(crate) fn render(&mut self, context: &Context, own_host: Option<&[u8]>) {
        self.clear();
        let host = match context.host() {
            Host::Named(host) => Some(host),
            Host::Own => own_host,
        };
        if let Some(host) = host {
            self.push(b"host", Some(host));
        }
        for tag in context.tags() {
            match tag.iter().position(|&byte| byte == b':') {
                Some(colon) => self.push(&tag[..colon], Some(&tag[colon + 1..])),
                None => self.push(tag, None),
            }
        }
        self.join();
    }

    /// Names and values, sorted by name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> + Clone {
        let text = |range: &Range<usize>| &self.text[range.clone()];
        self.pairs
            .iter()
            .map(move |pair| (text(&pair.name), text(&pair.value)))
    }

    /// Equal for two contexts if and only if their labels are.
    pub(crate) fn identity(&self) -> &str {
        &self.text
    }

    /// Whether a value was not fit to be shown as it came.
    pub(crate) fn repaired(&self) -> bool {
        self.repaired
    }

    fn clear(&mut self) {
        self.found.clear();
        self.parts.clear();
        self.text.clear();
        self.pairs.clear();
        self.repaired = false;
    }

    fn push(&mut self, name: &[u8], value: Option<&[u8]>) {
        let name_start = self.found.len();
        sanitize_label(name, &mut self.found);
        if RESERVED.contains(&&self.found[name_start..]) {
            self.found.insert_str(name_start, RESERVED_PREFIX);
        }
        let value_start = self.found.len();
        match value {
            None => self.found.push_str(BARE_TAG),
            Some(value) => self.repaired |= push_value(value, &mut self.found),
        }
        self.parts.push(Pair {
            name: name_start..value_start,
            value: value_start..self.found.len(),
        });
    }

    /// Brings one label per name out of the parts. Prometheus cannot tell an empty value from no
    /// label, so neither do we.
    fn join(&mut self) {
        let Self {
            found,
            parts,
            text,
            pairs,
            ..
        } = self;
        parts.retain(|part| !part.value.is_empty());
        // Stable: values of one name keep the order of their tags.
        parts.sort_by(|a, b| found[a.name.clone()].cmp(&found[b.name.clone()]));
        for same in parts.chunk_by(|a, b| found[a.name.clone()] == found[b.name.clone()]) {
            let name_start = text.len();
            text.push_str(&found[same[0].name.clone()]);
            let name = name_start..text.len();
            text.push(END);
            let value_start = text.len();
            for (index, part) in same.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&found[part.value.clone()]);
            }
            let value = value_start..text.len();
            text.push(END);
            pairs.push(Pair { name, value });
        }
    }
}

/// Appends a value, with U+FFFD for what is not UTF-8 and for control characters: some of them end
/// a line or the whole page for the reader. Returns whether anything was replaced.
fn push_value(value: &[u8], out: &mut String) -> bool {
    let mut repaired = false;
    for chunk in value.utf8_chunks() {
        let valid = chunk.valid();
        if valid.chars().any(char::is_control) {
            repaired = true;
            out.extend(valid.chars().map(|character| {
                if character.is_control() {
                    char::REPLACEMENT_CHARACTER
                } else {
                    character
                }
            }));
        } else {
            out.push_str(valid);
        }
        if !chunk.invalid().is_empty() {
            repaired = true;
            out.push(char::REPLACEMENT_CHARACTER);
        }
    }
    repaired
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(host: Host<'_>, tags: &[&[u8]]) -> (String, bool) {
        let context = Context::new(b"m", host, tags.iter().copied());
        let mut labels = Labels::default();
        labels.render(&context, None);
        let text: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        (text.join(" "), labels.repaired())
    }

    fn check(tags: &[&[u8]], expected: &str) {
        assert_eq!(labels(Host::Own, tags).0, expected, "{tags:?}");
    }

    #[test]
    fn tags_become_labels() {
        check(&[b"env:prod", b"canary"], "canary=true env=prod");
        check(&[b"url:http://a:80/"], "url=http://a:80/");
        check(&[b"a-b:1", b"a.b:2", b"9:x"], "_9=x a_b=1,2");
        check(&[b"role:b", b"role:a", b"role"], "role=true,a,b");
        check(&[b"empty:", b"", b":v"], "_=true,v");
        check(
            &[b"le:1", b"quantile:2", b"__name__:x"],
            "_name__=x tag_le=1 tag_quantile=2",
        );
    }

    #[test]
    fn a_host_given_by_the_client_is_a_label() {
        assert_eq!(labels(Host::Named(b"web-1"), &[b"a:1"]).0, "a=1 host=web-1");
        assert_eq!(labels(Host::Named(b""), &[b"a:1"]).0, "a=1");
        assert_eq!(labels(Host::Own, &[]).0, "");
    }

    #[test]
    fn bytes_that_cannot_be_shown_are_replaced_and_said_so() {
        assert_eq!(
            labels(Host::Own, &[b"a:\xff\0b"]),
            ("a=\u{FFFD}\u{FFFD}b".to_owned(), true)
        );
        assert_eq!(
            labels(Host::Own, &[b"a:\"\\"]),
            ("a=\"\\".to_owned(), false)
        );
    }

    #[test]
    fn a_counter_gets_one_total() {
        let mut name = String::new();
        for (metric, kind, expected) in [
            ("page.views", FamilyKind::Counter, "page_views"),
            ("page.views.total", FamilyKind::Counter, "page_views"),
            ("page.views.total", FamilyKind::Gauge, "page_views_total"),
            ("_total", FamilyKind::Counter, "_total"),
            ("9lives", FamilyKind::Gauge, "_9lives"),
        ] {
            family_name(metric.as_bytes(), kind, &mut name);
            assert_eq!(name, expected, "{metric}");
        }
    }
}
