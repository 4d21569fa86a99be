//! One row of the table, and how wide its columns are.

use std::fmt::Write as _;

use greyhound_model::context::{Context, Host};
use greyhound_model::event::Event;
use greyhound_model::flush::{FlushBatch, FlushCause, SketchSeries};
use greyhound_model::series::{Point, Series, SeriesKind};
use greyhound_model::service_check::ServiceCheck;
use greyhound_model::sketch::Sketch;

use super::time;
use crate::escape::push_shown;

/// Columns wider than this do not push the next one further right.
const COLUMN_CHARS_MAX: usize = 48;

/// One line of the table. Client text in it is escaped already.
#[derive(Debug, Default)]
pub(super) struct Row {
    name: String,
    kind: &'static str,
    value: String,
    tags: String,
}

/// How wide the first three columns are, in characters.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Widths {
    name: usize,
    kind: usize,
    value: usize,
}

/// Escape sequences of the parts, all empty without colour.
pub(super) struct Colors {
    pub(super) title: &'static str,
    name: &'static str,
    faint: &'static str,
    pub(super) reset: &'static str,
}

/// No colour at all.
pub(super) const PLAIN: Colors = Colors {
    title: "",
    name: "",
    faint: "",
    reset: "",
};

/// Colours every terminal knows.
pub(super) const COLORED: Colors = Colors {
    title: "\x1b[1m",
    name: "\x1b[36m",
    faint: "\x1b[2m",
    reset: "\x1b[0m",
};

// === impl Row ===

impl Row {
    pub(super) fn of_series(&mut self, series: &Series, batch: &FlushBatch) {
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

    pub(super) fn of_sketch(&mut self, series: &SketchSeries) {
        self.clear();
        push_shown(series.context.name(), &mut self.name);
        self.kind = "sketch";
        for (index, (_, sketch)) in series.points.iter().enumerate() {
            self.separate(index);
            self.push_sketch(sketch);
        }
        self.push_context(&series.context);
    }

    pub(super) fn of_event(&mut self, event: &Event) {
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

    pub(super) fn of_check(&mut self, check: &ServiceCheck) {
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

    pub(super) fn write(&self, widths: Widths, colors: &Colors, text: &mut String) {
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
    pub(super) fn widen(&mut self, row: &Row) {
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

/// Appends formatted text.
pub(super) fn push_fmt(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments)
        .expect("writing to a String cannot fail");
}
