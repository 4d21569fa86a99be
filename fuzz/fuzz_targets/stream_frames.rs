//! Input: a byte stream in any chunks, against the whole stream at once. See `greyhound_fuzz::stream_frames`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::stream_frames::check(data));
