//! The type of a setting: which values it takes, how they are written, what an error says.

pub(crate) mod read;
pub(crate) mod schema;

use crate::value::duration::Bare;
use crate::value::{Value, duration, size};

/// The longest span of a setting in seconds: 136 years, so that it fits 32 bits.
const SECONDS_MAX: u64 = u32::MAX as u64;

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Yes or no.
    Bool,
    /// A whole number from `min` to `max`.
    Int {
        /// Smallest accepted.
        min: i64,
        /// Largest accepted.
        max: i64,
    },
    /// A number from `min` to `max`.
    Float {
        /// Smallest accepted.
        min: f64,
        /// Largest accepted.
        max: f64,
    },
    /// Any text.
    Text,
    /// A credential.
    Secret,
    /// A file; empty = none.
    Path,
    /// `host:port`; empty or `off` = none.
    Address,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A UDP or TCP port, or `__random__`.
    Port,
    /// A span of time; whole seconds where `bare` is seconds.
    Duration {
        /// What a number without unit counts.
        bare: Bare,
        /// Smallest accepted, in seconds.
        min_seconds: u64,
    },
    /// Bytes, from `min` to `max`.
    Size {
        /// Smallest accepted.
        min: u64,
        /// Largest accepted.
        max: u64,
    },
    /// A file mode in octal.
    Mode,
    /// Texts.
    Texts,
    /// Files.
    Paths,
    /// `host:port`s.
    Addresses,
    /// Some of these words; others are put aside, as the Agent does.
    Words(&'static [&'static str]),
    /// Numbers from `min` to `max`.
    Numbers {
        /// Smallest accepted.
        min: f64,
        /// Largest accepted.
        max: f64,
    },
    /// Numbers from 0 to 1; others are put aside, as the Agent does.
    Percentiles,
    /// `dogstatsd_mapper_profiles`; all are put aside when one has a wrong shape.
    MapperProfiles,
    /// `metric_tag_filterlist`.
    TagFilters,
    /// URLs with the credentials used there.
    Endpoints,
    /// `greyhound.routing.rules`.
    RouteRules,
    /// `greyhound.routing.tag_policies`.
    TagPolicies,
}

// === impl Kind ===

impl Kind {
    /// A whole number that may not be negative.
    pub const COUNT: Self = Self::Int {
        min: 0,
        max: i64::MAX,
    };
    /// A share of a whole.
    pub const SHARE: Self = Self::Float { min: 0.0, max: 1.0 };
    /// A number that may not be negative.
    pub const POSITIVE: Self = Self::Float {
        min: 0.0,
        max: f64::MAX,
    };
    /// Seconds, where a number says just that.
    pub const SECONDS: Self = Self::Duration {
        bare: Bare::Seconds,
        min_seconds: 0,
    };
    /// A span in the Agent's notation.
    pub const SPAN: Self = Self::Duration {
        bare: Bare::Nanoseconds,
        min_seconds: 0,
    };
    /// Any number of bytes.
    pub const BYTES: Self = Self::Size {
        min: 0,
        max: i64::MAX.unsigned_abs(),
    };

