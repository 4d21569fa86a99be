//! Flushes for tests.

use std::sync::Arc;

use greyhound_model::context::{Context, Host};
use greyhound_model::event::{AlertType, Event, Priority};
use greyhound_model::flush::{
    FlushBatch, FlushCause, HistogramPoint, HistogramSeries, SketchSeries,
};
use greyhound_model::series::{Point, Points, Series, SeriesKind, Suffix, Unit};
use greyhound_model::service_check::{ServiceCheck, Status};
use greyhound_model::sketch::Sketch;

/// Start of the bucket every fixture lies in.
pub(crate) const BUCKET: i64 = 1_700_000_000;

/// A flush without anything in it.
pub(crate) fn batch() -> FlushBatch {
    FlushBatch {
        unix_seconds: BUCKET + 15,
        interval_seconds: 10,
        hostname: Arc::from(&b"agent-host"[..]),
        cause: FlushCause::Interval,
        series: Vec::new(),
        sketches: Vec::new(),
        histograms: Vec::new(),
        sets: Vec::new(),
        events: Vec::new(),
        service_checks: Vec::new(),
    }
}

/// A flush of these series.
pub(crate) fn flush(series: impl IntoIterator<Item = Series>) -> FlushBatch {
    FlushBatch {
        series: series.into_iter().collect(),
        ..batch()
    }
}

/// A context of the engine's own host, tags as on the wire.
pub(crate) fn context(name: &str, tags: &str) -> Context {
    let tags = tags.split(',').filter(|tag| !tag.is_empty());
    Context::new(name.as_bytes(), Host::Own, tags.map(str::as_bytes))
}

pub(crate) fn counter(name: &str, tags: &str, sum: f64) -> Series {
    series(context(name, tags), SeriesKind::Rate, sum)
}

pub(crate) fn gauge(name: &str, tags: &str, value: f64) -> Series {
    series(context(name, tags), SeriesKind::Gauge, value)
}

pub(crate) fn series(context: Context, kind: SeriesKind, value: f64) -> Series {
    Series {
        context,
        suffix: Suffix::None,
        kind,
        unit: Unit::None,
        points: Points::One(Point {
            unix_seconds: BUCKET,
            value,
        }),
    }
}

pub(crate) fn sketch_of(values: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    for &value in values {
        sketch.insert(value, 1.0);
    }
    sketch
}

pub(crate) fn distribution(name: &str, tags: &str, values: &[f64]) -> SketchSeries {
    SketchSeries {
        context: context(name, tags),
        points: vec![(BUCKET, sketch_of(values))],
    }
}

pub(crate) fn histogram(name: &str, tags: &str, unit: Unit, values: &[f64]) -> HistogramSeries {
    HistogramSeries {
        context: context(name, tags),
        unit,
        points: vec![HistogramPoint {
            unix_seconds: BUCKET,
            sum: values.iter().sum(),
            count: values.len() as u64,
            sketch: sketch_of(values),
        }],
    }
}

/// What the Agent makes of a histogram by default, here only two of the five.
pub(crate) fn aggregates(name: &str, tags: &str, values: &[f64]) -> [Series; 2] {
    let max = values.iter().copied().fold(f64::MIN, f64::max);
    let mut shown = [
        gauge(name, tags, max),
        counter(name, tags, values.len() as f64),
    ];
    shown[0].suffix = Suffix::Max;
    shown[1].suffix = Suffix::Count;
    shown
}

pub(crate) fn event(title: &[u8], text: &[u8]) -> Event {
    Event {
        title: title.to_vec(),
        text: text.to_vec(),
        unix_seconds: BUCKET + 3,
        priority: Priority::Normal,
        alert_type: AlertType::Warning,
        host: b"agent-host".to_vec(),
        aggregation_key: Vec::new(),
        source_type: Vec::new(),
        tags: vec![b"a:1".to_vec()],
    }
}

pub(crate) fn service_check(name: &[u8], message: &[u8]) -> ServiceCheck {
    ServiceCheck {
        name: name.to_vec(),
        status: Status::Critical,
        unix_seconds: BUCKET + 3,
        host: b"agent-host".to_vec(),
        message: message.to_vec(),
        tags: Vec::new(),
    }
}
