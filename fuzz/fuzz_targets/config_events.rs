//! Input: events of a core agent: settings stay whole. See `greyhound_fuzz::config_events`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::config_events::check(data));
