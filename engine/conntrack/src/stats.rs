//! How the kernel's table is doing: totals, and counters of each CPU.
//!
//! With the right to ask they come over netlink; without it from the files everybody may read. Both say the
//! same, except that the file has no `error` but `icmp_error`, and no `chaintoolong` on older kernels.

use std::fs;
use std::io;

use crate::walk::{Message, be_u32};

/// Entries, and how many there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries now.
    pub entries: u32,
    /// Entries at most; 0 when an old kernel does not say.
    pub max_entries: u32,
}

/// Counters of one CPU since boot, in the order of [`COUNTERS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// Which CPU.
    pub cpu: u16,
    /// By [`COUNTERS`].
    pub values: [u32; COUNTERS.len()],
}

/// Name of a counter, the attribute that carries it, and its column in `/proc/net/stat/nf_conntrack`.
pub const COUNTERS: [(&str, u16, &str); 10] = [
    ("found", 2, "found"),
    ("invalid", 4, "invalid"),
    ("insert", 8, "insert"),
    ("insert_failed", 9, "insert_failed"),
    ("drop", 10, "drop"),
    ("early_drop", 11, "early_drop"),
    ("error", 12, "icmp_error"),
    ("search_restart", 13, "search_restart"),
    ("clash_resolve", 14, "clashres"),
    ("chaintoolong", 15, "chainlength"),
];

// === impl Totals ===

impl Totals {
    pub(crate) fn of_message(message: &Message<'_>) -> Self {
        let mut totals = Self::default();
        for (kind, value) in message.attributes() {
            let value = be_u32(value).unwrap_or(0);
            match kind {
                1 => totals.entries = value,
                2 => totals.max_entries = value,
                _ => {}
            }
        }
        totals
    }

    /// From the files everybody may read.
    ///
    /// # Errors
    /// When the module is not there.
    pub fn of_proc() -> io::Result<Self> {
        let read = |name: &str| -> io::Result<u32> {
            let text = fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}"))?;
            text.trim()
                .parse()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        Ok(Self {
            entries: read("count")?,
            max_entries: read("max")?,
        })
    }
}

// === impl CpuStats ===

impl CpuStats {
    pub(crate) fn of_message(message: &Message<'_>) -> Self {
        let mut stats = Self {
            cpu: message.resource(),
            ..Self::default()
        };
        for (kind, value) in message.attributes() {
            let at = COUNTERS.iter().position(|&(_, known, _)| known == kind);
            if let (Some(at), Some(value)) = (at, be_u32(value)) {
                stats.values[at] = value;
            }
        }
        stats
    }

    /// From the file everybody may read.
    ///
    /// # Errors
    /// When the module is not there.
    pub fn of_proc() -> io::Result<Vec<Self>> {
        Ok(parse_proc(&fs::read_to_string(
            "/proc/net/stat/nf_conntrack",
        )?))
    }
}

/// A heading with the names of columns, then a line of hexadecimal numbers for each CPU. Columns are
/// found by name: kernels differ in which they have.
fn parse_proc(text: &str) -> Vec<CpuStats> {
    let mut lines = text.lines();
    let names: Vec<&str> = lines
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let columns = COUNTERS.map(|(_, _, column)| names.iter().position(|name| *name == column));
    lines
        .zip(0u16..)
        .map(|(line, cpu)| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let value = |column: Option<usize>| {
                let field = fields.get(column?)?;
                u32::from_str_radix(field, 16).ok()
            };
            CpuStats {
                cpu,
                values: columns.map(|column| value(column).unwrap_or(0)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_found_by_name_and_are_hexadecimal() {
        let text = "entries  clashres found new invalid drop early_drop\n\
                    00000003  00000001 0000000a 00 00000002 00000010 000000ff\n\
                    00000003  00000000 00000000 00 00000000 00000000 00000001\n";
        let all = parse_proc(text);
        assert_eq!(all.len(), 2);
        let value = |cpu: usize, name: &str| {
            let at = COUNTERS.iter().position(|(known, ..)| *known == name);
            all[cpu].values[at.expect("a counter")]
        };
        assert_eq!(value(0, "found"), 10);
        assert_eq!(value(0, "early_drop"), 255);
        assert_eq!(value(1, "early_drop"), 1);
        assert_eq!(value(0, "insert"), 0);
        assert_eq!(all[1].cpu, 1);
    }

    #[test]
    fn nothing_is_expected_of_the_file() {
        for text in ["", "\n\n", "found\nzz\n", "found found\n1"] {
            assert!(parse_proc(text).len() <= 1);
        }
    }
}
