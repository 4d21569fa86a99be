//! The rules for one line, in the Agent's order where it matters.
//!
//! Names of values are found by a scanner, not by patterns: a word, then `:` or `=`, then a value. After
//! a plain name and a colon the rest of the line is its value, as in YAML; a quoted name is JSON, and only
//! its own value goes.

use std::borrow::Cow;
use std::sync::LazyLock;

use greyhound_config::secret::MASK;
use regex::{Captures, Regex};

use super::{keys, tail};

/// A pattern, the text without which it cannot match, and what takes its place.
struct Pattern {
    hint: &'static str,
    regex: LazyLock<Regex>,
    replace: fn(&Captures<'_>) -> String,
}

/// Whether a byte may stand in the name of a value.
pub(super) fn is_key_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

/// `ENC[…]` names a secret without telling it.
pub(super) fn is_reference(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    value
        .strip_prefix("ENC[")
        .and_then(|rest| rest.strip_suffix(']'))
        .is_some_and(|handle| !handle.contains([']', '"', ' ']))
}

macro_rules! pattern {
    ($hint:literal, $regex:literal, $replace:expr) => {
        Pattern {
            hint: $hint,
            regex: LazyLock::new(|| Regex::new($regex).expect("a test compiles every pattern")),
            replace: $replace,
        }
    };
}

/// Secrets that can be told by their look.
static PATTERNS: [Pattern; 7] = [
    pattern!("ddapp_", r"ddapp_([a-zA-Z0-9_]{34})", |found| {
        tail::of_app_key(&found[1])
    }),
    pattern!("Bearer", r"\bBearer ([a-fA-F0-9]{64})\b", |found| {
        format!("Bearer {}", tail::starred(59, &found[1], 5))
    }),
    pattern!("earer", r"\b([Bb]earer) +([^*\s][^\n]*)", |found| {
        format!("{} {MASK}{}", &found[1], after_token(&found[2]))
    }),
    pattern!(
        "",
        r"([-:,\[{])([ \t]*)\b([a-fA-F0-9]{32}|[a-fA-F0-9]{40})\b",
        |found| {
            let key = &found[3];
            format!("{}{}\"{}\"", &found[1], &found[2], hex_key(key))
        }
    ),
    pattern!("", r"\b([a-fA-F0-9]{32}|[a-fA-F0-9]{40})\b", |found| {
        hex_key(&found[1])
    }),
    pattern!("DDRCM_", r"\bDDRCM_([A-Z0-9]{6,})", |found| {
        tail::starred(35, &found[1], 5)
    }),
    pattern!(
        "@",
        r#"([A-Za-z][A-Za-z0-9+.-]*://|\b)([^:\s]+):([^\s|"]+)@"#,
        |found| format!("{}{}:{MASK}@", &found[1], &found[2])
    ),
];

/// Takes the secrets out of one line.
pub(super) fn scrub<'l>(line: &'l str, is_secret: &dyn Fn(&str) -> bool) -> Cow<'l, str> {
    let mut line: Cow<'l, str> = line.into();
    if let Some(changed) = assignments(&line, &|_| false) {
        line = changed.into();
    }
    for pattern in &PATTERNS {
        if !pattern.hint.is_empty() && !line.contains(pattern.hint) {
            continue;
        }
        let replaced = pattern
            .regex
            .replace_all(&line, |found: &Captures<'_>| (pattern.replace)(found));
        if let Cow::Owned(replaced) = replaced {
            line = replaced.into();
        }
    }
    if let Some(changed) = assignments(&line, is_secret) {
        line = changed.into();
    }
    line
}

fn hex_key(key: &str) -> String {
    if key.len() == 32 {
        tail::of_api_key(key)
    } else {
        tail::of_app_key(key)
    }
}

/// What follows a bearer token in quotes; without a quote the rest of the line is the token.
fn after_token(token: &str) -> &str {
    token.find('"').map_or("", |at| &token[at..])
}

/// Where a name of a value stands.
struct Key<'l> {
    name: &'l str,
    /// Backslashes and the quote around it; empty for a plain word.
    quote: &'l str,
    is_assigned: bool,
    /// Where the value begins, blanks behind `:` or `=` included.
    value_at: usize,
}

