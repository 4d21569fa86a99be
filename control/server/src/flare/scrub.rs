//! Takes secrets out of text before it leaves the machine: by structure first, by pattern second.
//!
//! ```text
//!  JSON, YAML ─▶ keys: values of secret keys ─┐
//!  settings file ─▶ the table: secret, unknown ┴▶ text: values ▸ PEM ▸ blocks ▸ lines ▸ values
//! ```
//!
//! A scrubber knows every secret the process holds and replaces it wherever it stands, also in its
//! encoded forms. Whole texts only: a secret cut in two between calls could not be found. Every step is
//! linear in the text; a line over [`LINE_BYTES_MAX`] is left out. Scrubbing twice changes nothing more.

mod keys;
mod lines;
mod tail;
mod values;
mod yaml;

use std::borrow::Cow;

use greyhound_config::secret::MASK;
use serde_json::Value;

use values::Values;

/// Longest line that is looked at, in bytes; a longer one is replaced by a word about it.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// Passes over one text.
const PASSES_MAX: usize = 8;

/// Rules and known secrets. Cheap to use from many threads.
#[derive(Debug, Default)]
pub struct Scrubber {
    values: Values,
    /// Keys that are secret by setting, in lower case.
    further_keys: Vec<String>,
}

// === impl Scrubber ===

impl Scrubber {
    /// A scrubber that also knows these secrets, and takes out the values of these further keys.
    pub fn new(
        secrets: impl IntoIterator<Item = String>,
        further_keys: impl IntoIterator<Item = String>,
    ) -> Self {
        Self {
            values: Values::new(secrets),
            further_keys: further_keys
                .into_iter()
                .map(|key| key.to_ascii_lowercase())
                .filter(|key| !key.is_empty())
                .collect(),
        }
    }

