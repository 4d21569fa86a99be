//! Input: what a secrets backend prints: values or a refusal that quotes nothing. See `greyhound_fuzz::secrets_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::secrets_answer::check(data));
