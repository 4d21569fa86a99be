//! The number grammar against rows, against the standard library, and against exact integers.

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Result<f64, usize>) {
    let found = parse(text.as_bytes());
    let bits = |result: Result<f64, usize>| result.map(f64::to_bits);
    assert_eq!(
        bits(found),
        bits(expected),
        "{text:?}: {found:?}, not {expected:?}"
    );
}

#[test]
fn decimals() {
    for (text, value) in [
        ("0", 0.0),
        ("-0", -0.0),
        ("7.", 7.0),
        (".75", 0.75),
        ("-.75", -0.75),
        ("+8", 8.0),
        ("007", 7.0),
        ("1234567", 1_234_567.0),
        ("12345678", 12_345_678.0),
        ("123456.7", 123_456.7),
        ("1234567.8", 1_234_567.8),
        ("0.0000001", 1e-7),
        ("123456789012345", 123_456_789_012_345.0),
        ("9007199254740992", 9_007_199_254_740_992.0),
        ("9007199254740993", 9_007_199_254_740_992.0),
        ("9007199254740995", 9_007_199_254_740_996.0),
        ("00000000000000000000000000000001", 1.0),
        ("0.1234567890123456789", 0.123_456_789_012_345_68),
        ("2.5E-3", 0.0025),
        ("1e+2", 100.0),
        ("1e0000000000000000000005", 1e5),
        ("1.7976931348623157e308", f64::MAX),
        ("1.7976931348623158e308", f64::MAX),
        ("5e-324", 5e-324),
        ("2e-324", 0.0),
        ("1e-400", 0.0),
        ("-1e-99999999999999999999", -0.0),
        ("0e999999", 0.0),
        ("1_250", 1250.0),
        ("1_2_3.4_5e1_0", 123.45e10),
    ] {
        check(text, Ok(value));
    }
}

#[test]
fn hexadecimals() {
    for (text, value) in [
        ("0x1.8p3", 12.0),
        ("0X1P-2", 0.25),
        ("-0x.8p1", -1.0),
        ("0x10.p0", 16.0),
        ("0x_1_2.3_4_5p+1_2", 74_565.0),
        ("0x0p99999", 0.0),
        ("-0x0p0", -0.0),
        ("0x1p-1074", 5e-324),
        ("0x1p-1075", 0.0),
        ("0x1.8p-1075", 5e-324),
        ("0x1.0000000000000000000001p-1075", 5e-324),
        ("0x1p-9999999999", 0.0),
        ("0x1.fffffffffffffp1023", f64::MAX),
        ("0x1.fffffffffffff7p1023", f64::MAX),
        ("0x20000000000001p0", 9_007_199_254_740_992.0),
        ("0x20000000000003p0", 9_007_199_254_740_996.0),
        (
            "0x20000000000001.0000000000000000000001p0",
            9_007_199_254_740_994.0,
        ),
        ("0x0.000000000000000000000000000001p120", 1.0),
        ("0x0.fffffffffffff8p-1022", f64::MIN_POSITIVE),
    ] {
        check(text, Ok(value));
    }
}

#[test]
fn words() {
    for text in ["inf", "+Inf", "INFINITY", "+infinity"] {
        check(text, Ok(f64::INFINITY));
    }
    check("-Infinity", Ok(f64::NEG_INFINITY));
    for text in ["nan", "NaN", "NAN"] {
        assert!(parse(text.as_bytes()).expect(text).is_nan());
    }
}

