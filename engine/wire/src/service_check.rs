//! Service checks: `_sc|<name>|<status>[|<field>]...`
//!
//! As in the Agent, the first four bytes are skipped unseen, and a bad field is skipped: the check
//! stays, with what it had before.

use greyhound_model::service_check::Status;
use memchr::{memchr, memchr_iter};

use crate::error::{ParseError, ParseErrorKind};
use crate::fields::Fields;
use crate::message::Options;
use crate::number;
use crate::origin::OriginFields;
use crate::tags::Tags;

/// The outcome of a check as sent. Empty texts = not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCheck<'a> {
    /// Not empty; any bytes but `|`.
    pub name: &'a [u8],
    /// What the check found.
    pub status: Status,
    /// Unix seconds, perhaps negative; `None` = when it is processed.
    pub timestamp: Option<i64>,
    /// Behind `h:`; wins over a `host:` tag.
    pub host: &'a [u8],
    /// Behind `m:`, as sent: nothing in it is unescaped.
    pub message: &'a [u8],
    /// As sent.
    pub tags: Tags<'a>,
    /// Who the client says it is.
    pub origin: OriginFields<'a>,
}

const PREFIX_LEN: usize = b"_sc|".len();

// === impl ServiceCheck ===

impl<'a> ServiceCheck<'a> {
    /// Out of line: metrics must not pay for its registers.
    #[inline(never)]
    pub(crate) fn parse(line: &'a [u8], options: Options) -> Result<Self, ParseError> {
        if line.len() < PREFIX_LEN || memchr_iter(b'|', line).take(2).count() < 2 {
            return Err(ParseError::new(
                ParseErrorKind::ServiceCheckFormat,
                line.len(),
            ));
        }
        let rest = &line[PREFIX_LEN..];
        // Two pipes in the line leave at least one here: the first four bytes start with `_sc`.
        let name_len = memchr(b'|', rest).unwrap_or(rest.len());
        if name_len == 0 {
            return Err(ParseError::new(
                ParseErrorKind::ServiceCheckName,
                PREFIX_LEN,
            ));
        }
        let status_at = PREFIX_LEN + name_len + 1;
        let mut fields = Fields::new(line.get(status_at..).unwrap_or_default());
        let status = match fields.next() {
            Some(b"0") => Status::Ok,
            Some(b"1") => Status::Warning,
            Some(b"2") => Status::Critical,
            Some(b"3") => Status::Unknown,
            _ => {
                return Err(ParseError::new(
                    ParseErrorKind::ServiceCheckStatus,
                    status_at,
                ));
            }
        };
        let mut check = Self {
            name: &rest[..name_len],
            status,
            timestamp: None,
            host: b"",
            message: b"",
            tags: Tags::default(),
            origin: OriginFields::default(),
        };
        for field in fields {
            check.read_field(field, options);
        }
        Ok(check)
    }

    fn read_field(&mut self, field: &'a [u8], options: Options) {
        match field {
            [b'd', b':', seconds @ ..] => {
                if let Ok(seconds) = number::parse_integer(seconds) {
                    self.timestamp = (seconds != 0).then_some(seconds);
                }
            }
            [b'h', b':', host @ ..] => self.host = host,
            [b'm', b':', message @ ..] => self.message = message,
            [b'#', tags @ ..] => self.tags = Tags::new(tags),
            _ if options.client_origin => self.origin.keep(field),
            _ => {}
        }
    }
}
