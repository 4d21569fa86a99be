//! When a point of a flush was: the end of its bucket, or the time a client gave it.

use greyhound_model::flush::{FlushBatch, FlushCause};

/// Buckets a flush may be late by and its points still be taken for those of a bucket.
const BUCKETS_LATE: i64 = 3;

/// Start and end of what a point speaks of, in Unix seconds; the end is never later than the flush, nor earlier
/// than the start. A sample with a time of its own starts and ends there.
///
/// A stop flushes such samples together with the open bucket; they are told apart by not being on the grid, or
/// too old to be of a bucket that was just open.
pub(crate) fn span(batch: &FlushBatch, unix_seconds: i64) -> (i64, i64) {
    let interval = i64::from(batch.interval_seconds.max(1));
    let is_on_grid = unix_seconds.rem_euclid(interval) == 0;
    let age = batch.unix_seconds.saturating_sub(unix_seconds);
    let is_own = batch.cause == FlushCause::Timestamped
        || !is_on_grid
        || age > interval.saturating_mul(BUCKETS_LATE);
    if is_own {
        return (unix_seconds, unix_seconds);
    }
    let end = unix_seconds.saturating_add(interval);
    (unix_seconds, end.min(batch.unix_seconds.max(unix_seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{self, BUCKET};

    #[test]
    fn a_bucket_ends_and_an_own_time_stands() {
        let mut batch = fixtures::batch();
        assert_eq!(span(&batch, BUCKET), (BUCKET, BUCKET + 10));
        assert_eq!(span(&batch, BUCKET + 10), (BUCKET + 10, BUCKET + 15));
        assert_eq!(span(&batch, BUCKET + 3), (BUCKET + 3, BUCKET + 3));
        assert_eq!(span(&batch, BUCKET - 30), (BUCKET - 30, BUCKET - 30));
        assert_eq!(span(&batch, BUCKET + 100), (BUCKET + 100, BUCKET + 100));
        batch.cause = FlushCause::Timestamped;
        assert_eq!(span(&batch, BUCKET), (BUCKET, BUCKET));
    }
}
