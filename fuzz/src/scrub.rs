//! The scrubber: whatever a file of a flare holds, planted secrets are gone, and a second pass over a log changes
//! nothing.
//!
//! Input: one byte that chooses how the file is read, then its text. Bytes of 1 to 6 stand for a secret the
//! process knows, in each of its forms. In a log, bytes of 14 to 22 stand for lines with secrets it does not know.

use greyhound_server::flare::scrub::Scrubber;

/// Known to the process. Not hexadecimal, so that no rule keeps its tail; with bytes every encoding changes.
const KNOWN: &str = "s3cr\"t+of/ours=?&";
const FORMS: [&str; 6] = [
    KNOWN,
    // JSON, URL, hexadecimal, base64 with its padding and without.
    "s3cr\\\"t+of/ours=?&",
    "s3cr%22t%2Bof%2Fours%3D%3F%26",
    "7333637222742b6f662f6f7572733d3f26",
    "czNjciJ0K29mL291cnM9PyY=",
    "czNjciJ0K29mL291cnM9PyY",
];
/// Lines that are secret whatever stands around them, and what of each must not survive.
const LINES: [(&str, &str); 9] = [
    ("api_key: deadbeefdeadbeefdeadbeefcafe4242", "deadbeefcafe"),
    (
        "x=1&api_key=deadbeefdeadbeefdeadbeefcafe4242&y",
        "deadbeefcafe",
    ),
    ("Authorization: Bearer canary-bearer", "canary-bearer"),
    ("http://user:canary-user@host/x", "canary-user"),
    ("password: canary-password", "canary-password"),
    ("DD_API_KEY=canary-environment", "canary-environment"),
    ("x-vault-token: canary-vault", "canary-vault"),
    ("{\"auth_token\":\"canary-json\"}", "canary-json"),
    ("community_strings: [canary-community]", "canary-community"),
];
const NAMES: [&str; 5] = ["a.log", "a.json", "a.yaml", "etc/a.yaml", "a.bin"];

/// Panics if scrubbing does, if a secret is left, or if scrubbing twice changes more.
pub fn check(data: &[u8]) {
    let Some((&name, content)) = data.split_first() else {
        return;
    };
    let name = NAMES[usize::from(name) % NAMES.len()];
    let scrubber = Scrubber::new([KNOWN.to_owned()], ["further_key".to_owned()]);
    // Nobody plants these but we, so whoever finds one knows whose it is.
    let has = |word: &[u8]| content.windows(word.len()).any(|bytes| bytes == word);
    if has(b"canary-") || has(b"deadbeefcafe") {
        return;
    }
    let (planted, secrets) = plant(content, name == NAMES[0]);
    let once = scrubber.file(name, &planted);
    for secret in secrets {
        let found = once
            .windows(secret.len())
            .any(|bytes| bytes == secret.as_bytes());
        assert!(
            !found,
            "{secret} is left in {name}: {}",
            once.escape_ascii()
        );
    }
    // What is taken apart is also put down anew, so only text has to stay as it is.
    let is_text = name == NAMES[0] && std::str::from_utf8(content).is_ok();
    if !is_text {
        return;
    }
    let twice = scrubber.file(name, &once);
    assert_eq!(
        once.escape_ascii().to_string(),
        twice.escape_ascii().to_string(),
        "a second pass changes more of {name}"
    );
}

/// The text with its secrets, and what must not be found in the end.
fn plant(content: &[u8], is_log: bool) -> (Vec<u8>, Vec<&'static str>) {
    let mut planted = Vec::with_capacity(content.len());
    let mut secrets = Vec::new();
    let has_lines = is_log && std::str::from_utf8(content).is_ok();
    for &byte in content {
        match byte {
            1..=6 => {
                let form = FORMS[usize::from(byte) - 1];
                planted.extend_from_slice(form.as_bytes());
                secrets.push(form);
            }
            14..=22 if has_lines => {
                let (line, secret) = LINES[usize::from(byte - 14)];
                planted.push(b'\n');
                planted.extend_from_slice(line.as_bytes());
                planted.push(b'\n');
                secrets.push(secret);
            }
            byte => planted.push(byte),
        }
    }
    (planted, secrets)
}
