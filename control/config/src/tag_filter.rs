//! `metric_tag_filterlist` as plain data: which tags of which metrics stay.

use serde_json::json;

use crate::kind::read::{self, Mismatch};
use crate::node::{Body, Node};

/// Tags to keep or to drop, for one metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TagFilterRule {
    /// The metric it is about; never empty.
    pub metric_name: String,
    /// What happens to the tags named below.
    pub action: TagFilterAction,
    /// Tag keys.
    pub tags: Vec<String>,
}

/// Keep or drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagFilterAction {
    /// Only the tags named stay.
    Include,
    /// The tags named go.
    Exclude,
}

/// Reads the list.
pub(crate) fn rules(node: &Node) -> Result<Vec<TagFilterRule>, Mismatch> {
    read::items(node, "a list of tag filters")?
        .iter()
        .map(rule)
        .collect()
}

fn rule(node: &Node) -> Result<TagFilterRule, Mismatch> {
    const EXPECTED: &str = "a filter with metric_name, action (include or exclude) and tags";
    let Body::Map(fields) = &node.body else {
        return Err(Mismatch::at(node, EXPECTED));
    };
    let mut metric_name = None;
    let mut action = None;
    let mut tags = Vec::new();
    for field in fields {
        match field.key.as_str() {
            "metric_name" => metric_name = Some(read::scalar(&field.value, EXPECTED)?.clone()),
            "action" => {
                action = Some(match read::scalar(&field.value, EXPECTED)?.as_str() {
                    "include" => TagFilterAction::Include,
                    "exclude" => TagFilterAction::Exclude,
                    _ => return Err(Mismatch::at(&field.value, "`action` include or exclude")),
                });
            }
            "tags" => tags = read::texts(&field.value, "a list of tag names")?,
            _ => return Err(Mismatch::unknown_field(field, EXPECTED)),
        }
    }
    match (metric_name.filter(|name| !name.is_empty()), action) {
        (Some(metric_name), Some(action)) => Ok(TagFilterRule {
            metric_name,
            action,
            tags,
        }),
        _ => Err(Mismatch::at(node, EXPECTED)),
    }
}

// === impl TagFilterRule ===

impl TagFilterRule {
    /// The form it has in a file.
    pub fn json(&self) -> serde_json::Value {
        json!({
            "metric_name": self.metric_name,
            "action": self.action.as_str(),
            "tags": self.tags,
        })
    }
}

// === impl TagFilterAction ===

impl TagFilterAction {
    /// The word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Include => "include",
            Self::Exclude => "exclude",
        }
    }
}
