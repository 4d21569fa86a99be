//! The whole number grammar, byte by byte: hex, underscores, words, overlong text, errors.
//!
//! Rare, so it is written to be read. Work and memory are bounded whatever the text is: decimal
//! numbers are rewritten into a buffer on the stack, without underscores and with at most
//! [`DIGITS_KEPT`] digits. No double lies so close to the middle of two others that more digits
//! than that could tell it apart, except by being not all zero; one more digit stands for them.

/// Decimal digits kept. 767 are enough to tell any number from the middle between two doubles.
const DIGITS_KEPT: usize = 800;
/// Digits, the digit that stands for the rest, `e`, a sign, an exponent.
const BUFFER_LEN: usize = DIGITS_KEPT + 24;
/// Exponents stop growing here, as in Go; anything near it is zero or too large anyway.
const EXPONENT_STEP_MAX: i64 = 10_000;

const MANTISSA_BITS: i64 = 52;
const EXPONENT_MIN: i64 = -1074;
const EXPONENT_MAX: i64 = 1023;

/// The text of a number, taken apart. `end` is where it stops.
#[derive(Clone, Copy)]
struct Number {
    negative: bool,
    hex: bool,
    /// Digits before the dot, leading zeros not counted; negative for zeros behind the dot.
    point: i64,
    /// Range of the mantissa's bytes.
    digits: (usize, usize),
    exponent: i64,
}

/// Reads a number that fills `text`; `Err` as for [`super::parse`].
#[cold]
pub(super) fn parse(text: &[u8]) -> Result<f64, usize> {
    if let Some(value) = word(text) {
        return Ok(value);
    }
    let number = scan(text)?;
    let digits = &text[number.digits.0..number.digits.1];
    let value = if number.hex {
        hex_value(digits, number.point, number.exponent)
    } else {
        decimal_value(digits, number.point, number.exponent)
    };
    match value {
        Some(value) if number.negative => Ok(-value),
        Some(value) => Ok(value),
        None => Err(0),
    }
}

/// `nan`, or infinity with an optional sign, in any case.
fn word(text: &[u8]) -> Option<f64> {
    if text.eq_ignore_ascii_case(b"nan") {
        return Some(f64::NAN);
    }
    let (infinity, unsigned) = match text {
        [b'-', rest @ ..] => (f64::NEG_INFINITY, rest),
        [b'+', rest @ ..] => (f64::INFINITY, rest),
        _ => (f64::INFINITY, text),
    };
    let is_infinity =
        unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity");
    is_infinity.then_some(infinity)
}

/// Checks the grammar and finds the parts.
fn scan(text: &[u8]) -> Result<Number, usize> {
    let mut at = 0;
    let negative = text.first() == Some(&b'-');
    if matches!(text.first(), Some(b'+' | b'-')) {
        at = 1;
    }
    let hex = text.len() > at + 2 && text[at] == b'0' && text[at + 1] | 0x20 == b'x';
    if hex {
        at += 2;
    }

    let start = at;
    // An underscore needs a digit on both sides; the prefix counts as one.
    let mut after_digit = hex;
    let mut dot = None;
    let mut seen = false;
    let mut point = 0;
    let mut significant = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'_' if after_digit && followed_by_digit(text, at, hex) => after_digit = false,
            b'.' if dot.is_none() => {
                dot = Some(at);
                point += significant;
                after_digit = false;
            }
            _ if is_digit(byte, hex) => {
                seen = true;
                after_digit = true;
                if byte == b'0' && significant == 0 {
                    // A leading zero moves the point only behind the dot.
                    point -= i64::from(dot.is_some());
                } else {
                    significant += 1;
                }
            }
            _ => break,
        }
        at += 1;
    }
    if dot.is_none() {
        point = significant;
    }
    if !seen {
        return Err(at);
    }
    let digits = (start, at);

    let mark = if hex { b'p' } else { b'e' };
    let mut exponent = 0;
    if text.get(at).is_some_and(|byte| byte | 0x20 == mark) {
        (exponent, at) = scan_exponent(text, at + 1)?;
    } else if hex {
        return Err(at);
    }
    if at < text.len() {
        return Err(at);
    }
    Ok(Number {
        negative,
        hex,
        point,
        digits,
        exponent,
    })
}

/// Reads an exponent behind its letter: its value and where it ends.
fn scan_exponent(text: &[u8], mut at: usize) -> Result<(i64, usize), usize> {
    let negative = text.get(at) == Some(&b'-');
    if matches!(text.get(at), Some(b'+' | b'-')) {
        at += 1;
    }
    if !text.get(at).is_some_and(u8::is_ascii_digit) {
        return Err(at);
    }
    let mut exponent = 0i64;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'_' if followed_by_digit(text, at, false) => {}
            b'0'..=b'9' if exponent < EXPONENT_STEP_MAX => {
                exponent = exponent * 10 + i64::from(byte - b'0');
            }
            b'0'..=b'9' => {}
            _ => break,
        }
        at += 1;
    }
    Ok((if negative { -exponent } else { exponent }, at))
}

