//! Go's number grammar, step by step.

/// A value, or a sample rate, as Go's `strconv.ParseFloat` reads it.
pub(crate) fn float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?.to_ascii_lowercase();
    if text == "nan" {
        return Some(f64::NAN);
    }
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (-1.0, &text[1..]),
        b'+' => (1.0, &text[1..]),
        _ => (1.0, &text[..]),
    };
    if unsigned == "inf" || unsigned == "infinity" {
        return Some(sign * f64::INFINITY);
    }
    let value = match unsigned.strip_prefix("0x") {
        Some(digits) => hex(digits)?,
        None => decimal(unsigned)?,
    };
    value.is_finite().then_some(sign * value)
}

/// Whole seconds or a length, as Go's `strconv.ParseInt` reads it.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn decimal(text: &str) -> Option<f64> {
    let (mantissa, exponent) = split_exponent(text, 'e')?;
    let mantissa = without_underscores(mantissa, false, |c| c.is_ascii_digit())?;
    if !is_mantissa(&mantissa, |c| c.is_ascii_digit()) {
        return None;
    }
    format!("{mantissa}e{}", exponent.unwrap_or(0)).parse().ok()
}

fn hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = split_exponent(text, 'p')?;
    let exponent = exponent?;
    let mantissa = without_underscores(mantissa, true, |c| c.is_ascii_hexdigit())?;
    if !is_mantissa(&mantissa, |c| c.is_ascii_hexdigit()) {
        return None;
    }
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((&mantissa, ""));
    let bits: Vec<bool> = format!("{whole}{fraction}")
        .chars()
        .filter_map(|c| c.to_digit(16))
        .flat_map(|digit| [8, 4, 2, 1].map(|bit| digit & bit != 0))
        .collect();
    // The value of the last bit is 2^`last`.
    let last = exponent - 4 * fraction.len() as i64;
    Some(round(&bits, last))
}

/// Bits, the highest first, the last of them worth 2^`last`, to the nearest double, ties to even.
fn round(bits: &[bool], last: i64) -> f64 {
    let Some(first) = bits.iter().position(|bit| *bit) else {
        return 0.0;
    };
    let bits = &bits[first..];
    let top = last + bits.len() as i64 - 1;
    // A double keeps 53 bits, and none below 2^-1074.
    let lowest = (top - 52).max(-1074);
    let kept = usize::try_from(top - lowest + 1).unwrap_or(0);
    let mut value = 0_u64;
    for place in 0..kept {
        value = value * 2 + u64::from(bits.get(place).copied().unwrap_or(false));
    }
    // With `top` below `lowest` the first bit left out is worth less than half a step.
    if top >= lowest - 1 {
        let half = bits.get(kept).copied().unwrap_or(false);
        let more = bits.iter().skip(kept + 1).any(|bit| *bit);
        if half && (more || value % 2 == 1) {
            value += 1;
        }
    }
    if lowest > 971 {
        return f64::INFINITY;
    }
    // In two steps: 2^-1074 itself is no normal number, but half of that power is.
    let lowest = i32::try_from(lowest).expect("between -1074 and 971 by now");
    value as f64 * 2_f64.powi(lowest / 2) * 2_f64.powi(lowest - lowest / 2)
}

/// The mantissa, and the exponent if its letter is there. Go stops counting it at 10,000.
fn split_exponent(text: &str, letter: char) -> Option<(&str, Option<i64>)> {
    let Some((mantissa, exponent)) = text.split_once(letter) else {
        return Some((text, None));
    };
    let (sign, digits) = match exponent.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    let digits = without_underscores(digits, false, |c| c.is_ascii_digit())?;
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let count = |sum: i64, c: char| match c.to_digit(10) {
        Some(digit) if sum < 10_000 => sum * 10 + i64::from(digit),
        _ => sum,
    };
    Some((mantissa, Some(sign * digits.chars().fold(0, count))))
}

/// An underscore needs a digit on both sides; `0x` before it counts as one.
fn without_underscores(
    text: &str,
    after_prefix: bool,
    digit: impl Fn(char) -> bool,
) -> Option<String> {
    let chars: Vec<char> = text.chars().collect();
    for place in (0..chars.len()).filter(|place| chars[*place] == '_') {
        let before = if place == 0 {
            after_prefix
        } else {
            digit(chars[place - 1])
        };
        let after = chars.get(place + 1).copied().is_some_and(&digit);
        if !before || !after {
            return None;
        }
    }
    Some(text.replace('_', ""))
}

fn is_mantissa(text: &str, digit: impl Fn(char) -> bool) -> bool {
    let dots = text.chars().filter(|c| *c == '.').count();
    let digits = text.chars().filter(|c| digit(*c)).count();
    dots <= 1 && digits >= 1 && dots + digits == text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_knows_the_grammar() {
        for (text, expected) in [
            ("1", Some(1.0)),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            (".", None),
            ("", None),
            ("+4", Some(4.0)),
            ("1_000", Some(1000.0)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("1_.5", None),
            ("1e1_0", Some(1e10)),
            ("1e", None),
            ("1e+", None),
            ("1e309", None),
            ("1e-400", Some(0.0)),
            ("-Inf", Some(f64::NEG_INFINITY)),
            ("+nan", None),
            ("0x1", None),
            ("0x1p4", Some(16.0)),
            ("0x_1.8p1", Some(3.0)),
            ("0x.8p0", Some(0.5)),
            ("0x1p1024", None),
            ("0x1.fffffffffffff8p1023", None),
            ("0x1.fffffffffffff7p1023", Some(f64::MAX)),
            ("0x1p-1074", Some(5e-324)),
            ("0x1p-1075", Some(0.0)),
            ("0x1.8p-1075", Some(5e-324)),
            ("0x1p-1022", Some(f64::MIN_POSITIVE)),
            ("0x1.00000000000008p0", Some(1.0)),
            ("0x1.000000000000081p0", Some(1.0000000000000002)),
            ("0x1.00000000000018p0", Some(1.0000000000000004)),
            (" 1", None),
        ] {
            assert_eq!(float(text.as_bytes()), expected, "{text}");
        }
        assert!(float(b"nAn").is_some_and(f64::is_nan));
    }
}
