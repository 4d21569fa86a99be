//! Secrets the process holds, wherever and however they turn up.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::fmt::Write;

use greyhound_config::secret::MASK;

/// Shorter secrets would tear words apart.
const BYTES_MIN: usize = 6;
/// Longer ones are files, which have rules of their own.
const BYTES_MAX: usize = 4096;
/// Secrets known at once.
const COUNT_MAX: usize = 1000;
/// Bytes by which a form is looked up.
const PREFIX: usize = 4;

/// Known secrets in all their forms. Never printed.
#[derive(Default)]
pub(super) struct Values {
    /// By their first bytes, the longest first.
    forms: HashMap<[u8; PREFIX], Vec<Form>>,
}

struct Form {
    bytes: Box<[u8]>,
    /// The rules for lines leave its last characters.
    keeps_tail: bool,
}

// === impl Values ===

impl Values {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut forms: HashMap<[u8; PREFIX], Vec<Form>> = HashMap::new();
        let fitting = secrets
            .into_iter()
            .flat_map(|secret| [secret.trim().to_owned(), secret])
            .filter(|secret| (BYTES_MIN..=BYTES_MAX).contains(&secret.len()))
            .take(2 * COUNT_MAX);
        for secret in fitting {
            let keeps_tail = is_hex_key(&secret);
            for form in encodings(&secret) {
                let Some(&prefix) = form.as_bytes().first_chunk::<PREFIX>() else {
                    continue;
                };
                let alike = forms.entry(prefix).or_default();
                if alike.iter().all(|other| *other.bytes != *form.as_bytes()) {
                    alike.push(Form {
                        bytes: form.into_bytes().into(),
                        keeps_tail,
                    });
                }
            }
        }
        // Of two that begin the same the longer one must win.
        for alike in forms.values_mut() {
            alike.sort_unstable_by_key(|form| std::cmp::Reverse(form.bytes.len()));
        }
        Self { forms }
    }

    /// Every known secret is masked.
    pub(super) fn replace<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replace_text(text, true)
    }

    /// Those of which nothing may stay; before the rules for lines can cut one in two.
    pub(super) fn replace_unmasked<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.replace_text(text, false)
    }

    pub(super) fn replace_bytes(&self, content: &[u8]) -> Vec<u8> {
        self.scan(content, true).unwrap_or_else(|| content.to_vec())
    }

    fn replace_text<'t>(&self, text: &'t str, all: bool) -> Cow<'t, str> {
        match self.scan(text.as_bytes(), all).map(String::from_utf8) {
            Some(Ok(replaced)) => replaced.into(),
            // Forms are texts, so they begin and end between characters.
            Some(Err(broken)) => String::from_utf8_lossy(broken.as_bytes())
                .into_owned()
                .into(),
            None => text.into(),
        }
    }

    /// The content with masks; `None` when nothing was found. One look-up per byte.
    fn scan(&self, content: &[u8], all: bool) -> Option<Vec<u8>> {
        if self.forms.is_empty() {
            return None;
        }
        let mut out: Option<Vec<u8>> = None;
        let (mut at, mut copied) = (0, 0);
        while let Some(prefix) = content[at..].first_chunk::<PREFIX>() {
            let found = self.forms.get(prefix).and_then(|alike| {
                alike
                    .iter()
                    .filter(|form| all || !form.keeps_tail)
                    .find(|form| content[at..].starts_with(&form.bytes))
            });
            match found {
                Some(form) => {
                    let out = out.get_or_insert_default();
                    out.extend_from_slice(&content[copied..at]);
                    out.extend_from_slice(MASK.as_bytes());
                    at += form.bytes.len();
                    copied = at;
                }
                None => at += 1,
            }
        }
        if let Some(out) = &mut out {
            out.extend_from_slice(&content[copied..]);
        }
        out
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Values(..)")
    }
}

/// The rules for lines keep the last four of these.
fn is_hex_key(secret: &str) -> bool {
    matches!(secret.len(), 32 | 40) && secret.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// As it is, and as programs write it down: JSON, URL, hexadecimal, base64.
fn encodings(secret: &str) -> [String; 6] {
    let json = serde_json::Value::from(secret).to_string();
    [
        secret.to_owned(),
        json[1..json.len() - 1].to_owned(),
        percent_encoded(secret),
        hexadecimal(secret),
        base64(secret.as_bytes(), b"+/"),
        base64(secret.as_bytes(), b"-_"),
    ]
}

fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes everything");
        }
    }
    out
}

fn hexadecimal(text: &str) -> String {
    let mut out = String::with_capacity(2 * text.len());
    for byte in text.bytes() {
        write!(out, "{byte:02x}").expect("a string takes everything");
    }
    out
}

/// Without the padding, so that both ways of ending match.
fn base64(bytes: &[u8], last_two: &[u8; 2]) -> String {
    let digit = |value: u32| match value {
        0..=25 => b'A' + value as u8,
        26..=51 => b'a' + (value - 26) as u8,
        52..=61 => b'0' + (value - 52) as u8,
        value => last_two[usize::from(value == 63)],
    };
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0u32, |group, at| {
            group << 8 | u32::from(chunk.get(at).copied().unwrap_or(0))
        });
        for place in 0..=chunk.len() {
            let value = group >> (18 - 6 * place) & 63;
            out.push(char::from(digit(value)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_found_in_every_form() {
        let values = Values::new(["can\"ary/secret+1".to_owned(), "short".to_owned()]);
        for text in [
            "x can\"ary/secret+1 y",
            r#"{"k":"can\"ary/secret+1"}"#,
            "?k=can%22ary%2Fsecret%2B1",
            "63616e226172792f7365637265742b31",
            "Y2FuImFyeS9zZWNyZXQrMQ==",
        ] {
            let shown = values.replace(text);
            assert!(shown.contains(MASK), "{text} -> {shown}");
            assert!(!shown.contains("secret"), "{shown}");
        }
        assert_eq!(values.replace("short"), "short", "too short to look for");
        assert_eq!(
            values.replace_bytes(b"\0can\"ary/secret+1\xff"),
            b"\0********\xff"
        );
        assert_eq!(format!("{values:?}"), "Values(..)");
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (text, encoded) in [
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ] {
            assert_eq!(base64(text.as_bytes(), b"+/"), encoded);
        }
        assert_eq!(base64(&[0xfb, 0xff], b"-_"), "-_8");
    }
}
