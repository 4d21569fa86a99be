//! Settings as a tree, the way a file nests them: `a.b: 1` is `b` within `a`. Secrets are masked.

use serde_json::{Map, Value};

/// A tree of dotted keys. A value beside keys of the same beginning does not happen: no key of the
/// table is the beginning of another.
pub fn nest<'k>(entries: impl IntoIterator<Item = (&'k str, Value)>) -> Map<String, Value> {
    let mut root = Map::new();
    for (key, value) in entries {
        let mut names = key.split('.').peekable();
        let mut level = &mut root;
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                level.insert(name.to_owned(), value);
                break;
            }
            let below = level
                .entry(name)
                .or_insert_with(|| Value::Object(Map::new()));
            if !below.is_object() {
                *below = Value::Object(Map::new());
            }
            level = below.as_object_mut().expect("it was just made one");
        }
    }
    root
}

/// The tree as YAML: mappings in blocks, everything else as JSON, which is YAML too.
pub fn yaml(tree: &Map<String, Value>) -> String {
    let mut out = String::new();
    write(tree, 0, &mut out);
    if out.is_empty() {
        out.push_str("{}\n");
    }
    out
}

fn write(tree: &Map<String, Value>, depth: usize, out: &mut String) {
    for (name, value) in tree {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        out.push_str(&"  ".repeat(depth));
        if is_plain {
            out.push_str(name);
        } else {
            out.push_str(&Value::from(name.as_str()).to_string());
        }
        match value {
            Value::Object(below) if !below.is_empty() => {
                out.push_str(":\n");
                write(below, depth + 1, out);
            }
            other => {
                out.push_str(": ");
                out.push_str(&other.to_string());
                out.push('\n');
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::{DefaultFile, Sources, load_text};
    use crate::store::Store;
    use serde_json::json;
    use std::path::Path;

    #[test]
    fn dotted_keys_nest_and_come_out_as_yaml() {
        let tree = nest([
            ("a.b.c", json!(1)),
            ("a.d", json!("x: y")),
            ("e", json!({ "https://x": ["********"] })),
            ("f", json!([])),
        ]);
        assert_eq!(
            yaml(&tree),
            "a:\n  b:\n    c: 1\n  d: \"x: y\"\ne:\n  \"https://x\": [\"********\"]\nf: []\n"
        );
        assert_eq!(yaml(&Map::new()), "{}\n");
    }

    #[test]
    fn what_is_shown_reads_back_as_the_same_settings() {
        let store = Store::new();
        let shown = store
            .iter()
            .map(|resolved| (resolved.row.key, resolved.value.json()));
        let text = yaml(&nest(shown));
        let sources = Sources {
            default_file: DefaultFile::None,
            ..Sources::default()
        };
        let loaded = load_text(&text, Path::new("shown"), &sources).expect("settings");
        assert!(loaded.report.unknown.is_empty(), "{:?}", loaded.report);
        for (shown, read) in store.iter().zip(loaded.store.iter()) {
            assert_eq!(shown.value, read.value, "{}", shown.row.key);
        }
    }
}
