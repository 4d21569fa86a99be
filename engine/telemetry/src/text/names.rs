//! Names Prometheus takes, and how any other name is brought into that shape.
//!
//! Reducing is not reversible: `a.b` and `a_b` meet. Whoever sanitises detects that and counts it.

/// Whether `name` is written as it is: `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_metric_name(name: &str) -> bool {
    is_name(name, |byte| byte == b':')
}

/// Whether `name` is written as it is: `[a-zA-Z_][a-zA-Z0-9_]*`, not starting with `__`.
pub fn is_label_name(name: &str) -> bool {
    is_name(name, |_| false) && !is_reserved_label(name)
}

/// Appends `name` as a metric name: each character that is not allowed becomes `_`, a leading digit
/// gets one before it, nothing at all becomes `_`.
pub fn sanitize_name(name: &[u8], out: &mut String) {
    sanitize(name, out, |byte| byte == b':');
}

/// Appends `name` as a label name: the same rules without `:`, and of leading underscores only one
/// stays, because names that start with two are Prometheus' own.
pub fn sanitize_label(name: &[u8], out: &mut String) {
    let start = out.len();
    sanitize(name, out, |_| false);
    while out[start..].starts_with("__") {
        out.remove(start);
    }
}

/// Labels that start with two underscores have a meaning inside Prometheus (`__name__`).
pub(super) fn is_reserved_label(name: &str) -> bool {
    name.starts_with("__")
}

fn is_name(name: &str, also: impl Fn(u8) -> bool) -> bool {
    let first_is_digit = name.as_bytes().first().is_none_or(u8::is_ascii_digit);
    !first_is_digit && name.bytes().all(|byte| is_word(byte) || also(byte))
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn sanitize(name: &[u8], out: &mut String, also: impl Fn(u8) -> bool) {
    if name.first().is_none_or(u8::is_ascii_digit) {
        out.push('_');
    }
    for chunk in name.utf8_chunks() {
        out.extend(chunk.valid().chars().map(|c| match u8::try_from(c) {
            Ok(byte) if is_word(byte) || also(byte) => c,
            _ => '_',
        }));
        if !chunk.invalid().is_empty() {
            out.push('_');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &[u8]) -> String {
        let mut out = String::new();
        sanitize_name(text, &mut out);
        out
    }

    fn label(text: &[u8]) -> String {
        let mut out = String::new();
        sanitize_label(text, &mut out);
        out
    }

    #[test]
    fn metric_names() {
        assert_eq!(name(b"page.views"), "page_views");
        assert_eq!(name(b"a:b_C9"), "a:b_C9");
        assert_eq!(name(b"9lives"), "_9lives");
        assert_eq!(name(b""), "_");
        assert_eq!(name("größe-µ".as_bytes()), "gr__e__");
        assert_eq!(name(b"a\xff\xfeb"), "a__b");
        assert_eq!(name(b"a b\0"), "a_b_");
    }

    #[test]
    fn label_names() {
        assert_eq!(label(b"kube:pod"), "kube_pod");
        assert_eq!(label(b"__name__"), "_name__");
        assert_eq!(label(b"....x"), "_x");
        assert_eq!(label(b"_x"), "_x");
        assert_eq!(label(b"0"), "_0");
        assert!(!is_label_name("__name__"));
    }

    #[test]
    fn what_is_there_already_stays() {
        let mut out = String::from("__");
        sanitize_label(b"__a", &mut out);
        assert_eq!(out, "___a");
    }

    proptest! {
        #[test]
        fn any_bytes_become_a_legal_name(bytes in proptest::collection::vec(any::<u8>(), 0..20)) {
            let (name, label) = (name(&bytes), label(&bytes));
            prop_assert!(is_metric_name(&name), "{}", name);
            prop_assert!(is_label_name(&label), "{}", label);
        }

        #[test]
        fn a_legal_name_is_left_alone(text in "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}") {
            prop_assert_eq!(name(text.as_bytes()), text);
        }
    }
}
