//! Spans of time in Go's notation: `100ms`, `1m30s`, `1h0.5s`.

use std::time::Duration;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Units and their nanoseconds; of two that fit, the longer stands first.
const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3_600 * NANOS_PER_SECOND),
];

/// What a number without a unit counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// Nanoseconds: the Agent's reading where it expects `100ms`.
    Nanoseconds,
    /// Microseconds.
    Microseconds,
    /// Seconds: settings whose name says so.
    Seconds,
}

/// Reads a span: numbers with units, or one number in the unit of `bare`. Not negative, exact to
/// the nanosecond, at most about 584 years.
pub fn parse(text: &str, bare: Bare) -> Option<Duration> {
    let text = text.trim();
    let text = text.strip_prefix('+').unwrap_or(text);
    if text.is_empty() {
        return None;
    }
    let mut nanos: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let number_len = rest
            .find(|byte: char| !byte.is_ascii_digit() && byte != '.')
            .unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_len);
        let unit_len = after
            .find(|byte: char| byte.is_ascii_digit() || byte == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        let unit_nanos = match unit {
            "" if number.len() == text.len() => bare.nanos(),
            "" => return None,
            _ => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        nanos = nanos.checked_add(scaled(number, unit_nanos)?)?;
        rest = after;
    }
    Some(Duration::from_nanos(nanos))
}

/// Go's notation, without zero parts: `1m30s`, `100ms`, `200us`, `0s`.
pub fn format(span: Duration) -> String {
    let seconds = span.as_secs();
    let nanos = span.subsec_nanos();
    if seconds == 0 && nanos != 0 {
        return match nanos {
            _ if nanos.is_multiple_of(1_000_000) => format!("{}ms", nanos / 1_000_000),
            _ if nanos.is_multiple_of(1_000) => format!("{}us", nanos / 1_000),
            _ => format!("{nanos}ns"),
        };
    }
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    let mut out = String::new();
    if hours != 0 {
        out.push_str(&format!("{hours}h"));
    }
    if minutes != 0 {
        out.push_str(&format!("{minutes}m"));
    }
    if nanos != 0 {
        let fraction = format!("{nanos:09}");
        out.push_str(&format!("{seconds}.{}s", fraction.trim_end_matches('0')));
    } else if seconds != 0 || out.is_empty() {
        out.push_str(&format!("{seconds}s"));
    }
    out
}

/// Whether the span is within what [`parse`] can give.
pub(crate) fn is_representable(span: Duration) -> bool {
    u64::try_from(span.as_nanos()).is_ok()
}

/// `number` times `unit_nanos`, without rounding on the way; digits below a nanosecond are cut.
fn scaled(number: &str, unit_nanos: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Fifteen digits are finer than a nanosecond of an hour.
    let fraction = &fraction[..fraction.len().min(15)];
    let part = if fraction.is_empty() {
        0
    } else {
        let divisor = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        fraction.parse::<u128>().ok()? * u128::from(unit_nanos) / divisor
    };
    whole
        .checked_mul(unit_nanos)?
        .checked_add(u64::try_from(part).ok()?)
}

// === impl Bare ===

impl Bare {
    const fn nanos(self) -> u64 {
        match self {
            Self::Nanoseconds => 1,
            Self::Microseconds => 1_000,
            Self::Seconds => NANOS_PER_SECOND,
        }
    }

    /// How many of it make `span`; what is less than one is left out.
    pub fn count(self, span: Duration) -> u64 {
        u64::try_from(span.as_nanos() / u128::from(self.nanos())).unwrap_or(u64::MAX)
    }

    /// The plural noun, for messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Microseconds => "microseconds",
            Self::Seconds => "seconds",
        }
    }
}
