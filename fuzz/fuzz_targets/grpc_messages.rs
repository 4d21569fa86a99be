//! Input: a message over gRPC: read or refused. See `greyhound_fuzz::grpc_messages`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| greyhound_fuzz::grpc_messages::check(data));
