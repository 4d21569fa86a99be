//! Regular expressions in Go's syntax, by table. Rows follow Go's `regexp/syntax` documentation and
//! the tests of the Agent's `comp/dogstatsd/mapper`.

use super::*;

/// `expected`: the groups from 1 on, `-` for one that took no part, joined by `,`; or `no match`,
/// or `refused`.
#[track_caller]
fn check(pattern: &str, name: &[u8], expected: &str) {
    let got = match Pattern::regex(pattern) {
        Err(PatternError::Syntax(_)) => "refused".to_owned(),
        Err(other) => other.to_string(),
        Ok(pattern) => {
            let mut spans = Vec::new();
            if pattern.matches(name, &mut spans) {
                assert_eq!(spans.len(), pattern.groups().len());
                let groups: Vec<String> = spans[1..]
                    .iter()
                    .map(|span| {
                        span.map_or("-".to_owned(), |(a, b)| {
                            name[a..b].escape_ascii().to_string()
                        })
                    })
                    .collect();
                groups.join(",")
            } else {
                "no match".to_owned()
            }
        }
    };
    assert_eq!(got, expected, "{pattern} on {}", name.escape_ascii());
}

#[test]
fn both_ends_are_anchored_as_text() {
    check("a(.)c", b"abc", "b");
    check("a(.)c", b"abcd", "no match");
    check("a(.)c", b"xabc", "no match");
    // The Agent writes `^` and `$` around the text, whatever it is.
    check("a|b", b"axx", "");
    check("a|b", b"xxb", "");
    check("a|b", b"xax", "no match");
    check("(?:a|b)", b"axx", "no match");
    check("a\\", b"a$", "");
    check("\\Qa.b", b"a.b$", "");
    check("a$", b"a", "");
    check("^a", b"a", "");
    check("(?m)a", b"a\nb", "");
}

#[test]
fn perl_classes_are_ascii() {
    check(r"(\d+)-(\w+)-(\s)", b"42-a_Z9- ", "42,a_Z9, ");
    check(r"\d", "٣".as_bytes(), "no match");
    check(r"\w", "é".as_bytes(), "no match");
    check(r"\s", b"\x0b", "no match");
    check(r"\S", b"\x0b", "");
    check(r"\D\W", "é-".as_bytes(), "");
    check(r"[\d.]+", b"1.2", "");
    check(r"[^\D5]", b"4", "");
    check(r"[\W_]+", "é_-".as_bytes(), "");
    check(r"é\bx", "éx".as_bytes(), "");
    check(r"a\Bb\b", b"ab", "");
}

#[test]
fn posix_classes_stand_inside_of_brackets() {
    check("[[:alpha:]]+[[:digit:]]", b"aZ9", "");
    check("[[:^alpha:]]", b"a", "no match");
    check("[[:^alpha:]]", b"9", "");
    check("[[:word:].-]+", b"a.b-c_", "");
    check("[[:punct:]]", b"^", "");
    check("[[:space:]]", b"\x0b", "");
    check("[[:nope:]]", b"a", "refused");
    check("[:alpha:]", b"h", "");
    check("[[:a]+", b"[:a", "");
}

#[test]
fn classes_have_no_arithmetic() {
    check("[[a]+", b"[a", "");
    check("[a&&b]+", b"a&b", "");
    check("[a~~b]+", b"a~b", "");
    check("[]a]+", b"]a", "");
    check("[^]a]", b"]", "no match");
    check("[a-]+", b"a-", "");
    check("[-a]+", b"a-", "");
    check("[+--]+", b"+,-", "");
    check("[a\\]b]+", b"a]b", "");
    check("[b-a]", b"a", "refused");
    check("[a", b"a", "refused");
    check("[]", b"]", "refused");
    check("[^a]", b"\n", "");
    check(r"[\x41-\x{43}]+", b"ABC", "");
}

#[test]
fn escapes_mean_what_they_mean_in_go() {
    check(r"\Qa.b*\E+", b"a.b**", "");
    check(r"\Q\E", b"", "");
    check(r"\.\*\<\>\_\#\-\ ", b".*<>_#- ", "");
    check(r"\101\x42\x{43}\060", b"ABC0", "");
    check(r"\a\f\n\r\t\v", b"\x07\x0c\n\r\t\x0b", "");
    check(r"a\z", b"a", "");
    check(r"\Aa", b"a", "");
    for refused in [
        r"\1",
        r"\8",
        r"\Z",
        r"\E",
        r"\C",
        r"\u0041",
        r"\xg1",
        r"\x{}",
        r"\x{110000}",
    ] {
        check(refused, b"", "refused");
    }
    check("\\é", b"", "refused");
}

