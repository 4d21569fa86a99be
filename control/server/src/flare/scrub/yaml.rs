//! Settings files without what nobody has called harmless, and trees as YAML text.

use std::fmt::Write;

use greyhound_config::secret::MASK;
use greyhound_config::{file, table};
use serde_json::Value;

/// The tree of a YAML text, scalars as written.
pub(super) fn parse(text: &str) -> Option<Value> {
    file::tree(text).filter(Value::is_object)
}

/// Masks what the table calls secret and every text it does not know: nobody could say what it holds.
pub(super) fn hide_unknown(tree: &mut Value) {
    walk(tree, "");
}

fn walk(value: &mut Value, path: &str) {
    let Value::Object(entries) = value else {
        hide(value);
        return;
    };
    for (key, value) in entries.iter_mut() {
        let key = key.to_ascii_lowercase();
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        match table::table().row(&path) {
            Some(row) if !row.is_secret() => {}
            // The rules by key leave the end of a key visible.
            Some(_) if value.is_string() => {}
            Some(_) => hide(value),
            None => walk(value, &path),
        }
    }
}

fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            let is_harmless =
                matches!(text.as_str(), "" | "true" | "false") || text.starts_with("ENC[");
            if !is_harmless {
                *value = MASK.into();
            }
        }
        Value::Number(_) => *value = MASK.into(),
        Value::Array(items) => items.iter_mut().for_each(hide),
        Value::Object(entries) => entries.iter_mut().for_each(|(_, value)| hide(value)),
        Value::Null | Value::Bool(_) => {}
    }
}

/// YAML in block style; texts that YAML would read as something else are quoted.
pub(super) fn write(tree: &Value) -> String {
    let mut out = String::new();
    match tree {
        Value::Object(entries) if !entries.is_empty() => map(&mut out, tree, 0),
        Value::Array(items) if !items.is_empty() => list(&mut out, tree, 0),
        scalar => writeln!(out, "{}", flow(scalar)).expect("a string takes everything"),
    }
    out
}

fn map(out: &mut String, tree: &Value, indent: usize) {
    for (key, value) in tree.as_object().into_iter().flatten() {
        write!(out, "{:indent$}{}:", "", text(key)).expect("a string takes everything");
        child(out, value, indent + 2);
    }
}

fn list(out: &mut String, tree: &Value, indent: usize) {
    for item in tree.as_array().into_iter().flatten() {
        write!(out, "{:indent$}-", "").expect("a string takes everything");
        child(out, item, indent + 2);
    }
}

/// Behind a colon or a dash.
fn child(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            out.push('\n');
            map(out, value, indent);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            list(out, value, indent);
        }
        scalar => writeln!(out, " {}", flow(scalar)).expect("a string takes everything"),
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(value) => text(value),
        other => other.to_string(),
    }
}

/// Plain where that is safe.
fn text(value: &str) -> String {
    let is_plain_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+');
    let is_plain = value.bytes().all(is_plain_byte)
        && value.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.'))
        && !matches!(value, "null" | "Null" | "NULL");
    if is_plain {
        value.to_owned()
    } else {
        Value::from(value).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_tree_is_written_as_yaml_that_reads_the_same() {
        let tree = json!({
            "a": { "b": ["x", { "c": "d e" }], "empty": {} },
            "path": "/etc/x",
            "odd": "- #: \"q\"",
            "none": null,
        });
        let text = write(&tree);
        assert!(text.starts_with("a:\n  b:\n    - x\n"), "{text}");
        let read = parse(&text).expect("YAML");
        assert_eq!(read["a"]["b"][1]["c"], "d e");
        assert_eq!(read["odd"], "- #: \"q\"");
        assert_eq!(read["path"], "/etc/x");
    }

    #[test]
    fn what_the_table_does_not_know_is_hidden() {
        let mut tree = parse(
            "dogstatsd_port: 8125\nmy_thing: canary\napm_config:\n  enabled: true\n  receiver: 17\n\
             other: [a, b]\nsite: datadoghq.eu\n",
        )
        .expect("YAML");
        hide_unknown(&mut tree);
        assert_eq!(
            tree,
            json!({
                "dogstatsd_port": "8125",
                "my_thing": "********",
                "apm_config": { "enabled": "true", "receiver": "********" },
                "other": ["********", "********"],
                "site": "datadoghq.eu",
            })
        );
    }
}
