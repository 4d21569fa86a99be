//! Each flush as a table for people: `greyhound run --print`.
//!
//! ```text
//! 2023-11-14 22:13:35 UTC  3 points
//!   page.views   counter  12 (1.2/s)                           env:prod
//!   queue.depth  gauge    7
//!   db.time      sketch   n=4 min=1 p50=2 p95=4 max=4 sum=9  env:prod  @web-1
//! ```
//!
//! Text of clients is escaped and cut, so that nothing a client sends can steer the terminal. When
//! the reader is gone (a closed pipe) or writing fails, points are counted as `write`, and nothing
//! else happens.

use std::io::{self, Write};
use std::sync::Arc;

use greyhound_model::flush::{FlushBatch, FlushCause};
use tracing::warn;

use crate::config::PrintConfig;
use crate::sink::{Reason, Receipt, Sink};

mod row;
mod time;

use row::{COLORED, Colors, PLAIN, Row, Widths, push_fmt};

/// Written out at once.
const CHUNK_LEN_BYTES: usize = 64 * 1024;

/// Writes tables to `W`.
#[derive(Debug)]
pub struct PrintSink<W> {
    writer: W,
    color: bool,
    /// Whether the first failure has been logged.
    failed: bool,
}

// === impl PrintSink ===

impl<W: Write + Send> PrintSink<W> {
    /// A sink that prints to `writer`.
    pub fn new(writer: W, config: PrintConfig) -> Self {
        Self {
            writer,
            color: config.color,
            failed: false,
        }
    }

    /// Writes one flush. Blocks on the writer.
    ///
    /// # Errors
    /// Whatever the writer says; part of the table may be written.
    pub fn print(&mut self, batch: &FlushBatch) -> io::Result<()> {
        let colors = if self.color { &COLORED } else { &PLAIN };
        let mut text = String::new();
        write_title(batch, colors, &mut text);
        // Two passes, so that a million rows need not be held at once.
        let mut widths = Widths::default();
        let mut row = Row::default();
        for_each_row(batch, &mut row, |row| {
            widths.widen(row);
            Ok(())
        })?;
        let writer = &mut self.writer;
        for_each_row(batch, &mut row, |row| {
            row.write(widths, colors, &mut text);
            if text.len() >= CHUNK_LEN_BYTES {
                writer.write_all(text.as_bytes())?;
                text.clear();
            }
            Ok(())
        })?;
        writer.write_all(text.as_bytes())?;
        writer.flush()
    }
}

impl<W: Write + Send> Sink for PrintSink<W> {
    fn name(&self) -> &str {
        "print"
    }

    fn accept(&mut self, batch: &Arc<FlushBatch>) -> Receipt {
        let points = batch.point_count();
        if points == 0 {
            return Receipt::default();
        }
        match self.print(batch) {
            Ok(()) => Receipt::delivered_all(points),
            Err(error) => {
                if !self.failed {
                    warn!(%error, "cannot print flushes");
                }
                self.failed = true;
                Receipt::dropped_all(Reason::Write, points)
            }
        }
    }
}

fn write_title(batch: &FlushBatch, colors: &Colors, text: &mut String) {
    text.push_str(colors.title);
    time::push_utc(batch.unix_seconds, text);
    text.push_str(colors.reset);
    let points = batch.point_count();
    push_fmt(text, format_args!("  {points} point"));
    if points != 1 {
        text.push('s');
    }
    match batch.cause {
        FlushCause::Interval => {}
        FlushCause::Stop => text.push_str(", the last flush"),
        FlushCause::Timestamped => text.push_str(" with their own time"),
    }
    text.push('\n');
}

/// Hands every row of the batch to `each`, in the order of the batch.
fn for_each_row(
    batch: &FlushBatch,
    row: &mut Row,
    mut each: impl FnMut(&Row) -> io::Result<()>,
) -> io::Result<()> {
    for series in &batch.series {
        row.of_series(series, batch);
        each(row)?;
    }
    for sketch in &batch.sketches {
        row.of_sketch(sketch);
        each(row)?;
    }
    for event in &batch.events {
        row.of_event(event);
        each(row)?;
    }
    for check in &batch.service_checks {
        row.of_check(check);
        each(row)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