#[test]
fn braces_that_count_nothing_are_plain() {
    check("a{2}b{1,}c{0,2}", b"aabbcc", "");
    check("a{,2}", b"a{,2}", "");
    check("a{x}{", b"a{x}{", "");
    check("a{01}", b"a{01}", "");
    check("}", b"}", "");
    check("a{2,1}", b"", "refused");
    check("a{1001}", b"", "refused");
    check("a{99999999999}", b"", "refused");
    check("a{1000}", &[b'a'; 1000], "");
}

#[test]
fn repetitions_do_not_stack() {
    for refused in [
        "a**", "a++", "a*+", "a{2}{3}", "a??+", "a|*", "(*a)", "(|+)",
    ] {
        check(refused, b"", "refused");
    }
    check("(a+?)(a*)", b"aaa", "a,aa");
    check("(a*?)b", b"aab", "aa");
    check("(?U)(a+)(a*)", b"aaa", "a,aa");
    check("(?U)(a+?)(a*)", b"aaa", "aaa,");
    check("(?:a?){3}", b"aa", "");
    check("^*a", b"a", "");
}

#[test]
fn flags_hold_to_the_end_of_their_group() {
    check("(?i)ab", b"aB", "");
    check("(?i:a)b", b"AB", "no match");
    check("((?i)a)b", b"Ab", "A");
    check("((?i)a)b", b"AB", "no match");
    check("(?i)a(?-i)b", b"AB", "no match");
    check("(?i)a|b", b"xB", "");
    check("(?s).(?-s).", b"\n\n", "no match");
    check("(?s)..", b"\n\n", "");
    check("(?is-mU:A.)", b"a\n", "");
    check("(?)a", b"a", "");
    for refused in [
        "(?x)a",
        "(?u)a",
        "(?-)a",
        "(?i-)a",
        "(?i-i-i)a",
        "(?=a)",
        "(?i",
        "(?",
        "(?P=a)",
    ] {
        check(refused, b"a", "refused");
    }
}

#[test]
fn case_folds_beyond_ascii() {
    check("(?i)[a-c]+", b"AbC", "");
    check("(?i)[^a-c]", b"B", "no match");
    check("(?i)É", "é".as_bytes(), "");
    check("(?i)[à-ü]", "É".as_bytes(), "");
    check("(?i)k", "\u{212a}".as_bytes(), "");
    check("(?i)\u{212a}", b"k", "");
    check("(?i)s", "ſ".as_bytes(), "");
    check("(?i)ß", "SS".as_bytes(), "no match");
    check("(?i)[^\\x00-\\x{10FFFF}]", b"a", "no match");
}

#[test]
fn groups_may_have_names_that_start_with_a_digit() {
    let pattern = Pattern::regex("(?P<1_x>a)(b)(?<two>c)(?:d)").expect("a pattern of the test");
    let names: Vec<Option<&str>> = pattern.groups().iter().map(Option::as_deref).collect();
    assert_eq!(names, [None, Some("1_x"), None, Some("two")]);
    for refused in [
        "(?P<a>x)(?P<a>y)",
        "(?P<>x)",
        "(?P<a-b>x)",
        "(?P<a",
        "(?<é>x)",
        "(",
        ")",
        "a)(",
    ] {
        check(refused, b"", "refused");
    }
    check("(a)|(b)", b"b", "-,b");
}

#[test]
fn a_name_is_read_as_code_points() {
    check("(.)(.)", "é!".as_bytes(), "\\xc3\\xa9,!");
    check("(.)(.)(.)", b"\xe2\x82!", "\\xe2,\\x82,!");
    check("(.)", "é".as_bytes(), "\\xc3\\xa9");
    check("(.)(.)", "é".as_bytes(), "no match");
    check("(.*)\\.(.*)", b"\xff\xc3\xa9.\xff", "\\xff\\xc3\\xa9,\\xff");
    check("(\u{fffd})x", b"\xffx", "\\xff");
    check("()\u{fffd}()", b"\xff", ",");
    check("\\xff", "\u{ff}".as_bytes(), "");
    check("\\xff", b"\xff", "no match");
}

#[test]
fn a_regular_expression_too_large_is_refused() {
    let error = Pattern::regex("(?:[^a]{1000}){1000}").expect_err("a large program");
    assert!(matches!(error, PatternError::Regex(_)), "{error}");
}

#[test]
fn a_search_is_linear_in_the_name() {
    let pattern = Pattern::regex("(a*)*(a*)*b").expect("a pattern of the test");
    assert!(!pattern.matches(&[b'a'; 60_000], &mut Vec::new()));
}
