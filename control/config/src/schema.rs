//! The JSON Schema of a settings file, for editors and for checks before a rollout.

use serde_json::{Map, Value as Json, json};

use crate::kind::schema;
use crate::table::{self, Applies, Row};

/// A schema in draft 2020-12 for the whole file. Keys of other programs pass; unknown keys under
/// `greyhound` do not.
pub fn json_schema() -> Json {
    let rows: Vec<(&str, &Row)> = table::table()
        .rows()
        .iter()
        .map(|row| (row.key, *row))
        .collect();
    let mut properties = properties(&rows);
    properties["greyhound"]["additionalProperties"] = json!(false);
    close_sections(&mut properties["greyhound"]);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Greyhound settings",
        "description": "A settings file of Greyhound, in the format of datadog.yaml.",
        "type": ["object", "null"],
        "properties": properties,
    })
}

/// Properties of rows under one prefix: `a.b` is both `b` in the object `a`, and `a.b` as it is.
fn properties(rows: &[(&str, &Row)]) -> Json {
    let mut properties = Map::new();
    let mut sections: Map<String, Json> = Map::new();
    for (name, row) in rows {
        properties.insert((*name).to_owned(), leaf(row));
        if let Some((section, _)) = name.split_once('.')
            && !sections.contains_key(section)
        {
            let inside: Vec<(&str, &Row)> = rows
                .iter()
                .filter_map(|(name, row)| {
                    Some((name.strip_prefix(section)?.strip_prefix('.')?, *row))
                })
                .collect();
            let object = json!({
                "type": ["object", "null"],
                "properties": self::properties(&inside),
            });
            sections.insert(section.to_owned(), object);
        }
    }
    properties.extend(sections);
    Json::Object(properties)
}

fn close_sections(object: &mut Json) {
    let Some(properties) = object["properties"].as_object_mut() else {
        return;
    };
    for (_, inner) in properties
        .iter_mut()
        .filter(|(_, inner)| inner.get("properties").is_some())
    {
        inner["additionalProperties"] = json!(false);
        close_sections(inner);
    }
}

fn leaf(row: &Row) -> Json {
    let mut schema = json!({"description": row.help});
    if let Json::Object(of_kind) = schema::of(&row.kind) {
        let fields = schema.as_object_mut().expect("made as an object above");
        fields.extend(of_kind);
        let default = table::table()
            .index(row.key)
            .map(|index| table::table().default(index));
        if let Some(default) = default.filter(|_| !row.is_secret()) {
            fields.insert("default".to_owned(), default.json());
        }
        if row.applies == Applies::NoEffect {
            fields.insert("$comment".to_owned(), json!("no effect in this version"));
        }
    }
    // An empty value is the same as none.
    json!({"anyOf": [schema, {"type": "null"}]})
}

#[cfg(test)]
mod tests;
