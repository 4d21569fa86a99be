//! One line, told apart by its first bytes.

use crate::error::ParseError;
use crate::event::Event;
use crate::metric::{self, Metric};
use crate::service_check::ServiceCheck;

/// What is read beside the plain grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether `T` fields are read (`dogstatsd_no_aggregation_pipeline`, default on). When off they
    /// are unknown fields.
    pub timestamps: bool,
    /// Whether `c:`, `e:` and `card:` fields are read (`dogstatsd_origin_detection_client`, default
    /// off). When off they are unknown fields.
    pub client_origin: bool,
}

/// A parsed line. Everything in it points into the packet.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Message<'a> {
    /// One or more samples of a metric.
    Metric(Metric<'a>),
    /// An event.
    Event(Event<'a>),
    /// The outcome of a service check.
    ServiceCheck(ServiceCheck<'a>),
}

/// What a line says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageKind {
    /// Anything that is not one of the others.
    Metric,
    /// Starts with `_e{`.
    Event,
    /// Starts with `_sc`, whatever follows: `_scale.x:1|c` is a broken service check.
    ServiceCheck,
}

/// Parses one line, without its newline.
///
/// Cost: one pass, no allocation. Errors: the first rule broken, in the Agent's order of checks.
#[inline]
pub fn parse(line: &[u8], options: Options) -> Result<Message<'_>, ParseError> {
    match MessageKind::of(line) {
        MessageKind::Metric => metric::parse(line, options),
        MessageKind::Event => Event::parse(line, options).map(Message::Event),
        MessageKind::ServiceCheck => ServiceCheck::parse(line, options).map(Message::ServiceCheck),
    }
}

// === impl Options ===

impl Default for Options {
    /// The Agent's defaults.
    fn default() -> Self {
        Self {
            timestamps: true,
            client_origin: false,
        }
    }
}

// === impl MessageKind ===

impl MessageKind {
    /// Looks at three bytes at most; the line may still be refused.
    #[inline]
    pub fn of(line: &[u8]) -> Self {
        if line.first() != Some(&b'_') {
            Self::Metric
        } else if line.starts_with(b"_e{") {
            Self::Event
        } else if line.starts_with(b"_sc") {
            Self::ServiceCheck
        } else {
            Self::Metric
        }
    }

    /// The word for people.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Metric => "metric",
            Self::Event => "event",
            Self::ServiceCheck => "service_check",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_decide() {
        for (line, kind) in [
            ("a:1|c", MessageKind::Metric),
            ("", MessageKind::Metric),
            ("_", MessageKind::Metric),
            ("_e", MessageKind::Metric),
            ("_e:1|c", MessageKind::Metric),
            ("_s.total:9|c", MessageKind::Metric),
            ("_e{", MessageKind::Event),
            ("_e{1,1}:a|b", MessageKind::Event),
            ("_sc", MessageKind::ServiceCheck),
            ("_scale.x:1|c", MessageKind::ServiceCheck),
        ] {
            assert_eq!(MessageKind::of(line.as_bytes()), kind, "{line}");
        }
    }
}
