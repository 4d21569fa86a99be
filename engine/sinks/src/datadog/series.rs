//! `MetricPayload`: one `MetricSeries` for each series of a flush.

use greyhound_model::flush::FlushBatch;
use greyhound_model::series::{Point, Series, SeriesKind, Unit};

use super::encode::{self, Text};
use super::packer::Packer;
use super::proto;
use crate::sink::{Reason, Receipt};

/// Numbers of `MetricType`.
const RATE: i64 = 2;
const GAUGE: i64 = 3;

/// Bytes of one point at most: key, length, value, time.
const POINT_LEN_BYTES: usize = 2 + 9 + 11;

/// Adds a series; several of it when it has more points than a payload takes.
pub(super) fn add(
    batch: &FlushBatch,
    series: &Series,
    packer: &mut Packer,
    text: &mut Text,
    receipt: &mut Receipt,
) {
    let name = series.full_name();
    let points = series.points.as_slice();
    if !encode::is_name(&name) {
        receipt.drop_points(Reason::Invalid, points.len() as u64);
        return;
    }
    let mut head = Vec::with_capacity(256);
    text.resources(batch, &series.context, 1, &mut head);
    proto::bytes(&mut head, 2, text.utf8(&name).as_bytes());
    text.tags(&series.context, 3, &mut head);
    let kind = match series.kind {
        SeriesKind::Gauge => GAUGE,
        SeriesKind::Rate => RATE,
    };
    proto::integer(&mut head, 5, kind);
    if series.unit == Unit::Millisecond {
        proto::bytes(&mut head, 6, b"millisecond");
    }
    proto::integer(&mut head, 8, i64::from(batch.interval_seconds));

    let limits = packer.limits();
    let room = limits.raw_bytes.saturating_sub(head.len() + 16) / POINT_LEN_BYTES;
    let head_len = head.len();
    let mut item = head;
    for chunk in points.chunks(room.clamp(1, limits.points.max(1))) {
        item.truncate(head_len);
        let mut count = 0;
        for point in chunk {
            match value(batch, series.kind, point) {
                Some(value) => {
                    count += 1;
                    proto::message(&mut item, 4, |out| {
                        proto::double(out, 1, value);
                        proto::integer(out, 2, point.unix_seconds);
                    });
                }
                None => receipt.drop_points(Reason::Invalid, 1),
            }
        }
        if count == 0 {
            continue;
        }
        let mut prefix = Vec::with_capacity(6);
        proto::start_of_bytes(&mut prefix, 1, item.len());
        let parts = [&prefix[..], &item];
        if packer.add(&parts, &parts, count).is_err() {
            receipt.drop_points(Reason::TooLarge, count as u64);
        }
    }
}

/// The value as it goes out; `None` when the intake does not take it.
fn value(batch: &FlushBatch, kind: SeriesKind, point: &Point) -> Option<f64> {
    let value = match kind {
        SeriesKind::Gauge => point.value,
        SeriesKind::Rate => point.value / f64::from(batch.interval_seconds.max(1)),
    };
    (!value.is_nan() && encode::is_timely(batch, point.unix_seconds)).then_some(value)
}
