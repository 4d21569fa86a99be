//! The bearer token: 32 random bytes as 64 hexadecimal digits in a file. Kept as a digest, so that neither a
//! dump of memory structures nor a comparison shows it.

use std::fmt;

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use ring::rand::{SecureRandom, SystemRandom};
use subtle::ConstantTimeEq;

use crate::artifact;

/// Shortest token accepted, as the Agent's readers demand.
const LEN_MIN: usize = 32;
const FILE_BYTES_MAX: usize = 4096;
const RANDOM_BYTES: usize = 32;

/// A token. `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: String,
    digest: [u8; SHA256_OUTPUT_LEN],
}

/// How the token file is read and made.
pub(crate) const FILE: artifact::Kind<Token> = artifact::Kind {
    bytes_max: FILE_BYTES_MAX,
    parse: Token::parse,
    make,
};

fn make() -> Result<Vec<u8>, String> {
    let mut random = [0; RANDOM_BYTES];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "the system gives no random bytes")?;
    // No newline at the end: some clients send the file as it is.
    Ok(random
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(u32::from(digit), 16))
        .map(|letter| letter as u8)
        .collect())
}

// === impl Token ===

impl Token {
    /// Reads the content of a token file; white space around the token is no part of it.
    ///
    /// # Errors
    /// Too short, or not printable; the token is not shown.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).unwrap_or_default().trim();
        if text.len() < LEN_MIN {
            return Err(format!(
                "holds an invalid authentication token: must be at least {LEN_MIN} characters in length"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("holds an invalid authentication token: it is not printable".to_owned());
        }
        Ok(Self {
            text: text.to_owned(),
            digest: sha256(text.as_bytes()),
        })
    }

    /// Compares digests, so the time taken tells nothing about the token.
    pub(crate) fn is(&self, presented: &[u8]) -> bool {
        sha256(presented).ct_eq(&self.digest).into()
    }

    /// For the one header that carries it.
    pub fn reveal(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(********)")
    }
}

fn sha256(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut out = [0; SHA256_OUTPUT_LEN];
    out.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_64_lower_case_digits() {
        let made = make().expect("randomness");
        assert_eq!(made.len(), 64);
        assert!(
            made.iter()
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(b))
        );
        assert_ne!(made, make().expect("randomness"));
    }

    #[test]
    fn only_the_same_token_is_the_same() {
        let made = make().expect("randomness");
        let token = Token::parse(&[&made[..], b"\n"].concat()).expect("a token");
        assert!(token.is(&made));
        assert!(!token.is(&made[1..]) && !token.is(b""));
        assert_eq!(token.reveal().as_bytes(), made);
        assert_eq!(format!("{token:?}"), "Token(********)");
    }

    #[test]
    fn short_and_strange_tokens_are_refused_unseen() {
        let short = Token::parse(b"secret").unwrap_err();
        assert!(short.contains("at least 32") && !short.contains("secret"));
        let control = [b"secret".as_slice(), &[7; 40]].concat();
        assert!(!Token::parse(&control).unwrap_err().contains("secret"));
        assert!(Token::parse(&[0xff; 64]).is_err());
    }
}
