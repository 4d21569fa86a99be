//! `SketchPayload`: one `Sketch` for each distribution of a flush.

use greyhound_model::flush::{FlushBatch, SketchSeries};
use greyhound_model::sketch::Sketch;

use super::encode::{self, Text};
use super::packer::Packer;
use super::proto;
use crate::sink::{Reason, Receipt};

/// Field 2, `metadata`, empty: other senders always write it.
pub(super) const END: &[u8] = &[0x12, 0];

/// An item with several points is cut once it is this share of a payload.
const CUT_SHARE: usize = 4;

/// Adds a distribution; several of it when it has many points.
pub(super) fn add(
    batch: &FlushBatch,
    series: &SketchSeries,
    packer: &mut Packer,
    text: &mut Text,
    receipt: &mut Receipt,
) {
    let context = &series.context;
    if !encode::is_name(context.name()) {
        receipt.drop_points(Reason::Invalid, series.points.len() as u64);
        return;
    }
    let mut item = Vec::with_capacity(512);
    proto::bytes(&mut item, 1, text.utf8(context.name()).as_bytes());
    proto::bytes(&mut item, 2, text.host(batch, context).as_bytes());
    text.all_tags(context, 4, &mut item);
    let head_len = item.len();
    let cut_len = packer.limits().raw_bytes / CUT_SHARE;
    let mut count = 0;
    for (unix_seconds, sketch) in &series.points {
        if sketch.is_empty() || !encode::is_timely(batch, *unix_seconds) {
            receipt.drop_points(Reason::Invalid, 1);
            continue;
        }
        if count > 0 && item.len() > cut_len {
            emit(&item, count, packer, receipt);
            item.truncate(head_len);
            count = 0;
        }
        proto::message(&mut item, 7, |out| write(*unix_seconds, sketch, out));
        count += 1;
    }
    if count > 0 {
        emit(&item, count, packer, receipt);
    }
}

fn emit(item: &[u8], count: usize, packer: &mut Packer, receipt: &mut Receipt) {
    let mut prefix = Vec::with_capacity(6);
    proto::start_of_bytes(&mut prefix, 1, item.len());
    let parts = [&prefix[..], item];
    if packer.add(&parts, &parts, count).is_err() {
        receipt.drop_points(Reason::TooLarge, count as u64);
    }
}

/// `Dogsketch`. Counts have 32 bits there: a fuller bin is written as several.
fn write(unix_seconds: i64, sketch: &Sketch, out: &mut Vec<u8>) {
    proto::integer(out, 1, unix_seconds);
    proto::integer(out, 2, sketch.count().cast_signed());
    proto::double(out, 3, sketch.min());
    proto::double(out, 4, sketch.max());
    proto::double(out, 5, sketch.avg());
    proto::double(out, 6, sketch.sum());
    proto::message(out, 7, |out| {
        for (key, _) in parts(sketch) {
            proto::varint(out, proto::zigzag(i32::from(key)));
        }
    });
    proto::message(out, 8, |out| {
        for (_, n) in parts(sketch) {
            proto::varint(out, u64::from(n));
        }
    });
}

/// Bins with counts of 32 bits.
fn parts(sketch: &Sketch) -> impl Iterator<Item = (i16, u32)> {
    sketch.bins().flat_map(|(key, n)| {
        let whole = n / u64::from(u32::MAX);
        let rest = (n % u64::from(u32::MAX)) as u32;
        let full = (0..whole).map(move |_| (key, u32::MAX));
        full.chain((rest > 0).then_some((key, rest)))
    })
}
