//! The JSON Schema of one kind: what a file may write for it.

use serde_json::{Value as Json, json};

use crate::kind::Kind;
use crate::routing::ENTRIES_MAX;

const WHOLE: &str =
    r"^\s*[+-]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|0|[1-9][0-9_]*)(\.0*)?\s*$";
const DECIMAL: &str = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$";
const DURATION: &str = r"^\s*\+?(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+\s*$";
const SIZE: &str = r"^\s*\+?[0-9][0-9_]*([kKmMgGtT]([iI]?[bB])?|[bB])?\s*$";
const ADDRESS: &str = r"^\s*(\[[0-9a-fA-F:.]+(%[^\]]+)?\]|[^\s:/\[\]]*):[0-9]{1,5}\s*$";

/// What a file may write for `kind`. What it refuses is refused or put aside when loading too; a few
/// wrong values pass it, such as `70000` in quotes for a port.
pub(crate) fn of(kind: &Kind) -> Json {
    match kind {
        Kind::Bool => json!({"anyOf": [
            {"type": "boolean"},
            {"type": "integer", "enum": [0, 1]},
            {"type": "string", "pattern": r"^\s*([Tt]([Rr][Uu][Ee])?|[Yy]([Ee][Ss])?|[Oo][Nn]|1|[Ff]([Aa][Ll][Ss][Ee])?|[Nn][Oo]?|[Oo][Ff][Ff]|0)\s*$"},
        ]}),
        Kind::Int { min, max } => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max},
            {"type": "string", "pattern": WHOLE},
            {"type": "string", "pattern": DECIMAL},
        ]}),
        Kind::Float { min, max } => number(*min, *max),
        Kind::Text | Kind::Path | Kind::Secret => scalar(),
        Kind::Address => json!({"anyOf": [
            {"type": "string", "pattern": ADDRESS},
            {"enum": ["", "off", false]},
        ]}),
        Kind::Word(words) => json!({"type": "string", "pattern": words_pattern(words)}),
        Kind::Port => json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 65_535},
            {"type": "string", "pattern": WHOLE},
            {"type": "string", "pattern": DECIMAL},
            {"const": crate::value::RANDOM_PORT},
        ]}),
        Kind::Duration { .. } => json!({"anyOf": [
            {"type": "number", "minimum": 0},
            {"type": "string", "pattern": DURATION},
            {"type": "string", "pattern": DECIMAL},
        ]}),
        Kind::Size { min, max } => json!({"anyOf": [
            {"type": "integer", "minimum": min, "maximum": max},
            {"type": "string", "pattern": SIZE},
        ]}),
        Kind::Mode => json!({"anyOf": [
            {"type": "integer", "minimum": 0, "maximum": 7777},
            {"type": "string", "pattern": r"^\s*(0o)?[0-7]{1,5}\s*$"},
        ]}),
        Kind::Texts | Kind::Paths => list(&scalar()),
        Kind::Addresses => list(&json!({"type": "string", "pattern": ADDRESS})),
        Kind::Words(words) => list(&json!({"type": "string", "pattern": words_pattern(words)})),
        Kind::Numbers { min, max } => list(&number(*min, *max)),
        Kind::Percentiles => list(&number(0.0, 1.0)),
        Kind::MapperProfiles => mapper_profiles(),
        Kind::TagFilters => json!({"type": ["array", "null"], "items": {
            "type": "object",
            "required": ["metric_name", "action"],
            "additionalProperties": false,
            "properties": {
                "metric_name": scalar(),
                "action": {"enum": ["include", "exclude"]},
                "tags": {"anyOf": [list(&scalar()), {"type": "null"}]},
            },
        }}),
        Kind::Endpoints => json!({"type": "object", "additionalProperties": list(&scalar())}),
        Kind::RouteRules => json!({"type": ["array", "null"], "maxItems": ENTRIES_MAX, "items": {
            "type": "object",
            "required": ["outputs"],
            "additionalProperties": false,
            "properties": {
                "name": patterns(),
                "tags": patterns(),
                "host": patterns(),
                "outputs": patterns(),
            },
        }}),
        Kind::TagPolicies => json!({"type": ["array", "null"], "maxItems": ENTRIES_MAX, "items": {
            "type": "object",
            "required": ["outputs"],
            "oneOf": [{"required": ["drop"]}, {"required": ["keep"]}],
            "additionalProperties": false,
            "properties": {
                "outputs": patterns(),
                "name": patterns(),
                "drop": patterns(),
                "keep": patterns(),
                "gauges": {"enum": ["avg", "max", "min", "sum"]},
            },
        }}),
    }
}

/// One pattern, or a list.
fn patterns() -> Json {
    json!({"anyOf": [list(&scalar()), {"type": "null"}]})
}

fn mapper_profiles() -> Json {
    let text = scalar();
    let mapping = json!({
        "type": "object",
        "required": ["match", "name"],
        "properties": {
            "match": &text,
            "match_type": {"enum": ["wildcard", "regex", "", null]},
            "name": &text,
            "tags": {"type": ["object", "null"], "additionalProperties": scalar()},
        },
    });
    json!({"type": ["array", "null"], "items": {
        "type": "object",
        "required": ["name", "prefix"],
        "properties": {
            "name": &text,
            "prefix": &text,
            "mappings": {"type": ["array", "null"], "items": mapping},
        },
    }})
}

/// Text, or a scalar that stands for its own spelling.
fn scalar() -> Json {
    json!({"type": ["string", "number", "boolean"]})
}

fn number(min: f64, max: f64) -> Json {
    let mut number = json!({"type": "number"});
    if min > f64::MIN {
        number["minimum"] = json!(min);
    }
    if max < f64::MAX {
        number["maximum"] = json!(max);
    }
    json!({"anyOf": [number, {"type": "string", "pattern": DECIMAL}]})
}

/// A list, or the texts in one scalar with blanks between.
fn list(item: &Json) -> Json {
    json!({"anyOf": [{"type": "array", "items": item}, scalar()]})
}

/// Any of the words, in any case.
fn words_pattern(words: &[&str]) -> String {
    let any_case = |word: &&str| -> String {
        word.chars()
            .map(|letter| match letter {
                'a'..='z' => format!("[{}{letter}]", letter.to_ascii_uppercase()),
                other => other.to_string(),
            })
            .collect()
    };
    let words: Vec<String> = words.iter().map(any_case).collect();
    format!(r"^\s*({})\s*$", words.join("|"))
}
