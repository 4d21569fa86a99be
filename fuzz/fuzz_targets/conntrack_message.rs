//! Input: netlink messages about connections, our walk against the crate's parser. See
//! `greyhound_fuzz::conntrack_message`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::conntrack_message::check(data));