#[test]
fn refusals_and_the_byte_they_point_at() {
    for (text, at) in [
        ("", 0),
        ("+", 1),
        ("-", 1),
        (".", 1),
        ("--1", 1),
        (" 5", 0),
        ("5 ", 1),
        ("1,5", 1),
        ("1.2.3", 3),
        ("five", 0),
        ("50%", 2),
        ("1e", 2),
        ("1e+", 3),
        ("1e5x", 3),
        ("1e309", 0),
        ("-1e309", 0),
        ("1.7976931348623159e308", 0),
        ("0x1p1024", 0),
        ("0x1.fffffffffffff8p1023", 0),
        ("0x", 1),
        ("0x1f", 4),
        ("0xp1", 2),
        ("0x.p1", 3),
        ("0x1pa", 4),
        ("0b1", 1),
        ("+nan", 1),
        ("-nan", 1),
        ("nano", 0),
        ("infin", 0),
        ("_1", 0),
        ("125_", 3),
        ("1__2", 1),
        ("1_.5", 1),
        ("1._5", 2),
        ("1_e5", 1),
        ("1e_5", 2),
        ("1e5_", 3),
        ("1\0", 1),
        ("1234567x", 7),
        ("12345678x", 8),
        ("−5", 0),
    ] {
        check(text, Err(at));
    }
}

#[test]
fn integers() {
    for (text, expected) in [
        ("0", Ok(0)),
        ("-5", Ok(-5)),
        ("+1700000123", Ok(1_700_000_123)),
        ("00012", Ok(12)),
        ("9223372036854775807", Ok(i64::MAX)),
        ("-9223372036854775808", Ok(i64::MIN)),
        ("9223372036854775808", Err(0)),
        ("-9223372036854775809", Err(0)),
        ("99999999999999999999999999", Err(0)),
        ("", Err(0)),
        ("+", Err(1)),
        ("--1", Err(1)),
        ("12x", Err(2)),
        ("1_0", Err(1)),
        ("1.0", Err(1)),
    ] {
        assert_eq!(parse_integer(text.as_bytes()), expected, "{text:?}");
    }
}

#[test]
fn overlong_text_is_read_to_the_end() {
    let zeros = "0".repeat(60_000);
    check(&format!("0.{zeros}1e60001"), Ok(1.0));
    check(&format!("1{zeros}e-60000"), Ok(1.0));
    check(&format!("{zeros}1"), Ok(1.0));
    check(&format!("1{zeros}"), Err(0));
    check(&format!("0x1{zeros}p-240000"), Err(0));
    // Exactly between two doubles, but for the very last digit.
    check(
        &format!("9007199254740993.{zeros}"),
        Ok(9_007_199_254_740_992.0),
    );
    check(
        &format!("9007199254740993.{zeros}1"),
        Ok(9_007_199_254_740_994.0),
    );
    check(
        &format!("0x20000000000001.{zeros}1p0"),
        Ok(9_007_199_254_740_994.0),
    );
}

/// The grammar once more, by taking text apart instead of walking over it. Decimals are left to the
/// standard library, once underscores are out; `None` = refused, or hex.
fn slow_decimal(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let unsigned = lower.strip_prefix(['+', '-']).unwrap_or(&lower);
    if lower == "nan" {
        return Some(f64::NAN);
    }
    if unsigned == "inf" || unsigned == "infinity" {
        return lower.parse().ok();
    }
    let bytes = unsigned.as_bytes();
    let digit = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_digit)
    };
    for (at, byte) in bytes.iter().enumerate() {
        let fits = match byte {
            b'_' => digit(at.checked_sub(1)) && digit(Some(at + 1)),
            b'0'..=b'9' | b'.' | b'e' | b'+' | b'-' => true,
            _ => false,
        };
        if !fits {
            return None;
        }
    }
    let value: f64 = lower.replace('_', "").parse().ok()?;
    value.is_finite().then_some(value)
}

