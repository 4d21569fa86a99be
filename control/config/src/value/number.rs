//! Whole numbers, floats and booleans as the settings files of the field write them.

/// A whole number: decimal, `0x`, `0o`, `0b`, with `_` between digits; a float without a fraction
/// counts. A leading zero (`010`) is refused: YAML 1.1 reads 8, YAML 1.2 reads 10.
pub fn int(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|first: char| first.is_digit(radix)) || digits.ends_with('_') {
        return None;
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.") {
        return None;
    }
    if digits
        .chars()
        .all(|digit| digit.is_digit(radix) || digit == '_')
    {
        let digits: String = digits.chars().filter(|digit| *digit != '_').collect();
        return i64::from_str_radix(&format!("{sign}{digits}"), radix).ok();
    }
    whole_float(float(text)?)
}

/// A finite decimal number.
pub fn float(text: &str) -> Option<f64> {
    let text = text.trim();
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'));
    if !is_decimal {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The words of YAML 1.1 and of the Agent's environment parser, in any case.
pub fn boolean(text: &str) -> Option<bool> {
    const TRUE: [&str; 6] = ["true", "yes", "on", "1", "t", "y"];
    const FALSE: [&str; 6] = ["false", "no", "off", "0", "f", "n"];
    let text = text.trim();
    let is_one_of = |words: [&str; 6]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match (is_one_of(TRUE), is_one_of(FALSE)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn whole_float(number: f64) -> Option<i64> {
    /// Above 2^53 a float no longer names one whole number.
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 || number.abs() > EXACT_MAX {
        return None;
    }
    format!("{number:.0}").parse().ok()
}
