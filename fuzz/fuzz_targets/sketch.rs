//! Input: inserts and merges, against every value kept. See `greyhound_fuzz::sketch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::sketch::check(data));
