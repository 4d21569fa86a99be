//! The aggregates and percentiles of one histogram in one bucket.

use greyhound_model::flush::HistogramPoint;
use greyhound_model::series::{SeriesKind, Suffix};
use greyhound_model::sketch::Sketch;

use crate::aggregate::cell::HistogramCell;
use crate::rules::HistogramRules;

/// Hands every configured value of a histogram to `emit`. Counts are sums over the bucket, to be
/// divided by whoever speaks of rates. `sorted`: what [`HistogramCell::sorted`] says.
pub(super) fn aggregates(
    cell: &HistogramCell,
    sorted: &[(f64, u64)],
    rules: &HistogramRules,
    mut emit: impl FnMut(Suffix, SeriesKind, f64),
) {
    let (Some(&(min, _)), Some(&(max, _))) = (sorted.first(), sorted.last()) else {
        return;
    };
    let count = i128::from(cell.count);
    for &suffix in &rules.aggregates {
        let value = match suffix {
            Suffix::Max => max,
            Suffix::Min => min,
            Suffix::Median => at_rank(sorted, (count - 1) / 2).unwrap_or(0.0),
            Suffix::Avg => cell.sum / cell.count as f64,
            Suffix::Sum => cell.sum,
            Suffix::Count => {
                emit(suffix, SeriesKind::Rate, cell.count as f64);
                continue;
            }
            Suffix::None | Suffix::Percentile(_) => continue,
        };
        emit(suffix, SeriesKind::Gauge, value);
    }
    for &percent in &rules.percentiles {
        // Division truncates toward zero, so rank 0 is asked for even of nothing.
        if let Some(value) = at_rank(sorted, (i128::from(percent) * count - 1) / 100) {
            emit(Suffix::Percentile(percent), SeriesKind::Gauge, value);
        }
    }
}

/// The same as a summary that can be merged over time.
pub(super) fn summary(
    cell: &HistogramCell,
    sorted: &[(f64, u64)],
    unix_seconds: i64,
) -> HistogramPoint {
    let mut sketch = Sketch::default();
    for &(value, weight) in sorted {
        sketch.insert_weighted(value, weight);
    }
    HistogramPoint {
        unix_seconds,
        sum: cell.sum,
        count: cell.count,
        sketch,
    }
}

/// The first value whose running weight exceeds `rank`.
fn at_rank(sorted: &[(f64, u64)], rank: i128) -> Option<f64> {
    let mut running = 0i128;
    sorted.iter().find_map(|&(value, weight)| {
        running += i128::from(weight);
        (running > rank).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[(f64, u64)], expected: &[(Suffix, f64)]) {
        let mut cell = HistogramCell::default();
        for &(value, weight) in values {
            cell.insert(value, weight as f64, weight);
        }
        let rules = HistogramRules {
            aggregates: vec![Suffix::Max, Suffix::Median, Suffix::Avg, Suffix::Count],
            percentiles: vec![0, 95],
            copy_prefix: None,
        };
        let mut got = Vec::new();
        aggregates(&cell, &cell.sorted(), &rules, |suffix, _, value| {
            got.push((suffix, value));
        });
        assert_eq!(got, expected);
    }

    #[test]
    fn the_median_is_the_lower_middle() {
        check(
            &[(4.0, 1), (1.0, 1), (3.0, 1), (2.0, 1)],
            &[
                (Suffix::Max, 4.0),
                (Suffix::Median, 2.0),
                (Suffix::Avg, 2.5),
                (Suffix::Count, 4.0),
                (Suffix::Percentile(0), 1.0),
                (Suffix::Percentile(95), 4.0),
            ],
        );
    }

    #[test]
    fn weights_move_ranks() {
        check(
            &[(1.0, 10), (9.0, 1)],
            &[
                (Suffix::Max, 9.0),
                (Suffix::Median, 1.0),
                (Suffix::Avg, 19.0 / 11.0),
                (Suffix::Count, 11.0),
                (Suffix::Percentile(0), 1.0),
                (Suffix::Percentile(95), 9.0),
            ],
        );
    }

    #[test]
    fn nothing_comes_of_nothing() {
        check(&[], &[]);
    }
}
