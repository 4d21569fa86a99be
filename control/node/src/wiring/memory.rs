//! How much memory contexts and buckets may take when nobody says.

use std::fs;

use greyhound_sys::cgroup::Limits;

/// Half of what the process may use: its control group's limit or the machine's memory, whichever is
/// less. The other half is for flushes on their way, sinks and the kernel's sockets. 0 = not known.
pub(super) fn default_bytes() -> u64 {
    let group = Limits::of_this_process().memory_bytes;
    let machine = fs::read_to_string("/proc/meminfo")
        .ok()
        .as_deref()
        .and_then(machine_bytes);
    group.into_iter().chain(machine).min().unwrap_or(0) / 2
}

/// `MemTotal` of `/proc/meminfo`, which is in KiB.
fn machine_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_says_kib() {
        assert_eq!(
            machine_bytes("MemTotal:       24576 kB\nMemFree: 1 kB\n"),
            Some(24576 * 1024)
        );
        assert_eq!(machine_bytes("MemFree: 1 kB\n"), None);
    }

    #[test]
    fn some_of_this_machine_is_ours() {
        assert!(default_bytes() > 0);
    }
}
