//! The `greyhound` binary: hand the command line over, exit with its code.
//!
//! Everything lives in the library, where tests reach it. Only the allocator is chosen here, so
//! that tests can count allocations with their own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    greyhound::cli::main()
}
