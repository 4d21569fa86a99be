//! From a node to a value of a kind, or to the sentence that says what was expected.

use crate::kind::Kind;
use crate::node::{Body, Entry, Mark, Node};
use crate::secret::Secret;
use crate::value::{Port, RANDOM_PORT, Value, duration, number, size};
use crate::{mapper, routing, tag_filter};

/// A value that is not what its kind asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// Where the offending part stands.
    pub(crate) at: Mark,
    /// The offending part as messages show it.
    pub(crate) shown: String,
    /// What should have stood there.
    pub(crate) expected: String,
}

/// A part of a value that the Agent goes on without, and so do we.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aside {
    pub(crate) mismatch: Mismatch,
    /// What going on without it means.
    pub(crate) effect: &'static str,
}

/// Reads a value of `kind`. What the Agent goes on without is left out and added to `asides`.
pub(crate) fn value(kind: &Kind, node: &Node, asides: &mut Vec<Aside>) -> Result<Value, Mismatch> {
    let refuse = || Mismatch::at(node, &kind.describe());
    let text = || scalar(node, &kind.describe());
    let value = match kind {
        Kind::Bool => Value::Bool(number::boolean(text()?).ok_or_else(refuse)?),
        Kind::Int { .. } => Value::Int(number::int(text()?).ok_or_else(refuse)?),
        Kind::Float { .. } => Value::Float(number::float(text()?).ok_or_else(refuse)?),
        Kind::Text | Kind::Path => Value::Text(text()?.clone()),
        Kind::Secret => Value::Secret(Secret::new(text()?.trim())),
        Kind::Address => {
            let address = text()?.trim();
            let is_off = number::boolean(address) == Some(false);
            Value::Text(if is_off {
                String::new()
            } else {
                address.to_owned()
            })
        }
        Kind::Word(words) => {
            let text = text()?.trim();
            let word = words.iter().find(|word| word.eq_ignore_ascii_case(text));
            Value::Text((*word.ok_or_else(refuse)?).to_owned())
        }
        Kind::Port => match text()?.trim() {
            RANDOM_PORT => Value::Port(Port::Random),
            digits => {
                let port = number::int(digits).and_then(|port| u16::try_from(port).ok());
                Value::Port(Port::Number(port.ok_or_else(refuse)?))
            }
        },
        Kind::Duration { bare, .. } => {
            Value::Duration(duration::parse(text()?, *bare).ok_or_else(refuse)?)
        }
        Kind::Size { .. } => Value::Size(size::parse(text()?).ok_or_else(refuse)?),
        Kind::Mode => {
            let text = text()?.trim();
            let digits = text.strip_prefix("0o").unwrap_or(text);
            let is_octal = (1..=5).contains(&digits.len())
                && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            let mode = u32::from_str_radix(digits, 8).ok().filter(|_| is_octal);
            Value::Mode(mode.ok_or_else(refuse)?)
        }
        Kind::Texts | Kind::Paths | Kind::Addresses => Value::List(texts(node, &kind.describe())?),
        Kind::Words(words) => {
            let mut taken = Vec::new();
            for item in texts(node, &kind.describe())? {
                match words.iter().find(|word| word.eq_ignore_ascii_case(&item)) {
                    Some(word) => taken.push((*word).to_owned()),
                    None => asides.push(Aside::skipped(node.at, &item, kind)),
                }
            }
            Value::List(taken)
        }
        Kind::Percentiles => {
            let mut taken = Vec::new();
            for item in texts(node, &kind.describe())? {
                match number::float(&item).filter(|share| (0.0..=1.0).contains(share)) {
                    Some(share) => taken.push(share),
                    None => asides.push(Aside::skipped(node.at, &item, kind)),
                }
            }
            Value::Numbers(taken)
        }
        Kind::Numbers { .. } => {
            let items = texts(node, &kind.describe())?;
            let numbers = items.iter().map(|item| {
                number::float(item).ok_or_else(|| Mismatch::text(node.at, item, &kind.describe()))
            });
            Value::Numbers(numbers.collect::<Result<_, _>>()?)
        }
        Kind::MapperProfiles => Value::MapperProfiles(match mapper::profiles(node) {
            Ok(profiles) => profiles,
            Err(mismatch) => {
                asides.push(Aside {
                    mismatch,
                    effect: "mapping is off",
                });
                Vec::new()
            }
        }),
        Kind::TagFilters => Value::TagFilters(tag_filter::rules(node)?),
        Kind::Endpoints => Value::Endpoints(endpoints(node)?),
        Kind::RouteRules => Value::RouteRules(routing::rules(node)?),
        Kind::TagPolicies => Value::TagPolicies(routing::policies(node)?),
    };
    if kind.accepts(&value) {
        Ok(value)
    } else {
        Err(refuse())
    }
}

