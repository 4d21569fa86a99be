//! One JSON object per line for every series, sketch, event and service check.
//!
//! ```text
//! {"kind":"series","at":1700000015,"name":"page.views","type":"rate","host":"web-1","tags":["env:prod"],"interval":10,"points":[[1700000000,1.2]]}
//! {"kind":"sketch","at":1700000015,"name":"db.time","host":"web-1","tags":[],"interval":10,"points":[{"ts":1700000000,"cnt":1,"min":1,"max":1,"sum":1,"avg":1,"k":[1338],"n":[1]}]}
//! {"kind":"event","at":1700000015,"title":"t","text":"x","priority":"normal","alert_type":"info","tags":[],"host":"web-1","timestamp":1700000003}
//! {"kind":"service_check","at":1700000015,"name":"up","status":"ok","tags":[],"host":"web-1","timestamp":1700000003}
//! ```
//!
//! * `at` is when the flush was made; times are Unix seconds; key order is fixed.
//! * `rate` points are per second: the sum of the interval divided by `interval`.
//! * Aggregates of histograms are series of their own (`name.max`, `name.95percentile`, …).
//! * Keys of `k` ascend, `n` says how many values each has.
//! * `unit` (`"millisecond"`), `aggregation_key`, `source_type` and `message` are left out when
//!   there is none.
//! * Text that is not UTF-8 is `{"hex":"…"}`; numbers JSON has not are `"NaN"`, `"+Inf"`, `"-Inf"`.
//!
//! Lost here: what cannot be written, counted in points as `write`. What a failed write left of a line in a
//! file is [taken back](file); elsewhere the next line starts on a fresh line.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use greyhound_model::flush::FlushBatch;
use greyhound_telemetry::Source;
use tracing::warn;

use crate::config::NdjsonTarget;
use crate::sink::{Reason, Receipt, Sink};

mod file;
mod line;
pub(crate) mod telemetry;

use file::RotatingFile;

/// Written out at once.
const CHUNK_LEN_BYTES: usize = 64 * 1024;

/// Failed flushes between two log lines.
const FAILURES_PER_LOG: u64 = 60;

/// Takes whole lines.
pub trait Lines: Send {
    /// Writes them.
    ///
    /// # Errors
    /// When they could not be written whole.
    fn put(&mut self, lines: &[u8], unix_seconds: i64) -> io::Result<()>;

    /// A flush begins at this time.
    fn begin_flush(&mut self, unix_seconds: i64) {
        let _ = unix_seconds;
    }

    /// A flush ends: what is held back goes out.
    ///
    /// # Errors
    /// When it could not be written.
    fn end_flush(&mut self) -> io::Result<()>;

    /// Whether a failed [`put`](Self::put) may have left half a line.
    fn is_torn(&self) -> bool {
        true
    }
}

/// Where the settings say.
#[derive(Debug)]
pub enum Target {
    /// Standard output.
    Stdout(io::Stdout),
    /// A file.
    File(RotatingFile),
}

/// Writes lines to `W`.
#[derive(Debug)]
pub struct NdjsonSink<W> {
    writer: W,
    /// Lines not written yet, and the points in them.
    chunk: Vec<u8>,
    chunk_points: u64,
    /// Whether the last write failed, maybe in the middle of a line.
    torn: bool,
    failures: u64,
}

/// Why the target cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot open {}, set by `greyhound.ndjson.path`", path.display())]
pub struct OpenError {
    /// The file.
    pub path: PathBuf,
    source: io::Error,
}

// === impl NdjsonSink ===

/// Opens the target. A file is appended to; a new one gets mode 0600, for metric names and tags
/// are data of the clients.
///
/// # Errors
/// When the file cannot be opened.
pub fn open(target: &NdjsonTarget) -> Result<NdjsonSink<Target>, OpenError> {
    let target = match target {
        NdjsonTarget::Stdout => Target::Stdout(io::stdout()),
        NdjsonTarget::File(path, rotation) => {
            let file = RotatingFile::open(path, *rotation).map_err(|source| OpenError {
                path: path.clone(),
                source,
            })?;
            Target::File(file)
        }
    };
    Ok(NdjsonSink::new(target))
}