fn is_digit(byte: u8, hex: bool) -> bool {
    byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit()
}

fn followed_by_digit(text: &[u8], at: usize, hex: bool) -> bool {
    text.get(at + 1).is_some_and(|&byte| is_digit(byte, hex))
}

/// The value of decimal digits (with dot and underscores), `None` when it is too large.
fn decimal_value(digits: &[u8], point: i64, exponent: i64) -> Option<f64> {
    let mut buffer = [0; BUFFER_LEN];
    let mut len = 0;
    let mut rest_is_zero = true;
    for &byte in digits {
        if !byte.is_ascii_digit() || byte == b'0' && len == 0 {
            continue;
        }
        if len < DIGITS_KEPT {
            buffer[len] = byte;
            len += 1;
        } else {
            rest_is_zero &= byte == b'0';
        }
    }
    if len == 0 {
        return Some(0.0);
    }
    if !rest_is_zero {
        buffer[len] = b'1';
        len += 1;
    }
    let exponent = exponent.saturating_add(point).saturating_sub(len as i64);
    len = push_exponent(&mut buffer, len, exponent);
    let value = fast_float2::parse::<f64, _>(&buffer[..len]).ok()?;
    value.is_finite().then_some(value)
}

/// Writes `e` and a number behind the digits: where it ends.
fn push_exponent(buffer: &mut [u8; BUFFER_LEN], mut len: usize, exponent: i64) -> usize {
    buffer[len] = b'e';
    len += 1;
    if exponent < 0 {
        buffer[len] = b'-';
        len += 1;
    }
    // Beyond this, every number of DIGITS_KEPT digits is zero or too large.
    let mut number = exponent.unsigned_abs().min(9_999);
    let end = len + 4;
    for place in buffer[len..end].iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
    end
}

/// The value of hex digits (with dot and underscores), `None` when it is too large.
fn hex_value(digits: &[u8], point: i64, exponent: i64) -> Option<f64> {
    let mut mantissa = 0u64;
    let mut taken = 0;
    // Whether anything but zeros was left out, below all kept bits.
    let mut sticky = false;
    for &byte in digits {
        let Some(digit) = char::from(byte).to_digit(16) else {
            continue;
        };
        if mantissa >> 60 != 0 {
            sticky |= digit != 0;
        } else if mantissa != 0 || digit != 0 {
            mantissa = mantissa << 4 | u64::from(digit);
            taken += 1;
        }
    }
    if mantissa == 0 {
        return Some(0.0);
    }
    // The value is mantissa × 2^exponent, with the top bit of the mantissa set.
    let exponent = point
        .saturating_sub(taken)
        .saturating_mul(4)
        .saturating_add(exponent);
    let zeros = mantissa.leading_zeros();
    round(mantissa << zeros, exponent - i64::from(zeros), sticky)
}

/// Rounds `mantissa` × 2^`exponent` to the nearest double, ties to even. The top bit of `mantissa`
/// is set; `sticky` stands for a little more.
fn round(mantissa: u64, exponent: i64, sticky: bool) -> Option<f64> {
    let top = exponent.saturating_add(63);
    if top > EXPONENT_MAX {
        return None;
    }
    // How many low bits do not fit: 11 for normal numbers, more for those below.
    let lowest = (top - MANTISSA_BITS).max(EXPONENT_MIN);
    let dropped = lowest - exponent;
    if dropped > 64 {
        return Some(0.0);
    }
    let (kept, half, below) = if dropped == 64 {
        (0, mantissa >> 63 != 0, mantissa << 1 != 0)
    } else {
        let half_bit = 1u64 << (dropped - 1);
        (
            mantissa >> dropped,
            mantissa & half_bit != 0,
            mantissa & (half_bit - 1) != 0,
        )
    };
    let up = half && (below || sticky || kept & 1 != 0);
    let kept = kept + u64::from(up);
    // 2^53 at most, so this is exact; the product may still be one step too large.
    let value = kept as f64 * power_of_two(lowest);
    value.is_finite().then_some(value)
}

/// 2^`exponent` for -1074 to 971, built from its bits.
fn power_of_two(exponent: i64) -> f64 {
    if exponent < EXPONENT_MIN + MANTISSA_BITS {
        f64::from_bits(1 << (exponent - EXPONENT_MIN))
    } else {
        f64::from_bits(((exponent + EXPONENT_MAX) as u64) << MANTISSA_BITS)
    }
}
