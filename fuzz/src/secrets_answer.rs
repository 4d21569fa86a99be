//! What a secrets backend prints: every handle asked for has a value, or there is a refusal that quotes nothing
//! of it.
//!
//! Input: one byte of switches, then the answer.

use std::path::PathBuf;
use std::time::Duration;

use greyhound_config::secrets::read_answer;
use greyhound_config::settings::SecretBackend;

const HANDLES: [&str; 3] = ["a", "db/password", "x\"y"];

/// Panics if reading does, or if the refusal depends on what the answer holds.
pub fn check(data: &[u8]) {
    let Some((&switches, answer)) = data.split_first() else {
        return;
    };
    let backend = SecretBackend {
        command: PathBuf::from("/backend"),
        arguments: Vec::new(),
        timeout: Duration::from_secs(1),
        output_bytes_max: 1 << 20,
        allow_group_exec: false,
        remove_trailing_line_break: switches & 1 != 0,
        refresh_interval: Duration::ZERO,
    };
    let handles = &HANDLES[..usize::from(switches >> 1) % 4];
    match read_answer(&backend, handles, answer) {
        Ok(secrets) => {
            assert_eq!(secrets.len(), handles.len());
            for handle in handles {
                let value = secrets[*handle].reveal();
                assert!(!value.is_empty());
                assert!(switches & 1 == 0 || !value.ends_with('\n'));
                assert!(!format!("{:?}", secrets[*handle]).contains(value) || value.len() < 9);
            }
        }
        Err(shown) => {
            let of = |handle: &&str| {
                let quoted = format!("{handle:?}");
                [
                    format!("the handle {quoted} was not answered"),
                    format!("the handle {quoted} is unknown to it, or refused"),
                    format!("the handle {quoted} stands for nothing"),
                ]
            };
            let is_known = shown == "/backend did not answer in JSON"
                || handles.iter().any(|handle| of(handle).contains(&shown));
            assert!(is_known, "{shown}");
        }
    }
}
