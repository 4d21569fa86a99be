//! `dogstatsd_mapper_profiles` as plain data: which names are rewritten, and how.
//!
//! Only the shape is checked here. Patterns are compiled by the engine, which also refuses those
//! that cannot be.

use serde_json::json;

use crate::kind::read::{self, Mismatch};
use crate::node::{Body, Entry, Node};

/// Rules for names that share a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapperProfile {
    /// What the operator calls it; never empty.
    pub name: String,
    /// Names that start so belong to the profile; `*` fits every name.
    pub prefix: String,
    /// Tried in order, the first match wins.
    pub mappings: Vec<Mapping>,
}

/// One rewriting rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The pattern, in the language of `match_type`.
    pub pattern: String,
    /// How to read the pattern.
    pub match_type: MatchType,
    /// The new name; may hold `$1`, `${1}`.
    pub name: String,
    /// Tags to add, key and template, in the order of the file.
    pub tags: Vec<(String, String)>,
}

/// The pattern languages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchType {
    /// `*` is a run of anything but dots.
    #[default]
    Wildcard,
    /// A regular expression.
    Regex,
}

/// Reads the list. The caller turns a mismatch into a warning and switches mapping off.
pub(crate) fn profiles(node: &Node) -> Result<Vec<MapperProfile>, Mismatch> {
    read::items(node, "a list of mapper profiles")?
        .iter()
        .map(profile)
        .collect()
}

fn profile(node: &Node) -> Result<MapperProfile, Mismatch> {
    let fields = fields(node, "a profile with name, prefix and mappings")?;
    let mappings = match fields.iter().find(|entry| entry.key == "mappings") {
        Some(entry) => read::items(&entry.value, "a list of mappings")?,
        None => &[],
    };
    Ok(MapperProfile {
        name: required(node, fields, "name", "a profile with a `name`")?,
        prefix: required(node, fields, "prefix", "a profile with a `prefix`")?,
        mappings: mappings.iter().map(mapping).collect::<Result<_, _>>()?,
    })
}

fn mapping(node: &Node) -> Result<Mapping, Mismatch> {
    let fields = fields(node, "a mapping with match, name and tags")?;
    let match_type = match fields.iter().find(|entry| entry.key == "match_type") {
        None => MatchType::default(),
        Some(entry) => match &entry.value.body {
            Body::Null => MatchType::default(),
            Body::Scalar(text) if text.is_empty() => MatchType::default(),
            Body::Scalar(text) if text == "wildcard" => MatchType::Wildcard,
            Body::Scalar(text) if text == "regex" => MatchType::Regex,
            _ => return Err(Mismatch::at(&entry.value, "`match_type` wildcard or regex")),
        },
    };
    let tags = match fields
        .iter()
        .find(|entry| entry.key == "tags")
        .map(|entry| &entry.value)
    {
        None => Vec::new(),
        Some(node) => match &node.body {
            Body::Null => Vec::new(),
            Body::Map(entries) => entries
                .iter()
                .map(|entry| {
                    Ok((
                        entry.key.clone(),
                        read::scalar(&entry.value, "text")?.clone(),
                    ))
                })
                .collect::<Result<_, Mismatch>>()?,
            _ => {
                return Err(Mismatch::at(
                    node,
                    "`tags` as a mapping of names to templates",
                ));
            }
        },
    };
    Ok(Mapping {
        pattern: required(node, fields, "match", "a mapping with a `match`")?,
        match_type,
        name: required(node, fields, "name", "a mapping with a `name`")?,
        tags,
    })
}

fn fields<'n>(node: &'n Node, expected: &str) -> Result<&'n [Entry], Mismatch> {
    match &node.body {
        Body::Map(entries) => Ok(entries),
        _ => Err(Mismatch::at(node, expected)),
    }
}

fn required(node: &Node, fields: &[Entry], key: &str, expected: &str) -> Result<String, Mismatch> {
    let entry = fields
        .iter()
        .find(|entry| entry.key == key)
        .ok_or_else(|| Mismatch::at(node, expected))?;
    match &entry.value.body {
        Body::Scalar(text) if !text.is_empty() => Ok(text.clone()),
        _ => Err(Mismatch::at(&entry.value, expected)),
    }
}

// === impl MapperProfile ===

impl MapperProfile {
    /// The form it has in a file.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "name": self.name,
            "prefix": self.prefix,
            "mappings": self.mappings.iter().map(Mapping::json).collect::<Vec<_>>(),
        })
    }
}

// === impl Mapping ===

impl Mapping {
    /// The form it has in a file.
    pub fn json(&self) -> serde_json::Value {
        let tags: serde_json::Map<_, _> = self
            .tags
            .iter()
            .map(|(key, value)| (key.clone(), json!(value)))
            .collect();
        json!({
            "match": self.pattern,
            "match_type": self.match_type.as_str(),
            "name": self.name,
            "tags": tags,
        })
    }
}

// === impl MatchType ===

impl MatchType {
    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Wildcard => "wildcard",
            Self::Regex => "regex",
        }
    }
}
