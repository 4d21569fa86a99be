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

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;

use greyhound_model::context::{Context, Host};
use greyhound_model::event::Event;
use greyhound_model::flush::{FlushBatch, FlushCause, SketchSeries};
use greyhound_model::series::{Point, Series, SeriesKind};
use greyhound_model::service_check::ServiceCheck;
use greyhound_model::sketch::Sketch;
use tracing::warn;

use crate::config::PrintConfig;
use crate::escape::push_shown;
use crate::sink::{Reason, Receipt, Sink};

mod time;

/// Columns wider than this do not push the next one further right.
const COLUMN_CHARS_MAX: usize = 48;

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

/// One line of the table. Client text in it is escaped already.
#[derive(Debug, Default)]
struct Row {
    name: String,
    kind: &'static str,
    value: String,
    tags: String,
}

/// How wide the first three columns are, in characters.
#[derive(Clone, Copy, Debug, Default)]
struct Widths {
    name: usize,
    kind: usize,
    value: usize,
}

/// Escape sequences of the parts, all empty without colour.
struct Colors {
    title: &'static str,
    name: &'static str,
    faint: &'static str,
    reset: &'static str,
}

const PLAIN: Colors = Colors {
    title: "",
    name: "",
    faint: "",
    reset: "",
};

const COLORED: Colors = Colors {
    title: "\x1b[1m",
    name: "\x1b[36m",
    faint: "\x1b[2m",
    reset: "\x1b[0m",
};

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

// === impl Row ===

impl Row {
    fn of_series(&mut self, series: &Series, batch: &FlushBatch) {
        self.clear();
        push_shown(&series.full_name(), &mut self.name);
        self.kind = match series.kind {
            SeriesKind::Gauge => "gauge",
            SeriesKind::Rate => "counter",
        };
        let with_time = batch.cause == FlushCause::Timestamped;
        for (index, point) in series.points.as_slice().iter().enumerate() {
            self.separate(index);
            self.push_point(point, series.kind, batch.interval_seconds, with_time);
        }
        self.push_context(&series.context);
    }

    fn of_sketch(&mut self, series: &SketchSeries) {
        self.clear();
        push_shown(series.context.name(), &mut self.name);
        self.kind = "sketch";
        for (index, (_, sketch)) in series.points.iter().enumerate() {
            self.separate(index);
            self.push_sketch(sketch);
        }
        self.push_context(&series.context);
    }

    fn of_event(&mut self, event: &Event) {
        self.clear();
        push_shown(&event.title, &mut self.name);
        self.kind = "event";
        self.value.push_str(event.alert_type.as_str());
        if !event.text.is_empty() {
            self.value.push_str(": ");
            push_shown(&event.text, &mut self.value);
        }
        self.push_tags(event.tags.iter().map(Vec::as_slice), &event.host);
    }

    fn of_check(&mut self, check: &ServiceCheck) {
        self.clear();
        push_shown(&check.name, &mut self.name);
        self.kind = "check";
        self.value.push_str(check.status.as_str());
        if !check.message.is_empty() {
            self.value.push_str(": ");
            push_shown(&check.message, &mut self.value);
        }
        self.push_tags(check.tags.iter().map(Vec::as_slice), &check.host);
    }

    fn write(&self, widths: Widths, colors: &Colors, text: &mut String) {
        let Colors {
            name, faint, reset, ..
        } = colors;
        text.push_str("  ");
        push_padded(&self.name, widths.name, name, reset, text);
        push_padded(self.kind, widths.kind, faint, reset, text);
        if self.tags.is_empty() {
            text.push_str(&self.value);
        } else {
            push_padded(&self.value, widths.value, "", "", text);
            text.push_str(faint);
            text.push_str(&self.tags);
            text.push_str(reset);
        }
        text.push('\n');
    }

    fn clear(&mut self) {
        self.name.clear();
        self.value.clear();
        self.tags.clear();
    }

    fn separate(&mut self, index: usize) {
        if index > 0 {
            self.value.push_str(", ");
        }
    }

    fn push_point(&mut self, point: &Point, kind: SeriesKind, interval: u32, with_time: bool) {
        let value = point.value;
        push_fmt(&mut self.value, format_args!("{value}"));
        if kind == SeriesKind::Rate && !with_time {
            let per_second = rounded(value / f64::from(interval.max(1)));
            push_fmt(&mut self.value, format_args!(" ({per_second}/s)"));
        }
        if with_time {
            self.value.push_str(" at ");
            time::push_utc(point.unix_seconds, &mut self.value);
        }
    }

    fn push_sketch(&mut self, sketch: &Sketch) {
        let quantile = |q| rounded(sketch.quantile(q).clamp(sketch.min(), sketch.max()));
        push_fmt(&mut self.value, format_args!("n={}", sketch.count()));
        if sketch.is_empty() {
            return;
        }
        for (label, value) in [
            ("min", sketch.min()),
            ("p50", quantile(0.5)),
            ("p95", quantile(0.95)),
            ("max", sketch.max()),
            ("sum", rounded(sketch.sum())),
        ] {
            push_fmt(&mut self.value, format_args!(" {label}={value}"));
        }
    }

    fn push_context(&mut self, context: &Context) {
        let host = match context.host() {
            Host::Own => b"",
            Host::Named(host) => host,
        };
        self.push_tags(context.tags(), host);
    }

    fn push_tags<'a>(&mut self, tags: impl Iterator<Item = &'a [u8]>, host: &[u8]) {
        for (index, tag) in tags.enumerate() {
            if index > 0 {
                self.tags.push(',');
            }
            push_shown(tag, &mut self.tags);
        }
        if !host.is_empty() {
            if !self.tags.is_empty() {
                self.tags.push_str("  ");
            }
            self.tags.push('@');
            push_shown(host, &mut self.tags);
        }
    }
}

// === impl Widths ===

impl Widths {
    fn widen(&mut self, row: &Row) {
        let widen = |width: &mut usize, text: &str| {
            let chars = text.chars().count();
            if chars <= COLUMN_CHARS_MAX {
                *width = (*width).max(chars);
            }
        };
        widen(&mut self.name, &row.name);
        widen(&mut self.kind, row.kind);
        if !row.tags.is_empty() {
            widen(&mut self.value, &row.value);
        }
    }
}

fn push_padded(cell: &str, width: usize, color: &str, reset: &str, text: &mut String) {
    text.push_str(color);
    text.push_str(cell);
    text.push_str(reset);
    let missing = width.saturating_sub(cell.chars().count());
    text.extend(std::iter::repeat_n(' ', missing + 2));
}

/// Four digits after the point are enough for people.
fn rounded(value: f64) -> f64 {
    let scaled = (value * 1e4).round() / 1e4;
    // Very large values lose nothing by staying as they are, and very small ones would vanish.
    if scaled.is_finite() && scaled != 0.0 {
        scaled
    } else {
        value
    }
}

fn push_fmt(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a String cannot fail");
}

#[cfg(test)]
mod tests;
