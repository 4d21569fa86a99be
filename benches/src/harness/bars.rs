//! What was promised beside what was measured: the goals, as data, and how each is read off the rows.

use super::report::{Row, aligned};

/// A goal for one figure.
#[derive(Clone, Copy, Debug)]
struct Bar {
    /// Scenario and point of the row that has the figure.
    row: (&'static str, &'static str),
    /// What is measured, with its unit.
    what: &'static str,
    /// Name of the figure in the row, and what it is multiplied with.
    figure: (&'static str, f64),
    /// Least or most that will do.
    bar: f64,
    /// What would be better still.
    stretch: Option<f64>,
    /// Whether less is better.
    less: bool,
}

const fn less(
    row: (&'static str, &'static str),
    what: &'static str,
    figure: (&'static str, f64),
    bar: f64,
    stretch: f64,
) -> Bar {
    Bar {
        row,
        what,
        figure,
        bar,
        stretch: Some(stretch),
        less: true,
    }
}

const fn more(
    row: (&'static str, &'static str),
    what: &'static str,
    figure: (&'static str, f64),
    bar: f64,
    stretch: f64,
) -> Bar {
    Bar {
        less: false,
        ..less(row, what, figure, bar, stretch)
    }
}

/// No more than this, and nothing beyond to aim at.
const fn limit(
    row: (&'static str, &'static str),
    what: &'static str,
    figure: (&'static str, f64),
    bar: f64,
) -> Bar {
    Bar {
        stretch: None,
        ..less(row, what, figure, bar, bar)
    }
}

const PACKED: (&str, &str) = ("udp_packed_10k", "max");
const BURST: (&str, &str) = ("uds_burst", "2M/s per 5 ms");
const FLUSH: (&str, &str) = ("flush_1m", "half of max");
/// The quality gates are in MiB.
const MIB: f64 = 1e6 / (1024.0 * 1024.0);

const BARS: &[Bar] = &[
    less(PACKED, "CPU ns/msg", ("cpu_ns", 1.0), 200.0, 160.0),
    more(
        PACKED,
        "largest M/s, one lane",
        ("largest_per_second", 1e-6),
        4.8,
        6.0,
    ),
    less(PACKED, "x its floors", ("floor_ratio", 1.0), 1.2, 1.08),
    less(
        ("udp_single_10k", "max"),
        "CPU ns/datagram",
        ("cpu_ns", 1.0),
        900.0,
        760.0,
    ),
    less(
        ("udp_single_10k", "100k/s"),
        "CPU ns/datagram",
        ("cpu_ns", 1.0),
        1200.0,
        1000.0,
    ),
    less(
        ("uds_packed_10k", "flat out"),
        "CPU ns/msg",
        ("cpu_ns", 1.0),
        180.0,
        140.0,
    ),
    less(BURST, "% refused", ("refused_share", 100.0), 25.0, 15.0),
    limit(
        ("udp_noisy", "200k/s"),
        "% lost",
        ("lost_share", 100.0),
        0.0,
    ),
    less(
        ("dsd_uds_500mb_3k", ""),
        "% of a core",
        ("core_share", 100.0),
        45.0,
        28.0,
    ),
    less(PACKED, "ns/msg in memory", ("memory_ns", 1.0), 140.0, 110.0),
    less(
        ("udp_packed_100k", "1.5M/s"),
        "ns/msg in memory",
        ("memory_ns", 1.0),
        280.0,
        225.0,
    ),
    less(
        ("udp_packed_1m", "1.5M/s"),
        "ns/msg in memory",
        ("memory_ns", 1.0),
        400.0,
        310.0,
    ),
    less(
        ("idle", ""),
        "resident MB",
        ("resident_mb", 1.0),
        15.0,
        10.0,
    ),
    less(
        ("rss_10k", ""),
        "resident MB",
        ("resident_mb", 1.0),
        30.0,
        18.0,
    ),
    less(
        ("rss_100k", ""),
        "resident MB",
        ("resident_mb", 1.0),
        100.0,
        65.0,
    ),
    less(
        ("rss_1m", ""),
        "resident MB",
        ("resident_mb", 1.0),
        400.0,
        260.0,
    ),
    less(
        ("idle", ""),
        "quality gate idle, MiB",
        ("resident_mb", MIB),
        40.0,
        20.0,
    ),
    less(
        ("quality_low", ""),
        "quality gate, MiB",
        ("resident_mb", MIB),
        50.0,
        25.0,
    ),
    less(
        ("quality_medium", ""),
        "quality gate, MiB",
        ("resident_mb", MIB),
        75.0,
        37.5,
    ),
    less(
        ("quality_heavy", ""),
        "quality gate, MiB",
        ("resident_mb", MIB),
        140.0,
        70.0,
    ),
    less(
        ("quality_ultra", ""),
        "quality gate, MiB",
        ("resident_mb", MIB),
        200.0,
        100.0,
    ),
    less(FLUSH, "ms queued at most", ("stall_ms", 1.0), 20.0, 5.0),
    limit(FLUSH, "% lost", ("lost_share", 100.0), 0.1),
    more(
        ("flood", "2 x max"),
        "% of the largest rate",
        ("taken_of_largest", 100.0),
        90.0,
        100.0,
    ),
    more(
        ("uds_two_lanes", "2 lanes"),
        "x one lane",
        ("taken_of_one_lane", 1.0),
        1.2,
        1.5,
    ),
    less(
        ("idle_10k", ""),
        "% of a core",
        ("core_share", 100.0),
        0.3,
        0.1,
    ),
    less(("start", ""), "ms to ready", ("start_ms", 1.0), 100.0, 40.0),
    less(
        ("start", ""),
        "MB binary, all sinks",
        ("binary_mb", 1.0),
        15.0,
        10.0,
    ),
];

/// Each goal whose figure was measured, in the order of the list; empty when none was.
pub fn table(rows: &[Row]) -> String {
    let mut cells = Vec::new();
    for bar in BARS {
        let is_it = |row: &&Row| (row.scenario.as_str(), row.at.as_str()) == bar.row;
        let (name, factor) = bar.figure;
        let Some(value) = rows.iter().find(is_it).and_then(|row| row.get(name)) else {
            continue;
        };
        let value = value * factor;
        cells.push(vec![
            format!("{} {}", bar.row.0, bar.row.1).trim_end().to_owned(),
            bar.what.to_owned(),
            short(bar.bar),
            bar.stretch.map_or_else(String::new, short),
            short(value),
            bar.verdict(value).to_owned(),
        ]);
    }
    if cells.is_empty() {
        return String::new();
    }
    let head = ["scenario", "measure", "bar", "stretch", "reached", ""];
    cells.insert(0, head.map(str::to_owned).to_vec());
    aligned(&cells)
}

// === impl Bar ===

impl Bar {
    fn verdict(&self, value: f64) -> &'static str {
        let is_within = |goal: f64| match self.less {
            true => value <= goal,
            false => value >= goal,
        };
        match (is_within(self.bar), self.stretch) {
            (true, Some(stretch)) if is_within(stretch) => "met, and the stretch",
            (true, _) => "met",
            (false, _) => "MISSED",
        }
    }
}

/// Three figures or so.
fn short(number: f64) -> String {
    match number.abs() {
        n if n >= 100.0 || n == n.trunc() => format!("{number:.0}"),
        n if n >= 10.0 => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::scenario::Scenario;

    fn row(scenario: &str, at: &str, name: &str, value: f64) -> Row {
        let mut row = Row::new(scenario, at);
        row.set(name, value);
        row
    }

    #[test]
    fn a_goal_is_met_missed_or_not_measured() {
        assert_eq!(table(&[]), "");
        let said = |nanos| table(&[row("udp_packed_10k", "max", "cpu_ns", nanos)]);
        assert!(said(150.0).contains("met, and the stretch"));
        assert!(said(190.0).trim_end().ends_with("met"));
        assert!(said(201.0).contains("MISSED"));
        assert_eq!(said(201.0).lines().count(), 2);
        let said = |rate| table(&[row("udp_packed_10k", "max", "largest_per_second", rate)]);
        assert!(said(4.7e6).contains("MISSED"));
        assert!(said(6.1e6).contains("stretch\n"), "{}", said(6.1e6));
    }

    #[test]
    fn every_goal_names_a_scenario() {
        for bar in BARS {
            assert!(Scenario::named(bar.row.0).is_some(), "{}", bar.row.0);
            let stretch = bar.stretch.unwrap_or(bar.bar);
            assert!(if bar.less {
                stretch <= bar.bar
            } else {
                stretch >= bar.bar
            });
        }
    }
}
