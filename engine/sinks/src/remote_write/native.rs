//! A native histogram as both versions of the protocol write it: runs of buckets, each count as the
//! difference to the one before.

use super::packer::NativePoint;
use crate::datadog::proto;
use crate::exponential::{GAP_MAX, SCALE, zero_threshold};

/// Writes the content of a `Histogram` message.
pub(super) fn write(out: &mut Vec<u8>, point: &NativePoint<'_>) {
    // A member of a choice is written even when it is 0.
    proto::varint(out, 1 << 3);
    proto::varint(out, point.count);
    proto::double(out, 3, point.sum);
    proto::integer_zigzag(out, 4, SCALE.into());
    proto::double(out, 5, zero_threshold());
    proto::varint(out, 6 << 3);
    proto::varint(out, point.buckets.zeros);
    write_side(out, [8, 9], &point.buckets.negative);
    write_side(out, [11, 12], &point.buckets.positive);
    proto::integer(out, 15, point.unix_ms);
}

/// A native histogram that says: the series has ended.
pub(super) fn write_end(out: &mut Vec<u8>, marker: f64, unix_ms: i64) {
    proto::varint(out, 1 << 3);
    proto::varint(out, 0);
    proto::double(out, 3, marker);
    proto::integer(out, 15, unix_ms);
}

fn write_side(out: &mut Vec<u8>, [spans, deltas]: [u32; 2], buckets: &[(i32, u64)]) {
    let is_near = |a: &(i32, u64), b: &(i32, u64)| b.0 - a.0 - 1 <= GAP_MAX;
    let mut end = 0;
    for (number, run) in buckets.chunk_by(is_near).enumerate() {
        let (first, last) = (run[0].0, run[run.len() - 1].0);
        proto::message(out, spans, |out| {
            // The first begins at its index, the others so far behind the one before.
            let offset = if number == 0 { first } else { first - end };
            proto::integer_zigzag(out, 1, offset.into());
            proto::integer(out, 2, i64::from(last - first + 1));
        });
        end = last + 1;
    }
    if buckets.is_empty() {
        return;
    }
    proto::message(out, deltas, |out| {
        let mut before = 0_i64;
        let mut put = |out: &mut Vec<u8>, count: u64| {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            proto::varint(out, proto::zigzag_long(count - before));
            before = count;
        };
        for run in buckets.chunk_by(is_near) {
            let mut at = run[0].0;
            for &(index, count) in run {
                for _ in at..index {
                    put(out, 0);
                }
                put(out, count);
                at = index + 1;
            }
        }
    });
}
