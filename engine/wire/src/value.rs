//! The values of one metric message.

use memchr::memchr;

use crate::number;

/// What stands between the name and the type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// One number: what nearly every message has.
    One(f64),
    /// Several numbers, one sample each, in order.
    Pack(Pack<'a>),
    /// A member of a set, as sent.
    Set(&'a [u8]),
}

/// Several numbers with colons between them. Checked when the message was parsed, read again when
/// iterated: that costs less than memory to keep them in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pack<'a> {
    text: &'a [u8],
    len: u32,
}

/// The numbers of a message, in order.
#[derive(Clone, Debug)]
pub struct ValueIter<'a> {
    one: Option<f64>,
    rest: &'a [u8],
}

// === impl Values ===

impl<'a> Values<'a> {
    /// Reads numbers; `Err` is the byte of `text` that is wrong. `text` is not empty.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, usize> {
        let mut elements = Elements { text, at: 0 };
        let mut first = None;
        let mut len = 0u32;
        while let Some(value) = elements.next()? {
            first.get_or_insert(value);
            len = len.saturating_add(1);
        }
        match (first, len) {
            (None, _) => Err(0),
            (Some(value), 1) => Ok(Self::One(value)),
            (Some(_), len) => Ok(Self::Pack(Pack { text, len })),
        }
    }

    /// How many samples the message is: at least one, exactly one for a set.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a message without a value is refused, so it never is"
    )]
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Self::One(_) | Self::Set(_) => 1,
            Self::Pack(pack) => pack.len as usize,
        }
    }

    /// The numbers in order; none for a set.
    #[inline]
    pub fn iter(&self) -> ValueIter<'a> {
        match *self {
            Self::One(value) => ValueIter {
                one: Some(value),
                rest: b"",
            },
            Self::Pack(pack) => ValueIter {
                one: None,
                rest: pack.text,
            },
            Self::Set(_) => ValueIter {
                one: None,
                rest: b"",
            },
        }
    }
}

// === impl ValueIter ===

impl Iterator for ValueIter<'_> {
    type Item = f64;

    #[inline]
    fn next(&mut self) -> Option<f64> {
        if let Some(value) = self.one.take() {
            return Some(value);
        }
        let mut elements = Elements {
            text: self.rest,
            at: 0,
        };
        // A pack was checked when it was parsed, so there is no error to lose here.
        let value = elements.next().ok().flatten();
        self.rest = self.rest.get(elements.at..).unwrap_or_default();
        value
    }
}

/// Walks over `text`, one number at a time.
struct Elements<'a> {
    text: &'a [u8],
    at: usize,
}

// === impl Elements ===

impl Elements<'_> {
    /// The next number, empty elements skipped. `Err` is the byte of the text that is wrong.
    #[inline]
    fn next(&mut self) -> Result<Option<f64>, usize> {
        while self.text.get(self.at) == Some(&b':') {
            self.at += 1;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let (value, len) = match number::plain(rest) {
            Some((value, len)) if matches!(rest.get(len), None | Some(b':')) => (value, len),
            _ => {
                let len = memchr(b':', rest).unwrap_or(rest.len());
                let value = number::parse_unusual(&rest[..len]);
                (value.map_err(|offset| self.at + offset)?, len)
            }
        };
        self.at += len;
        Ok(Some(value))
    }
}