/// The text of a scalar.
pub(crate) fn scalar<'n>(node: &'n Node, expected: &str) -> Result<&'n String, Mismatch> {
    match &node.body {
        Body::Scalar(text) => Ok(text),
        _ => Err(Mismatch::at(node, expected)),
    }
}

/// The items of a list; nothing is an empty one.
pub(crate) fn items<'n>(node: &'n Node, expected: &str) -> Result<&'n [Node], Mismatch> {
    match &node.body {
        Body::List(items) => Ok(items),
        Body::Null => Ok(&[]),
        _ => Err(Mismatch::at(node, expected)),
    }
}

/// A list of texts: a YAML list, a JSON list in a text, or one text split at white space.
pub(crate) fn texts(node: &Node, expected: &str) -> Result<Vec<String>, Mismatch> {
    if let Body::Scalar(text) = &node.body {
        let json = text
            .trim()
            .starts_with('[')
            .then(|| serde_json::from_str(text).ok())
            .flatten();
        return match json {
            Some(json) => texts(&Node::from_json(json), expected),
            None => Ok(text.split_whitespace().map(str::to_owned).collect()),
        };
    }
    items(node, expected)?
        .iter()
        .map(|item| scalar(item, expected).cloned())
        .collect()
}

/// `host:port`, with brackets around an IPv6 host. The host may be empty or a name.
pub(crate) fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => {
            let host = rest
                .strip_suffix(']')
                .map(|host| host.split('%').next().unwrap_or(host));
            host.is_some_and(|host| host.parse::<std::net::Ipv6Addr>().is_ok())
        }
        None => !host.contains([':', '/', ']']) && !host.contains(char::is_whitespace),
    };
    let port_fits = !port.is_empty()
        && port.bytes().all(|digit| digit.is_ascii_digit())
        && port.parse::<u16>().is_ok();
    host_fits && port_fits
}

fn endpoints(node: &Node) -> Result<Vec<(String, Vec<Secret>)>, Mismatch> {
    const EXPECTED: &str = "a mapping of URLs to lists of keys";
    let Body::Map(entries) = &node.body else {
        return Err(Mismatch {
            shown: "a value".to_owned(),
            ..Mismatch::at(node, EXPECTED)
        });
    };
    let keys = |entry: &Entry| -> Result<(String, Vec<Secret>), Mismatch> {
        let keys = texts(&entry.value, EXPECTED)?;
        Ok((
            entry.key.clone(),
            keys.into_iter().map(Secret::new).collect(),
        ))
    };
    entries.iter().map(keys).collect()
}

// === impl Mismatch ===

impl Mismatch {
    /// The whole of `node` is wrong.
    pub(crate) fn at(node: &Node, expected: &str) -> Self {
        Self {
            at: node.at,
            shown: node.shown(),
            expected: expected.to_owned(),
        }
    }

    /// A part of a value is wrong that has no place of its own.
    fn text(at: Mark, text: &str, expected: &str) -> Self {
        Self {
            at,
            shown: crate::node::shown_text(text),
            expected: expected.to_owned(),
        }
    }

    /// A field that does not exist.
    pub(crate) fn unknown_field(field: &Entry, expected: &str) -> Self {
        Self {
            at: field.at,
            shown: format!("the field {}", crate::node::shown_text(&field.key)),
            expected: expected.to_owned(),
        }
    }
}

// === impl Aside ===

impl Aside {
    fn skipped(at: Mark, item: &str, kind: &Kind) -> Self {
        let mismatch = Mismatch::text(at, item, &kind.describe());
        Self {
            mismatch,
            effect: "an item is skipped",
        }
    }
}
