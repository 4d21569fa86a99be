//! Input: any file of a flare: secrets are gone. See `greyhound_fuzz::scrub`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::scrub::check(data));
