//! Prometheus texts of several agents as one: each series with the agent's name in a label, families of
//! the same name together.
//!
//! Counters, gauges, histograms and untyped series pass; summaries are left out, as the Agent does. Lines
//! that are none of it are left out too: what an agent sends must not break a scrape of ours.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes taken of one agent's text.
const TEXT_BYTES_MAX: usize = 4 << 20;
/// The label with the agent's name.
const LABEL: &str = "remote_agent";

#[derive(Default)]
struct Family<'t> {
    help: Option<&'t str>,
    kind: Option<&'t str>,
    /// Whole lines.
    series: String,
}

/// One text of all. `texts` are agents' names and what they sent; names hold plain letters only.
pub fn merge<'t>(texts: impl Iterator<Item = (&'t str, &'t str)>) -> String {
    let mut families: BTreeMap<&'t str, Family<'t>> = BTreeMap::new();
    for (agent, text) in texts {
        let end = text.floor_char_boundary(TEXT_BYTES_MAX);
        // The last line of a text that was cut is not whole.
        let text = if end < text.len() {
            &text[..text[..end].rfind('\n').unwrap_or(0)]
        } else {
            text
        };
        take(&mut families, agent, text);
    }
    let mut merged = String::new();
    for (name, family) in &families {
        if family.series.is_empty() {
            continue;
        }
        if let Some(help) = family.help {
            merged.extend(["# HELP ", name, " ", help, "\n"]);
        }
        merged.extend(["# TYPE ", name, " ", family.kind.unwrap_or("untyped"), "\n"]);
        merged.push_str(&family.series);
    }
    merged
}

/// Puts a [merged](merge) text into a page of our own. Series of a family that the page has stand behind ours,
/// because a family that comes twice breaks the scrape of all; when it is of another type there, they are left
/// out.
pub(crate) fn append(page: &[u8], merged: &str) -> Vec<u8> {
    let mut families = blocks(merged);
    let mut out = Vec::with_capacity(page.len() + merged.len());
    // The family of ours that is being copied, and its type.
    let mut open: Option<(&str, &str)> = None;
    let lines = page.split_inclusive(|byte| *byte == b'\n');
    for line in lines {
        let comment = str::from_utf8(line).ok().and_then(comment);
        if let Some((name, kind)) = comment {
            if open.is_some_and(|(before, _)| before != name) {
                join(&mut out, &mut families, open);
                open = None;
            }
            let known = open.map_or("", |(_, kind)| kind);
            open = Some((name, kind.unwrap_or(known)));
        }
        out.extend_from_slice(line);
    }
    join(&mut out, &mut families, open);
    for block in families.values() {
        for line in block.comments.iter().chain(&block.series) {
            out.extend_from_slice(line.as_bytes());
        }
    }
    out
}

/// Lines of one family, each with its end.
#[derive(Default)]
struct Block<'t> {
    comments: Vec<&'t str>,
    series: Vec<&'t str>,
    kind: &'t str,
}

fn blocks(merged: &str) -> BTreeMap<&str, Block<'_>> {
    let mut families: BTreeMap<&str, Block<'_>> = BTreeMap::new();
    let mut open = None;
    for line in merged.split_inclusive('\n') {
        match (comment(line), open) {
            (Some((name, kind)), _) => {
                let block = families.entry(name).or_default();
                block.comments.push(line);
                block.kind = kind.unwrap_or(block.kind);
                open = Some(name);
            }
            (None, Some(name)) => families.entry(name).or_default().series.push(line),
            (None, None) => {}
        }
    }
    families
}

/// Name of the family, and its type where that is what the line says.
fn comment(line: &str) -> Option<(&str, Option<&str>)> {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("# TYPE ") {
        let (name, kind) = rest.split_once(' ')?;
        return Some((name, Some(kind)));
    }
    let rest = line.strip_prefix("# HELP ")?;
    Some((rest.split(' ').next()?, None))
}

