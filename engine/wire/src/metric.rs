//! Metrics: `<name>:<value>[:<value>...]|<type>[|<field>]...`
//!
//! The hot path of the whole engine. A line is walked once, from left to right: one search for the
//! end of the name, the number read where it stands, the type looked up in a table, one search per
//! field. Whatever is not the common case (a pack, an odd number, an error) leaves the straight way.

use greyhound_model::metric::MetricKind;

use crate::error::{ParseError, ParseErrorKind};
use crate::message::{Message, Options};
use crate::number;
use crate::origin::OriginFields;
use crate::scan::{find, find_either};
use crate::tags::Tags;
use crate::value::Values;

/// One metric message: one or more samples that share everything but the value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metric<'a> {
    /// Never empty; any bytes but `:`, `|` and newline.
    pub name: &'a [u8],
    /// What the values are.
    pub kind: MetricKind,
    /// At least one.
    pub values: Values<'a>,
    /// 1 unless the client said otherwise. Not checked: it may be 0, negative, infinite or NaN.
    pub sample_rate: f64,
    /// As sent.
    pub tags: Tags<'a>,
    /// Unix seconds, at least 1, when the client gave the time.
    pub timestamp: Option<i64>,
    /// Who the client says it is.
    pub origin: OriginFields<'a>,
}

/// Kinds with a symbol of one byte, by that byte.
const KINDS: [Option<MetricKind>; 256] = {
    let mut kinds = [None; 256];
    kinds[b'g' as usize] = Some(MetricKind::Gauge);
    kinds[b'c' as usize] = Some(MetricKind::Counter);
    kinds[b'h' as usize] = Some(MetricKind::Histogram);
    kinds[b'd' as usize] = Some(MetricKind::Distribution);
    kinds[b's' as usize] = Some(MetricKind::Set);
    kinds
};

/// What the fields say, while they are read.
struct Fields<'a> {
    sample_rate: f64,
    tags: Tags<'a>,
    timestamp: Option<i64>,
    origin: OriginFields<'a>,
}

/// Parses a metric. It is put together in one place, as the message it becomes: on this path moving
/// 150 bytes from one result to the next can be measured.
#[inline]
pub(crate) fn parse(line: &[u8], options: Options) -> Result<Message<'_>, ParseError> {
    let colon = match find_either(b':', b'|', line) {
        Some(at) if line[at] == b':' => at,
        Some(pipe) => return Err(ParseError::new(ParseErrorKind::MetricNameValue, pipe)),
        None => return Err(ParseError::new(ParseErrorKind::MetricFormat, line.len())),
    };
    let start = colon + 1;
    let rest = &line[start..];
    let (pipe, number) = match number::plain(rest) {
        Some((value, len)) if rest.get(len) == Some(&b'|') => (start + len, Some(value)),
        _ => match find(b'|', rest) {
            Some(len) => (start + len, None),
            None => return Err(ParseError::new(ParseErrorKind::MetricFormat, line.len())),
        },
    };
    if colon == 0 || pipe == start {
        let at = if colon == 0 { 0 } else { pipe };
        return Err(ParseError::new(ParseErrorKind::MetricNameValue, at));
    }
    let Some((kind, type_end)) = kind_at(line, pipe + 1) else {
        return Err(ParseError::new(ParseErrorKind::MetricType, pipe + 1));
    };
    let values = match number {
        _ if kind == MetricKind::Set => Values::Set(&line[start..pipe]),
        Some(value) => Values::One(value),
        None => match Values::parse(&line[start..pipe]) {
            Ok(values) => values,
            Err(at) => return Err(ParseError::new(ParseErrorKind::MetricValue, start + at)),
        },
    };
    let mut fields = Fields {
        sample_rate: 1.0,
        tags: Tags::default(),
        timestamp: None,
        origin: OriginFields::default(),
    };
    fields.read(line, type_end, options)?;
    Ok(Message::Metric(Metric {
        name: &line[..colon],
        kind,
        values,
        sample_rate: fields.sample_rate,
        tags: fields.tags,
        timestamp: fields.timestamp,
        origin: fields.origin,
    }))
}

// === impl Fields ===

impl<'a> Fields<'a> {
    /// Reads the fields from `pipe` on, which is a pipe or the end of the line.
    #[inline(always)]
    fn read(
        &mut self,
        line: &'a [u8],
        mut pipe: usize,
        options: Options,
    ) -> Result<(), ParseError> {
        while let Some(&first) = line.get(pipe + 1) {
            let start = pipe + 1;
            if first == b'@' {
                (self.sample_rate, pipe) = rate_at(line, start + 1)?;
                continue;
            }
            pipe = match find(b'|', &line[start..]) {
                Some(len) => start + len,
                None => line.len(),
            };
            match first {
                b'#' => self.tags = Tags::new(&line[start + 1..pipe]),
                b'T' if options.timestamps => {
                    self.timestamp = Some(timestamp(&line[start + 1..pipe], start + 1)?);
                }
                b'c' | b'e' if options.client_origin => self.origin.keep(&line[start..pipe]),
                _ => {}
            }
        }
        Ok(())
    }
}

/// The kind whose symbol stands at `at`, and where the symbol ends: at a pipe or the line's end.
#[inline]
fn kind_at(line: &[u8], at: usize) -> Option<(MetricKind, usize)> {
    let &first = line.get(at)?;
    let (kind, end) = match (KINDS[usize::from(first)], line.get(at + 1)) {
        (None, Some(b's')) if first == b'm' => (MetricKind::Timing, at + 2),
        (kind, _) => (kind?, at + 1),
    };
    matches!(line.get(end), None | Some(b'|')).then_some((kind, end))
}

/// The sample rate at `at`, and where its field ends.
#[inline(never)]
fn rate_at(line: &[u8], at: usize) -> Result<(f64, usize), ParseError> {
    let rest = &line[at..];
    if let Some((rate, len)) = number::plain(rest)
        && matches!(rest.get(len), None | Some(b'|'))
    {
        return Ok((rate, at + len));
    }
    let len = find(b'|', rest).unwrap_or(rest.len());
    match number::parse_unusual(&rest[..len]) {
        Ok(rate) => Ok((rate, at + len)),
        Err(offset) => Err(ParseError::new(
            ParseErrorKind::MetricSampleRate,
            at + offset,
        )),
    }
}

/// Whole Unix seconds of at least 1. `at` is where `text` stands.
fn timestamp(text: &[u8], at: usize) -> Result<i64, ParseError> {
    match number::parse_integer(text) {
        Ok(seconds) if seconds >= 1 => Ok(seconds),
        Ok(_) => Err(ParseError::new(ParseErrorKind::MetricTimestamp, at)),
        Err(offset) => Err(ParseError::new(
            ParseErrorKind::MetricTimestamp,
            at + offset,
        )),
    }
}
