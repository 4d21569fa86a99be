//! What the kernel allows: receive buffers, queues of Unix datagrams.

use std::fs;

use greyhound_server::diagnose::{Diagnosis, Verdict};

use super::Subject;

const RMEM_MAX: &str = "/proc/sys/net/core/rmem_max";
const DATAGRAM_QUEUE: &str = "/proc/sys/net/unix/max_dgram_qlen";
/// Datagrams a burst of one client easily has.
const DATAGRAM_QUEUE_WANTED: u64 = 512;
const CAP_NET_ADMIN: u32 = 12;

/// Largest receive buffer the kernel gives without privilege, in bytes.
pub(crate) fn rmem_max() -> Option<u64> {
    number(RMEM_MAX)
}

/// Datagrams the kernel holds for a Unix socket.
pub(crate) fn datagram_queue() -> Option<u64> {
    number(DATAGRAM_QUEUE)
}

pub(super) fn look(subject: &Subject) -> Vec<Diagnosis> {
    vec![receive_buffer(subject), datagrams(subject), capability()]
}

fn receive_buffer(subject: &Subject) -> Diagnosis {
    const NAME: &str = "UDP receive buffer";
    let wanted = (subject.settings)().listen.udp_receive_buffer_bytes;
    let listeners = subject
        .engine
        .get()
        .map(|engine| engine.listeners().to_vec());
    let least = listeners
        .iter()
        .flat_map(|listeners| listeners.iter())
        .filter_map(|listener| listener.receive_buffer)
        .map(|buffer| buffer.effective_bytes as u64)
        .min();
    let remedy = format!("sysctl -w net.core.rmem_max={}", wanted.max(16 << 20));
    match (least, rmem_max()) {
        // The kernel doubles what it is asked for.
        (Some(least), _) if least >= wanted => {
            Diagnosis::success(NAME, format!("{least} bytes granted, {wanted} wanted"))
        }
        (Some(least), max) => Diagnosis::new(
            Verdict::Warning,
            NAME,
            format!(
                "{least} bytes granted, {wanted} wanted, net.core.rmem_max is {}",
                max.map_or_else(|| "not known".to_owned(), |max| max.to_string())
            ),
            remedy,
        ),
        (None, Some(max)) if max >= wanted || has(CAP_NET_ADMIN) == Some(true) => {
            Diagnosis::success(
                NAME,
                format!("{wanted} bytes wanted, net.core.rmem_max is {max}"),
            )
        }
        (None, Some(max)) => Diagnosis::new(
            Verdict::Warning,
            NAME,
            format!("{wanted} bytes wanted, net.core.rmem_max is {max}"),
            remedy,
        ),
        (None, None) => unreadable(NAME, RMEM_MAX),
    }
}

fn datagrams(subject: &Subject) -> Diagnosis {
    const NAME: &str = "Unix datagram queue";
    let is_used = !(subject.settings)().listen.datagram_sockets.is_empty();
    match datagram_queue() {
        Some(length) if length >= DATAGRAM_QUEUE_WANTED || !is_used => {
            Diagnosis::success(NAME, format!("net.unix.max_dgram_qlen is {length}"))
        }
        Some(length) => Diagnosis::new(
            Verdict::Warning,
            NAME,
            format!(
                "net.unix.max_dgram_qlen is {length}: a burst of more waits or is lost at the client"
            ),
            format!(
                "sysctl -w net.unix.max_dgram_qlen={DATAGRAM_QUEUE_WANTED}, then start greyhound again"
            ),
        ),
        None => unreadable(NAME, DATAGRAM_QUEUE),
    }
}

fn capability() -> Diagnosis {
    const NAME: &str = "capabilities";
    match has(CAP_NET_ADMIN) {
        Some(true) => Diagnosis::success(
            NAME,
            "CAP_NET_ADMIN: receive buffers can be as large as wanted",
        ),
        Some(false) => Diagnosis::success(
            NAME,
            "no CAP_NET_ADMIN: receive buffers end at net.core.rmem_max, connection tracking cannot be read",
        ),
        None => unreadable(NAME, "/proc/self/status"),
    }
}

fn has(capability: u32) -> Option<bool> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))?;
    let effective = u64::from_str_radix(line.trim(), 16).ok()?;
    Some(effective >> capability & 1 == 1)
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn unreadable(name: &str, path: &str) -> Diagnosis {
    Diagnosis::new(
        Verdict::Unknown,
        name,
        format!("{path} cannot be read"),
        format!("cat {path} as root"),
    )
}
