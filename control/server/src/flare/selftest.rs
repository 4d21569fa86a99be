//! Every archive carries its own proof: secrets made up for it are planted in every form the rules know, and
//! none of them may be found in the finished file.

use super::FlareError;
use super::archive::Archive;
use super::scrub::Scrubber;

/// The member that holds what is left of the planted secrets.
const MEMBER: &str = "scrubber_selftest.log";

/// What must not be found.
pub(super) struct Canaries {
    planted: Vec<String>,
}

/// Adds the member with the planted secrets.
pub(super) fn plant(archive: &mut Archive, scrubber: &Scrubber) -> Result<Canaries, FlareError> {
    let word = format!("canary{}", random_digits());
    let hex = |length: usize| -> String {
        let digits = random_digits();
        digits.chars().cycle().take(length).collect()
    };
    let (key, app, bearer) = (hex(32), hex(40), hex(64));
    let lines = [
        format!("api_key: {key}"),
        format!("DD_API_KEY={word}1"),
        format!("seen {app} here"),
        format!("Authorization: Bearer {bearer}"),
        format!("GET /?api_key={word}2&x=1"),
        format!("https://user:{word}3@host/"),
        format!("password: {word}4"),
        format!("password: |\n  {word}5\n\n  {word}6"),
        format!("{{\"auth_token\":\"{word}7\"}}"),
        format!("x-vault-token: {word}8"),
        format!("community_strings:\n  - {word}9"),
        format!("-----BEGIN EC PRIVATE KEY-----\n{word}a\n-----END EC PRIVATE KEY-----"),
        format!("# {word}b"),
    ];
    archive.add(MEMBER, lines.join("\n").as_bytes(), scrubber)?;
    Ok(Canaries {
        planted: vec![word, key, app, bearer],
    })
}

/// From the clock and the randomness of hash tables: it must be new, not secret.
fn random_digits() -> String {
    use std::hash::{BuildHasher, RandomState};
    format!(
        "{:016x}",
        RandomState::new().hash_one(std::time::SystemTime::now())
    )
}

// === impl Canaries ===

impl Canaries {
    /// Looks for every planted secret.
    pub(super) fn check(&self, content: &[u8], name: &str) -> Result<(), FlareError> {
        let content = String::from_utf8_lossy(content);
        if self.planted.iter().any(|secret| content.contains(secret)) {
            return Err(FlareError::Leak(name.to_owned()));
        }
        Ok(())
    }
}
