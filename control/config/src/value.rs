//! A setting's value once its type is known, and its two written forms.
//!
//! [`Value::text`] is what `greyhound config` prints; read back through the same [`Kind`] it gives
//! the same value. [`Value::json`] is for schemas and machine-readable listings. Neither shows a
//! secret.
//!
//! [`Kind`]: crate::kind::Kind

pub mod duration;
pub mod number;
pub mod size;

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::json;

use crate::kind::Kind;
use crate::mapper::MapperProfile;
use crate::routing::{RouteRule, TagPolicy};
use crate::secret::{MASK, Secret};
use crate::tag_filter::TagFilterRule;

/// The word for "any free port".
pub const RANDOM_PORT: &str = "__random__";

/// A typed value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Yes or no.
    Bool(bool),
    /// A whole number, a size in bytes, or a file mode.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text, a word, a path or an address.
    Text(String),
    /// A credential.
    Secret(Secret),
    /// A UDP or TCP port.
    Port(Port),
    /// A span of time.
    Duration(Duration),
    /// Bytes.
    Size(u64),
    /// A file mode.
    Mode(u32),
    /// Texts in order.
    List(Vec<String>),
    /// Numbers in order.
    Numbers(Vec<f64>),
    /// `dogstatsd_mapper_profiles`.
    MapperProfiles(Vec<MapperProfile>),
    /// `metric_tag_filterlist`.
    TagFilters(Vec<TagFilterRule>),
    /// Addresses and the credentials used there.
    Endpoints(Vec<(String, Vec<Secret>)>),
    /// `greyhound.routing.rules`.
    RouteRules(Vec<RouteRule>),
    /// `greyhound.routing.tag_policies`.
    TagPolicies(Vec<TagPolicy>),
}

/// A port, or any that is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// This one; 0 switches the listener off.
    Number(u16),
    /// One the kernel picks.
    Random,
}

// === impl Value ===

impl Value {
    /// The value as it would be written in the environment; secrets are masked.
    pub fn text(&self) -> String {
        match self {
            Self::Bool(flag) => flag.to_string(),
            Self::Int(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.clone(),
            Self::Secret(secret) if secret.is_empty() => String::new(),
            Self::Secret(_) => MASK.to_owned(),
            Self::Port(Port::Number(number)) => number.to_string(),
            Self::Port(Port::Random) => RANDOM_PORT.to_owned(),
            Self::Duration(span) => duration::format(*span),
            Self::Size(bytes) => size::format(*bytes),
            Self::Mode(mode) => format!("{mode:04o}"),
            Self::List(items) => list_text(items),
            Self::Numbers(numbers) => {
                let mut out = String::new();
                for (index, number) in numbers.iter().enumerate() {
                    let gap = if index == 0 { "" } else { " " };
                    write!(out, "{gap}{number}").expect("writing to a string cannot fail");
                }
                out
            }
            Self::MapperProfiles(_)
            | Self::TagFilters(_)
            | Self::Endpoints(_)
            | Self::RouteRules(_)
            | Self::TagPolicies(_) => self.json().to_string(),
        }
    }

    /// The value as JSON; secrets are masked, times and sizes keep their units.
    pub fn json(&self) -> serde_json::Value {
        match self {
            Self::Bool(flag) => json!(flag),
            Self::Int(number) => json!(number),
            Self::Float(number) => json!(number),
            Self::Port(Port::Number(number)) => json!(number),
            Self::List(items) => json!(items),
            Self::Numbers(numbers) => json!(numbers),
            Self::MapperProfiles(profiles) => profiles
                .iter()
                .map(MapperProfile::json)
                .collect::<Vec<_>>()
                .into(),
            Self::RouteRules(rules) => rules.iter().map(RouteRule::json).collect::<Vec<_>>().into(),
            Self::TagPolicies(policies) => policies
                .iter()
                .map(TagPolicy::json)
                .collect::<Vec<_>>()
                .into(),
            Self::TagFilters(rules) => rules
                .iter()
                .map(TagFilterRule::json)
                .collect::<Vec<_>>()
                .into(),
            Self::Endpoints(endpoints) => serde_json::Value::Object(
                endpoints
                    .iter()
                    .map(|(url, keys)| (url.clone(), keys.iter().map(|_| MASK).collect()))
                    .collect(),
            ),
            Self::Size(bytes) if size::format(*bytes).parse::<u64>().is_ok() => json!(bytes),
            Self::Text(_)
            | Self::Secret(_)
            | Self::Port(Port::Random)
            | Self::Duration(_)
            | Self::Size(_)
            | Self::Mode(_) => json!(self.text()),
        }
    }

    /// The value as the Agent's settings stream carries it: a span of time as the number its setting
    /// counts in, sizes in bytes, and credentials in clear.
    pub fn revealed_json(&self, kind: &Kind) -> serde_json::Value {
        match (self, kind) {
            (Self::Secret(secret), _) => json!(secret.reveal()),
            (Self::Endpoints(endpoints), _) => {
                let keys = |keys: &[Secret]| {
                    keys.iter()
                        .map(|key| json!(key.reveal()))
                        .collect::<Vec<_>>()
                };
                let entries = endpoints
                    .iter()
                    .map(|(url, secrets)| (url.clone(), keys(secrets).into()));
                serde_json::Value::Object(entries.collect())
            }
            (Self::Duration(span), Kind::Duration { bare, .. }) => json!(bare.count(*span)),
            (Self::Size(bytes), _) => json!(bytes),
            _ => self.json(),
        }
    }
}

/// Items with blanks between, or JSON where an item could not be told apart that way.
fn list_text(items: &[String]) -> String {
    let is_plain = |item: &String| {
        !item.is_empty() && !item.starts_with('[') && !item.contains(char::is_whitespace)
    };
    if items.iter().all(is_plain) {
        items.join(" ")
    } else {
        json!(items).to_string()
    }
}

#[cfg(test)]
mod tests;
