//! The process as the kernel sees it: memory, descriptors, threads.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use greyhound_server::register::FlareFiles;

use super::Material;

/// Files of the kernel that go in as they are; none holds the environment.
const KERNEL_FILES: [(&str, &str); 6] = [
    ("status", "/proc/self/status"),
    ("limits", "/proc/self/limits"),
    ("cgroup", "/proc/self/cgroup"),
    ("loadavg", "/proc/loadavg"),
    ("version", "/proc/version"),
    ("UDP sockets of this network", "/proc/net/snmp"),
];
/// Bytes of one of them.
const BYTES_MAX: usize = 64 << 10;
/// Threads listed.
const THREADS_MAX: usize = 1024;

pub(super) fn collect(_: &Material, into: &mut FlareFiles) {
    let mut out = String::new();
    let command = fs::read("/proc/self/cmdline").unwrap_or_default();
    let words: Vec<String> = command
        .split(|byte| *byte == 0)
        .map(|word| String::from_utf8_lossy(word).escape_debug().to_string())
        .collect();
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    writeln!(
        out,
        "pid {}\ncommand line {}\nopen descriptors {descriptors}",
        std::process::id(),
        words.join(" ").trim_end()
    )
    .expect("a string takes everything");
    for (title, path) in KERNEL_FILES {
        let mut text = fs::read_to_string(path).unwrap_or_else(|error| error.to_string());
        text.truncate(text.floor_char_boundary(BYTES_MAX));
        writeln!(out, "\n== {title} ({path})\n{}", text.trim_end())
            .expect("a string takes everything");
    }
    into.add("runtime.log", out);
    into.add("threads.log", threads());
}

/// Name, state and processor time of every thread.
fn threads() -> String {
    let mut rows: Vec<String> = fs::read_dir("/proc/self/task")
        .into_iter()
        .flatten()
        .flatten()
        .take(THREADS_MAX)
        .filter_map(|task| thread(&task.path()))
        .collect();
    rows.sort_unstable();
    format!(
        "name, state, ticks in user mode, ticks in the kernel, waits in\n{}\n",
        rows.join("\n")
    )
}

fn thread(task: &Path) -> Option<String> {
    let stat = fs::read_to_string(task.join("stat")).ok()?;
    // The name may hold blanks and brackets; the last bracket ends it.
    let (_, rest) = stat.rsplit_once(") ")?;
    let name = fs::read_to_string(task.join("comm")).ok()?;
    let fields: Vec<&str> = rest.split(' ').collect();
    let waits = fs::read_to_string(task.join("wchan")).unwrap_or_default();
    Some(format!(
        "{}\t{}\t{}\t{}\t{}",
        name.trim_end(),
        fields.first()?,
        fields.get(11)?,
        fields.get(12)?,
        waits
    ))
}
