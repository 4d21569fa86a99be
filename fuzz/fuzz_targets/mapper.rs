//! Input: mapping rules and names, against regular expressions and against the cache. See `greyhound_fuzz::mapper`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::mapper::check(data));