/// Writes what others have of a family of ours.
fn join(out: &mut Vec<u8>, families: &mut BTreeMap<&str, Block<'_>>, ours: Option<(&str, &str)>) {
    let Some((name, kind)) = ours else { return };
    let theirs = families.remove(name).filter(|block| block.kind == kind);
    for line in theirs.iter().flat_map(|block| &block.series) {
        out.extend_from_slice(line.as_bytes());
    }
}

fn take<'t>(families: &mut BTreeMap<&'t str, Family<'t>>, agent: &str, text: &'t str) {
    // The family the last comment opened, and whether its series are wanted.
    let mut open: Option<(&str, bool)> = None;
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix('#') {
            let mut words = comment.trim_start().splitn(3, ' ');
            let (word, name, rest) = (words.next(), words.next(), words.next());
            let Some(name) = name.filter(|name| is_name(name)) else {
                continue;
            };
            match word {
                Some("HELP") => {
                    let help = rest.unwrap_or_default();
                    families.entry(name).or_default().help.get_or_insert(help);
                }
                Some("TYPE") => {
                    let kind = rest.unwrap_or_default().trim();
                    let known = matches!(kind, "counter" | "gauge" | "histogram" | "untyped");
                    let family = families.entry(name).or_default();
                    // Two agents may disagree; a family has one type.
                    let agrees = known && *family.kind.get_or_insert(kind) == kind;
                    open = Some((name, agrees));
                }
                _ => {}
            }
            continue;
        }
        let Some(series) = Series::read(line) else {
            continue;
        };
        let family = match open {
            Some((name, wanted)) if belongs(series.name, name) => {
                if !wanted {
                    continue;
                }
                name
            }
            _ => series.name,
        };
        series.write(agent, &mut families.entry(family).or_default().series);
    }
}

/// Whether `series` is one of family `name`, as histograms spell theirs.
fn belongs(series: &str, name: &str) -> bool {
    let Some(rest) = series.strip_prefix(name) else {
        return false;
    };
    matches!(rest, "" | "_bucket" | "_sum" | "_count" | "_total")
}

fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b':';
    !name.is_empty() && name.bytes().all(plain) && !name.as_bytes()[0].is_ascii_digit()
}

/// One line: name, what stands between braces, value and perhaps a time.
struct Series<'t> {
    name: &'t str,
    labels: &'t str,
    value: &'t str,
}

// === impl Series ===

impl<'t> Series<'t> {
    fn read(line: &'t str) -> Option<Self> {
        let name_end = line.find(['{', ' ', '\t'])?;
        let name = &line[..name_end];
        let rest = &line[name_end..];
        let (labels, value) = match rest.strip_prefix('{') {
            Some(rest) => {
                let end = labels_end(rest)?;
                (
                    rest[..end].trim().trim_end_matches([',', ' ']),
                    &rest[end + 1..],
                )
            }
            None => ("", rest),
        };
        let value = value.trim();
        let mut words = value.split_whitespace();
        let is_number = words.next()?.parse::<f64>().is_ok();
        let is_time = words.next().is_none_or(|time| time.parse::<i64>().is_ok());
        let whole = is_name(name) && is_number && is_time && words.next().is_none();
        whole.then_some(Self {
            name,
            labels,
            value,
        })
    }

    fn write(&self, agent: &str, out: &mut String) {
        let comma = if self.labels.is_empty() { "" } else { "," };
        writeln!(
            out,
            "{}{{{LABEL}=\"{agent}\"{comma}{}}} {}",
            self.name, self.labels, self.value
        )
        .expect("writing to a string cannot fail");
    }
}

