//! A message as one line of text, so that tests are data.

use greyhound_wire::tags::Tags;
use greyhound_wire::{Message, Options, OriginFields, ParseError, Values, parse};

/// Everything a message can say; what is at its default is left out.
#[derive(Default)]
pub(crate) struct Telling(String);

// === impl Telling ===

impl Telling {
    pub(crate) fn start(kind: &str, name: &[u8]) -> Self {
        Self(format!("{kind} {}", name.escape_ascii()))
    }

    pub(crate) fn text(mut self, key: &str, text: &[u8]) -> Self {
        if !text.is_empty() {
            self.0 += &format!(" {key}={}", text.escape_ascii());
        }
        self
    }

    pub(crate) fn values(mut self, values: &[f64]) -> Self {
        self.0 += &format!(" values={values:?}");
        self
    }

    pub(crate) fn rate(mut self, rate: f64) -> Self {
        if rate != 1.0 {
            self.0 += &format!(" rate={rate:?}");
        }
        self
    }

    /// `None` = no tags.
    pub(crate) fn tags(mut self, tags: Option<&[&[u8]]>) -> Self {
        if let Some(tags) = tags {
            let tags: Vec<_> = tags
                .iter()
                .map(|tag| tag.escape_ascii().to_string())
                .collect();
            self.0 += &format!(" tags=[{}]", tags.join(" "));
        }
        self
    }

    pub(crate) fn time(mut self, seconds: Option<i64>) -> Self {
        if let Some(seconds) = seconds {
            self.0 += &format!(" time={seconds}");
        }
        self
    }

    pub(crate) fn end(self) -> String {
        self.0
    }

    fn tags_of(self, tags: Tags<'_>) -> Self {
        let split: Vec<_> = tags.iter().collect();
        self.tags(tags.raw().map(|_| &split[..]))
    }

    fn origin(self, origin: &OriginFields<'_>) -> Self {
        self.text("c", origin.local_data)
            .text("e", origin.external_data)
            .text("card", origin.cardinality)
    }
}

/// Parses and tells. An error is its class and byte: `metric_type@4`.
pub(crate) fn told(line: &[u8], options: Options) -> Result<String, ParseError> {
    let told = match parse(line, options)? {
        Message::Metric(metric) => {
            let telling = Telling::start(metric.kind.telemetry_name(), metric.name);
            let telling = match metric.values {
                Values::Set(member) => telling.text("member", member),
                values => {
                    let numbers: Vec<_> = values.iter().collect();
                    assert_eq!(numbers.len(), values.len(), "the count was told before");
                    telling.values(&numbers)
                }
            };
            telling
                .rate(metric.sample_rate)
                .tags_of(metric.tags)
                .time(metric.timestamp)
                .origin(&metric.origin)
        }
        Message::Event(event) => Telling::start("event", event.title)
            .text("text", event.text)
            .time(event.timestamp)
            .text("host", event.host)
            .text("key", event.aggregation_key)
            .text("priority", event.priority.as_str().as_bytes())
            .text("source", event.source_type)
            .text("alert", event.alert_type.as_str().as_bytes())
            .tags_of(event.tags)
            .origin(&event.origin),
        Message::ServiceCheck(check) => Telling::start("check", check.name)
            .text("status", check.status.as_str().as_bytes())
            .time(check.timestamp)
            .text("host", check.host)
            .text("message", check.message)
            .tags_of(check.tags)
            .origin(&check.origin),
    };
    Ok(told.end())
}