    /// What the reference page and error messages call it.
    pub fn describe(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Int { min: i64::MIN, .. } => "a whole number".to_owned(),
            Self::Int { min, max } => range("a whole number", *min, *max, i64::MAX),
            Self::Float { min, max } => range("a number", *min, *max, f64::MAX),
            Self::Text => "text".to_owned(),
            Self::Secret => "a secret text".to_owned(),
            Self::Path => "a path".to_owned(),
            Self::Address => "host:port, or off".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Port => "a port from 0 to 65535, or __random__".to_owned(),
            Self::Duration { bare, min_seconds } => {
                let least = match min_seconds {
                    0 => String::new(),
                    seconds => format!(" of at least {seconds}s"),
                };
                let example = match bare {
                    Bare::Seconds => "1m30s",
                    Bare::Microseconds => "200us",
                    Bare::Nanoseconds => "100ms",
                };
                let noun = if *bare == Bare::Seconds {
                    "whole seconds"
                } else {
                    bare.as_str()
                };
                format!("a duration{least} such as {example}, or a number of {noun}")
            }
            Self::Size { min, max } => {
                let mut text = "a size such as 65536 or 16MiB".to_owned();
                if *min > 0 {
                    text.push_str(&format!(", at least {}", size::format(*min)));
                }
                if *max < i64::MAX.unsigned_abs() {
                    text.push_str(&format!(", at most {}", size::format(*max)));
                }
                text
            }
            Self::Mode => "a file mode in octal such as 0722".to_owned(),
            Self::Texts => "a list of texts".to_owned(),
            Self::Paths => "a list of paths".to_owned(),
            Self::Addresses => "a list of host:port".to_owned(),
            Self::Words(words) => format!("a list of {}", words.join(", ")),
            Self::Numbers { min: f64::MIN, .. } => "a list of numbers".to_owned(),
            Self::Numbers { min, max } => range("a list of numbers", *min, *max, f64::MAX),
            Self::Percentiles => "a list of numbers from 0 to 1".to_owned(),
            Self::MapperProfiles => {
                "a list of mapper profiles (JSON in the environment)".to_owned()
            }
            Self::TagFilters => "a list of tag filters (JSON in the environment)".to_owned(),
            Self::Endpoints => {
                "a mapping of URLs to lists of keys (JSON in the environment)".to_owned()
            }
            Self::RouteRules => "a list of routing rules (JSON in the environment)".to_owned(),
            Self::TagPolicies => "a list of tag policies (JSON in the environment)".to_owned(),
        }
    }

    /// Whether values of this kind must not be shown.
    pub const fn is_secret(&self) -> bool {
        matches!(self, Self::Secret | Self::Endpoints)
    }

    /// Whether the environment gives this kind as JSON.
    pub(crate) const fn is_structured(&self) -> bool {
        matches!(
            self,
            Self::MapperProfiles
                | Self::TagFilters
                | Self::Endpoints
                | Self::RouteRules
                | Self::TagPolicies
        )
    }

    /// Whether an empty text is a value of its own and not a missing one.
    pub(crate) const fn takes_empty(&self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::Path
                | Self::Address
                | Self::Texts
                | Self::Paths
                | Self::Addresses
                | Self::Words(_)
                | Self::Numbers { .. }
                | Self::Percentiles
        )
    }

    /// Whether a value that did not come through [`read::value`] is one of this kind.
    pub fn accepts(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Int { min, max }, Value::Int(number)) => (min..=max).contains(&number),
            (Self::Float { min, max }, Value::Float(number)) => (min..=max).contains(&number),
            (Self::Numbers { min, max }, Value::Numbers(numbers)) => {
                numbers.iter().all(|number| (min..=max).contains(&number))
            }
            (Self::Percentiles, Value::Numbers(numbers)) => {
                numbers.iter().all(|number| (0.0..=1.0).contains(number))
            }
            (Self::Duration { bare, min_seconds }, Value::Duration(span)) => {
                let fits = match bare {
                    Bare::Seconds => span.subsec_nanos() == 0 && span.as_secs() <= SECONDS_MAX,
                    _ => duration::is_representable(*span),
                };
                fits && span.as_secs() >= *min_seconds
            }
            (Self::Size { min, max }, Value::Size(bytes)) => (min..=max).contains(&bytes),
            (Self::Word(words), Value::Text(word)) => words.contains(&word.as_str()),
            (Self::Words(words), Value::List(items)) => {
                items.iter().all(|item| words.contains(&item.as_str()))
            }
            (Self::Address, Value::Text(text)) => text.is_empty() || read::is_address(text),
            (Self::Addresses, Value::List(items)) => {
                items.iter().all(|item| read::is_address(item))
            }
            (Self::Mode, Value::Mode(mode)) => *mode <= 0o7777,
            (Self::Bool, Value::Bool(_))
            | (Self::Text | Self::Path, Value::Text(_))
            | (Self::Secret, Value::Secret(_))
            | (Self::Port, Value::Port(_))
            | (Self::Texts | Self::Paths, Value::List(_))
            | (Self::MapperProfiles, Value::MapperProfiles(_))
            | (Self::TagFilters, Value::TagFilters(_))
            | (Self::Endpoints, Value::Endpoints(_))
            | (Self::RouteRules, Value::RouteRules(_))
            | (Self::TagPolicies, Value::TagPolicies(_)) => true,
            _ => false,
        }
    }
}

fn range<N: PartialEq + std::fmt::Display>(noun: &str, min: N, max: N, open: N) -> String {
    if max == open {
        format!("{noun}, at least {min}")
    } else {
        format!("{noun} from {min} to {max}")
    }
}
