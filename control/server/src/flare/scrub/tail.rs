//! What stays visible of a key, so that two keys can be told apart.

use greyhound_config::secret::MASK;

/// 28 stars and the last four characters.
pub(super) fn of_api_key(key: &str) -> String {
    starred(28, key, 4)
}

/// 36 stars and the last four characters.
pub(super) fn of_app_key(key: &str) -> String {
    starred(36, key, 4)
}

/// So many stars and the last `visible` bytes of an ASCII text.
pub(super) fn starred(stars: usize, text: &str, visible: usize) -> String {
    let tail = text.len().saturating_sub(visible);
    format!("{}{}", "*".repeat(stars), text.get(tail..).unwrap_or(""))
}

/// A key in a tree: the longer it is, the more of its end stays. Empty stays empty.
pub(super) fn of_value(text: &str) -> String {
    let text = text.trim();
    let count = text.chars().count();
    let visible = match count {
        0 => return String::new(),
        1..=4 => return MASK.to_owned(),
        5..=7 => 1,
        8..=15 => 2,
        16..=31 => 3,
        _ => 4,
    };
    let is_masked_already = text.chars().take(count - visible).all(|c| c == '*');
    if is_masked_already {
        return text.to_owned();
    }
    let tail = text.chars().skip(count - visible);
    std::iter::repeat_n('*', count - visible)
        .chain(tail)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_of_a_longer_key_stays() {
        for (key, shown) in [
            ("", ""),
            ("  ", ""),
            ("abcd", "********"),
            ("abcdefg", "******g"),
            ("abcdefgh", "******gh"),
            ("0123456789abcdef", "*************def"),
            (
                "aabbccddeeff00112233445566778899",
                "****************************8899",
            ),
        ] {
            assert_eq!(of_value(key), shown);
            assert_eq!(of_value(&of_value(key)), shown, "twice");
        }
    }
}
