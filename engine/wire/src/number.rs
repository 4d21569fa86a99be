//! Numbers as Go's `strconv.ParseFloat` and `strconv.ParseInt` take them.
//!
//! ```text
//!  number  = [ sign ] ( decimal / hex / "inf" / "infinity" ) / "nan"      words in any case
//!  decimal = digits with at most one dot, at least one digit [ ( "e" / "E" ) [ sign ] digits ]
//!  hex     = ( "0x" / "0X" ) hex digits, at most one dot ( "p" / "P" ) [ sign ] digits
//! ```
//!
//! Single underscores may stand between digits, and between `0x` and a digit. Refused: empty text,
//! white space, a signed `nan`, a hex number without `p`, anything that rounds beyond the largest
//! double. Too small is zero. Rounding is to nearest, ties to even.
//!
//! Three ways, each taken when the one before gives up:
//!
//! 1. [`plain`]: digits with a dot, eight bytes at a time. When all digits together make an integer
//!    of at most 2^53, at most 19 digits long, one division of two exact doubles is the correctly
//!    rounded result.
//! 2. `fast_float2` for short text: exponents and long fractions.
//! 3. [`careful`]: the whole grammar byte by byte. It also knows where an error is.

mod careful;

use std::hint::select_unpredictable;

/// Powers of ten up to the longest fraction or run of digits [`plain`] takes. All exact.
const POWERS_OF_TEN: [f64; 20] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19,
];
const EIGHT_DIGIT_POWERS: [u64; 9] = [
    1,
    10,
    100,
    1_000,
    10_000,
    100_000,
    1_000_000,
    10_000_000,
    100_000_000,
];
/// What makes digits out of the numbers 0 to 9, in every byte.
const DIGIT_ZEROS: u64 = 0x3030_3030_3030_3030;
/// Every integer up to here is a double.
const EXACT_MAX: u64 = 1 << 53;
/// Digits that always fit 64 bits.
const DIGITS_MAX: usize = 19;
/// Longer text goes to [`careful`], whose work is bounded.
const SHORT_LEN_MAX: usize = 512;

/// Reads a number that fills `text`. `Err` is the byte that made it none: the length of `text` when
/// it ends too early, 0 when it is too large.
///
/// Cost: 5 to 15 ns for what clients send; linear in the length of `text` at worst.
#[inline]
pub fn parse(text: &[u8]) -> Result<f64, usize> {
    match plain(text) {
        Some((value, len)) if len == text.len() => Ok(value),
        _ => parse_unusual(text),
    }
}

/// Reads whole seconds or a length: optional sign, decimal digits, 64 bits. `Err` is the byte that
/// made it none, or 0 when it does not fit.
pub fn parse_integer(text: &[u8]) -> Result<i64, usize> {
    let (negative, start) = match text.first() {
        Some(b'-') => (true, 1),
        Some(b'+') => (false, 1),
        _ => (false, 0),
    };
    if start == text.len() {
        return Err(start);
    }
    // Counted downwards, because there is one more negative number than positive ones.
    let mut value = Some(0i64);
    for (index, &byte) in text.iter().enumerate().skip(start) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(index);
        }
        value = value
            .and_then(|value| value.checked_mul(10))
            .and_then(|value| value.checked_sub(i64::from(digit)));
    }
    let value = value.ok_or(0usize)?;
    if negative {
        Ok(value)
    } else {
        value.checked_neg().ok_or(0)
    }
}

/// What [`plain`] left: exponents, long fractions, words, errors.
#[inline(never)]
pub(crate) fn parse_unusual(text: &[u8]) -> Result<f64, usize> {
    if text.len() <= SHORT_LEN_MAX
        && let Ok(value) = fast_float2::parse::<f64, _>(text)
        && value.is_finite()
    {
        return Ok(value);
    }
    careful::parse(text)
}

/// Reads an optional minus, digits and perhaps a dot from the start of `text`: the value, and how
/// many bytes it took. What follows them is for the caller to look at; a number that goes on, as in
/// `1e5`, is seen by that.
///
/// `None` when there is no digit or too many for an exact result.
#[inline(always)]
pub(crate) fn plain(text: &[u8]) -> Option<(f64, usize)> {
    let sign_len = usize::from(text.first() == Some(&b'-'));
    let rest = &text[sign_len..];
    let (value, len) = match rest.first_chunk::<8>() {
        Some(word) => match plain_word(u64::from_le_bytes(*word)) {
            (_, 8) => plain_long(rest)?,
            (_, 0) => return None,
            (value, len) => (value, len),
        },
        None => plain_long(rest)?,
    };
    let value = if sign_len == 0 { value } else { -value };
    Some((value, sign_len + len))
}

