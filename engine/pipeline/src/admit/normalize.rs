//! The form in which Datadog's intake stores a metric name.
//!
//! Names travel verbatim through the engine; the intake rewrites them when they arrive. Whoever
//! writes a filter list copies names from the product, so a list can only be compared in this form.
//!
//! Byte by byte: everything before the first ASCII letter goes; letters, digits and dots stay; any
//! other byte becomes `_`; there is no `_` beside a dot or another `_`, and none at the end. A name
//! without a letter, or longer than [`NAME_LEN_BYTES_MAX`], is not stored at all.

/// Longest name the intake takes, in bytes; a longer one is refused, not cut.
pub const NAME_LEN_BYTES_MAX: usize = 350;

/// True if the intake would store `name` just as it is.
///
/// Cost: one pass, no allocation.
#[inline]
pub fn is_normalized(name: &[u8]) -> bool {
    if name.len() > NAME_LEN_BYTES_MAX || !name.first().is_some_and(u8::is_ascii_alphabetic) {
        return false;
    }
    // True while the last byte was a letter or digit: only then may `_` follow, and only such a
    // byte may follow `_`.
    let mut after_alnum = true;
    let mut after_underscore = false;
    for &byte in &name[1..] {
        let alnum = byte.is_ascii_alphanumeric();
        match byte {
            b'_' if after_alnum => after_underscore = true,
            b'.' if !after_underscore => {}
            _ if alnum => after_underscore = false,
            _ => return false,
        }
        after_alnum = alnum;
    }
    !after_underscore
}

/// Writes the stored form of `name` over `out`; false, and `out` empty, if it has none.
///
/// Never longer than `name`. Cost: one pass and one copy.
pub fn normalize_name(name: &[u8], out: &mut Vec<u8>) -> bool {
    let mut form = [0; NAME_LEN_BYTES_MAX];
    let stored = normalize_name_into(name, &mut form);
    out.clear();
    out.extend_from_slice(stored.unwrap_or_default());
    stored.is_some()
}

/// [`normalize_name`] without a heap.
pub(super) fn normalize_name_into<'f>(
    name: &[u8],
    form: &'f mut [u8; NAME_LEN_BYTES_MAX],
) -> Option<&'f [u8]> {
    let stored = normalize_prefix_into(name, form)?;
    Some(stored.strip_suffix(b"_").unwrap_or(stored))
}

/// As [`normalize_name_into`], but for text that goes on after its end: a last `_` stays, so that
/// `service_` does not widen to `service`.
pub(super) fn normalize_prefix_into<'f>(
    prefix: &[u8],
    form: &'f mut [u8; NAME_LEN_BYTES_MAX],
) -> Option<&'f [u8]> {
    if prefix.len() > NAME_LEN_BYTES_MAX {
        return None;
    }
    let start = prefix.iter().position(u8::is_ascii_alphabetic)?;
    // Every byte read writes at most one, so `len` stays below the length of the input.
    let mut len = 0;
    let mut last = b'.';
    for &byte in &prefix[start..] {
        match (byte, last) {
            (b'.', b'_') => form[len - 1] = b'.',
            (byte, _) if byte == b'.' || byte.is_ascii_alphanumeric() => {
                form[len] = byte;
                len += 1;
            }
            (_, b'.' | b'_') => {}
            _ => {
                form[len] = b'_';
                len += 1;
            }
        }
        last = form[len - 1];
    }
    Some(&form[..len])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normalized(name: &[u8]) -> Option<Vec<u8>> {
        let mut out = b"old".to_vec();
        normalize_name(name, &mut out).then_some(out)
    }

    #[track_caller]
    fn check(name: &[u8], expected: Option<&str>) {
        let got = normalized(name);
        let got = got.as_deref().map(|n| n.escape_ascii().to_string());
        assert_eq!(got.as_deref(), expected, "{}", name.escape_ascii());
    }

    #[test]
    fn names_take_the_form_the_intake_gives_them() {
        check(b"web.hits", Some("web.hits"));
        check(b"Web.Hits9", Some("Web.Hits9"));
        check(b"my metric-name", Some("my_metric_name"));
        check(b"host.cpu%util", Some("host.cpu_util"));
        check(b"1app.requests", Some("app.requests"));
        check(b"..a", Some("a"));
        check("café.requests".as_bytes(), Some("caf.requests"));
        check(b"a__b", Some("a_b"));
        check(b"a._b", Some("a.b"));
        check(b"a_.b", Some("a.b"));
        check(b"a_._b", Some("a.b"));
        check(b"a..b.", Some("a..b."));
        check(b"a_", Some("a"));
        check(b"a\xff\xfe", Some("a"));
    }

    #[test]
    fn names_without_a_letter_or_too_long_have_no_form() {
        check(b"", None);
        check(b"123._", None);
        check(&b"a".repeat(NAME_LEN_BYTES_MAX + 1), None);
        assert_eq!(
            normalized(&b"a".repeat(NAME_LEN_BYTES_MAX)).map(|n| n.len()),
            Some(350)
        );
    }

    #[test]
    fn a_prefix_keeps_its_last_underscore() {
        let mut form = [0; NAME_LEN_BYTES_MAX];
        assert_eq!(
            normalize_prefix_into(b"service-", &mut form),
            Some(&b"service_"[..])
        );
        assert_eq!(
            normalize_prefix_into(b"service.-", &mut form),
            Some(&b"service."[..])
        );
    }

    proptest! {
        #[test]
        fn a_name_is_normalized_exactly_if_normalizing_keeps_it(name in "[aB1._ \\-é]{0,12}") {
            let name = name.as_bytes();
            prop_assert_eq!(is_normalized(name), normalized(name).as_deref() == Some(name));
        }

        #[test]
        fn the_result_is_normalized(name in prop::collection::vec(any::<u8>(), 0..40)) {
            if let Some(stored) = normalized(&name) {
                prop_assert!(is_normalized(&stored), "{}", stored.escape_ascii());
                prop_assert!(stored.len() <= name.len());
            }
        }
    }
}
