//! Measures a server under the scenarios of `benches/README.md`; see there.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    greyhound_benches::harness::main()
}
