//! The body of a request for a flare: nothing, or profiles as `{"name": "base64", …}`.

use serde_json::Value;

/// Profiles of one request.
const COUNT_MAX: usize = 64;

/// Reads a body; `null` and nothing are no profiles.
///
/// # Errors
/// One line about what is wrong with it.
pub(crate) fn read(body: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    if body.is_empty() {
        return Ok(Vec::new());
    }
    let profiles = match serde_json::from_slice(body) {
        Ok(Value::Null) => return Ok(Vec::new()),
        Ok(Value::Object(profiles)) => profiles,
        Ok(_) => return Err("the body is not an object of profiles".to_owned()),
        Err(error) => return Err(format!("the body is no JSON: {error}")),
    };
    if profiles.len() > COUNT_MAX {
        return Err(format!("more than {COUNT_MAX} profiles"));
    }
    profiles
        .into_iter()
        .map(|(name, value)| {
            let bytes = match &value {
                Value::Null => Some(Vec::new()),
                Value::String(text) => decode(text),
                _ => None,
            };
            bytes
                .map(|bytes| (name, bytes))
                .ok_or_else(|| "a profile is not base64".to_owned())
        })
        .collect()
}

/// Base64 of the standard alphabet with padding; line breaks are passed over.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    if !digits.len().is_multiple_of(4) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 4 * 3);
    let last = digits.len().saturating_sub(4);
    for (at, group) in digits.chunks(4).enumerate() {
        let padding = if at * 4 == last {
            group.iter().rev().take_while(|&&byte| byte == b'=').count()
        } else {
            0
        };
        if padding > 2 {
            return None;
        }
        let mut bits = 0u32;
        for &digit in &group[..4 - padding] {
            bits = bits << 6 | u32::from(value(digit)?);
        }
        bits <<= 6 * padding;
        let bytes = bits.to_be_bytes();
        out.extend_from_slice(&bytes[1..4 - padding]);
    }
    Some(out)
}

fn value(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        assert_eq!(read(b""), Ok(Vec::new()));
        assert_eq!(read(b"null"), Ok(Vec::new()));
        assert_eq!(
            read(br#"{"cpu.pprof":"Zm9vYg==","empty":""}"#),
            Ok(vec![
                ("cpu.pprof".to_owned(), b"foob".to_vec()),
                ("empty".to_owned(), Vec::new())
            ])
        );
        for body in [
            "\"x\"",
            "[]",
            "{",
            "{\"a\":1}",
            "{\"a\":\"Zm9\"}",
            "{\"a\":\"****\"}",
            "{\"a\":\"Zg==Zg==\"}",
            "{\"a\":\"====\"}",
            "{\"a\":\"=\"}",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
