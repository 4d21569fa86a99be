//! Events: `_e{<title bytes>,<text bytes>}:<title>|<text>[|<field>]...`
//!
//! The lengths decide what title and text are, so both may hold pipes. As in the Agent, neither the
//! brace nor the pipe between title and text is looked at, and a bad field is skipped: the event
//! stays, with what it had before.

use greyhound_model::event::{AlertType, Priority};
use memchr::memchr;
use memchr::memmem;

use crate::error::{ParseError, ParseErrorKind};
use crate::fields::Fields;
use crate::message::Options;
use crate::number;
use crate::origin::OriginFields;
use crate::tags::Tags;

/// An event as sent. Empty texts = not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Not empty; newlines are still escaped, see [`write_unescaped`].
    pub title: &'a [u8],
    /// Newlines are still escaped, see [`write_unescaped`].
    pub text: &'a [u8],
    /// Unix seconds, perhaps negative; `None` = when it is processed.
    pub timestamp: Option<i64>,
    /// Normal unless the client said low.
    pub priority: Priority,
    /// Info unless the client said otherwise.
    pub alert_type: AlertType,
    /// Behind `h:`; wins over a `host:` tag.
    pub host: &'a [u8],
    /// Behind `k:`.
    pub aggregation_key: &'a [u8],
    /// Behind `s:`.
    pub source_type: &'a [u8],
    /// As sent.
    pub tags: Tags<'a>,
    /// Who the client says it is.
    pub origin: OriginFields<'a>,
}

const PREFIX_LEN: usize = b"_e{".len();
const HEADER_LEN_MIN: usize = b"_e{1,1}".len();

/// Appends `text` with every backslash and `n` turned into a newline. Nothing else is unescaped.
pub fn write_unescaped(text: &[u8], out: &mut Vec<u8>) {
    let mut from = 0;
    for at in memmem::find_iter(text, b"\\n") {
        out.extend_from_slice(&text[from..at]);
        out.push(b'\n');
        from = at + 2;
    }
    out.extend_from_slice(&text[from..]);
}

// === impl Event ===

impl<'a> Event<'a> {
    /// Out of line: metrics must not pay for its registers.
    #[inline(never)]
    pub(crate) fn parse(line: &'a [u8], options: Options) -> Result<Self, ParseError> {
        let colon = memchr(b':', line)
            .ok_or_else(|| ParseError::new(ParseErrorKind::EventFormat, line.len()))?;
        if colon < HEADER_LEN_MIN {
            return Err(ParseError::new(ParseErrorKind::EventHeader, colon));
        }
        let lengths = &line[PREFIX_LEN..colon - 1];
        let comma = memchr(b',', lengths)
            .ok_or_else(|| ParseError::new(ParseErrorKind::EventHeader, colon - 1))?;
        let title_len = length(&lengths[..comma], PREFIX_LEN)?;
        if title_len == 0 {
            return Err(ParseError::new(ParseErrorKind::EventEmptyTitle, PREFIX_LEN));
        }
        let text_len = length(&lengths[comma + 1..], PREFIX_LEN + comma + 1)?;

        let body = &line[colon + 1..];
        let text_start = title_len.saturating_add(1);
        let text_end = text_start.saturating_add(text_len);
        if text_end > body.len() {
            return Err(ParseError::new(ParseErrorKind::EventLength, line.len()));
        }
        let mut event = Self {
            title: &body[..title_len],
            text: &body[text_start..text_end],
            timestamp: None,
            priority: Priority::Normal,
            alert_type: AlertType::Info,
            host: b"",
            aggregation_key: b"",
            source_type: b"",
            tags: Tags::default(),
            origin: OriginFields::default(),
        };
        for field in Fields::new(&body[text_end..]) {
            event.read_field(field, options);
        }
        Ok(event)
    }

    fn read_field(&mut self, field: &'a [u8], options: Options) {
        match field {
            [b'd', b':', seconds @ ..] => {
                if let Ok(seconds) = number::parse_integer(seconds) {
                    self.timestamp = (seconds != 0).then_some(seconds);
                }
            }
            [b'h', b':', host @ ..] => self.host = host,
            [b'k', b':', key @ ..] => self.aggregation_key = key,
            b"p:normal" => self.priority = Priority::Normal,
            b"p:low" => self.priority = Priority::Low,
            [b's', b':', source @ ..] => self.source_type = source,
            b"t:info" => self.alert_type = AlertType::Info,
            b"t:success" => self.alert_type = AlertType::Success,
            b"t:warning" => self.alert_type = AlertType::Warning,
            b"t:error" => self.alert_type = AlertType::Error,
            [b'#', tags @ ..] => self.tags = Tags::new(tags),
            _ if options.client_origin => self.origin.keep(field),
            _ => {}
        }
    }
}

/// A length in bytes from the header. `at` is where `text` stands.
fn length(text: &[u8], at: usize) -> Result<usize, ParseError> {
    let length = number::parse_integer(text)
        .map_err(|offset| ParseError::new(ParseErrorKind::EventHeader, at + offset))?;
    usize::try_from(length).map_err(|_| ParseError::new(ParseErrorKind::EventHeader, at))
}
