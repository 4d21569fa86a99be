//! Why a message was refused, and at which byte.
//!
//! A refused message is data, not a failure: the error is two words, owns nothing and is only put
//! into sentences when somebody asks.

use std::fmt;

use crate::message::MessageKind;

/// Why one message was refused. One per bad message, so it owns nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// What rule it broke.
    pub kind: ParseErrorKind,
    /// The byte of the message that broke it, counted from 0. Equal to the length of the message
    /// when something is missing at its end.
    pub offset: u32,
}

/// The rules a message can break. A message is checked in a fixed order and the first broken rule
/// decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum ParseErrorKind {
    /// A metric holds at least one pipe.
    MetricFormat,
    /// Before the first pipe stand a name, a colon and a value, none of them empty.
    MetricNameValue,
    /// The type is one of the six symbols, exactly.
    MetricType,
    /// Every value is a number, and there is at least one.
    MetricValue,
    /// Every `@` field is a number.
    MetricSampleRate,
    /// Every `T` field is a whole number of seconds, at least 1.
    MetricTimestamp,
    /// An event holds a colon.
    EventFormat,
    /// The header of an event holds two lengths.
    EventHeader,
    /// The title of an event is not empty.
    EventEmptyTitle,
    /// The title and text of an event are as long as its header says.
    EventLength,
    /// A service check holds at least two pipes.
    ServiceCheckFormat,
    /// The name of a service check is not empty.
    ServiceCheckName,
    /// The status of a service check is `0`, `1`, `2` or `3`, exactly.
    ServiceCheckStatus,
}

// === impl ParseError ===

impl ParseError {
    /// Cold, so that the way through a good message stays straight.
    #[cold]
    pub(crate) fn new(kind: ParseErrorKind, offset: usize) -> Self {
        Self {
            kind,
            offset: u32::try_from(offset).unwrap_or(u32::MAX),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.kind.explanation(), self.offset)
    }
}

impl std::error::Error for ParseError {}

// === impl ParseErrorKind ===

impl ParseErrorKind {
    /// All rules, in the order of their numbers.
    pub const ALL: [Self; 13] = [
        Self::MetricFormat,
        Self::MetricNameValue,
        Self::MetricType,
        Self::MetricValue,
        Self::MetricSampleRate,
        Self::MetricTimestamp,
        Self::EventFormat,
        Self::EventHeader,
        Self::EventEmptyTitle,
        Self::EventLength,
        Self::ServiceCheckFormat,
        Self::ServiceCheckName,
        Self::ServiceCheckStatus,
    ];

    /// The name of the class in counters and vectors.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MetricFormat => "metric_format",
            Self::MetricNameValue => "metric_name_value",
            Self::MetricType => "metric_type",
            Self::MetricValue => "metric_value",
            Self::MetricSampleRate => "metric_sample_rate",
            Self::MetricTimestamp => "metric_timestamp",
            Self::EventFormat => "event_format",
            Self::EventHeader => "event_header",
            Self::EventEmptyTitle => "event_empty_title",
            Self::EventLength => "event_length",
            Self::ServiceCheckFormat => "service_check_format",
            Self::ServiceCheckName => "service_check_name",
            Self::ServiceCheckStatus => "service_check_status",
        }
    }

    /// One sentence for the person who sent the message.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::MetricFormat => "a metric needs a `|` between its value and its type",
            Self::MetricNameValue => "a metric starts with `name:value`, both not empty",
            Self::MetricType => "the metric type is exactly one of g, c, h, ms, d, s",
            Self::MetricValue => "the value is not a number that fits a double",
            Self::MetricSampleRate => "the sample rate after `@` is not a number",
            Self::MetricTimestamp => "the timestamp after `T` is not a whole second of at least 1",
            Self::EventFormat => "an event needs a `:` after its header",
            Self::EventHeader => "an event starts with `_e{<title bytes>,<text bytes>}`",
            Self::EventEmptyTitle => "the title of an event must not be empty",
            Self::EventLength => "the event ends before the lengths in its header are reached",
            Self::ServiceCheckFormat => "a service check is `_sc|<name>|<status>`",
            Self::ServiceCheckName => "the name of a service check must not be empty",
            Self::ServiceCheckStatus => "the status of a service check is exactly 0, 1, 2 or 3",
        }
    }

    /// The kind of message this rule is about.
    pub const fn message_kind(self) -> MessageKind {
        match self {
            Self::MetricFormat
            | Self::MetricNameValue
            | Self::MetricType
            | Self::MetricValue
            | Self::MetricSampleRate
            | Self::MetricTimestamp => MessageKind::Metric,
            Self::EventFormat | Self::EventHeader | Self::EventEmptyTitle | Self::EventLength => {
                MessageKind::Event
            }
            Self::ServiceCheckFormat | Self::ServiceCheckName | Self::ServiceCheckStatus => {
                MessageKind::ServiceCheck
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_rules_agree() {
        for (index, kind) in ParseErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, index);
        }
    }

    #[test]
    fn the_name_of_a_rule_starts_with_its_kind_of_message() {
        for kind in ParseErrorKind::ALL {
            assert!(
                kind.as_str().starts_with(kind.message_kind().as_str()),
                "{kind:?}"
            );
        }
    }
}
