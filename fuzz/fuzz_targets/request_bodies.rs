//! Input: the body of a REST request: a documented answer. See `greyhound_fuzz::request_bodies`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::request_bodies::check(data));
