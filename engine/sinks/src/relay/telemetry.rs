//! `greyhound.relay.*`: packets of aggregates.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

pub(crate) static DESCRIPTORS: [Desc; 6] = [
    Desc {
        name: "greyhound.relay.packets_sent",
        kind: Kind::Counter,
        unit: "packets",
        help: "Packets the kernel took.",
        labels: &[],
    },
    Desc {
        name: "greyhound.relay.bytes_sent",
        kind: Kind::Counter,
        unit: "bytes",
        help: "Bytes of packets the kernel took.",
        labels: &[],
    },
    Desc {
        name: "greyhound.relay.queue_bytes",
        kind: Kind::Gauge,
        unit: "bytes",
        help: "Bytes of packets that wait.",
        labels: &[],
    },
    Desc {
        name: "greyhound.relay.connects",
        kind: Kind::Counter,
        unit: "attempts",
        help: "Attempts to open the way to the receiver.",
        labels: &[],
    },
    Desc {
        name: "greyhound.relay.failures",
        kind: Kind::Counter,
        unit: "failures",
        help: "Attempts to connect or to send that failed; the packet waits and is tried again.",
        labels: &[],
    },
    Desc {
        name: "greyhound.relay.packets_resent",
        kind: Kind::Counter,
        unit: "packets",
        help: "Packets a stream broke on: some of their lines may have arrived twice.",
        labels: &[],
    },
];

/// Written by the sending thread, read by telemetry.
#[derive(Debug, Default)]
pub(super) struct RelayCells {
    cells: [AtomicU64; DESCRIPTORS.len()],
}

/// Reads the cells.
#[derive(Debug)]
pub(super) struct RelayTelemetry(pub(super) Arc<RelayCells>);

// === impl RelayCells ===

impl RelayCells {
    pub(super) fn sent(&self, bytes: usize) {
        self.add(0, 1);
        self.add(1, bytes as u64);
    }

    pub(super) fn queue_bytes(&self, bytes: usize) {
        self.cells[2].store(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn connecting(&self) {
        self.add(3, 1);
    }

    pub(super) fn failed(&self) {
        self.add(4, 1);
    }

    pub(super) fn resent(&self) {
        self.add(5, 1);
    }

    #[cfg(test)]
    pub(super) fn failures(&self) -> u64 {
        self.cells[4].load(Ordering::Relaxed)
    }

    fn add(&self, cell: usize, count: u64) {
        self.cells[cell].fetch_add(count, Ordering::Relaxed);
    }
}

impl Source for RelayTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        for (descriptor, cell) in DESCRIPTORS.iter().zip(&self.0.cells) {
            out.push(descriptor, &[], cell.load(Ordering::Relaxed) as f64);
        }
    }
}