fn is_hex(text: &str) -> bool {
    text.to_ascii_lowercase().contains('x')
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn any_text_of_number_letters_is_judged_like_the_slow_way(
        text in "[-+]{0,2}[0-9_.eE]{0,12}([-+.eE_][0-9_]{0,5}){0,2}|[-+]?[0-9]{1,25}(\\.[0-9]{0,25})?|[+-]?[infatyNIF]{2,9}|[ -~]{0,6}",
    ) {
        prop_assume!(!is_hex(&text));
        let expected = slow_decimal(&text);
        let found = parse(text.as_bytes());
        match expected {
            Some(value) if value.is_nan() => prop_assert!(found.is_ok_and(f64::is_nan)),
            Some(value) => prop_assert_eq!(found.map(f64::to_bits), Ok(value.to_bits())),
            None => prop_assert!(found.is_err_and(|at| at <= text.len()), "{found:?}"),
        }
    }

    #[test]
    fn every_double_reads_back(bits in any::<u64>()) {
        let value = f64::from_bits(bits);
        prop_assume!(value.is_finite());
        for text in [format!("{value}"), format!("{value:e}"), format!("{value:.20e}")] {
            prop_assert_eq!(parse(text.as_bytes()).map(f64::to_bits), Ok(bits), "{}", text);
        }
    }

    #[test]
    fn short_decimals_are_rounded_like_the_standard_library(
        whole in 0u64..1_000_000_000_000, fraction in "[0-9]{0,10}", sign in "-?", tail in "[|:x]?.{0,9}",
    ) {
        for number in [format!("{sign}{whole}"), format!("{sign}{whole}.{fraction}"), format!("{sign}.{fraction}1")] {
            let expected: f64 = number.parse().expect("a decimal");
            prop_assert_eq!(parse(number.as_bytes()).map(f64::to_bits), Ok(expected.to_bits()));
            let line = format!("{number}|{tail}");
            if let Some((value, len)) = plain(line.as_bytes()) {
                prop_assert_eq!(value.to_bits(), expected.to_bits());
                prop_assert_eq!(len, number.len());
            }
        }
    }

    #[test]
    fn hex_numbers_are_rounded_to_the_nearest_even(
        mantissa in 1u128..1 << 100, exponent in -1200i64..1000, negative in any::<bool>(), dot in 0usize..25,
    ) {
        let digits = format!("{mantissa:x}");
        let (whole, fraction) = digits.split_at(dot.min(digits.len()));
        let exponent = exponent + 4 * fraction.len() as i64;
        let sign = if negative { "-" } else { "" };
        let text = format!("{sign}0x{whole}.{fraction}p{exponent}");
        let exponent = exponent - 4 * fraction.len() as i64;
        // Cut off what a double cannot hold, by exact integer arithmetic.
        let width = 128 - i64::from(mantissa.leading_zeros());
        let unit = (exponent + width - 53).max(-1074);
        let dropped = unit - exponent;
        let kept = if dropped <= 0 {
            mantissa << -dropped
        } else if dropped > width {
            0
        } else {
            let (kept, rest) = (mantissa >> dropped, mantissa & ((1 << dropped) - 1));
            let half = 1u128 << (dropped - 1);
            kept + u128::from(rest > half || rest == half && kept % 2 == 1)
        };
        // Two exact factors: neither overflows or loses a bit before the product.
        let (low, high) = (unit / 2, unit - unit / 2);
        let value = kept as f64 * 2f64.powi(high as i32) * 2f64.powi(low as i32);
        let value = if negative { -value } else { value };
        match parse(text.as_bytes()) {
            Ok(found) => prop_assert_eq!(found.to_bits(), value.to_bits(), "{}", text),
            Err(at) => prop_assert!(at == 0 && value.is_infinite(), "{}", text),
        }
    }

    #[test]
    fn underscores_change_nothing_but_the_look(value in "[0-9]{2,40}", at in any::<prop::sample::Index>()) {
        let at = 1 + at.index(value.len() - 1);
        let split = format!("{}_{}", &value[..at], &value[at..]);
        prop_assert_eq!(parse(split.as_bytes()), parse(value.as_bytes()));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Err(at) = parse(&bytes) {
            prop_assert!(at <= bytes.len());
        }
        if let Err(at) = parse_integer(&bytes) {
            prop_assert!(at <= bytes.len());
        }
    }
}
