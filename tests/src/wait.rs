//! Waiting for a condition, with a deadline. Nothing here sleeps blindly: a wait ends when the condition
//! holds, and fails with words when it does not in time.

use std::time::{Duration, Instant};

/// Long enough for a slow, busy machine; a healthy run never waits that long.
pub const PATIENCE: Duration = Duration::from_secs(30);

const STEP: Duration = Duration::from_millis(10);

/// Asks `probe` until it gives a value. Blocks for at most [`PATIENCE`].
///
/// # Panics
/// When the time is over; the message says what was awaited.
pub fn until<T>(awaited: &str, probe: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, awaited, probe)
}

/// [`until`] with its own patience.
///
/// # Panics
/// When the time is over.
pub fn within<T>(patience: Duration, awaited: &str, probe: impl FnMut() -> Option<T>) -> T {
    match try_within(patience, probe) {
        Some(value) => value,
        None => panic!("waited {patience:?} in vain for {awaited}"),
    }
}

/// [`within`] for those who want to say more when it fails.
pub fn try_within<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(value) = probe() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(STEP);
    }
}