/// Masks values behind `:` and `=`: keys of intakes, and names for which `is_secret` holds. `None` when the
/// line stays as it is.
fn assignments(line: &str, is_secret: &dyn Fn(&str) -> bool) -> Option<String> {
    let mut out = String::new();
    let (mut at, mut copied) = (0, 0);
    while let Some(key) = next_key(line, at) {
        at = key.value_at;
        let value = &line[key.value_at..];
        let is_api_key = keys::is_api_key(key.name);
        if !(is_api_key || is_secret(key.name)) || value.trim().is_empty() {
            continue;
        }
        let blank = value.len() - value.trim_start_matches([' ', '\t']).len();
        let (length, masked) = match masked(&key, &value[blank..], is_api_key) {
            Some(masked) => masked,
            None => continue,
        };
        out.push_str(&line[copied..key.value_at]);
        let is_yaml = key.quote.is_empty() && !key.is_assigned;
        out.push_str(if is_yaml { " " } else { &value[..blank] });
        out.push_str(&masked);
        copied = key.value_at + blank + length;
        at = copied;
    }
    (copied > 0).then(|| {
        out.push_str(&line[copied..]);
        out
    })
}

/// The length of a value and what takes its place; `None` to leave it.
fn masked(key: &Key<'_>, value: &str, is_api_key: bool) -> Option<(usize, String)> {
    let is_plain = key.quote.is_empty();
    if is_plain && !key.is_assigned {
        // YAML, a header: the rest of the line.
        let shown = value.trim().trim_start_matches(['"', '\'']);
        let is_done = is_api_key && shown.starts_with('*');
        if is_done || is_reference(value) {
            return None;
        }
        if is_api_key && is_hex_key(value) {
            return None;
        }
        return Some((value.len(), format!("\"{MASK}\"")));
    }
    let inner = value.trim_start_matches('\\');
    let quoted = inner.starts_with(['"', '\'']);
    if quoted {
        let opening = &value[..value.len() - inner.len() + 1];
        let text = &value[opening.len()..];
        let length = closing(text, opening).unwrap_or(text.len());
        let content = &text[..length];
        if content.is_empty()
            || is_reference(content)
            || (is_api_key && (content.starts_with('*') || is_hex_key(content)))
        {
            return None;
        }
        return Some((opening.len() + length, format!("{opening}{MASK}")));
    }
    let ends: &[char] = if is_plain {
        &[' ', '\t', '"', '\'', '&', '\r']
    } else {
        &[' ', '\t', ',', '}', ']', '\r']
    };
    let opens = !is_plain && value.starts_with(['{', '[']);
    let length = if opens {
        value.len()
    } else {
        value.find(ends).unwrap_or(value.len())
    };
    // What `&` separates is the next parameter only where values are those of a query.
    let length = match value[..].as_bytes().get(length) {
        Some(b'&') if !is_api_key => value
            .find([' ', '\t', '"', '\'', '\r'])
            .unwrap_or(value.len()),
        _ => length,
    };
    let content = &value[..length];
    if content.is_empty() || is_reference(content) || (is_api_key && content.starts_with('*')) {
        return None;
    }
    let is_word = content.len() >= 5 && content.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let shown = match (is_api_key && key.is_assigned && is_word, key.name) {
        (true, name) if name.to_ascii_lowercase().contains("app") => tail::of_app_key(content),
        (true, _) => tail::of_api_key(content),
        (false, _) => MASK.to_owned(),
    };
    let shown = if key.is_assigned || is_plain {
        shown
    } else {
        format!("\"{shown}\"")
    };
    Some((length, shown))
}

/// Quoted or not, the pattern for such keys finds it and leaves its end.
fn is_hex_key(value: &str) -> bool {
    let value = value.trim().trim_matches(['"', '\'']);
    matches!(value.len(), 32 | 40) && value.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Where a quoted text ends that was opened so.
fn closing(text: &str, opening: &str) -> Option<usize> {
    if opening.len() > 1 {
        return text.find(opening);
    }
    let quote = opening.as_bytes()[0];
    let mut escaped = false;
    text.bytes().position(|byte| {
        let ends = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })
}

/// The next word with `:` or `=` behind it, from `start` on.
fn next_key(line: &str, start: usize) -> Option<Key<'_>> {
    let bytes = line.as_bytes();
    let mut at = start;
    while at < bytes.len() {
        let sign = at
            + bytes[at..]
                .iter()
                .position(|byte| matches!(byte, b':' | b'='))?;
        at = sign + 1;
        let before = line[start..sign].trim_end_matches([' ', '\t']);
        let unquoted = before
            .strip_suffix(['"', '\''])
            .map_or(before, |rest| rest.trim_end_matches('\\'));
        let quote = &before[unquoted.len()..];
        let length = unquoted
            .bytes()
            .rev()
            .take_while(|&byte| is_key_byte(byte))
            .count();
        if length > 0 {
            return Some(Key {
                name: &unquoted[unquoted.len() - length..],
                quote,
                is_assigned: bytes[sign] == b'=',
                value_at: sign + 1,
            });
        }
    }
    None
}
