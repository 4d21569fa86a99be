//! A flush in the shape the conformance vectors expect: sorted, so that equal results are equal text.

use greyhound_model::context::Context;
use greyhound_model::event::Event;
use greyhound_model::flush::{FlushBatch, SketchSeries};
use greyhound_model::series::{Series, SeriesKind};
use greyhound_model::service_check::ServiceCheck;
use greyhound_model::sketch::Sketch;
use serde_json::{Map, Value, json};

use crate::explain::json::{bytes, number};

/// Quantiles every sketch is read at, as a check of reading.
const QUANTILES: [(&str, f64); 3] = [("0.5", 0.5), ("0.9", 0.9), ("0.99", 0.99)];

/// One flush: when, series, sketches.
pub(super) fn flush(batch: &FlushBatch) -> Value {
    let mut sketches: Vec<&SketchSeries> = batch.sketches.iter().collect();
    sketches.sort_by(|a, b| a.context.cmp(&b.context));
    json!({
        "at": batch.unix_seconds,
        "series": series(batch),
        "sketches": sketches.iter().map(|sketch| sketch_series(batch, sketch)).collect::<Vec<_>>(),
    })
}

/// The series of a batch; those that brought their own time stay in order of arrival.
pub(super) fn series(batch: &FlushBatch) -> Vec<Value> {
    let mut series: Vec<&Series> = batch.series.iter().collect();
    if batch.cause != greyhound_model::flush::FlushCause::Timestamped {
        series.sort_by_cached_key(|series| (series.full_name(), series.context.clone()));
    }
    series
        .into_iter()
        .map(|series| one_series(batch, series))
        .collect()
}

fn one_series(batch: &FlushBatch, series: &Series) -> Value {
    let (kind, divisor) = match series.kind {
        SeriesKind::Gauge => ("gauge", 1.0),
        SeriesKind::Rate => ("rate", f64::from(batch.interval_seconds)),
    };
    let points: Vec<Value> = series
        .points
        .as_slice()
        .iter()
        .map(|point| json!([point.unix_seconds, number(point.value / divisor)]))
        .collect();
    let mut object = head(batch, &series.full_name(), &series.context);
    object.insert("type".to_owned(), kind.into());
    object.insert("points".to_owned(), points.into());
    object.into()
}

fn sketch_series(batch: &FlushBatch, series: &SketchSeries) -> Value {
    let points: Vec<Value> = series
        .points
        .iter()
        .map(|(second, sketch)| sketch_point(*second, sketch))
        .collect();
    let mut object = head(batch, series.context.name(), &series.context);
    object.insert("points".to_owned(), points.into());
    object.into()
}

fn head(batch: &FlushBatch, name: &[u8], context: &Context) -> Map<String, Value> {
    let tags: Vec<Value> = context.tags().map(bytes).collect();
    let mut object = Map::new();
    object.insert("name".to_owned(), bytes(name));
    object.insert("host".to_owned(), bytes(context.host_or(&batch.hostname)));
    object.insert("tags".to_owned(), tags.into());
    object.insert("interval".to_owned(), batch.interval_seconds.into());
    object
}

fn sketch_point(second: i64, sketch: &Sketch) -> Value {
    // The bins of a sketch are folded when it is read; a copy leaves the batch as it is.
    let mut sketch = sketch.clone();
    sketch.fold();
    let (keys, counts): (Vec<i16>, Vec<u64>) = sketch.bins().unzip();
    let quantiles: Map<String, Value> = QUANTILES
        .iter()
        .map(|&(name, q)| (name.to_owned(), number(sketch.quantile(q))))
        .collect();
    json!({
        "ts": second,
        "cnt": sketch.count(),
        "min": number(sketch.min()),
        "max": number(sketch.max()),
        "sum": number(sketch.sum()),
        "avg": number(sketch.avg()),
        "k": keys,
        "n": counts,
        "quantiles": quantiles,
    })
}

/// An event as it leaves.
pub(super) fn event(event: &Event) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), "event".into());
    object.insert("title".to_owned(), bytes(&event.title));
    object.insert("text".to_owned(), bytes(&event.text));
    object.insert("priority".to_owned(), event.priority.as_str().into());
    object.insert("alert_type".to_owned(), event.alert_type.as_str().into());
    object.insert(
        "tags".to_owned(),
        event.tags.iter().map(|tag| bytes(tag)).collect(),
    );
    object.insert("host".to_owned(), bytes(&event.host));
    object.insert("timestamp".to_owned(), event.unix_seconds.into());
    push_text(&mut object, "aggregation_key", &event.aggregation_key);
    push_text(&mut object, "source_type", &event.source_type);
    object.into()
}

/// A service check as it leaves.
pub(super) fn service_check(check: &ServiceCheck) -> Value {
    let mut object = Map::new();
    object.insert("kind".to_owned(), "service_check".into());
    object.insert("name".to_owned(), bytes(&check.name));
    object.insert("status".to_owned(), check.status.as_str().into());
    object.insert(
        "tags".to_owned(),
        check.tags.iter().map(|tag| bytes(tag)).collect(),
    );
    push_text(&mut object, "message", &check.message);
    object.insert("host".to_owned(), bytes(&check.host));
    object.insert("timestamp".to_owned(), check.unix_seconds.into());
    object.into()
}

fn push_text(object: &mut Map<String, Value>, key: &str, text: &[u8]) {
    if !text.is_empty() {
        object.insert(key.to_owned(), bytes(text));
    }
}
