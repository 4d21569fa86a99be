//! Skipping what a machine cannot run, so that nobody takes a skip for a success.
//!
//! The line goes straight to the standard error stream, past the capture of the test runner. With
//! `GREYHOUND_NO_SKIP=1` a skip is a failure.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

static SKIPPED: AtomicUsize = AtomicUsize::new(0);

/// Says that the running test is skipped, and why.
///
/// # Panics
/// When `GREYHOUND_NO_SKIP` is `1`.
pub fn skip(reason: &str) {
    if std::env::var_os("GREYHOUND_NO_SKIP").is_some_and(|value| value == "1") {
        panic!("GREYHOUND_NO_SKIP=1 and this machine cannot run the test: {reason}");
    }
    let count = SKIPPED.fetch_add(1, Ordering::Relaxed) + 1;
    let test = std::thread::current();
    let test = test.name().unwrap_or("a test");
    let line = format!("\nSKIPPED: {test}: {reason} ({count} skipped so far)\n");
    // Written past the capture; if even that fails there is nobody to tell.
    drop(std::io::stderr().write_all(line.as_bytes()));
}

/// The value, or a skip.
pub fn or_skip<T>(prepared: Result<T, String>) -> Option<T> {
    prepared.inspect_err(|reason| skip(reason)).ok()
}
