//! What the kernel says about processes and sockets: processor time, memory, drops.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc/PID/stat`; fixed on every Linux that matters.
const NANOS_PER_TICK: u64 = 10_000_000;

/// Processor time in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// All of it, exact.
    pub total: u64,
    /// In ticks of 10 ms; only the proportion to `system` is used.
    pub user: u64,
    /// As `user`.
    pub system: u64,
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Memory {
    /// Resident now.
    pub resident: u64,
    /// Most ever.
    pub peak: u64,
}

/// A UDP port.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UdpPort {
    /// Bytes in the receive queues.
    pub queued: u64,
    /// Datagrams dropped since the sockets were made.
    pub drops: u64,
}

// === impl Cpu ===

impl Cpu {
    /// Of a process with all its threads, and of its children.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let mut all = Self::default();
        for pid in family(pid) {
            all.add(Self::of_one(pid).with_context(|| format!("process {pid} is gone"))?);
        }
        Ok(all)
    }

    fn of_one(pid: u32) -> Result<Self> {
        let mut total = 0;
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            // A thread may end while we look.
            let text = fs::read_to_string(entry?.path().join("schedstat")).unwrap_or_default();
            total += number(text.split_whitespace().next());
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let (user, system) = ticks(&stat);
        Ok(Self {
            total,
            user: user * NANOS_PER_TICK,
            system: system * NANOS_PER_TICK,
        })
    }

    fn add(&mut self, other: Self) {
        self.total += other.total;
        self.user += other.user;
        self.system += other.system;
    }

    /// What was used since `before`.
    pub fn since(self, before: Self) -> Self {
        Self {
            total: self.total.saturating_sub(before.total),
            user: self.user.saturating_sub(before.user),
            system: self.system.saturating_sub(before.system),
        }
    }
}

// === impl Memory ===

impl Memory {
    /// Of a process, and of its children.
    ///
    /// # Errors
    ///
    /// When there is no such process.
    pub fn of(pid: u32) -> Result<Self> {
        let mut all = Self::default();
        for pid in family(pid) {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))
                .with_context(|| format!("process {pid} is gone"))?;
            let memory = Self::parse(&status);
            all.resident += memory.resident;
            all.peak += memory.peak;
        }
        Ok(all)
    }

    fn parse(status: &str) -> Self {
        let kilobytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            number(line.and_then(|rest| rest.split_whitespace().next())) * 1024
        };
        Self {
            resident: kilobytes("VmRSS:"),
            peak: kilobytes("VmHWM:"),
        }
    }
}

// === impl UdpPort ===

impl UdpPort {
    /// All sockets bound to `port`.
    ///
    /// # Errors
    ///
    /// When `/proc/net/udp` cannot be read.
    pub fn of(port: u16) -> Result<Self> {
        let mut all = Self::parse(&fs::read_to_string("/proc/net/udp")?, port);
        // Without IPv6 there is no such table.
        if let Ok(table) = fs::read_to_string("/proc/net/udp6") {
            let six = Self::parse(&table, port);
            all.queued += six.queued;
            all.drops += six.drops;
        }
        Ok(all)
    }

    /// Second column: address and port in hexadecimal; fifth: both queues; last: drops.
    fn parse(table: &str, port: u16) -> Self {
        let suffix = format!(":{port:04X}");
        let mut all = Self::default();
        for line in table.lines().skip(1) {
            let columns: Vec<&str> = line.split_whitespace().collect();
            if columns.get(1).is_some_and(|local| local.ends_with(&suffix)) {
                let queued = columns.get(4).and_then(|queues| queues.split_once(':'));
                let queued = queued.and_then(|(_, queued)| u64::from_str_radix(queued, 16).ok());
                all.queued += queued.unwrap_or(0);
                all.drops += number(columns.last().copied());
            }
        }
        all
    }
}

/// A process and its descendants, as far as the kernel shows them.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(&pid) = all.get(at) {
        let path: PathBuf = format!("/proc/{pid}/task/{pid}/children").into();
        let children = fs::read_to_string(path).unwrap_or_default();
        all.extend(
            children
                .split_whitespace()
                .filter_map(|text| text.parse::<u32>().ok()),
        );
        at += 1;
    }
    all
}

/// User and system ticks: fields 14 and 15, counted from the command's closing bracket, in which
/// anything may stand.
fn ticks(stat: &str) -> (u64, u64) {
    let rest = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let mut fields = rest.split_whitespace().skip(11);
    (number(fields.next()), number(fields.next()))
}

fn number(text: Option<&str>) -> u64 {
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_found_behind_any_command() {
        let stat = "7 (a) b) c) S 1 7 7 0 -1 4194560 100 0 0 0 31 42 5 6 20 0 3 0 99";
        assert_eq!(ticks(stat), (31, 42));
        assert_eq!(ticks("nonsense"), (0, 0));
    }

    #[test]
    fn a_port_is_the_sum_of_its_sockets() {
        let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1: 0100007F:1FBD 00000000:0000 07 00000000:00000A00 00:00000000 00000000 0 0 11 2 0000000000000000 5
 2: 0100007F:1FBD 00000000:0000 07 00000000:00000001 00:00000000 00000000 0 0 12 2 0000000000000000 7
 3: 0100007F:1FBE 00000000:0000 07 00000000:000000FF 00:00000000 00000000 0 0 13 2 0000000000000000 9
";
        let port = UdpPort::parse(table, 8125);
        assert_eq!((port.queued, port.drops), (0xa01, 12));
        assert_eq!(UdpPort::parse(table, 1), UdpPort::default());
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let status = "Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let memory = Memory::parse(status);
        assert_eq!((memory.resident, memory.peak), (1 << 20, 2 << 20));
    }

    #[test]
    fn this_process_uses_time_and_memory() {
        let pid = std::process::id();
        assert!(Cpu::of(pid).unwrap().total > 0);
        assert!(Memory::of(pid).unwrap().resident > 0);
        assert!(Cpu::of(u32::MAX).is_err());
    }
}