impl NdjsonSink<Target> {
    /// `greyhound.ndjson.*` for the registry; `None` on standard output.
    pub fn telemetry(&self) -> Option<Arc<dyn Source>> {
        match &self.writer {
            Target::Stdout(_) => None,
            Target::File(file) => Some(Arc::new(telemetry::FileTelemetry(file.cells()))),
        }
    }
}

impl<W: Lines> NdjsonSink<W> {
    /// A sink that writes to `writer`.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            chunk: Vec::new(),
            chunk_points: 0,
            torn: false,
            failures: 0,
        }
    }

    fn line(
        &mut self,
        batch: &FlushBatch,
        points: usize,
        receipt: &mut Receipt,
        write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>,
    ) {
        let start = self.chunk.len();
        match write(&mut self.chunk) {
            Ok(()) => {
                self.chunk.push(b'\n');
                self.chunk_points += points as u64;
            }
            // Memory takes every byte; should that ever change, the line is dropped whole.
            Err(_) => {
                self.chunk.truncate(start);
                receipt.drop_points(Reason::Write, points as u64);
            }
        }
        if self.chunk.len() >= CHUNK_LEN_BYTES {
            self.write_chunk(batch.unix_seconds, receipt);
        }
    }

    fn write_chunk(&mut self, unix_seconds: i64, receipt: &mut Receipt) {
        let points = std::mem::take(&mut self.chunk_points);
        if self.torn {
            self.chunk.insert(0, b'\n');
        }
        match self.writer.put(&self.chunk, unix_seconds) {
            Ok(()) => {
                self.torn = false;
                receipt.deliver(points);
            }
            Err(error) => {
                self.torn = self.writer.is_torn();
                receipt.drop_points(Reason::Write, points);
                self.log_failure(&error, points);
            }
        }
        self.chunk.clear();
    }

    fn log_failure(&mut self, error: &io::Error, points: u64) {
        if self.failures.is_multiple_of(FAILURES_PER_LOG) {
            warn!(%error, dropped_points = points, "cannot write ndjson");
        }
        self.failures = self.failures.saturating_add(1);
    }
}

impl<W: Lines> Sink for NdjsonSink<W> {
    fn name(&self) -> &str {
        "ndjson"
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let mut receipt = Receipt::default();
        self.writer.begin_flush(batch.unix_seconds);
        for series in &batch.series {
            self.line(batch, series.points.as_slice().len(), &mut receipt, |out| {
                line::series(batch, series, out)
            });
        }
        for sketch in &batch.sketches {
            self.line(batch, sketch.points.len(), &mut receipt, |out| {
                line::sketch(batch, sketch, out)
            });
        }
        for event in &batch.events {
            self.line(batch, 1, &mut receipt, |out| line::event(batch, event, out));
        }
        for check in &batch.service_checks {
            self.line(batch, 1, &mut receipt, |out| {
                line::service_check(batch, check, out)
            });
        }
        if !self.chunk.is_empty() {
            self.write_chunk(batch.unix_seconds, &mut receipt);
        }
        if let Err(error) = self.writer.end_flush() {
            // The points of the batch are settled: the writer took them.
            self.log_failure(&error, 0);
        }
        receipt
    }
}

// === impl Lines ===

impl<W: Write + Send> Lines for W {
    fn put(&mut self, lines: &[u8], _: i64) -> io::Result<()> {
        self.write_all(lines)
    }

    fn end_flush(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl Lines for Target {
    fn put(&mut self, lines: &[u8], unix_seconds: i64) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.write_all(lines),
            Self::File(file) => file.put(lines, unix_seconds),
        }
    }

    fn begin_flush(&mut self, unix_seconds: i64) {
        if let Self::File(file) = self {
            file.begin_flush(unix_seconds);
        }
    }

    fn end_flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            // Nothing is held back.
            Self::File(_) => Ok(()),
        }
    }

    fn is_torn(&self) -> bool {
        match self {
            Self::Stdout(_) => true,
            Self::File(file) => file.is_torn(),
        }
    }
}

#[cfg(test)]
mod tests;
