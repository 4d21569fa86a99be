//! `greyhound.routing.*` as plain data: which output gets what, and with which tags.

use serde_json::{Map, Value as Json, json};

use crate::kind::read::{self, Mismatch};
use crate::node::{Body, Entry, Node};

/// Rules, policies and patterns of one list at most: what is asked for every new context stays short.
pub const ENTRIES_MAX: usize = 1000;

/// Names outputs have. Further destinations of Datadog's kind have a number behind.
pub const OUTPUTS: &[&str] = &[
    "prometheus",
    "print",
    "ndjson",
    "datadog",
    "remote_write",
    "otlp",
    "relay",
];

/// One rule: what it is about, and where that goes. What is left empty fits everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RouteRule {
    /// Patterns of metric names.
    pub names: Vec<String>,
    /// Patterns of tags, all of which must be there.
    pub tags: Vec<String>,
    /// Patterns of hosts.
    pub hosts: Vec<String>,
    /// Where it goes; empty = nowhere.
    pub outputs: Vec<String>,
}

/// Tags that outputs are not to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagPolicy {
    /// Whom it is for; never empty.
    pub outputs: Vec<String>,
    /// Patterns of metric names; empty = all.
    pub names: Vec<String>,
    /// Whether the tags named stay, or go.
    pub keep: bool,
    /// Patterns of tag keys, `host` for the host; never empty when they go.
    pub tags: Vec<String>,
    /// What becomes of gauges that meet.
    pub gauges: Gauges,
}

/// One gauge of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gauges {
    /// Their average.
    #[default]
    Avg,
    /// The largest.
    Max,
    /// The smallest.
    Min,
    /// Their sum.
    Sum,
}

/// Whether an output may have this name; `*` stands for any text.
pub fn is_output(name: &str) -> bool {
    let of_datadog = || {
        let number = name.strip_prefix("datadog-").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
    };
    name.contains('*') || OUTPUTS.contains(&name) || of_datadog()
}

/// Reads `greyhound.routing.rules`.
pub(crate) fn rules(node: &Node) -> Result<Vec<RouteRule>, Mismatch> {
    entries(node, "a list of at most 1000 routing rules", rule)
}

/// Reads `greyhound.routing.tag_policies`.
pub(crate) fn policies(node: &Node) -> Result<Vec<TagPolicy>, Mismatch> {
    entries(node, "a list of at most 1000 tag policies", policy)
}

fn entries<T>(
    node: &Node,
    expected: &str,
    read: fn(&Node) -> Result<T, Mismatch>,
) -> Result<Vec<T>, Mismatch> {
    let items = read::items(node, expected)?;
    if items.len() > ENTRIES_MAX {
        return Err(Mismatch {
            shown: format!("a list of {}", items.len()),
            ..Mismatch::at(node, expected)
        });
    }
    items.iter().map(read).collect()
}

fn rule(node: &Node) -> Result<RouteRule, Mismatch> {
    const EXPECTED: &str = "a rule with outputs, and any of name, tags, host";
    let mut rule = RouteRule::default();
    let mut has_outputs = false;
    for field in fields(node, EXPECTED)? {
        match field.key.as_str() {
            "name" => rule.names = patterns(field)?,
            "tags" => rule.tags = patterns(field)?,
            "host" => rule.hosts = patterns(field)?,
            "outputs" => {
                has_outputs = true;
                rule.outputs = outputs(field)?;
            }
            _ => return Err(Mismatch::unknown_field(field, EXPECTED)),
        }
    }
    // Sending nothing is a decision, forgetting to say where is none.
    if !has_outputs {
        return Err(Mismatch::at(node, EXPECTED));
    }
    Ok(rule)
}

fn policy(node: &Node) -> Result<TagPolicy, Mismatch> {
    const EXPECTED: &str =
        "a tag policy with outputs, drop or keep (not both), and any of name, gauges";
    const GAUGES: &str = "`gauges` avg, max, min or sum";
    let (mut outputs_named, mut names, mut gauges) = (Vec::new(), Vec::new(), Gauges::default());
    let mut tags = None;
    for field in fields(node, EXPECTED)? {
        match field.key.as_str() {
            "outputs" => outputs_named = outputs(field)?,
            "name" => names = patterns(field)?,
            word @ ("drop" | "keep") => {
                if tags.is_some() {
                    return Err(Mismatch::at(node, EXPECTED));
                }
                tags = Some((word == "keep", patterns(field)?));
            }
            "gauges" => {
                let word = read::scalar(&field.value, GAUGES)?;
                gauges =
                    Gauges::from_word(word).ok_or_else(|| Mismatch::at(&field.value, GAUGES))?;
            }
            _ => return Err(Mismatch::unknown_field(field, EXPECTED)),
        }
    }
    match tags {
        Some((keep, tags)) if !outputs_named.is_empty() && (keep || !tags.is_empty()) => {
            Ok(TagPolicy {
                outputs: outputs_named,
                names,
                keep,
                tags,
                gauges,
            })
        }
        _ => Err(Mismatch::at(node, EXPECTED)),
    }
}