/// The number at the start of eight bytes and its length: 8 when it may go on behind them, 0 when
/// there is none. The first byte of the text is the lowest of `word`.
///
/// Whether there is a dot, and where, is as good as random to the processor, so nothing here
/// branches on it: the dot is found like any other byte that is no digit, taken out, and the digits
/// behind it move up.
#[inline]
fn plain_word(word: u64) -> (f64, usize) {
    let digits = word ^ DIGIT_ZEROS;
    let others = above_nine(digits);
    let first = others.trailing_zeros() / 8;
    let behind = others & others.wrapping_sub(1);
    let second = behind.trailing_zeros() / 8;
    // The byte at `first`. When there is none this is the first byte, a digit.
    let stop = (word >> (8 * (first & 7))) & 0xFF;
    let has_dot = stop == u64::from(b'.');

    let before_dot = (1u64 << (8 * (first & 7))) - 1;
    let closed = (digits & before_dot) | ((digits >> 8) & !before_dot);
    let digits = select_unpredictable(has_dot, closed, digits);
    let len = select_unpredictable(has_dot, second, first);
    let fraction = select_unpredictable(has_dot, second.wrapping_sub(first + 1), 0);
    let count = len.wrapping_sub(u32::from(has_dot)) & 15;
    let value = join_digits(digits, count) as f64 / POWERS_OF_TEN[(fraction & 15) as usize];
    let len = select_unpredictable(count == 0, 0, len);
    (value, len as usize)
}

/// [`plain`] for more than seven digits, or at the very end of a line. No sign.
#[inline(never)]
fn plain_long(text: &[u8]) -> Option<(f64, usize)> {
    let (mut mantissa, mut count) = digits(text, 0);
    if count == 8 {
        let (more, len) = digits(text, 8);
        mantissa = append(mantissa, more, len);
        count += len;
    }
    let mut at = count;
    let mut fraction = 0;
    if text.get(at) == Some(&b'.') {
        at += 1;
        let (more, len) = digits(text, at);
        mantissa = append(mantissa, more, len);
        fraction = len;
        if len == 8 {
            let (more, len) = digits(text, at + 8);
            mantissa = append(mantissa, more, len);
            fraction += len;
        }
        at += fraction;
    }
    let digit_count = count + fraction;
    if digit_count == 0 || digit_count > DIGITS_MAX || mantissa > EXACT_MAX {
        return None;
    }
    Some((mantissa as f64 / POWERS_OF_TEN[fraction], at))
}

/// Puts `len` digits behind a number. Wraps; the caller looks at how many digits there are in all.
#[inline]
fn append(number: u64, digits: u64, len: usize) -> u64 {
    number
        .wrapping_mul(EIGHT_DIGIT_POWERS[len])
        .wrapping_add(digits)
}

/// Up to eight digits from `at` on: their value, and how many they are.
#[inline]
fn digits(text: &[u8], at: usize) -> (u64, usize) {
    let Some(rest) = text.get(at..) else {
        return (0, 0);
    };
    if let Some(word) = rest.first_chunk::<8>() {
        digits_of_word(u64::from_le_bytes(*word))
    } else {
        let mut value = 0u64;
        let mut len = 0;
        for &byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            value = value * 10 + u64::from(digit);
            len += 1;
        }
        (value, len)
    }
}

/// The leading digits among eight bytes, without a branch. The first byte of the text is the lowest
/// of `word`.
#[inline]
fn digits_of_word(word: u64) -> (u64, usize) {
    let digits = word ^ DIGIT_ZEROS;
    let len = above_nine(digits).trailing_zeros() / 8;
    (join_digits(digits, len), len as usize)
}

/// Sets the top bit of every byte that is more than 9, and nothing else.
#[inline]
fn above_nine(bytes: u64) -> u64 {
    (((bytes & 0x7F7F_7F7F_7F7F_7F7F) + 0x7676_7676_7676_7676) | bytes) & 0x8080_8080_8080_8080
}

/// The number that the lowest `len` bytes make, each a digit from 0 to 9, the lowest byte first.
///
/// Shifting left by the bytes that are not wanted puts zeros in front. Then neighbours are joined
/// to pairs, pairs to fours, fours to eight: three multiplications.
#[inline]
fn join_digits(digits: u64, len: u32) -> u64 {
    // For no digit the shift would be 64, which is why it is done in two steps.
    let half = 4 * (8 - len.min(8));
    let word = digits << half << half;
    let pairs = word.wrapping_mul(10).wrapping_add(word >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xFFFF_FFFF
}

#[cfg(test)]
mod tests;