    /// A file of a flare. Its name says how it is read: what is called `.json` or `.yaml` is taken apart, in
    /// the folder `etc` it is a settings file, everything else is text. Bytes that are no text come back without the known secrets only.
    pub fn file(&self, name: &str, bytes: &[u8]) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            return if bytes.contains(&0) {
                self.values.replace_bytes(bytes)
            } else {
                self.text(&String::from_utf8_lossy(bytes)).into_bytes()
            };
        };
        let name = name.to_ascii_lowercase();
        let scrubbed = if name.ends_with(".json") {
            self.json_text(text)
        } else if name.contains(".yaml") || name.contains(".yml") {
            if name.starts_with("etc/") {
                self.settings_file(text)
            } else {
                match yaml::parse(text) {
                    Some(mut tree) => self.yaml(&mut tree),
                    None => self.text(text),
                }
            }
        } else {
            self.text(text)
        };
        scrubbed.into_bytes()
    }

    /// Any text, line by line. Comment lines (`#`) vanish.
    pub fn text(&self, text: &str) -> String {
        let mut text = Cow::from(text);
        // What one rule leaves can be what another looks for; one more pass nearly always changes nothing.
        for _ in 0..PASSES_MAX {
            let scrubbed = self.pass(&text);
            if scrubbed == *text {
                break;
            }
            text = scrubbed.into();
        }
        text.into_owned()
    }

    fn pass(&self, text: &str) -> String {
        let text = self.values.replace_unmasked(text);
        let lines: Vec<&str> = text.split('\n').collect();
        let mut out: Vec<Cow<'_, str>> = Vec::with_capacity(lines.len());
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            if line.trim_start().starts_with('#') {
                continue;
            }
            if line.len() > LINE_BYTES_MAX {
                out.push(format!("[a line of {} bytes was left out]", line.len()).into());
            } else if let Some(begin) = line.find(PEM_BEGIN) {
                let before = self.line(&line[..begin]);
                out.push(format!("{before}{MASK}").into());
                at = after_pem(&lines, at - 1);
            } else if line.contains(PEM_END) {
                // Its beginning was cut off.
                while out.last().is_some_and(|line| is_key_material(line)) {
                    out.pop();
                }
                out.push(MASK.into());
            } else if let Some(column) = self.block_column(line) {
                let key_end = line.find(':').map_or(line.len(), |colon| colon + 1);
                out.push(format!("{} \"{MASK}\"", &line[..key_end]).into());
                at = after_block(&lines, at, column);
            } else {
                out.push(self.line(line));
            }
        }
        let scrubbed = out.join("\n");
        self.values.replace(&scrubbed).into_owned()
    }

    /// Values under secret keys, at any depth, then every text in it as text.
    pub fn json(&self, value: &mut Value) {
        keys::scrub(value, &|key| self.is_secret_key(key));
        self.json_texts(value);
    }

    /// A settings file as YAML: secrets of the table, whatever the table does not know, and secret keys.
    /// What is no YAML is scrubbed as text.
    pub fn settings_file(&self, text: &str) -> String {
        match yaml::parse(text) {
            Some(mut tree) => {
                yaml::hide_unknown(&mut tree);
                self.yaml(&mut tree)
            }
            None => self.text(text),
        }
    }

    /// A tree as YAML text without secrets.
    pub fn yaml(&self, tree: &mut Value) -> String {
        self.json(tree);
        self.values.replace(&yaml::write(tree)).into_owned()
    }

    /// One line of text by the line rules; known secrets are not looked for.
    fn line<'t>(&self, line: &'t str) -> Cow<'t, str> {
        lines::scrub(line, &|key| self.is_secret_key(key))
    }

    fn json_text(&self, text: &str) -> String {
        match serde_json::from_str::<Value>(text) {
            Ok(mut value) => {
                self.json(&mut value);
                let shown = format!("{value:#}\n");
                self.values.replace(&shown).into_owned()
            }
            Err(_) => self.text(text),
        }
    }

    fn json_texts(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                let scrubbed = self.text(text);
                if scrubbed != *text {
                    *text = scrubbed;
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.json_texts(item)),
            Value::Object(entries) => entries
                .iter_mut()
                .for_each(|(_, value)| self.json_texts(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn is_secret_key(&self, key: &str) -> bool {
        keys::is_secret(key) || {
            let key = key.to_ascii_lowercase();
            self.further_keys.contains(&key)
        }
    }

    /// The column of a secret key that begins its line and may go on below: its value is a block, a list,
    /// or more lines of the same text.
    fn block_column(&self, line: &str) -> Option<usize> {
        let key_at = line.find(|letter: char| !matches!(letter, ' ' | '\t' | '-' | '"' | '\''))?;
        let (key, rest) = line[key_at..].split_once(':')?;
        let word = key.trim_end().trim_end_matches(['"', '\'']);
        let is_word = !word.is_empty() && word.bytes().all(lines::is_key_byte);
        let is_quoted = word.len() < key.trim_end().len();
        let value = rest.trim();
        let opens = matches!(
            value.as_bytes().first(),
            None | Some(b'|' | b'>' | b'[' | b'{' | b'&')
        );
        // A quoted key is JSON: its value ends where its line does, unless a list or a tree opens.
        let goes_on = rest.starts_with([' ', '\t', '\r']) || rest.is_empty();
        let is_block = if is_quoted || keys::is_api_key(word) {
            opens
        } else {
            self.is_secret_key(word)
        };
        let is_secret = self.is_secret_key(word) || keys::is_api_key(word);
        (is_word && goes_on && is_secret && is_block && !lines::is_reference(value))
            .then_some(key_at)
    }
}

const PEM_BEGIN: &str = "-----BEGIN ";
const PEM_END: &str = "-----END ";

/// The first line from `at` on that is not part of the value of a key in this column: part of it is what
/// stands deeper, an item of its list, and blank lines between those.
fn after_block(lines: &[&str], at: usize, column: usize) -> usize {
    let mut end = at;
    for (index, line) in lines.iter().enumerate().skip(at) {
        let text = line.trim_start_matches([' ', '\t']);
        if text.trim_end().is_empty() {
            continue;
        }
        let indent = line.len() - text.len();
        if indent < column || (indent == column && !text.starts_with("- ")) {
            break;
        }
        end = index + 1;
    }
    end
}

/// The first line behind a PEM block that begins in this line. A block that never ends goes on as long as
/// lines look like one.
fn after_pem(lines: &[&str], begin: usize) -> usize {
    let is_end = |line: &str| line.contains(PEM_END);
    if is_end(lines[begin]) {
        return begin + 1;
    }
    let body = &lines[begin + 1..];
    let length = body.iter().take_while(|line| is_key_material(line)).count();
    let end = begin + 1 + length;
    end + usize::from(lines.get(end).is_some_and(|line| is_end(line)))
}

/// Whether a line can be part of a PEM block: base64, or one of its headers.
fn is_key_material(line: &str) -> bool {
    let line = line.trim();
    let is_base64 =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'\\');
    !line.is_empty() && line.bytes().all(is_base64)
        || line.starts_with("Proc-Type:")
        || line.starts_with("DEK-Info:")
}

#[cfg(test)]
mod tests;
