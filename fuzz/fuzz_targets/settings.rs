//! Input: a settings file with environment and flags: an answer, whatever it says. See `greyhound_fuzz::settings`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::settings::check(data));
