//! Input: a packet, split and parsed, against the slow parser. See `greyhound_fuzz::packet`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::packet::check(data));