/// Where the closing brace is, when all before it are labels as Prometheus reads them, none of them ours.
fn labels_end(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        if text[at..].starts_with('}') {
            return Some(at);
        }
        let equals = at + text[at..].find('=')?;
        let name = text[at..equals].trim_end();
        if !is_name(name) || name.contains(':') || name == LABEL {
            return None;
        }
        let value = text[equals + 1..].trim_start().strip_prefix('"')?;
        at = text.len() - value.len() + quote_end(value)? + 1;
        let rest = text[at..].trim_start();
        match rest.as_bytes().first()? {
            b',' => at = text.len() - rest.len() + 1,
            b'}' => return Some(text.len() - rest.len()),
            _ => return None,
        }
    }
}

/// Where the quote ends that `text` begins within.
fn quote_end(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_a_family_of_ours_stand_behind_ours() {
        let page = b"# HELP a x\n# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n# TYPE c gauge\nc 1\n";
        let merged = "# HELP a y\n# TYPE a counter\na{remote_agent=\"r\"} 2\n\
                      # TYPE b counter\nb{remote_agent=\"r\"} 3\n\
                      # TYPE d gauge\nd{remote_agent=\"r\"} 4\n";
        let joined = append(page, merged);
        assert_eq!(
            String::from_utf8_lossy(&joined),
            "# HELP a x\n# TYPE a counter\na 1\na{remote_agent=\"r\"} 2\n\
             # TYPE b gauge\nb 1\n# TYPE c gauge\nc 1\n\
             # TYPE d gauge\nd{remote_agent=\"r\"} 4\n"
        );
        assert_eq!(append(page, ""), page);
        assert_eq!(
            append(b"\xff\n", "# TYPE d gauge\nd 1\n"),
            b"\xff\n# TYPE d gauge\nd 1\n"
        );
    }

    #[test]
    fn families_of_two_agents_stand_together() {
        let a = "# HELP x_total Things.\n# TYPE x_total counter\nx_total 1\nx_total{k=\"}\\\"\"} 2 1700000000000\n";
        let b = "# TYPE x_total counter\nx_total{remote=\"y\",} 3\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1\nh_sum 2\nh_count 1\n";
        let merged = merge([("a", a), ("b", b)].into_iter());
        assert_eq!(
            merged,
            "# TYPE h histogram\n\
             h_bucket{remote_agent=\"b\",le=\"+Inf\"} 1\n\
             h_sum{remote_agent=\"b\"} 2\n\
             h_count{remote_agent=\"b\"} 1\n\
             # HELP x_total Things.\n\
             # TYPE x_total counter\n\
             x_total{remote_agent=\"a\"} 1\n\
             x_total{remote_agent=\"a\",k=\"}\\\"\"} 2 1700000000000\n\
             x_total{remote_agent=\"b\",remote=\"y\"} 3\n"
        );
    }

    #[test]
    fn summaries_and_nonsense_are_left_out() {
        let text = "# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 1\ns_count 1\n\
                    garbage\n1x 2\nx{ 1\nx{a} 1\nx{a=b} 1\nx{a=\"b} 1\nx{a=\"b\"c=\"d\"} 1\n\
                    x{remote_agent=\"me\"} 1\nx one\nx 1 2 3\n# TYPE\n\u{0} 1\ny NaN\n";
        assert_eq!(
            merge([("a", text)].into_iter()),
            "# TYPE y untyped\ny{remote_agent=\"a\"} NaN\n"
        );
    }

    #[test]
    fn a_type_is_agreed_on_by_the_first() {
        let merged = merge(
            [
                ("a", "# TYPE x gauge\nx 1\n"),
                ("b", "# TYPE x counter\nx 2\n"),
            ]
            .into_iter(),
        );
        assert_eq!(merged, "# TYPE x gauge\nx{remote_agent=\"a\"} 1\n");
    }

    #[test]
    fn a_long_text_is_cut_at_a_line() {
        let text = "x{a=\"b\"} 1\n".repeat(TEXT_BYTES_MAX / 8);
        let merged = merge([("a", text.as_str())].into_iter());
        assert!(merged.len() < 4 * TEXT_BYTES_MAX);
        assert!(merged.lines().skip(1).all(|line| line.ends_with("} 1")));
    }
}
