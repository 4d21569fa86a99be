//! The objects themselves, written straight into memory.

use std::io;

use greyhound_model::event::Event;
use greyhound_model::flush::{FlushBatch, SketchSeries};
use greyhound_model::series::{Series, SeriesKind, Unit};
use greyhound_model::service_check::ServiceCheck;
use greyhound_model::sketch::Sketch;

/// Writes the fields of one object, in the order they are given.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    empty: bool,
}

/// Writes one series.
pub(super) fn series(batch: &FlushBatch, series: &Series, out: &mut Vec<u8>) -> io::Result<()> {
    let (word, divisor) = match series.kind {
        SeriesKind::Gauge => ("gauge", 1.0),
        SeriesKind::Rate => ("rate", f64::from(batch.interval_seconds.max(1))),
    };
    let mut object = Object::open(out);
    object.head("series", batch)?;
    object.text("name", &series.full_name())?;
    object.word("type", word)?;
    object.text("host", series.context.host_or(&batch.hostname))?;
    object.texts("tags", series.context.tags())?;
    object.integer("interval", i64::from(batch.interval_seconds))?;
    if series.unit == Unit::Millisecond {
        object.word("unit", "millisecond")?;
    }
    object.list("points", series.points.as_slice(), |out, point| {
        out.push(b'[');
        push_integer(point.unix_seconds, out);
        out.push(b',');
        push_number(point.value / divisor, out);
        out.push(b']');
        Ok(())
    })?;
    object.close();
    Ok(())
}

/// Writes one distribution.
pub(super) fn sketch(
    batch: &FlushBatch,
    series: &SketchSeries,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut object = Object::open(out);
    object.head("sketch", batch)?;
    object.text("name", series.context.name())?;
    object.text("host", series.context.host_or(&batch.hostname))?;
    object.texts("tags", series.context.tags())?;
    object.integer("interval", i64::from(batch.interval_seconds))?;
    object.list("points", &series.points, |out, (second, sketch)| {
        sketch_point(*second, sketch, out)
    })?;
    object.close();
    Ok(())
}

/// Writes one event.
pub(super) fn event(batch: &FlushBatch, event: &Event, out: &mut Vec<u8>) -> io::Result<()> {
    let mut object = Object::open(out);
    object.head("event", batch)?;
    object.text("title", &event.title)?;
    object.text("text", &event.text)?;
    object.word("priority", event.priority.as_str())?;
    object.word("alert_type", event.alert_type.as_str())?;
    object.texts("tags", event.tags.iter().map(Vec::as_slice))?;
    object.text("host", &event.host)?;
    object.integer("timestamp", event.unix_seconds)?;
    object.text_if_any("aggregation_key", &event.aggregation_key)?;
    object.text_if_any("source_type", &event.source_type)?;
    object.close();
    Ok(())
}

/// Writes one service check.
pub(super) fn service_check(
    batch: &FlushBatch,
    check: &ServiceCheck,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    let mut object = Object::open(out);
    object.head("service_check", batch)?;
    object.text("name", &check.name)?;
    object.word("status", check.status.as_str())?;
    object.texts("tags", check.tags.iter().map(Vec::as_slice))?;
    object.text("host", &check.host)?;
    object.integer("timestamp", check.unix_seconds)?;
    object.text_if_any("message", &check.message)?;
    object.close();
    Ok(())
}

fn sketch_point(second: i64, sketch: &Sketch, out: &mut Vec<u8>) -> io::Result<()> {
    let mut object = Object::open(out);
    object.integer("ts", second)?;
    object.number("cnt", sketch.count() as f64)?;
    object.number("min", sketch.min())?;
    object.number("max", sketch.max())?;
    object.number("sum", sketch.sum())?;
    object.number("avg", sketch.avg())?;
    let bins: Vec<(i16, u64)> = sketch.bins().collect();
    object.list("k", &bins, |out, (key, _)| {
        push_integer(i64::from(*key), out);
        Ok(())
    })?;
    object.list("n", &bins, |out, (_, n)| {
        out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes());
        Ok(())
    })?;
    object.close();
    Ok(())
}

// === impl Object ===

impl<'a> Object<'a> {
    fn open(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn head(&mut self, kind: &str, batch: &FlushBatch) -> io::Result<()> {
        self.word("kind", kind)?;
        self.integer("at", batch.unix_seconds)
    }

    /// Names are ours and need no escaping.
    fn key(&mut self, key: &str) {
        if !self.empty {
            self.out.push(b',');
        }
        self.empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn word(&mut self, key: &str, word: &str) -> io::Result<()> {
        self.key(key);
        push_text(word.as_bytes(), self.out)
    }

    fn text(&mut self, key: &str, text: &[u8]) -> io::Result<()> {
        self.key(key);
        push_text(text, self.out)
    }

    fn text_if_any(&mut self, key: &str, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.text(key, text)
    }

    fn texts<'t>(&mut self, key: &str, texts: impl Iterator<Item = &'t [u8]>) -> io::Result<()> {
        self.list(key, texts, |out, text| push_text(text, out))
    }

    fn integer(&mut self, key: &str, value: i64) -> io::Result<()> {
        self.key(key);
        push_integer(value, self.out);
        Ok(())
    }

    fn number(&mut self, key: &str, value: f64) -> io::Result<()> {
        self.key(key);
        push_number(value, self.out);
        Ok(())
    }

    fn list<T>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Vec<u8>, T) -> io::Result<()>,
    ) -> io::Result<()> {
        self.key(key);
        self.out.push(b'[');
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self.out, item)?;
        }
        self.out.push(b']');
        Ok(())
    }
}

fn push_text(text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match std::str::from_utf8(text) {
        Ok(text) => serde_json::to_writer(out, text).map_err(io::Error::from),
        Err(_) => {
            out.extend_from_slice(b"{\"hex\":\"");
            for byte in text {
                out.push(DIGITS[usize::from(byte >> 4)]);
                out.push(DIGITS[usize::from(byte & 15)]);
            }
            out.extend_from_slice(b"\"}");
            Ok(())
        }
    }
}

fn push_integer(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn push_number(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        greyhound_telemetry::text::write_number(value, out);
    } else {
        out.push(b'"');
        greyhound_telemetry::text::write_number(value, out);
        out.push(b'"');
    }
}