fn fields<'n>(node: &'n Node, expected: &str) -> Result<&'n [Entry], Mismatch> {
    match &node.body {
        Body::Map(fields) => Ok(fields),
        _ => Err(Mismatch::at(node, expected)),
    }
}

fn patterns(field: &Entry) -> Result<Vec<String>, Mismatch> {
    let expected = format!("`{}`: one pattern or a list of at most 1000", field.key);
    let patterns = read::texts(&field.value, &expected)?;
    match patterns.len() <= ENTRIES_MAX {
        true => Ok(patterns),
        false => Err(Mismatch {
            shown: format!("a list of {}", patterns.len()),
            ..Mismatch::at(&field.value, &expected)
        }),
    }
}

/// Names of outputs. Those this program never has are typing mistakes; which ones run is known later.
fn outputs(field: &Entry) -> Result<Vec<String>, Mismatch> {
    let names = patterns(field)?;
    match names.iter().find(|name| !is_output(name)) {
        None => Ok(names),
        Some(wrong) => Err(Mismatch {
            shown: crate::node::shown_text(wrong),
            ..Mismatch::at(
                &field.value,
                &format!("outputs out of {}, datadog-2, …", OUTPUTS.join(", ")),
            )
        }),
    }
}

// === impl RouteRule ===

impl RouteRule {
    /// The form it has in a file.
    pub fn json(&self) -> Json {
        let mut fields = Map::new();
        let conditions = [
            ("name", &self.names),
            ("tags", &self.tags),
            ("host", &self.hosts),
        ];
        for (key, patterns) in conditions {
            if !patterns.is_empty() {
                fields.insert(key.to_owned(), json!(patterns));
            }
        }
        fields.insert("outputs".to_owned(), json!(self.outputs));
        Json::Object(fields)
    }
}

// === impl TagPolicy ===

impl TagPolicy {
    /// The form it has in a file.
    pub fn json(&self) -> Json {
        let word = if self.keep { "keep" } else { "drop" };
        json!({
            "outputs": self.outputs,
            "name": self.names,
            word: self.tags,
            "gauges": self.gauges.as_str(),
        })
    }
}

// === impl Gauges ===

impl Gauges {
    const ALL: [Self; 4] = [Self::Avg, Self::Max, Self::Min, Self::Sum];

    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Min => "min",
            Self::Sum => "sum",
        }
    }

    fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|gauges| gauges.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(json: Json) -> Node {
        Node::from_json(json)
    }

    #[test]
    fn rules_and_policies_survive_their_own_form() {
        let written = json!([
            { "name": "pay.*", "tags": ["env:prod"], "host": "web-*", "outputs": ["datadog-2"] },
            { "outputs": [] },
        ]);
        let read = rules(&node(written)).expect("rules");
        assert_eq!(read[0].names, ["pay.*"]);
        assert!(read[1].outputs.is_empty());
        let again: Vec<Json> = read.iter().map(RouteRule::json).collect();
        assert_eq!(rules(&node(again.into())).expect("rules"), read);

        let written = json!([{ "outputs": "*", "drop": ["host", "pod_*"], "gauges": "max" }]);
        let read = policies(&node(written)).expect("policies");
        assert_eq!((read[0].keep, read[0].gauges), (false, Gauges::Max));
        let again: Vec<Json> = read.iter().map(TagPolicy::json).collect();
        assert_eq!(policies(&node(again.into())).expect("policies"), read);
    }

    #[test]
    fn mistakes_are_told() {
        let wrong_rules = [
            json!([{ "name": "a" }]),
            json!([{ "outputs": ["datdog"] }]),
            json!([{ "outputs": ["datadog-x"] }]),
            json!([{ "outputs": ["datadog"], "tag": "a" }]),
            json!(["datadog"]),
            json!({ "outputs": ["datadog"] }),
        ];
        for wrong in wrong_rules {
            assert!(rules(&node(wrong.clone())).is_err(), "{wrong}");
        }
        let wrong_policies = [
            json!([{ "outputs": ["datadog"] }]),
            json!([{ "drop": ["host"] }]),
            json!([{ "outputs": ["datadog"], "drop": [] }]),
            json!([{ "outputs": ["datadog"], "drop": ["a"], "keep": ["b"] }]),
            json!([{ "outputs": ["datadog"], "drop": ["a"], "gauges": "last" }]),
        ];
        for wrong in wrong_policies {
            assert!(policies(&node(wrong.clone())).is_err(), "{wrong}");
        }
        let error = rules(&node(json!([{ "outputs": ["datdog"] }]))).expect_err("no output");
        assert!(error.shown.contains("datdog") && error.expected.contains("prometheus"));
    }
}
