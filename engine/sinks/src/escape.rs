//! Bytes of clients made safe to look at: no control character, no direction mark, no bad UTF-8
//! reaches a terminal.

/// Longest text shown, in bytes of the original.
pub(crate) const SHOWN_LEN_BYTES_MAX: usize = 256;

/// Appends `bytes` with everything that could move the cursor, colour the line or reorder it
/// written as `\xNN`, cut at [`SHOWN_LEN_BYTES_MAX`] with an ellipsis.
pub(crate) fn push_shown(bytes: &[u8], out: &mut String) {
    let cut = cut_at_char(bytes, SHOWN_LEN_BYTES_MAX);
    for chunk in bytes[..cut].utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' {
                out.push_str("\\\\");
            } else if is_harmless(character) {
                out.push(character);
            } else {
                let mut buffer = [0; 4];
                for byte in character.encode_utf8(&mut buffer).bytes() {
                    push_hex(byte, out);
                }
            }
        }
        for &byte in chunk.invalid() {
            push_hex(byte, out);
        }
    }
    if cut < bytes.len() {
        out.push('…');
    }
}

/// Whether a character neither controls a terminal nor changes the order of its neighbours.
pub(crate) fn is_harmless(character: char) -> bool {
    !(character.is_control()
        || matches!(character,
            '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'))
}

/// At most `len_max`, moved back so that no character is cut in two.
fn cut_at_char(bytes: &[u8], len_max: usize) -> usize {
    if bytes.len() <= len_max {
        return bytes.len();
    }
    let is_continuation = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    // A character has at most three continuation bytes; more than that is not UTF-8 anyway.
    (len_max - 3..=len_max)
        .rev()
        .find(|&at| !is_continuation(at))
        .unwrap_or(len_max)
}

fn push_hex(byte: u8, out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.push_str("\\x");
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(bytes: &[u8]) -> String {
        let mut out = String::new();
        push_shown(bytes, &mut out);
        out
    }

    #[test]
    fn what_could_steer_a_terminal_is_spelled_out() {
        for (bytes, expected) in [
            (&b"plain text"[..], "plain text"),
            (b"\x1b[31mred", r"\x1b[31mred"),
            (b"a\r\nb\tc\0", r"a\x0d\x0ab\x09c\x00"),
            (b"\xff\xfe", r"\xff\xfe"),
            (b"back\\slash", r"back\\slash"),
            ("grün ✓".as_bytes(), "grün ✓"),
            ("a\u{202e}b".as_bytes(), r"a\xe2\x80\xaeb"),
            ("\u{9b}31m".as_bytes(), r"\xc2\x9b31m"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
    }

    #[test]
    fn long_text_is_cut_between_characters() {
        let text = "é".repeat(200);
        let cut = shown(text.as_bytes());
        assert_eq!(cut, format!("{}…", "é".repeat(128)));
        let odd = format!("x{text}");
        assert_eq!(shown(odd.as_bytes()), format!("x{}…", "é".repeat(127)));
        assert!(shown(&[0x80; 300]).ends_with('…'));
    }

    proptest! {
        #[test]
        fn nothing_harmful_ever_comes_out(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(shown(&bytes).chars().all(is_harmless));
        }
    }
}
