//! Names and tag values of a mapping rule: text with `$1`, `${1}`, `$name` and `$$` in it.
//!
//! The rules are those of Go's `regexp.Expand`, because the Agent uses it: a bare reference takes
//! the longest run of letters, digits and `_`, so `$1_x` asks for a group called `1_x`. A group
//! that does not exist, or took no part in the match, is empty. A `$` that starts no reference
//! stands for itself.

/// Where a group matched, in bytes of the name; `None` if it took no part.
pub type Span = Option<(usize, usize)>;

/// A template, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Box<[Part]>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Box<[u8]>),
    Group(usize),
}

// === impl Template ===

impl Template {
    /// Takes `source` apart. `groups` holds the names of the pattern's groups, from group 0 on.
    pub fn new(source: &str, groups: &[Option<String>]) -> Self {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = source;
        while let Some(dollar) = rest.find('$') {
            text.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                text.push('$');
                rest = after;
            } else if let Some((name, after)) = reference(rest) {
                rest = after;
                // A reference to no group is empty text, that is, nothing at all.
                if let Some(group) = group_named(name, groups) {
                    if !text.is_empty() {
                        parts.push(Part::Text(std::mem::take(&mut text).into_bytes().into()));
                    }
                    parts.push(Part::Group(group));
                }
            } else {
                text.push('$');
            }
        }
        text.push_str(rest);
        if !text.is_empty() {
            parts.push(Part::Text(text.into_bytes().into()));
        }
        Self(parts.into())
    }

    /// Appends the text for one match of `name` to `out`.
    pub fn expand(&self, name: &[u8], spans: &[Span], out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    let (start, end) = spans.get(*group).copied().flatten().unwrap_or_default();
                    out.extend_from_slice(&name[start..end]);
                }
            }
        }
    }
}

/// The name of the reference `text` begins with, the `$` cut off, and what follows it.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, body) = match text.strip_prefix('{') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let len = body
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(body.len());
    let (name, after) = body.split_at(len);
    let after = if braced {
        after.strip_prefix('}')?
    } else {
        after
    };
    (!name.is_empty()).then_some((name, after))
}

/// A number is a group's place, unless it has a leading zero; anything else is a group's name.
fn group_named(name: &str, groups: &[Option<String>]) -> Option<usize> {
    let numeric = name.bytes().all(|b| b.is_ascii_digit());
    if numeric && (name == "0" || !name.starts_with('0')) {
        return name.parse().ok().filter(|group| *group < groups.len());
    }
    groups
        .iter()
        .position(|group| group.as_deref() == Some(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups: 1 `one`, 2 `two` called `who`, 3 took no part.
    #[track_caller]
    fn check(template: &str, expected: &str) {
        let groups = [
            None,
            None,
            Some("who".to_owned()),
            None,
            Some("1_x".to_owned()),
        ];
        let spans = [Some((0, 7)), Some((0, 3)), Some((4, 7)), None];
        let mut out = Vec::new();
        Template::new(template, &groups).expand(b"one.two", &spans, &mut out);
        assert_eq!(out.escape_ascii().to_string(), expected, "{template}");
    }

    #[test]
    fn references_by_number_and_name_are_replaced() {
        check("$1", "one");
        check("a.$2.$1", "a.two.one");
        check("${1}_y", "one_y");
        check("$who-$0", "two-one.two");
        check("${who}x", "twox");
    }

    #[test]
    fn a_bare_reference_takes_the_longest_run() {
        check("$1x", "");
        check("$2_y", "");
        check("$whox", "");
        check("$1é", "");
        check("$1-x", "one-x");
        check("$1$2", "onetwo");
    }

    #[test]
    fn unknown_and_absent_groups_are_empty() {
        check("<$3><$4><$5><$9><$nope>", "<><><><><>");
        check("<$01><${001}><$99999999999999999999>", "<><><>");
    }

    #[test]
    fn a_dollar_without_reference_stands_for_itself() {
        check("$$1", "$1");
        check("$$$1", "$one");
        check("5$", "5$");
        check("$-$.$ x", "$-$.$ x");
        check("${1", "${1");
        check("${}", "${}");
        check("${1 }", "${1 }");
        check("", "");
    }
}
