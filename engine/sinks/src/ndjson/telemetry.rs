//! `greyhound.ndjson.*`: the file and its rotation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use greyhound_telemetry::{Desc, Kind, Snapshot, Source};

pub(crate) static DESCRIPTORS: [Desc; 5] = [
    Desc {
        name: "greyhound.ndjson.file_bytes",
        kind: Kind::Gauge,
        unit: "bytes",
        help: "Length of the file when the latest flush began.",
        labels: &[],
    },
    Desc {
        name: "greyhound.ndjson.rotations",
        kind: Kind::Counter,
        unit: "rotations",
        help: "Times a full or old file was moved away.",
        labels: &[],
    },
    Desc {
        name: "greyhound.ndjson.reopened",
        kind: Kind::Counter,
        unit: "files",
        help: "Times the path meant another file, or none, and was opened anew.",
        labels: &[],
    },
    Desc {
        name: "greyhound.ndjson.file_failures",
        kind: Kind::Counter,
        unit: "failures",
        help: "Rotations and openings that failed; lines went on into the same file.",
        labels: &[],
    },
    Desc {
        name: "greyhound.ndjson.write_failures",
        kind: Kind::Counter,
        unit: "failures",
        help: "Writes that failed; their points are dropped for this output as write.",
        labels: &[],
    },
];

/// Written by the sink's thread, read by telemetry.
#[derive(Debug, Default)]
pub(super) struct FileCells {
    len_bytes: AtomicU64,
    rotations: AtomicU64,
    reopened: AtomicU64,
    failures: AtomicU64,
    write_failures: AtomicU64,
}

/// One reading.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileCounts {
    pub(super) len_bytes: u64,
    pub(super) rotations: u64,
    pub(super) reopened: u64,
    pub(super) failures: u64,
    pub(super) write_failures: u64,
}

/// Reads the cells.
#[derive(Debug)]
pub(super) struct FileTelemetry(pub(super) Arc<FileCells>);

// === impl FileCells ===

impl FileCells {
    pub(super) fn len_bytes(&self, len: u64) {
        self.len_bytes.store(len, Ordering::Relaxed);
    }

    pub(super) fn rotated(&self) {
        self.rotations.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn reopened(&self) {
        self.reopened.fetch_add(1, Ordering::Relaxed);
    }

    /// Says how many there were before.
    pub(super) fn failed(&self) -> u64 {
        self.failures.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn write_failed(&self) {
        self.write_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> FileCounts {
        let read = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        FileCounts {
            len_bytes: read(&self.len_bytes),
            rotations: read(&self.rotations),
            reopened: read(&self.reopened),
            failures: read(&self.failures),
            write_failures: read(&self.write_failures),
        }
    }
}

impl Source for FileTelemetry {
    fn descriptors(&self) -> &'static [Desc] {
        &DESCRIPTORS
    }

    fn collect(&self, out: &mut Snapshot) {
        let counts = self.0.read();
        let values = [
            counts.len_bytes,
            counts.rotations,
            counts.reopened,
            counts.failures,
            counts.write_failures,
        ];
        for (descriptor, value) in DESCRIPTORS.iter().zip(values) {
            out.push(descriptor, &[], value as f64);
        }
    }
}
